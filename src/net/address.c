#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/text.h"

#define UNIX_HEAD offsetof(struct sockaddr_un, sun_path)

static void unix_text(const struct sockaddr_un *addr, socklen_t length, struct text *text)
{
	char name[sizeof(addr->sun_path) + 1] = "";
	size_t size = length - UNIX_HEAD;

	if (length <= UNIX_HEAD || size > sizeof(addr->sun_path)) {
		text_add(text, "unnamed");
		return;
	}
	memcpy(name, addr->sun_path, size);
	if (name[0] == '\0') {
		name[0] = '@';
		/* what follows a NUL inside of an abstract name is not shown */
	}
	text_add(text, name);
}

const char *address_text(const struct sockaddr_storage *addr, socklen_t length,
			 char buf[ADDRESS_TEXT_MAX])
{
	const struct sockaddr_in *in = (const void *)addr;
	const struct sockaddr_in6 *in6 = (const void *)addr;
	struct text text = text_start(buf, ADDRESS_TEXT_MAX);
	char host[INET6_ADDRSTRLEN];

	if (length == sizeof(*in) && addr->ss_family == AF_INET) {
		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		text_addf(&text, "%s:%u", host, ntohs(in->sin_port));
	} else if (length == sizeof(*in6) && addr->ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		text_addf(&text, "[%s]:%u", host, ntohs(in6->sin6_port));
	} else if (length == 0 || addr->ss_family == AF_UNIX) {
		unix_text((const void *)addr, length, &text);
	} else {
		text_add(&text, "unknown");
	}
	return buf;
}

unsigned address_port(const struct sockaddr_storage *addr)
{
	if (addr->ss_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)addr)->sin_port);
	if (addr->ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)addr)->sin6_port);
	return 0;
}

bool address_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;
	const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)b;

	if (a->ss_family != b->ss_family)
		return false;
	if (a->ss_family == AF_INET)
		return a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	return a->ss_family == AF_INET6 &&
	       memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr)) == 0;
}

bool address_is_loopback(const struct sockaddr_storage *addr)
{
	const struct sockaddr_in *in = (const void *)addr;
	const struct sockaddr_in6 *in6 = (const void *)addr;

	if (addr->ss_family == AF_INET)
		return ntohl(in->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	if (addr->ss_family != AF_INET6)
		return false;
	if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
		return in6->sin6_addr.s6_addr[12] == IN_LOOPBACKNET;
	return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

int address_from_path(const char *path, struct sockaddr_storage *addr_r, socklen_t *length_r)
{
	struct sockaddr_un *addr = (struct sockaddr_un *)addr_r;
	size_t length = strlen(path);

	if (length >= sizeof(addr->sun_path))
		return -1;
	memset(addr_r, 0, sizeof(*addr_r));
	addr->sun_family = AF_UNIX;
	memcpy(addr->sun_path, path, length);
	/* an abstract name ends with the length, a path with a NUL */
	*length_r = (socklen_t)(UNIX_HEAD + length + (path[0] != '@'));
	if (path[0] == '@')
		addr->sun_path[0] = '\0';
	return 0;
}

const char *address_path(const struct sockaddr_storage *addr)
{
	const struct sockaddr_un *un = (const void *)addr;

	return addr->ss_family == AF_UNIX && un->sun_path[0] != '\0' ? un->sun_path : NULL;
}
