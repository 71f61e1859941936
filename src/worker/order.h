/*
 * order.h - what the master orders of the program of its workers: a batch of them.
 *
 * Workers are no copies of the master: it starts preforkd-worker, which knows of no
 * config but its own service's, of no library of the master's, and of nothing in its
 * memory. One start makes a batch: the first worker of it does once what is the same
 * for all, forks the others as children of the master, and is then a worker as they
 * are.
 *
 * The order is a memfd that nobody can change: this struct, and the seats. The
 * descriptors it names are inherited under their numbers.
 */
#ifndef PREFORKD_WORKER_ORDER_H
#define PREFORKD_WORKER_ORDER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/log.h"
#include "conf/conf.h"

/* One worker. */
struct order_seat {
	unsigned index; /* of its seat and slot, from 0 */
	int listener;
	uint64_t conns_max; /* after so many it asks to be replaced; 0: never */
};

struct order {
	char version[32]; /* of preforkd: both programs are of one build */
	uint32_t shape;	  /* ORDER_SHAPE */
	unsigned service; /* its index in the conf */
	unsigned generation;
	unsigned n_seats;
	unsigned slots; /* of the board */
	int conf_fd;
	int board_fd;
	int births_fd;	       /* int[n_seats]: pids of the workers; see worker/batch.c */
	int ready_fd;	       /* an eventfd, rung when a slot or a pid is there to be seen */
	int bell_fd;	       /* to call the master, see board/bell.h */
	bool detach;	       /* after READY standard error is nobody's any more (-D) */
	pid_t master;	       /* who the parent of all of them must be */
	char notify_name[128]; /* where a persistent program says how it is */
	struct log_target log; /* where lines go */
	struct order_seat seats[];
};

/* Changes with what both programs must have in common. */
#define ORDER_SHAPE \
	((uint32_t)(sizeof(struct order) << 20 ^ sizeof(struct conf_service) << 4 ^ CONF_VERSION))

#endif
