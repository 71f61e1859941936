#include "ctl/client.h"

#include <errno.h>
#include <linux/tipc.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/time.h>

#include "base/fd.h"
#include "base/text.h"
#include "net/address.h"
#include "net/listener.h"
#include "net/triple.h"

static int fail(struct text *error, const char *step, const struct client *client)
{
	int saved = errno;
	char address[ADDRESS_TEXT_MAX];

	text_addf(error, "%s %s: %s", step, address_text(&client->to, client->to_length, address),
		  strerror(saved));
	errno = saved;
	return -1;
}

/* Where a client goes: not to all addresses, nor to a range of services. */
static void aim(struct client *client)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&client->to;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&client->to;
	struct sockaddr_vm *vm = (struct sockaddr_vm *)&client->to;
	struct sockaddr_tipc *tipc = (struct sockaddr_tipc *)&client->to;

	if (address_is_any(&client->to) && client->to.ss_family == AF_INET)
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else if (address_is_any(&client->to))
		in6->sin6_addr = in6addr_loopback;
	else if (client->to.ss_family == AF_VSOCK && vm->svm_cid == VMADDR_CID_ANY)
		vm->svm_cid = VMADDR_CID_LOCAL;
	else if (client->to.ss_family == AF_TIPC) {
		/* type and lower limit stand where type and instance do */
		tipc->addrtype = TIPC_SERVICE_ADDR;
		tipc->addr.name.domain = 0;
	}
}

/* A ping socket is given replies only, and those only a raw socket sends. */
static int type_of(const struct listener_spec *spec)
{
	bool ping = spec->type == SOCK_DGRAM &&
		    (spec->protocol == IPPROTO_ICMP || spec->protocol == IPPROTO_ICMPV6);

	return ping ? SOCK_RAW : spec->type;
}

static int set_limits(int fd, long long wait_ms)
{
	struct timeval limit = { wait_ms / 1000, wait_ms % 1000 * 1000 };

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0)
		return -1;
	return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

/* A unix client that shall be answered needs a name; the kernel gives one. */
static int take_name(int fd)
{
	const struct sockaddr name = { .sa_family = AF_UNIX };

	return bind(fd, &name, sizeof(name.sa_family));
}

static bool sends_to_itself(const struct client *client)
{
	struct sockaddr_storage own = { 0 };
	socklen_t length = sizeof(own);

	return type_of(client->spec) == SOCK_RAW &&
	       getsockname(client->fd, (void *)&own, &length) == 0 &&
	       address_same_host(&own, &client->to);
}

/*
 * TIPC without connections answers from another address than it is asked at; one
 * SCTP socket has many associations, and each message says to whom it goes.
 */
static bool may_connect(const struct listener_spec *spec)
{
	if (spec->protocol == IPPROTO_SCTP)
		return spec->type == SOCK_STREAM;
	return spec->family != AF_TIPC || spec->type == SOCK_STREAM || spec->type == SOCK_SEQPACKET;
}

static int prepare(struct client *client, long long wait_ms, struct text *error)
{
	const struct listener_spec *spec = client->spec;

	client->fd = socket(spec->family, type_of(spec) | SOCK_CLOEXEC, spec->protocol);
	if (client->fd < 0)
		return fail(error, "socket for", client);
	if (set_limits(client->fd, wait_ms) < 0)
		return fail(error, "setsockopt for", client);
	if (spec->family == AF_UNIX && spec->type == SOCK_DGRAM && take_name(client->fd) < 0)
		return fail(error, "bind for", client);
	if (may_connect(spec) &&
	    connect(client->fd, (const void *)&client->to, client->to_length) < 0)
		return fail(error, "connect to", client);
	client->own_copy = sends_to_itself(client);
	return 0;
}

int client_open(struct client *client_r, const struct listener_spec *spec,
		const struct sockaddr_storage *address, socklen_t length, long long wait_ms,
		struct text *error)
{
	int saved;

	*client_r = (struct client){ .spec = spec, .to = *address, .to_length = length };
	aim(client_r);
	/* of raw packets the port is that of the kernel's own counting */
	if (type_of(spec) == SOCK_RAW)
		address_set_port(&client_r->to, 0);
	if (prepare(client_r, wait_ms, error) == 0)
		return 0;
	saved = errno;
	fd_close(&client_r->fd);
	errno = saved;
	return -1;
}

int client_send(struct client *client, const void *data, size_t size)
{
	const struct sockaddr *to = may_connect(client->spec) ? NULL : (const void *)&client->to;
	ssize_t n = sendto(client->fd, data, size, MSG_NOSIGNAL, to,
			   to != NULL ? client->to_length : 0);

	if (n >= 0 && (size_t)n < size)
		errno = EMSGSIZE;
	return n >= 0 && (size_t)n == size ? 0 : -1;
}

static ssize_t strip_header(const struct client *client, char *packet, ssize_t n)
{
	ssize_t header = (packet[0] & 0xf) * (ssize_t)4;

	if (client->spec->family != AF_INET || type_of(client->spec) != SOCK_RAW || n < header)
		return n;
	memmove(packet, packet + header, (size_t)(n - header));
	return n - header;
}

ssize_t client_receive(struct client *client, void *buf, size_t size)
{
	ssize_t n;

	do {
		n = recv(client->fd, buf, size, 0);
	} while (n < 0 && errno == EINTR);
	return n > 0 ? strip_header(client, buf, n) : n;
}

bool client_is_message(const struct client *client)
{
	const struct listener_spec *spec = client->spec;

	return spec->type != SOCK_STREAM;
}

void client_finish(struct client *client)
{
	if (client_has_end(client))
		shutdown(client->fd, SHUT_WR);
}

bool client_has_end(const struct client *client)
{
	return client->spec->protocol != IPPROTO_SCTP && client->spec->family != AF_TIPC;
}

void client_close(struct client *client)
{
	/* close(2) alone is a reset for the peer of a TIPC connection */
	if (client->spec->family == AF_TIPC)
		shutdown(client->fd, SHUT_RDWR);
	fd_close(&client->fd);
}
