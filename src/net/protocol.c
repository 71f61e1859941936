/*
 * protocol.c - the number of a protocol by its name: apart from the rest of triple.h, as it
 * reads files of the machine, by libraries that no worker needs.
 */
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

#include "base/text.h"
#include "net/triple.h"

int triple_protocol(const char *text, int *protocol_r)
{
	const struct protoent *entry;
	long long number;

	if (text_to_number(text, 0, 0xffff, &number)) {
		*protocol_r = (int)number;
		return 0;
	}
	/* our own rows work without /etc/protocols, which a minimal system lacks */
	for (const struct triple *row = triples; row->family != AF_UNSPEC; row++) {
		if (row->protocol > 0 && strcmp(row->name, text) == 0) {
			*protocol_r = row->protocol;
			return 0;
		}
	}
	entry = getprotobyname(text);
	if (entry == NULL)
		return -1;
	*protocol_r = entry->p_proto;
	return 0;
}
