/*
 * pool_events.c - what happened to a pool: the facts that pool_next() looks at.
 */
#include <assert.h>

#include "base/clock.h"
#include "master/pool.h"

static bool serves(const struct seat *seat)
{
	return seat->phase == SEAT_STARTING || seat->phase == SEAT_READY;
}

/* What a seat adds to the sums of its pool: before a change it is taken away. */
static void count(struct pool *pool, const struct seat *seat, int sign)
{
	unsigned n = (unsigned)sign; /* -1 wraps around, as it should */

	pool->count[seat->phase] += n;
	if (!serves(seat))
		return;
	pool->expired += seat->expired ? n : 0;
	pool->overdue += seat->overdue ? n : 0;
	pool->starting_expired += seat->expired && seat->phase == SEAT_STARTING ? n : 0;
	pool->busy += seat->busy && !seat->expired && seat->phase == SEAT_READY ? n : 0;
}

void pool_init(struct pool *pool, struct seat *seats, unsigned n_seats, unsigned capacity)
{
	*pool = (struct pool){ .seats = seats, .n_seats = n_seats, .capacity = capacity };
	pool->count[SEAT_EMPTY] = n_seats;
}

static void enter(struct pool *pool, struct seat *seat, enum seat_phase phase, long long now_ms)
{
	count(pool, seat, -1);
	seat->phase = phase;
	seat->since_ms = now_ms;
	count(pool, seat, 1);
}

void pool_spawned(struct pool *pool, unsigned index, long long now_ms)
{
	struct seat *seat = &pool->seats[index];

	assert(seat->phase == SEAT_EMPTY);
	*seat = (struct seat){ .phase = SEAT_EMPTY };
	enter(pool, seat, SEAT_STARTING, now_ms);
	if (index == pool->first_empty)
		pool->first_empty++;
	if (now_ms >= pool->rate_ms + 1000) {
		pool->rate_ms = now_ms;
		pool->rate_used = 0;
	}
	pool->rate_used++;
}

/*
 * The delay doubles with each failure in a row: 100 ms, 200 ms, ... 60 s.
 * Several workers that die together, before the next try, are one failure. Returns
 * whether this is one of its own.
 */
static bool fail(struct pool *pool, long long now_ms)
{
	bool recovered = pool->proven && now_ms - pool->proven_ms >= POOL_USEFUL_MS;
	long long delay_ms = POOL_BACKOFF_MIN_MS;

	pool->proven = false;
	if (now_ms < pool->not_before_ms)
		return false;
	if (recovered)
		pool->failures = pool->crashes = 0;
	for (unsigned i = 0; i < pool->failures && delay_ms < POOL_BACKOFF_MAX_MS; i++)
		delay_ms *= 2;
	if (delay_ms > POOL_BACKOFF_MAX_MS)
		delay_ms = POOL_BACKOFF_MAX_MS;
	pool->failures++;
	pool->not_before_ms = now_ms + delay_ms;
	return true;
}

/* No fault of its service, which is tried for as long as it takes. */
void pool_spawn_failed(struct pool *pool, long long now_ms)
{
	(void)fail(pool, now_ms);
}

void pool_ready(struct pool *pool, unsigned index, long long now_ms)
{
	struct seat *seat = &pool->seats[index];

	/* one that was told to leave meanwhile stays told */
	if (seat->phase != SEAT_STARTING)
		return;
	seat->was_ready = true;
	if (!pool->proven)
		pool->proven_ms = now_ms;
	pool->proven = pool->tried = true;
	enter(pool, seat, SEAT_READY, now_ms);
}

static long long time_to_leave(const struct pool *pool, const struct seat *seat, long long now_ms)
{
	if (seat->overdue)
		return now_ms + pool->limits.grace_ms;
	if (pool->goal == POOL_SERVE)
		return clock_limit(now_ms, pool->limits.finish_ms);
	return now_ms + pool->limits.drain_ms;
}

void pool_stop_sent(struct pool *pool, unsigned index, long long now_ms)
{
	struct seat *seat = &pool->seats[index];

	assert(serves(seat) || seat->phase == SEAT_LEAVING);
	if (seat->phase != SEAT_LEAVING) {
		if (!seat->expired && pool->surplus > 0)
			pool->surplus--;
		enter(pool, seat, SEAT_LEAVING, now_ms);
		seat->kill_ms = time_to_leave(pool, seat, now_ms);
		seat->repeat_ms = POOL_REPEAT_MS;
	} else {
		if (seat->kill_ms == 0)
			seat->kill_ms = time_to_leave(pool, seat, now_ms);
		seat->repeat_ms *= 2;
	}
	if (seat->repeat_ms > POOL_REPEAT_MAX_MS)
		seat->repeat_ms = POOL_REPEAT_MAX_MS;
	seat->signal_ms = now_ms + seat->repeat_ms;
}

