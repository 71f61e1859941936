/*
 * seat.h - one worker of a batch: what it was ordered to be, and its life.
 */
#ifndef PREFORKD_WORKER_SEAT_H
#define PREFORKD_WORKER_SEAT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct board;
struct conf;
struct conf_service;
struct handler;

/* See order.h for what is not explained here. */
struct worker_seat {
	const struct conf *conf;
	const struct conf_service *service;
	const struct handler *handler; /* NULL: a program takes our place */
	const struct board *board;     /* its descriptor is open until the slot is mapped */
	unsigned index;
	unsigned generation;
	int listener;
	bool detach;
	int ready_fd;
	char notify_name[128];
	pid_t master;
	int bell_fd;
	uint64_t conns_max;
};

/*
 * Be a worker, from the first moment of the process: set up, serve, leave.
 * Signals of the master: SIGTERM: finish the conn in hand and leave; SIGUSR1:
 * serve what waits in the queue, too, before leaving.
 */
_Noreturn void worker_run(const struct worker_seat *seat);

#endif
