/*
 * listener.h - the socket of a service: created, bound, listening.
 *
 * Runs in the master only. A listener is opened once and kept while its
 * address stays in the config; it is never closed and bound again, because
 * that would reset what waits in its queue.
 *
 * One socket for all workers; or, with reuse_port = per-worker, one for each,
 * among which the kernel divides the clients.
 */
#ifndef PREFORKD_NET_LISTENER_H
#define PREFORKD_NET_LISTENER_H

#include <limits.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "net/datagram.h"
#include "net/sockopt.h"
#include "net/unixpath.h"

struct text;

/* All that is needed to open a listener; no pointers, so it can live in a conf. */
struct listener_spec {
	int family, type, protocol;
	struct sockaddr_storage address;
	socklen_t length;
	int backlog;
	unsigned sockets; /* 1, or one for each worker */
	struct sockopt_values options;
	struct datagram_group group;
	struct unixpath_rights rights;
};

struct listener {
	int *fds; /* n_fds of them; of allocated memory */
	unsigned n_fds;
	struct listener_spec spec;
	struct sockaddr_storage bound; /* with the real port where the spec has 0 */
	socklen_t bound_length;
	struct sockopt_state options;
	struct unixpath_node node;
	bool foreign;		/* somebody else opened it: its path and number are his */
	unsigned dropped;	/* by sockets that were closed */
	unsigned dropped_taken; /* of all that were dropped; see listener_take_dropped() */
};

/*
 * Create a socket with all its options, and close it. Returns 0, or -1 with errno
 * and a sentence for the user in *error. *shortfall: a line for each option that
 * the kernel granted in part only.
 */
int listener_try(const struct listener_spec *spec, struct text *shortfall, struct text *error);

/*
 * Open a listener. Returns 0, or -1 with errno and a sentence for the user,
 * with the remedy, in *error. Sources: socket(7), ip(7), ipv6(7), unix(7),
 * vsock(7), tipc(7), sctp(7).
 */
int listener_open(const struct listener_spec *spec, struct listener *listener_r,
		  struct text *error);

/*
 * Give an open listener as many sockets as the spec wants, if they are more.
 * Returns 0, or -1 with errno and *error, and then it is as it was.
 */
int listener_grow(struct listener *listener, const struct listener_spec *spec, struct text *error);

/* Close all sockets but the first `keep`. */
void listener_shrink(struct listener *listener, unsigned keep);

/*
 * Make an open listener follow a changed spec of the same address. Returns 0; *error
 * may say what cannot change on an open socket, or was granted in part only. Or
 * -1 with errno and *error, and then a part may have changed.
 */
int listener_adjust(struct listener *listener, const struct listener_spec *spec,
		    struct text *error);

/*
 * Make the socket of a seat listen again, should a program have shut it down that
 * had it; nothing happens to one that does.
 */
void listener_revive(struct listener *listener, unsigned seat);

/* Close; the path of a unix socket is removed if it is still the one we made. */
void listener_close(struct listener *listener);

/* The socket for the worker in a seat (from 0). */
int listener_fd(const struct listener *listener, unsigned seat);

/* True if its addresses have ports, as those of inet, inet6 (but raw) and vsock do. */
bool listener_has_port(const struct listener_spec *spec);

/* True if the kernel chooses the port: another one at each opening. */
bool listener_any_port(const struct listener_spec *spec);

/* True if both specs mean one socket: the same triple and address. */
bool listener_same_address(const struct listener_spec *a, const struct listener_spec *b);

#define LISTENER_SOME UINT_MAX

/*
 * True if a spec wants the same port of inet or inet6 at another address, so that bind(2)
 * may refuse it because of this listener.
 */
bool listener_is_beside(const struct listener *listener, const struct listener_spec *spec);

/*
 * Let another socket of this user be bound beside it, or nobody any more. Source:
 * SO_REUSEPORT in socket(7), which may be changed on a bound socket.
 */
void listener_share_port(const struct listener *listener, bool share);

/* How many clients wait to be taken; LISTENER_SOME where the kernel only tells that some do. */
unsigned listener_waiting(const struct listener *listener);

/* How many datagrams the kernel dropped since the last call; 0 where it does not count. */
unsigned listener_take_dropped(struct listener *listener);

/* Add "key=value ..." of the options that the config asks for, as the kernel has them. */
void listener_describe(const struct listener *listener, struct text *out);

#endif