void pool_kill_sent(struct pool *pool, unsigned index, long long now_ms)
{
	struct seat *seat = &pool->seats[index];

	assert(serves(seat) || seat->phase == SEAT_LEAVING);
	enter(pool, seat, SEAT_KILLED, now_ms);
}

static void vacate(struct pool *pool, unsigned index, long long now_ms)
{
	struct seat *seat = &pool->seats[index];

	enter(pool, seat, SEAT_EMPTY, now_ms);
	*seat = (struct seat){ .phase = SEAT_EMPTY };
	if (index < pool->first_empty)
		pool->first_empty = index;
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

void pool_exited(struct pool *pool, unsigned index, struct pool_exit how, long long now_ms)
{
	struct seat *seat = &pool->seats[index];

	assert(seat->phase != SEAT_EMPTY);
	if (serves(seat) && was_useless(seat, how, now_ms))
		pool->crashes += fail(pool, now_ms);
	vacate(pool, index, now_ms);
}

void pool_unspawned(struct pool *pool, unsigned index, long long now_ms)
{
	vacate(pool, index, now_ms);
}

static unsigned count_busy(const struct pool *pool)
{
	unsigned n = 0;

	for (unsigned i = 0; i < pool->n_seats; i++) {
		const struct seat *seat = &pool->seats[i];

		n += seat->phase == SEAT_READY && !seat->expired && seat->busy;
	}
	return n;
}

bool pool_seen(struct pool *pool, unsigned peak, unsigned waiting, long long now_ms)
{
	const struct pool_limits *limits = &pool->limits;
	unsigned needed = peak > 0 || limits->min > 0 ? peak + limits->spare : 0;
	unsigned fresh = pool_fresh(pool);

	pool->busy = count_busy(pool);
	pool->waiting = waiting;
	if (fresh <= limits->min) {
		pool->window_ms = 0;
		return false;
	}
	if (pool->window_ms != 0 && now_ms < pool->window_ms)
		return false;
	if (needed < limits->min)
		needed = limits->min;
	/* the first look only begins a window */
	if (pool->window_ms != 0)
		pool->surplus = fresh > needed ? fresh - needed : 0;
	pool->window_ms = now_ms + limits->idle_ms;
	return true;
}

bool pool_retire(struct pool *pool, unsigned index)
{
	struct seat *seat = &pool->seats[index];

	if (!serves(seat))
		return false;
	count(pool, seat, -1);
	seat->expired = true;
	count(pool, seat, 1);
	return true;
}

void pool_expire(struct pool *pool, unsigned index, long long now_ms)
{
	if (now_ms - pool->seats[index].since_ms >= pool->limits.min_age_ms)
		pool_retire(pool, index);
}

void pool_overdue(struct pool *pool, unsigned index, long long now_ms)
{
	struct seat *seat = &pool->seats[index];

	if (seat->overdue || (!serves(seat) && seat->phase != SEAT_LEAVING))
		return;
	if (seat->phase == SEAT_LEAVING && seat->kill_ms == 0)
		seat->kill_ms = now_ms + pool->limits.grace_ms;
	count(pool, seat, -1);
	seat->overdue = true;
	count(pool, seat, 1);
}

bool pool_scale(struct pool *pool, unsigned min, unsigned max)
{
	unsigned n_seats = pool_seats_for(max);

	assert(min <= max && max > 0);
	if (n_seats > pool->capacity)
		return false;
	if (n_seats > pool->n_seats) {
		pool->count[SEAT_EMPTY] += n_seats - pool->n_seats;
		pool->n_seats = n_seats;
	}
	pool->limits.min = min;
	pool->limits.max = max;
	return true;
}

void pool_pause(struct pool *pool, bool paused)
{
	/* what failed before was mended meanwhile, or fails again: it is counted anew */
	if (pool->paused && !paused) {
		pool->failures = pool->crashes = 0;
		pool->not_before_ms = 0;
	}
	pool->paused = paused;
}

void pool_follow(struct pool *pool, const struct pool *before)
{
	(void)pool_scale(pool, before->limits.min, before->limits.max);
	pool->paused = before->paused;
	/* why it is, if it is a crash loop */
	pool->crashes = before->paused ? before->crashes : 0;
}
