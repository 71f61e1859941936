/*
 * serve.h - the two loops of a worker: accept connections, receive datagrams.
 */
#ifndef PREFORKD_WORKER_SERVE_H
#define PREFORKD_WORKER_SERVE_H

#include <stdint.h>

struct conf;
struct conf_service;
struct handler;
struct slot;

struct serve {
	const struct conf *conf;
	const struct conf_service *service;
	struct slot *slot;
	int listener;
	unsigned index; /* of the worker in its pool, from 1; for log lines */
	const struct handler *handler;
	void *state;	  /* of the handler */
	unsigned trouble; /* errors of accept(2) or recvmmsg(2) in a row */
};

/* Serve until told to leave. Returns the worker's exit status (enum worker_exit). */
int serve_connections(struct serve *serve);
int serve_datagrams(struct serve *serve, const uint16_t *own_ports, unsigned n_own_ports);

/* What to do after an error of accept(2) or recvmmsg(2). */
enum serve_verdict { SERVE_RETRY, SERVE_LEAVE, SERVE_BROKEN };

/*
 * Decide by errno; pauses, so that nothing spins, where resources are short.
 * Shared by both loops. Source: accept(2), "Error handling".
 */
enum serve_verdict serve_trouble(struct serve *serve);

#endif
