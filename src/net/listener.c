#include "net/listener.h"

#include <errno.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/text.h"
#include "net/address.h"
#include "net/triple.h"

static const struct triple *triple_of(const struct listener_spec *spec)
{
	return triple_find(spec->family, spec->type, spec->protocol);
}

/* What the user can do about an error of bind(2) or listen(2). */
static const char *remedy(int error, const struct listener_spec *spec)
{
	switch (error) {
	case EADDRINUSE:
		return "another program has it: see ss -lnp, or choose another";
	case EADDRNOTAVAIL:
		if (!address_is_inet(spec->family))
			return triple_remedy(triple_of(spec), ENODEV);
		return "no interface has this address: write \"*\", or set bind_retry";
	case EACCES:
	case EPERM:
		return "ports below 1024 need root or CAP_NET_BIND_SERVICE";
	default:
		return triple_remedy(triple_of(spec), error);
	}
}

static int fail(struct text *error, const char *step, const char *remedy)
{
	int saved = errno;

	text_addf(error, "%s: %s (%s)", step, strerror(saved), remedy);
	errno = saved;
	return -1;
}

static int setup_socket(struct listener *listener, int fd, struct text *shortfall,
			struct text *error)
{
	const struct listener_spec *spec = &listener->spec;
	const struct triple *triple = triple_of(spec);
	int on = 1;

	/* connections of a former run in TIME_WAIT are no obstacle. UDP: it would let
	   a second server take the port silently */
	if (address_is_inet(spec->family) && triple->listens &&
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return fail(error, "setsockopt", "see socket(7)");
	if (triple_is_forgeable(triple) &&
	    datagram_setup(fd, spec->family, address_is_any(&spec->address)) < 0)
		return fail(error, "setsockopt", "see ip(7)");
	return sockopt_apply(fd, NULL, &spec->options, &listener->options, shortfall, error);
}

/* Sockets after the first one follow it to the port that it got. */
static int bind_socket(struct listener *listener, int fd, struct text *error)
{
	const struct listener_spec *spec = &listener->spec;
	const struct sockaddr_storage *address = &spec->address;

	if (address_path(address) != NULL)
		return unixpath_bind(fd, spec->type, address, spec->length, &spec->rights,
				     &listener->node, error);
	if (listener->n_fds > 0)
		address = &listener->bound;
	if (bind(fd, (const void *)address, spec->length) < 0)
		return fail(error, "bind", remedy(errno, spec));
	return 0;
}

static int note_bound(struct listener *listener, int fd, struct text *error)
{
	const struct listener_spec *spec = &listener->spec;

	listener->bound = spec->address;
	listener->bound_length = spec->length;
	/* of these the kernel tells a protocol for a port, and no service */
	if (spec->type == SOCK_RAW || spec->family == AF_TIPC)
		return 0;
	listener->bound_length = sizeof(listener->bound);
	if (getsockname(fd, (void *)&listener->bound, &listener->bound_length) < 0)
		return fail(error, "getsockname", "see getsockname(2)");
	return 0;
}

static int open_socket(struct listener *listener, int fd, struct text *error)
{
	const struct listener_spec *spec = &listener->spec;

	if (setup_socket(listener, fd, NULL, error) < 0 || bind_socket(listener, fd, error) < 0 ||
	    datagram_join(fd, &spec->group, error) < 0)
		return -1;
	if (triple_of(spec)->listens && listen(fd, spec->backlog) < 0)
		return fail(error, "listen", remedy(errno, spec));
	return listener->n_fds > 0 ? 0 : note_bound(listener, fd, error);
}

/* One socket more. */
static int add_socket(struct listener *listener, struct text *error)
{
	const struct listener_spec *spec = &listener->spec;
	int fd = socket(spec->family, spec->type | SOCK_CLOEXEC, spec->protocol);

	if (fd < 0)
		return fail(error, "socket", triple_remedy(triple_of(spec), errno));
	if (open_socket(listener, fd, error) < 0) {
		fd_close(&fd);
		return -1;
	}
	listener->fds[listener->n_fds++] = fd;
	return 0;
}

void listener_shrink(struct listener *listener, unsigned keep)
{
	while (listener->n_fds > keep) {
		int *fd = &listener->fds[--listener->n_fds];

		listener->dropped += datagram_dropped(*fd);
		fd_close(fd);
	}
}

int listener_try(const struct listener_spec *spec, struct text *shortfall, struct text *error)
{
	struct listener listener = { .spec = *spec };
	int fd = socket(spec->family, spec->type | SOCK_CLOEXEC, spec->protocol);
	int r;

	if (fd < 0)
		return fail(error, "socket", triple_remedy(triple_of(spec), errno));
	r = setup_socket(&listener, fd, shortfall, error);
	fd_close(&fd);
	return r;
}

int listener_open(const struct listener_spec *spec, struct listener *listener_r, struct text *error)
{
	*listener_r = (struct listener){ .spec = *spec };
	listener_r->fds = calloc(spec->sockets, sizeof(int));
	if (listener_r->fds == NULL)
		return fail(error, "malloc", "free some memory");
	while (listener_r->n_fds < spec->sockets) {
		if (add_socket(listener_r, error) < 0) {
			int saved = errno;

			listener_close(listener_r);
			errno = saved;
			return -1;
		}
	}
	return 0;
}

int listener_grow(struct listener *listener, const struct listener_spec *spec, struct text *error)
{
	unsigned before = listener->n_fds;
	int *fds;

	/* the first one does not share its port: the rest has to wait for a restart */
	if (spec->sockets <= before || listener->foreign ||
	    listener->spec.options.value[SOCKOPT_REUSE_PORT] == 0)
		return 0;
	fds = reallocarray(listener->fds, spec->sockets, sizeof(int));
	if (fds == NULL)
		return fail(error, "malloc", "free some memory");
	listener->fds = fds;
	while (listener->n_fds < spec->sockets) {
		if (add_socket(listener, error) < 0) {
			int saved = errno;

			listener_shrink(listener, before);
			errno = saved;
			return -1;
		}
	}
	return 0;
}

static bool same_group(const struct datagram_group *a, const struct datagram_group *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static int adjust_socket(struct listener *listener, int fd, const struct listener_spec *spec,
			 struct text *error)
{
	const struct listener_spec *now = &listener->spec;

	/* what is likely to be refused comes last: it keeps the rest from changing */
	if (triple_of(spec)->listens && now->backlog != spec->backlog &&
	    listen(fd, spec->backlog) < 0)
		return fail(error, "listen", remedy(errno, spec));
	if (sockopt_apply(fd, &now->options, &spec->options, &listener->options, error, error) < 0)
		return -1;
	if (!same_group(&now->group, &spec->group)) {
		/* first, since it may be the same group with an interface */
		datagram_leave(fd, &now->group);
		if (datagram_join(fd, &spec->group, error) < 0)
			return -1;
	}
	return 0;
}

int listener_adjust(struct listener *listener, const struct listener_spec *spec, struct text *error)
{
	const char *path = address_path(&spec->address);
	struct sockopt_values fixed = listener->spec.options;

	if (path != NULL && !listener->foreign &&
	    unixpath_adjust(path, &listener->node, &listener->spec.rights, &spec->rights, error) <
		    0)
		return -1;
	listener_shrink(listener, spec->sockets);
	for (unsigned i = 0; i < listener->n_fds; i++) {
		/* what is short is so for all */
		error->length = 0;
		if (adjust_socket(listener, listener->fds[i], spec, error) < 0)
			return -1;
	}
	listener->spec = *spec;
	sockopt_keep_fixed(&listener->spec.options, &fixed);
	return 0;
}

void listener_revive(struct listener *listener, unsigned seat)
{
	int fd = listener_fd(listener, seat);

	if (!triple_of(&listener->spec)->listens)
		return;
	/* a port that the kernel chose is gone with the listening; else it is still bound */
	if (address_path(&listener->bound) == NULL)
		(void)bind(fd, (const void *)&listener->bound, listener->bound_length);
	(void)listen(fd, listener->spec.backlog);
}

void listener_close(struct listener *listener)
{
	const char *path = address_path(&listener->spec.address);

	if (path != NULL)
		unixpath_remove(path, &listener->node);
	listener_shrink(listener, 0);
	free(listener->fds);
	listener->fds = NULL;
}

int listener_fd(const struct listener *listener, unsigned seat)
{
	return listener->fds[seat % listener->n_fds];
}

/* What waits at one socket: of TCP the kernel tells how many, else whether there is somebody. */
static unsigned waiting_at(int fd)
{
	struct pollfd readable = { .fd = fd, .events = POLLIN };
	struct tcp_info info;
	socklen_t size = sizeof(info);

	if (poll(&readable, 1, 0) <= 0)
		return 0;
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
		return LISTENER_SOME;
	return info.tcpi_unacked;
}

unsigned listener_waiting(const struct listener *listener)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < listener->n_fds; i++) {
		unsigned n = waiting_at(listener->fds[i]);

		if (n == LISTENER_SOME)
			return n;
		sum += n;
	}
	return sum;
}

