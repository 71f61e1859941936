#include "master/pool.h"

#include "base/clock.h"

static struct pool_step wait_until(long long wake_ms)
{
	return (struct pool_step){ .action = POOL_WAIT, .wake_ms = wake_ms };
}

static struct pool_step act(enum pool_action action, unsigned seat)
{
	return (struct pool_step){ .action = action, .seat = seat };
}

static bool serves(const struct seat *seat)
{
	return seat->phase == SEAT_STARTING || seat->phase == SEAT_READY;
}

static bool is_idle(const struct seat *seat)
{
	return seat->phase == SEAT_READY && !seat->busy;
}

static bool is_fresh(const struct seat *seat)
{
	return serves(seat) && !seat->expired;
}

static bool is_expired(const struct seat *seat)
{
	return serves(seat) && seat->expired;
}

static bool is_fresh_and_idle(const struct seat *seat)
{
	return is_idle(seat) && !seat->expired;
}

static bool is_expired_and_idle(const struct seat *seat)
{
	return is_idle(seat) && seat->expired;
}

static bool is_overdue(const struct seat *seat)
{
	return serves(seat) && seat->overdue;
}

/* The first seat of which it is true; n_seats: none. */
static unsigned find(const struct pool *pool, bool (*is_it)(const struct seat *))
{
	unsigned i = 0;

	while (i < pool->n_seats && !is_it(&pool->seats[i]))
		i++;
	return i;
}

/* The last one, of those that are meant first of all, else of the others. */
static unsigned find_last(const struct pool *pool, bool (*best)(const struct seat *),
			  bool (*good)(const struct seat *))
{
	for (unsigned i = pool->n_seats; i-- > 0;) {
		if (best(&pool->seats[i]))
			return i;
	}
	for (unsigned i = pool->n_seats; i-- > 0;) {
		if (good(&pool->seats[i]))
			return i;
	}
	return pool->n_seats;
}

unsigned pool_fresh(const struct pool *pool)
{
	return pool->count[SEAT_STARTING] + pool->count[SEAT_READY] - pool->expired;
}

unsigned pool_wanted(const struct pool *pool)
{
	const struct pool_limits *limits = &pool->limits;
	unsigned wanted = pool->busy + pool->waiting;

	if (pool->paused)
		return 0;
	/* on demand nothing is spared for nobody */
	if (wanted > 0 || limits->min > 0)
		wanted += limits->spare;
	/* that a service can start at all is found out at its start */
	if (wanted == 0 && !pool->tried)
		wanted = 1;
	if (wanted < limits->min)
		wanted = limits->min;
	return wanted < limits->max ? wanted : limits->max;
}

bool pool_may_grow(const struct pool *pool)
{
	return !pool->paused && pool_fresh(pool) < pool->limits.max && pool->count[SEAT_EMPTY] > 0;
}

/* Those that leave: told again, and killed when their time is over. */
static struct pool_step next_of_leaving(const struct pool *pool, long long now_ms)
{
	struct pool_step step = wait_until(0);

	for (unsigned i = 0, left = pool->count[SEAT_LEAVING]; left > 0; i++) {
		const struct seat *seat = &pool->seats[i];

		if (seat->phase != SEAT_LEAVING)
			continue;
		left--;
		if (seat->kill_ms != 0 && now_ms >= seat->kill_ms)
			return act(POOL_DO_KILL, i);
		/* one that might finish as long as it liked gets its limit from the next signal */
		if (now_ms >= seat->signal_ms || (seat->kill_ms == 0 && pool->goal == POOL_RETIRE))
			return act(POOL_DO_STOP, i);
		clock_earlier(&step.wake_ms, seat->kill_ms);
		clock_earlier(&step.wake_ms, seat->signal_ms);
	}
	return step;
}

/* A failing pool has one probe at a time, and none before its time. */
static struct pool_step next_to_spawn(const struct pool *pool, long long now_ms)
{
	const struct pool_limits *limits = &pool->limits;
	long long second_ms = pool->rate_ms + 1000;
	unsigned empty;

	if (!pool->proven && pool->count[SEAT_STARTING] > 0)
		return wait_until(0);
	if (now_ms < pool->not_before_ms)
		return wait_until(pool->not_before_ms);
	if (limits->spawn_rate > 0 && pool->rate_used >= limits->spawn_rate && now_ms < second_ms)
		return wait_until(second_ms);
	empty = pool->first_empty;
	while (empty < pool->n_seats && pool->seats[empty].phase != SEAT_EMPTY)
		empty++;
	return empty < pool->n_seats ? act(POOL_DO_SPAWN, empty) : wait_until(0);
}

/* When its replacement is ready; or first, where there is no room for one. */
static bool may_expired_leave(const struct pool *pool, unsigned wanted)
{
	unsigned starting = pool->count[SEAT_STARTING] - pool->starting_expired;

	return pool_fresh(pool) - starting >= wanted ||
	       (starting == 0 && pool->count[SEAT_READY] == pool->n_seats);
}

/* No room for a replacement, as others have not finished: who is idle makes some. */
static bool must_make_room(const struct pool *pool)
{
	return pool->count[SEAT_EMPTY] == 0 && pool->count[SEAT_STARTING] == 0 &&
	       pool->count[SEAT_READY] > 1;
}

/* Who is to leave, an idle one if there is one. n_seats: nobody. */
static unsigned find_leaver(const struct pool *pool, unsigned wanted)
{
	unsigned fresh = pool_fresh(pool);

	if (pool->overdue > 0)
		return find(pool, is_overdue);
	if (pool->paused && fresh + pool->expired > 0)
		return find_last(pool, is_idle, serves);
	if (fresh > pool->limits.max)
		return find_last(pool, is_fresh_and_idle, is_fresh);
	if (pool->surplus > 0 && fresh > wanted)
		return find_last(pool, is_fresh_and_idle, is_fresh_and_idle);
	if (pool->expired > 0 && may_expired_leave(pool, wanted))
		return find_last(pool, is_expired_and_idle, is_expired);
	if (pool->expired > 0 && must_make_room(pool))
		return find(pool, is_expired_and_idle);
	return pool->n_seats;
}

static struct pool_step next_to_serve(const struct pool *pool, long long now_ms)
{
	unsigned wanted = pool_wanted(pool), seat = find_leaver(pool, wanted);
	struct pool_step leaving, step = wait_until(0);

	if (seat < pool->n_seats)
		return act(POOL_DO_STOP, seat);
	if (pool_fresh(pool) < wanted)
		step = next_to_spawn(pool, now_ms);
	if (step.action != POOL_WAIT)
		return step;
	leaving = next_of_leaving(pool, now_ms);
	if (leaving.action != POOL_WAIT)
		return leaving;
	clock_earlier(&step.wake_ms, leaving.wake_ms);
	return step;
}

static struct pool_step next_to_retire(const struct pool *pool, long long now_ms)
{
	unsigned seat = find(pool, serves);

	return seat < pool->n_seats ? act(POOL_DO_STOP, seat) : next_of_leaving(pool, now_ms);
}

static struct pool_step next_to_kill(const struct pool *pool)
{
	for (unsigned i = 0; i < pool->n_seats; i++) {
		if (serves(&pool->seats[i]) || pool->seats[i].phase == SEAT_LEAVING)
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
