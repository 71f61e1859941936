/*
 * bell.h - how a worker calls the master: one page that a pool's workers share.
 *
 * The workers count how many conns they have begun and ended; who finds that as
 * many are in flight as the master wrote down rings, once: an eventfd, on which
 * the master sleeps. So a pool grows at the moment its last idle worker is taken,
 * and nobody looks at a clock.
 *
 * The page is gossip, as slots are: a hostile worker can make its own pool deaf or
 * nervous, no other one. The numbers need not be right: a worker that dies with a
 * conn never ends it. The master compares them with the slots at each look and
 * writes down a new limit, so that what was lost before does not matter.
 */
#ifndef PREFORKD_BOARD_BELL_H
#define PREFORKD_BOARD_BELL_H

#include <stdatomic.h>
#include <stdint.h>

#define BELL_NEVER INT64_MAX

struct bell {
	_Atomic uint64_t begun, ended; /* conns, of all workers of the pool */
	_Atomic int64_t peak;	       /* the most of begun - ended since the master set it */
	_Atomic int64_t ring_at;       /* begun - ended, or BELL_NEVER */
};

static inline int64_t bell_busy(const struct bell *bell)
{
	/* the ends first: what begins meanwhile makes it more, never less */
	uint64_t ended = atomic_load(&bell->ended);

	return (int64_t)(atomic_load(&bell->begun) - ended);
}

/* Wake the master, whatever stands on the page. fd: the eventfd of the pool. */
void bell_call(int fd);

/* The worker's side, out of the way of those that need not ring. */
void bell_raise(struct bell *bell, int64_t busy, int fd);

/* The worker's side: a conn begins (after its slot said so), and ends (likewise). */
static inline void bell_begin(struct bell *bell, int fd)
{
	uint64_t ended = atomic_load_explicit(&bell->ended, memory_order_relaxed);
	int64_t busy = (int64_t)(atomic_fetch_add(&bell->begun, 1) + 1 - ended);

	if (busy > atomic_load_explicit(&bell->peak, memory_order_relaxed) ||
	    busy >= atomic_load_explicit(&bell->ring_at, memory_order_relaxed))
		bell_raise(bell, busy, fd);
}

static inline void bell_end(struct bell *bell)
{
	atomic_fetch_add(&bell->ended, 1);
}

#endif
