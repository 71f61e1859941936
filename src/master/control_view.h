/*
 * control_view.h - a pool as people see it: how many workers do what, is it enough?
 */
#ifndef PREFORKD_MASTER_CONTROL_VIEW_H
#define PREFORKD_MASTER_CONTROL_VIEW_H

#include <stdbool.h>

#include "board/board.h"

struct master;
struct service_pool;
struct worker;

struct view {
	unsigned workers, busy, idle, starting, leaving;
	unsigned min, max;
	bool knows_waiting;
	unsigned waiting;    /* clients that nobody has taken yet */
	uint64_t backoff_ms; /* until the next try to start a worker; 0: none is waited for */
};

struct view control_view_pool(const struct service_pool *pool);

/* What a service is in, in a word or a few: "all busy" is what one looks for. */
const char *control_view_state(const struct service_pool *pool, const struct view *view);

const char *control_view_worker(const struct worker *worker, const struct counts *counts);

/* All that the service did, in all generations: its account, and what is going on. */
struct counts control_view_service(const struct master *master, const char *service);

#endif
