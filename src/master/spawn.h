/*
 * spawn.h - the birth of a worker: the one door between master and worker.
 */
#ifndef PREFORKD_MASTER_SPAWN_H
#define PREFORKD_MASTER_SPAWN_H

struct service_pool;

/* Fork a worker into an empty seat. Success and failure are told to the pool's policy. */
void spawn_worker(struct service_pool *pool, unsigned seat);

#endif
