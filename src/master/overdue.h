/*
 * overdue.h - conns that take too long, and workers that have grown too big.
 *
 *	timeouts.slow	one line about a conn that is still there
 *	timeouts.stuck	after timeouts.total: the worker is told to leave, and killed
 *	workers.max_rss	the worker is replaced
 *
 * What a worker does meanwhile is read from /proc, without stopping it.
 */
#ifndef PREFORKD_MASTER_OVERDUE_H
#define PREFORKD_MASTER_OVERDUE_H

#include <stdbool.h>

struct counts;
struct service_pool;
struct worker;

/* Whether a pool has any such limit, so that somebody has to look at the clock. */
bool overdue_is_kept(const struct service_pool *pool);

/* Do what is due for a worker with a conn. Returns when to look again; 0: not for this conn. */
long long overdue_check(struct worker *worker, const struct counts *counts, long long now_ms);

/*
 * Let those expire that have become too big, every few seconds while there is work
 * (active: since the last look). Sets when to look again.
 */
void overdue_sizes(struct service_pool *pool, bool active, long long now_ms);

#endif
