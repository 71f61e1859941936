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

#ifdef __cplusplus
extern "C" {
#endif

struct conn;
struct handler_env; /* of one service; see below */

/* The three arguments of socket(2). */
struct handler_socket {
	int family, type, protocol;
};

struct handler {
	unsigned abi; /* HANDLER_ABI */
	const char *name, *summary;
	/* The keys that its block options { } may have, ended by NULL. Optional: none. */
	const char *const *options;
	/*
	 * Can it serve such a service? Asked when a config is checked. 0: yes; -1:
	 * no; 1: yes, but. Unless 0, message gets a sentence. Optional: always.
	 */
	int (*check)(const struct handler_env *env, char *message, size_t size);
	/*
	 * Once per worker, with its final rights, before it is ready. 0, or -1 with
	 * errno: the worker ends. Optional.
	 */
	int (*init)(const struct handler_env *env, void **state_r);
	/* One conn. 0: served; -1: failed (counted, and logged at level debug with errno). */
	int (*serve)(struct conn *conn, void *state);
	/* When the worker leaves. Optional. */
	void (*fini)(void *state);
};

/* A module is a shared object that exports one: const struct handler preforkd_handler. */

/* The value of a key in options { }; NULL where it is not written. Good as long as the worker. */
const char *handler_option(const struct handler_env *env, const char *name);

/* The name of the service, and its socket. */
const char *handler_service(const struct handler_env *env);
struct handler_socket handler_socket(const struct handler_env *env);

/*
 * Write a line to the log: event=handler_message with service, worker and text.
 * priority is one of syslog(3), LOG_ERR to LOG_DEBUG. In init(), serve() and fini().
 */
void handler_log(int priority, const char *text);

/*
 * In serve(): this worker shall leave when the conn is over, because its state is
 * not sound any more; another one takes its place. At a stop none does, and those
 * who wait already are served as well as it can.
 */
void handler_leave(void);

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

/*
 * Read up to and with the next line feed, at most size - 1 bytes, and end it with
 * NUL. Returns the length, 0 at the end, or -1 as conn_read(); EMSGSIZE when size
 * bytes have no line feed. Of a stream or of a message; what is left over is for
 * the next conn_read() or conn_read_line().
 */
ssize_t conn_read_line(struct conn *conn, char *buf, size_t size);

/* Write formatted text of at most 4095 bytes (EMSGSIZE). As conn_write(). */
int conn_printf(struct conn *conn, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * The socket of a connection, for code that wants to read and write by itself; -1
 * for a message. It waits for the idle time at most (SO_RCVTIMEO, SO_SNDTIMEO: EAGAIN),
 * the total time does not end it, and its bytes are not counted. Do not close it.
 */
int conn_fd(struct conn *conn);

/* Who the client is, as text: 127.0.0.1:4711, unnamed ... Good until serve() returns. */
const char *conn_peer(struct conn *conn);

/* Family and type of the socket, as socket(2) has them. */
int conn_family(const struct conn *conn);
int conn_type(const struct conn *conn);

/* True if the conn is one message and its answer is, too; false for connections. */
bool conn_is_message(const struct conn *conn);

#ifdef __cplusplus
}
#endif

#endif
