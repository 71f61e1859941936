/*
 * handed.h - sockets that somebody else opened: what they are, whose they may
 * be, and how such a one becomes a listener.
 *
 * Runs in the master only. Who hands them in (a service manager, the master
 * before us) and under which names is known to master/adopt.c.
 */
#ifndef PREFORKD_NET_HANDED_H
#define PREFORKD_NET_HANDED_H

#include <stdbool.h>
#include <sys/socket.h>

#include "net/listener.h"

struct text;

/* What the kernel says of a descriptor. */
struct handed {
	int fd;
	int family, type, protocol; /* family AF_UNSPEC: it is no socket */
	bool listens, connected;
	struct sockaddr_storage address; /* that it is bound to */
	socklen_t length;
};

/* Ask the kernel what a descriptor is; works with any, and does not take it over. */
struct handed handed_look(int fd);

/*
 * True if it is the socket of a spec: family, type, protocol, address, and whether it
 * listens. A port 0 of the spec goes with any. Never of tipc, whose address cannot be read.
 */
bool handed_fits(const struct handed *handed, const struct listener_spec *spec);

/*
 * The key of an option that the config wants otherwise and that a socket which fits
 * cannot change any more, or NULL.
 */
const char *handed_fixed_differs(const struct handed *handed, const struct listener_spec *spec);

/* Add "inet stream tcp 127.0.0.1:80" or "no socket". */
void handed_describe(const struct handed *handed, struct text *out);

/*
 * Make a listener of sockets that fit its spec (n of them, at least one). node: of the
 * path of a unix socket that a master of ours made; NULL: the sockets are somebody
 * else's, who also has the care of a path. Ours get back what the config does not set
 * any more; of others that stays. Returns 0, or -1 with errno and *error, and then the
 * descriptors are still the caller's. *shortfall: as that of sockopt_apply().
 */
int handed_adopt(const struct listener_spec *spec, const struct handed *sockets, unsigned n,
		 const struct unixpath_node *node, struct listener *listener_r,
		 struct text *shortfall, struct text *error);

#endif
