#include "master/pool.h"

#include <assert.h>

unsigned pool_count(const struct pool *pool, enum seat_phase phase)
{
	unsigned n = 0;

	for (unsigned i = 0; i < pool->n_seats; i++)
		n += pool->seats[i].phase == phase;
	return n;
}

static bool is_alive(const struct seat *seat)
{
	return seat->phase == SEAT_STARTING || seat->phase == SEAT_READY ||
	       seat->phase == SEAT_LEAVING;
}

static struct pool_step wait_until(long long wake_ms)
{
	return (struct pool_step){ .action = POOL_WAIT, .wake_ms = wake_ms };
}

static struct pool_step act(enum pool_action action, unsigned seat)
{
	return (struct pool_step){ .action = action, .seat = seat };
}

/* A failing pool has one probe at a time, and none before its time. */
static struct pool_step next_to_serve(const struct pool *pool, long long now_ms)
{
	unsigned empty = pool->n_seats;

	for (unsigned i = pool->n_seats; i-- > 0;) {
		if (pool->seats[i].phase == SEAT_EMPTY)
			empty = i;
	}
	if (empty == pool->n_seats)
		return wait_until(0);
	if (!pool->proven && pool_count(pool, SEAT_STARTING) > 0)
		return wait_until(0);
	if (now_ms < pool->not_before_ms)
		return wait_until(pool->not_before_ms);
	return act(POOL_DO_SPAWN, empty);
}

static struct pool_step next_to_retire(const struct pool *pool, long long now_ms)
{
	long long wake_ms = 0;

	for (unsigned i = 0; i < pool->n_seats; i++) {
		const struct seat *seat = &pool->seats[i];
		long long due_ms;

		if (seat->phase == SEAT_STARTING || seat->phase == SEAT_READY)
			return act(POOL_DO_STOP, i);
		if (seat->phase != SEAT_LEAVING)
			continue;
		if (now_ms >= seat->kill_ms)
			return act(POOL_DO_KILL, i);
		if (now_ms >= seat->signal_ms)
			return act(POOL_DO_STOP, i);
		due_ms = seat->kill_ms < seat->signal_ms ? seat->kill_ms : seat->signal_ms;
		if (wake_ms == 0 || due_ms < wake_ms)
			wake_ms = due_ms;
	}
	return wait_until(wake_ms);
}

static struct pool_step next_to_kill(const struct pool *pool)
{
	for (unsigned i = 0; i < pool->n_seats; i++) {
		if (is_alive(&pool->seats[i]))
			return act(POOL_DO_KILL, i);
	}
	return wait_until(0);
}

struct pool_step pool_next(const struct pool *pool, long long now_ms)
{
	switch (pool->goal) {
	case POOL_SERVE:
		return next_to_serve(pool, now_ms);
	case POOL_RETIRE:
		return next_to_retire(pool, now_ms);
	default:
		return next_to_kill(pool);
	}
}

static void enter(struct seat *seat, enum seat_phase phase, long long now_ms)
{
	seat->phase = phase;
	seat->since_ms = now_ms;
}

void pool_spawned(struct pool *pool, unsigned seat, long long now_ms)
{
	assert(pool->seats[seat].phase == SEAT_EMPTY);
	pool->seats[seat].was_ready = false;
	enter(&pool->seats[seat], SEAT_STARTING, now_ms);
}

/*
 * The delay doubles with each failure in a row: 100 ms, 200 ms, ... 60 s.
 * Several workers that die together, before the next try, are one failure.
 */
static void fail(struct pool *pool, long long now_ms)
{
	long long delay_ms = POOL_BACKOFF_MIN_MS;

	bool recovered = pool->proven && now_ms - pool->proven_ms >= POOL_USEFUL_MS;

	pool->proven = false;
	if (now_ms < pool->not_before_ms)
		return;
	if (recovered)
		pool->failures = 0;
	for (unsigned i = 0; i < pool->failures && delay_ms < POOL_BACKOFF_MAX_MS; i++)
		delay_ms *= 2;
	if (delay_ms > POOL_BACKOFF_MAX_MS)
		delay_ms = POOL_BACKOFF_MAX_MS;
	pool->failures++;
	pool->not_before_ms = now_ms + delay_ms;
}

void pool_spawn_failed(struct pool *pool, long long now_ms)
{
	fail(pool, now_ms);
}

void pool_ready(struct pool *pool, unsigned seat, long long now_ms)
{
	/* one that was told to leave meanwhile stays told */
	if (pool->seats[seat].phase != SEAT_STARTING)
		return;
	pool->seats[seat].was_ready = true;
	if (!pool->proven)
		pool->proven_ms = now_ms;
	pool->proven = true;
	enter(&pool->seats[seat], SEAT_READY, now_ms);
}

void pool_stop_sent(struct pool *pool, unsigned seat_index, long long now_ms)
{
	struct seat *seat = &pool->seats[seat_index];

	assert(is_alive(seat));
	if (seat->phase != SEAT_LEAVING) {
		enter(seat, SEAT_LEAVING, now_ms);
		seat->kill_ms = now_ms + pool->drain_ms;
	}
	seat->signal_ms = now_ms + POOL_REPEAT_MS;
}

void pool_kill_sent(struct pool *pool, unsigned seat, long long now_ms)
{
	assert(is_alive(&pool->seats[seat]));
	enter(&pool->seats[seat], SEAT_KILLED, now_ms);
}

/*
 * Of no use: it died before it was ready; or it was ready, but ended by its
 * own fault within a second without having served anybody.
 */
static bool was_useless(const struct seat *seat, struct pool_exit how, long long now_ms)
{
	if (!seat->was_ready)
		return true;
	return how.own_fault && !how.served && now_ms - seat->since_ms < POOL_USEFUL_MS;
}

void pool_exited(struct pool *pool, unsigned seat_index, struct pool_exit how, long long now_ms)
{
	struct seat *seat = &pool->seats[seat_index];

	assert(seat->phase != SEAT_EMPTY);
	if ((seat->phase == SEAT_STARTING || seat->phase == SEAT_READY) &&
	    was_useless(seat, how, now_ms))
		fail(pool, now_ms);
	enter(seat, SEAT_EMPTY, now_ms);
}
