/*
 * spawn.h - the birth of workers: the one door between master and worker.
 *
 * The master forks no worker: it starts their program with an order (worker/order.h) for
 * all that a pool wants at this moment, a batch. The first of them forks the others,
 * which are children of the master as well.
 */
#ifndef PREFORKD_MASTER_SPAWN_H
#define PREFORKD_MASTER_SPAWN_H

#include <stdbool.h>

struct master;
struct service_pool;

/* A worker for an empty seat, at the next spawn_batch(). It counts as one that starts. */
void spawn_worker(struct service_pool *pool, unsigned seat);

/*
 * Start those that are wanted, if there are any. Returns 0, or -1 when that failed: it has
 * been logged and told to the pool's policy, which shall be asked again.
 */
int spawn_batch(struct service_pool *pool);

/* Are there workers that their leader has not forked yet? Until then no other batch begins. */
bool spawn_is_forking(const struct service_pool *pool);

/* In any pool at all: then the master does not know all of its children. */
bool spawn_any_forking(const struct master *master);

/* The first seat from this one on whose worker is not there yet; there must be one. */
unsigned spawn_find_unborn(const struct service_pool *pool, unsigned seat);

/* Who has been born since the last time? */
void spawn_look(struct service_pool *pool);

/* The worker in a seat has ended: if it was the leader, who is not born will not be. */
void spawn_ended(struct service_pool *pool, unsigned seat);

#endif
