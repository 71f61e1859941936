#include "address.h"

#include <arpa/inet.h>
#include <err.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* Cut the port off a text; 0 if there is none. */
static in_port_t cut_port(char *text, bool needs_port)
{
	char *colon = strrchr(text, ':');

	if (colon == NULL || strchr(colon, ']') != NULL) {
		if (needs_port)
			errx(EX_USAGE, "%s: no port", text);
		return 0;
	}
	*colon = '\0';
	return htons((in_port_t)atoi(colon + 1));
}

static socklen_t parse_unix(const char *text, struct sockaddr_un *un)
{
	un->sun_family = AF_UNIX;
	strncpy(un->sun_path, text, sizeof(un->sun_path) - 1);
	if (text[0] == '@')
		un->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(text));
}

socklen_t address_parse(char *text, bool needs_port, union address *address_r)
{
	in_port_t port;

	memset(address_r, 0, sizeof(*address_r));
	if (text[0] == '/' || text[0] == '@')
		return parse_unix(text, &address_r->un);
	port = cut_port(text, needs_port);
	if (text[0] == '[') {
		address_r->in6 =
			(struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = port };
		text[strlen(text) - 1] = '\0';
		if (inet_pton(AF_INET6, text + 1, &address_r->in6.sin6_addr) != 1)
			errx(EX_USAGE, "%s: no IPv6 address", text);
		return sizeof(address_r->in6);
	}
	address_r->in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = port };
	if (inet_pton(AF_INET, text, &address_r->in.sin_addr) != 1)
		errx(EX_USAGE, "%s: no IPv4 address", text);
	return sizeof(address_r->in);
}
