#include "net/address.h"

#include <arpa/inet.h>
#include <linux/tipc.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
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
		text_add(text, length <= UNIX_HEAD ? "unnamed" : "unknown");
		return;
	}
	memcpy(name, addr->sun_path, size);
	if (name[0] == '\0') {
		name[0] = '@';
		/* what follows a NUL inside of an abstract name is not shown */
	}
	text_add(text, name);
}

static void add_port(struct text *text, unsigned port)
{
	if (port != 0)
		text_addf(text, ":%u", port);
}

static void vsock_text(const struct sockaddr_vm *addr, struct text *text)
{
	if (addr->svm_cid == VMADDR_CID_ANY)
		text_add(text, "vsock:any");
	else
		text_addf(text, "vsock:%u", addr->svm_cid);
	if (addr->svm_port != VMADDR_PORT_ANY)
		text_addf(text, ":%u", addr->svm_port);
}

static void tipc_text(const struct sockaddr_tipc *addr, struct text *text)
{
	const struct tipc_service_range *range = &addr->addr.nameseq;

	if (addr->addrtype == TIPC_SOCKET_ADDR)
		text_addf(text, "tipc:#%x:%u", addr->addr.id.node, addr->addr.id.ref);
	else if (addr->addrtype == TIPC_SERVICE_RANGE && range->lower != range->upper)
		text_addf(text, "tipc:%u:%u-%u", range->type, range->lower, range->upper);
	else
		text_addf(text, "tipc:%u:%u", range->type, range->lower);
}

const char *address_text(const struct sockaddr_storage *addr, socklen_t length,
			 char buf[ADDRESS_TEXT_MAX])
{
	const struct sockaddr_in *in = (const void *)addr;
	const struct sockaddr_in6 *in6 = (const void *)addr;
	struct text text = text_start(buf, ADDRESS_TEXT_MAX);
	char host[INET6_ADDRSTRLEN];

	if (length == sizeof(*in) && addr->ss_family == AF_INET) {
		text_add(&text, inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host)));
		add_port(&text, ntohs(in->sin_port));
	} else if (length == sizeof(*in6) && addr->ss_family == AF_INET6) {
		text_addf(&text, "[%s]", inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host)));
		add_port(&text, ntohs(in6->sin6_port));
	} else if (length == sizeof(struct sockaddr_vm) && addr->ss_family == AF_VSOCK) {
		vsock_text((const void *)addr, &text);
	} else if (length == sizeof(struct sockaddr_tipc) && addr->ss_family == AF_TIPC) {
		tipc_text((const void *)addr, &text);
	} else if (length == 0 || addr->ss_family == AF_UNIX) {
		unix_text((const void *)addr, length, &text);
	} else {
		text_add(&text, "unknown");
	}
	return buf;
}

unsigned address_port(const struct sockaddr_storage *addr)
{
	switch (addr->ss_family) {
	case AF_INET:
		return ntohs(((const struct sockaddr_in *)addr)->sin_port);
	case AF_INET6:
		return ntohs(((const struct sockaddr_in6 *)addr)->sin6_port);
	case AF_VSOCK:
		return ((const struct sockaddr_vm *)addr)->svm_port;
	default:
		return 0;
	}
}

void address_set_port(struct sockaddr_storage *addr, unsigned port)
{
	if (addr->ss_family == AF_INET)
		((struct sockaddr_in *)addr)->sin_port = htons((uint16_t)port);
	else if (addr->ss_family == AF_INET6)
		((struct sockaddr_in6 *)addr)->sin6_port = htons((uint16_t)port);
	else if (addr->ss_family == AF_VSOCK)
		((struct sockaddr_vm *)addr)->svm_port = port;
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

bool address_is_inet(int family)
{
	return family == AF_INET || family == AF_INET6;
}

bool address_is_any(const struct sockaddr_storage *addr)
{
	const struct sockaddr_in *in = (const void *)addr;
	const struct sockaddr_in6 *in6 = (const void *)addr;

	if (addr->ss_family == AF_INET)
		return in->sin_addr.s_addr == htonl(INADDR_ANY);
	return addr->ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
}

bool address_is_multicast(const struct sockaddr_storage *addr)
{
	const struct sockaddr_in *in = (const void *)addr;
	const struct sockaddr_in6 *in6 = (const void *)addr;

	if (addr->ss_family == AF_INET)
		return IN_MULTICAST(ntohl(in->sin_addr.s_addr));
	return addr->ss_family == AF_INET6 && IN6_IS_ADDR_MULTICAST(&in6->sin6_addr);
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

int address_from_cid(const char *cid, unsigned port, struct sockaddr_storage *addr_r,
		     socklen_t *length_r)
{
	struct sockaddr_vm *addr = (struct sockaddr_vm *)addr_r;
	long long number;

	if (strcmp(cid, "any") == 0 || strcmp(cid, "*") == 0)
		number = VMADDR_CID_ANY;
	else if (strcmp(cid, "localhost") == 0)
		number = VMADDR_CID_LOCAL;
	else if (strcmp(cid, "host") == 0)
		number = VMADDR_CID_HOST;
	else if (!text_to_number(cid, 0, UINT32_MAX, &number))
		return -1;
	memset(addr_r, 0, sizeof(*addr_r));
	addr->svm_family = AF_VSOCK;
	addr->svm_cid = (unsigned)number;
	addr->svm_port = port != 0 ? port : VMADDR_PORT_ANY;
	*length_r = sizeof(*addr);
	return 0;
}

int address_from_tipc(const char *text, int scope, struct sockaddr_storage *addr_r,
		      socklen_t *length_r)
{
	struct sockaddr_tipc *addr = (struct sockaddr_tipc *)addr_r;
	char part[3][16] = { "", "", "" };
	long long type, lower, upper;
	int n = 0;

	if (sscanf(text, "%15[0-9]:%15[0-9]%n-%15[0-9]%n", part[0], part[1], &n, part[2], &n) < 2 ||
	    text[n] != '\0' || !text_to_number(part[0], TIPC_RESERVED_TYPES, UINT32_MAX, &type) ||
	    !text_to_number(part[1], 0, UINT32_MAX, &lower))
		return -1;
	upper = lower;
	if (part[2][0] != '\0' && !text_to_number(part[2], lower, UINT32_MAX, &upper))
		return -1;
	memset(addr_r, 0, sizeof(*addr_r));
	addr->family = AF_TIPC;
	addr->addrtype = TIPC_SERVICE_RANGE;
	addr->scope = (signed char)scope;
	addr->addr.nameseq =
		(struct tipc_service_range){ (unsigned)type, (unsigned)lower, (unsigned)upper };
	*length_r = sizeof(*addr);
	return 0;
}

const char *address_path(const struct sockaddr_storage *addr)
{
	const struct sockaddr_un *un = (const void *)addr;

	return addr->ss_family == AF_UNIX && un->sun_path[0] != '\0' ? un->sun_path : NULL;
}
