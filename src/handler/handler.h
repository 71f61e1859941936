/*
 * handler.h - what answers a connection: the one interface between preforkd
 * and the code that talks to a client.
 *
 * A handler sees a struct conn: one connection, or one datagram, of any
 * family and type. It reads, works and writes; it does not close, fork, exit
 * or touch signals. One worker serves one conn at a time, so a handler needs
 * no locks.
 *
 *	stream     read gives what has come, 0 at the end of the client's sending
 *	seqpacket  one read is one record, one write is one record
 *	dgram rdm  read gives the message, then 0; all that is written leaves as
 *	raw        one message when serve() returns. So it is with SCTP over
 *	           seqpacket. Of raw IPv4 packets the IP header is cut off.
 */
#ifndef PREFORKD_HANDLER_H
#define PREFORKD_HANDLER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

#define HANDLER_ABI 1

struct conn;
struct handler_env; /* options for a handler; empty in this version */

/* The three arguments of socket(2). */
struct handler_socket {
	int family, type, protocol;
};

struct handler {
	unsigned abi; /* HANDLER_ABI */
	const char *name, *summary;
	/*
	 * Can it serve such a socket? Asked when a config is checked. 0: yes; -1:
	 * no; 1: yes, but. Unless 0, message gets a sentence. Optional: all of them.
	 */
	int (*check)(const struct handler_socket *socket, char *message, size_t size);
	/* Once per worker, before it is ready. 0, or -1 with errno: the worker ends. Optional. */
	int (*init)(struct handler_env *env, void **state_r);
	/* One conn. 0: served; -1: failed (counted, and logged at level debug with errno). */
	int (*serve)(struct conn *conn, void *state);
	/* When the worker leaves. Optional. */
	void (*fini)(void *state);
};

/*
 * Read up to size bytes. Returns their number, 0 when the client will send no
 * more, or -1 with errno: ETIMEDOUT when the idle or total time is over.
 */
ssize_t conn_read(struct conn *conn, void *buf, size_t size);

/*
 * Write all of size bytes. Returns 0, or -1 with errno as for conn_read(). The
 * answer to a dgram or raw message over inet and inet6 is silently cut at as
 * many bytes as came in, so that forged requests do not amplify.
 */
int conn_write(struct conn *conn, const void *buf, size_t size);

/* Family and type of the socket, as socket(2) has them. */
int conn_family(const struct conn *conn);
int conn_type(const struct conn *conn);

/* True if the conn is one message and its answer is, too; false for connections. */
bool conn_is_message(const struct conn *conn);

#endif
