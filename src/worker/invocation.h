/*
 * invocation.h - environment and arguments of a program for one conn.
 *
 * Built from nothing: PATH, what the config names, and who talks to whom in the
 * words of UCSPI (PROTO, TCPREMOTEIP ...), of CGI and systemd (REMOTE_ADDR,
 * REMOTE_PORT), and of preforkd (PREFORKD_SERVICE ...).
 */
#ifndef PREFORKD_WORKER_INVOCATION_H
#define PREFORKD_WORKER_INVOCATION_H

#include <sys/socket.h>

struct serve;

struct invocation {
	char **argv, **envp;
};

/* Once per worker, from its config and its own environment. NULL with errno. */
struct invocation *invocation_new(const struct serve *serve);

/*
 * For one conn: fd is its socket (-1 for a datagram: then local is unknown), the
 * peer is in the slot. The strings are good until the next call.
 */
void invocation_fill(struct invocation *invocation, const struct serve *serve, int fd);

#endif
