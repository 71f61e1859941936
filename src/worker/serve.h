/*
 * serve.h - the two loops of a worker: accept connections, receive datagrams.
 */
#ifndef PREFORKD_WORKER_SERVE_H
#define PREFORKD_WORKER_SERVE_H

#include <stdbool.h>
#include <stdint.h>

#include "board/bell.h"
#include "board/board.h"

struct conf;
struct conf_service;
struct handler;

struct serve {
	const struct conf *conf;
	const struct conf_service *service;
	struct slot *slot;
	struct bell *bell;
	int bell_fd;
	uint64_t conns_max; /* after so many we ask to be replaced; 0: not, or asked already */
	int listener;
	unsigned index; /* of the worker in its pool, from 1; for log lines */
	unsigned generation;
	const struct handler *handler;
	void *state;	  /* of the handler */
	int status;	  /* to leave with, enum worker_exit */
	unsigned trouble; /* errors of accept(2) or recvmmsg(2) in a row */
};

/* Serve until told to leave. Returns the worker's exit status (enum worker_exit). */
int serve_connections(struct serve *serve);
int serve_datagrams(struct serve *serve);

/* Between two conns: has it served as many as it shall, the master is told so, once. */
static inline void serve_ask_replacement(struct serve *serve)
{
	if (serve->conns_max == 0 || serve->slot->accepted < serve->conns_max)
		return;
	serve->conns_max = 0;
	bell_call(serve->bell_fd);
}

/*
 * After an error of accept(2) or recvmmsg(2): true to try again; false to leave
 * with serve->status. Decides by errno; pauses, so that nothing spins, where
 * resources are short. Source: accept(2), "Error handling".
 */
bool serve_goes_on(struct serve *serve);

#endif
