/*
 * look.h - who is ready, and who is busy: the master's look at the slots of a pool,
 * and when it looks.
 *
 * It looks when something happened: a worker rang (see board/bell.h), got ready,
 * ended; a client came where no worker waits; or a moment came that it had set
 * itself. What it saw goes into the policy; then the bell is set for the next time:
 *
 *	the pool may grow	when fewer than `spare` workers would be idle
 *	it may not		when nobody would be; again after a second at the earliest
 *	times are to be kept	(slow, stuck, max_rss) at the next conn, if there is none now
 *
 * So a pool in which nothing happens costs nothing.
 */
#ifndef PREFORKD_MASTER_LOOK_H
#define PREFORKD_MASTER_LOOK_H

struct service_pool;
struct worker;

/* Make what the workers of a new pool call by. Returns 0, or -1 with errno. */
int look_setup(struct service_pool *pool);

/* Those of a pool that was handed over are heard again. Returns as look_setup(). */
int look_inherit(struct service_pool *pool);

/* A worker that starts may have said how far it is; also asked when it has ended. */
void look_ready(struct worker *worker);

/* A pool that does not serve any more: nothing wakes the master for it but its workers' ends. */
void look_end(struct service_pool *pool);

/* This pool was copied from another one: its workers are heard here. */
void look_move(struct service_pool *pool);

/* Look, if there is a reason to; before the policy is asked. */
void look_at_pool(struct service_pool *pool, long long now_ms);

/*
 * Set the bell, when the policy has nothing to do. Returns when to look again without
 * having been called; 0: never.
 */
long long look_listen(struct service_pool *pool, long long now_ms);

#endif