/* MPTCP has the ports of TCP. */
static int whose_ports(const struct listener_spec *spec)
{
	return spec->protocol == IPPROTO_MPTCP ? IPPROTO_TCP : spec->protocol;
}

bool listener_is_beside(const struct listener *listener, const struct listener_spec *spec)
{
	const struct listener_spec *own = &listener->spec;

	return own->type == spec->type && whose_ports(own) == whose_ports(spec) &&
	       address_is_inet(own->family) && address_is_inet(spec->family) &&
	       own->type != SOCK_RAW && address_port(&spec->address) != 0 &&
	       address_port(&listener->bound) == address_port(&spec->address);
}

void listener_share_port(const struct listener *listener, bool share)
{
	int value = share || listener->spec.options.value[SOCKOPT_REUSE_PORT] != 0;

	for (unsigned i = 0; i < listener->n_fds; i++)
		(void)setsockopt(listener->fds[i], SOL_SOCKET, SO_REUSEPORT, &value, sizeof(value));
}

bool listener_has_port(const struct listener_spec *spec)
{
	return spec->family == AF_VSOCK ||
	       (address_is_inet(spec->family) && spec->type != SOCK_RAW);
}

bool listener_any_port(const struct listener_spec *spec)
{
	if (spec->family == AF_VSOCK)
		return address_port(&spec->address) == VMADDR_PORT_ANY;
	return address_is_inet(spec->family) && spec->type != SOCK_RAW &&
	       address_port(&spec->address) == 0;
}

bool listener_same_address(const struct listener_spec *a, const struct listener_spec *b)
{
	return a->family == b->family && a->type == b->type && a->protocol == b->protocol &&
	       a->length == b->length && memcmp(&a->address, &b->address, a->length) == 0;
}

unsigned listener_take_dropped(struct listener *listener)
{
	unsigned sum = listener->dropped, taken = listener->dropped_taken;

	for (unsigned i = 0; i < listener->n_fds && !triple_of(&listener->spec)->accepts; i++)
		sum += datagram_dropped(listener->fds[i]);
	listener->dropped_taken = sum;
	return sum - taken;
}

void listener_describe(const struct listener *listener, struct text *out)
{
	if (listener->n_fds > 1)
		text_addf(out, "sockets=%u", listener->n_fds);
	sockopt_describe(listener->fds[0], &listener->spec.options, out);
}
