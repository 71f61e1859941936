/*
 * listener.h - the socket of a service: created, bound, listening.
 *
 * Runs in the master only. A listener is opened once and kept while its
 * address stays in the config; it is never closed and bound again, because
 * that would reset what waits in its queue.
 */
#ifndef PREFORKD_NET_LISTENER_H
#define PREFORKD_NET_LISTENER_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

struct text;

/* All that is needed to open a listener; no pointers, so it can live in a conf. */
struct listener_spec {
	int family, type, protocol;
	struct sockaddr_storage address;
	socklen_t length;
	int backlog;
	bool v6only;
	mode_t mode; /* of the path of a unix socket, as are: */
	uid_t owner; /* (uid_t)-1: the master's */
	gid_t group;
};

struct listener {
	int fd;
	struct listener_spec spec;
	struct sockaddr_storage bound; /* with the real port where the spec has 0 */
	socklen_t bound_length;
	dev_t device; /* of the path: */
	ino_t inode;
};

/*
 * Open a listener. Returns 0, or -1 with errno and a sentence for the user,
 * with the remedy, in *error. A unix path is taken over only from a socket
 * on which nobody answers. Sources: socket(7), ip(7), ipv6(7), unix(7).
 */
int listener_open(const struct listener_spec *spec, struct listener *listener_r,
		  struct text *error);

/*
 * Make an open listener follow a changed spec of the same address (backlog,
 * mode, owner, group). Returns 0, or -1 with errno and *error, and then
 * nothing was changed that a client could notice.
 */
int listener_adjust(struct listener *listener, const struct listener_spec *spec,
		    struct text *error);

/* Close; the path of a unix socket is removed if it is still the one we made. */
void listener_close(struct listener *listener);

/* True if both specs mean one socket: the same triple and address. */
bool listener_same_address(const struct listener_spec *a, const struct listener_spec *b);

#endif
