#include "net/triple.h"

#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/text.h"

const struct triple_word triple_families[] = {
	{ "inet", AF_INET },
	{ "inet6", AF_INET6 },
	{ "unix", AF_UNIX },
	{ NULL, 0 },
};

const struct triple_word triple_types[] = {
	{ "stream", SOCK_STREAM },
	{ "dgram", SOCK_DGRAM },
	{ "seqpacket", SOCK_SEQPACKET },
	{ NULL, 0 },
};

/* Protocol 0 asks the kernel for the usual one of family and type: the row's. */
static const struct row {
	int family, type, protocol;
	const char *name;
} rows[] = {
	{ AF_INET, SOCK_STREAM, IPPROTO_TCP, "tcp" },
	{ AF_INET, SOCK_DGRAM, IPPROTO_UDP, "udp" },
	{ AF_INET6, SOCK_STREAM, IPPROTO_TCP, "tcp" },
	{ AF_INET6, SOCK_DGRAM, IPPROTO_UDP, "udp" },
	{ AF_UNIX, SOCK_STREAM, 0, "0" },
	{ AF_UNIX, SOCK_DGRAM, 0, "0" },
	{ AF_UNIX, SOCK_SEQPACKET, 0, "0" },
};

#define N_ROWS (sizeof(rows) / sizeof(*rows))

const char *triple_word(const struct triple_word *words, long long number)
{
	for (; words->name != NULL; words++) {
		if (words->number == number)
			return words->name;
	}
	return "unknown";
}

int triple_protocol(const char *text, int *protocol_r)
{
	const struct protoent *entry;
	long long number;

	if (text_to_number(text, 0, 0xffff, &number)) {
		*protocol_r = (int)number;
		return 0;
	}
	/* our own rows work without /etc/protocols, which a minimal system lacks */
	for (size_t i = 0; i < N_ROWS; i++) {
		if (strcmp(rows[i].name, text) == 0) {
			*protocol_r = rows[i].protocol;
			return 0;
		}
	}
	entry = getprotobyname(text);
	if (entry == NULL)
		return -1;
	*protocol_r = entry->p_proto;
	return 0;
}

static const struct row *find_row(int family, int type)
{
	for (size_t i = 0; i < N_ROWS; i++) {
		if (rows[i].family == family && rows[i].type == type)
			return &rows[i];
	}
	return NULL;
}

int triple_usual_protocol(int family, int type)
{
	const struct row *row = find_row(family, type);

	return row != NULL ? row->protocol : 0;
}

const char *triple_protocol_name(int family, int type, int protocol)
{
	const struct row *row = find_row(family, type);

	if (row == NULL || (protocol != 0 && protocol != row->protocol))
		return "unknown";
	return row->protocol == 0 ? "none" : row->name;
}

static void add_types(struct text *why, int family)
{
	const char *separator = "";

	for (size_t i = 0; i < N_ROWS; i++) {
		if (rows[i].family != family)
			continue;
		text_addf(why, "%s%s", separator, triple_word(triple_types, rows[i].type));
		separator = ", ";
	}
}

bool triple_check(int family, int type, int protocol, struct text *why)
{
	const struct row *row = find_row(family, type);
	const char *family_name = triple_word(triple_families, family);
	const char *type_name = triple_word(triple_types, type);

	if (row == NULL) {
		text_addf(why, "family %s has no type %s; it has: ", family_name, type_name);
		add_types(why, family);
		return false;
	}
	if (protocol == 0 || protocol == row->protocol)
		return true;
	if (row->protocol == 0)
		text_addf(why, "family unix has no protocols; leave the key out or write 0");
	else
		text_addf(why, "protocol %d does not go with family %s and type %s; it is: %s",
			  protocol, family_name, type_name, row->name);
	return false;
}

bool triple_accepts(int type)
{
	return type == SOCK_STREAM || type == SOCK_SEQPACKET;
}

void triple_list(void (*print)(const char *family, const char *type, const char *protocol))
{
	for (size_t i = 0; i < N_ROWS; i++)
		print(triple_word(triple_families, rows[i].family),
		      triple_word(triple_types, rows[i].type),
		      triple_protocol_name(rows[i].family, rows[i].type, 0));
}
