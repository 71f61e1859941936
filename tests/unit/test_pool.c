/*
 * test_pool.c - the policy of a pool (src/master/pool.c), walked through in
 * every order of events, and told as stories.
 *
 * The walk: from a new pool, every event that could happen next is tried
 * (time passing, steps of the policy carried out or failing, READY, ends of
 * every kind, a change of the goal), and from each state again, until no new
 * state is found. What must hold is checked in every state.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/pool.h"

#define SEATS_MAX 3
#define DRAIN_MS 300
#define IDLE_MS 500
#define GRACE_MS 200

static unsigned checks;

#define CHECK(condition) check(condition, #condition, __LINE__)

static void check(bool condition, const char *text, int line)
{
	checks++;
	if (condition)
		return;
	fprintf(stderr, "test_pool.c:%d: does not hold: %s\n", line, text);
	exit(1);
}

struct world {
	struct pool pool;
	struct seat seats[SEATS_MAX];
};

/* min to max workers in so many seats. */
static struct world new_elastic_world(unsigned n_seats, unsigned min, unsigned max)
{
	struct world world;

	/* memset, not {0}: worlds are compared byte by byte */
	memset(&world, 0, sizeof(world));
	pool_init(&world.pool, world.seats, n_seats, SEATS_MAX);
	world.pool.limits = (struct pool_limits){
		.min = min,
		.max = max,
		.spare = 1,
		.idle_ms = IDLE_MS,
		.drain_ms = DRAIN_MS,
		.grace_ms = GRACE_MS,
	};
	return world;
}

static struct world new_world(unsigned n_seats)
{
	return new_elastic_world(n_seats, n_seats, n_seats);
}

/* The seats move with the world when it is copied. */
static struct pool *pool_of(struct world *world)
{
	world->pool.seats = world->seats;
	return &world->pool;
}

/* Of a pool whose size changes there are too many states to tell all moments to come apart. */
static bool coarse;

/* A moment seen from now: what has passed has passed. */
static long long relative(long long at_ms, long long now_ms)
{
	if (coarse)
		return at_ms > now_ms;
	return at_ms > now_ms ? at_ms - now_ms : 0;
}

static int compare_seats(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct seat));
}

/*
 * The state without absolute times, and without the order of the seats: equal
 * worlds have equal futures. Failures beyond the third only make delays longer.
 */
static struct world normalize(const struct world *world, long long now_ms)
{
	struct world n = *world;

	n.pool.seats = NULL;
	n.pool.failures = n.pool.failures > 3 || coarse ? 3 : n.pool.failures;
	n.pool.crashes = 0;
	n.pool.proven_ms = n.pool.proven && now_ms - n.pool.proven_ms >= POOL_USEFUL_MS;
	n.pool.not_before_ms = relative(n.pool.not_before_ms, now_ms);
	if (n.pool.not_before_ms > 400)
		n.pool.not_before_ms = 400;
	/* 0 means none, so a moment that has passed is 1 */
	n.pool.window_ms = n.pool.window_ms == 0 ? 0 : relative(n.pool.window_ms, now_ms) + 1;
	n.pool.rate_ms = n.pool.rate_used = n.pool.first_empty = 0;
	for (unsigned i = 0; i < SEATS_MAX; i++) {
		struct seat *seat = &n.seats[i];
		bool leaving = seat->phase == SEAT_LEAVING;
		bool serves = seat->phase == SEAT_STARTING || seat->phase == SEAT_READY;

		seat->since_ms =
			seat->phase == SEAT_READY && now_ms - seat->since_ms >= POOL_USEFUL_MS;
		seat->kill_ms =
			leaving && seat->kill_ms != 0 ? relative(seat->kill_ms, now_ms) + 1 : 0;
		seat->signal_ms = leaving ? relative(seat->signal_ms, now_ms) : 0;
		seat->repeat_ms = leaving && !coarse ? seat->repeat_ms : 0;
		seat->was_ready = seat->phase != SEAT_EMPTY && seat->was_ready;
		seat->busy = seat->phase == SEAT_READY && seat->busy;
		seat->expired = serves && seat->expired;
		seat->overdue = (serves || leaving) && seat->overdue;
	}
	qsort(n.seats, n.pool.n_seats, sizeof(*n.seats), compare_seats);
	return n;
}

/* The states that were seen, in a hash table of fixed size. */
#define TABLE (1 << 22)
static struct world *table[TABLE];
static unsigned n_states;

static bool is_new(const struct world *state)
{
	const unsigned char *bytes = (const void *)state;
	size_t h = 14695981039346656037u;

	for (size_t i = 0; i < sizeof(*state); i++)
		h = (h ^ bytes[i]) * 1099511628211u;
	for (h %= TABLE; table[h] != NULL; h = (h + 1) % TABLE) {
		if (memcmp(table[h], state, sizeof(*state)) == 0)
			return false;
	}
	CHECK(n_states < TABLE / 2);
	table[h] = malloc(sizeof(*state));
	CHECK(table[h] != NULL);
	memcpy(table[h], state, sizeof(*state));
	n_states++;
	return true;
}

static bool is_alive(enum seat_phase phase)
{
	return phase != SEAT_EMPTY && phase != SEAT_KILLED;
}

static unsigned count_ready(const struct pool *pool, bool expired)
{
	unsigned n = 0;

	for (unsigned i = 0; i < pool->n_seats; i++)
		n += pool->seats[i].phase == SEAT_READY && pool->seats[i].expired == expired;
	return n;
}

/* One leaves a pool that serves only for a reason, and never the last one that is needed. */
static void check_leaver(const struct pool *pool, const struct seat *seat)
{
	unsigned left = pool_fresh(pool) - !seat->expired;

	if (seat->overdue || pool->paused)
		return;
	if (seat->expired)
		CHECK(count_ready(pool, false) >= pool_wanted(pool) ||
		      pool->count[SEAT_READY] == pool->n_seats);
	else
		CHECK(left >= pool->limits.max || (!seat->busy && left >= pool_wanted(pool)));
	CHECK(left >= pool->limits.min || seat->expired);
}

/* The sums are those of the seats. */
static void check_sums(const struct pool *pool)
{
	unsigned n[SEAT_PHASES] = { 0 }, busy = 0, expired = 0, overdue = 0;

	for (unsigned i = 0; i < pool->n_seats; i++) {
		const struct seat *seat = &pool->seats[i];
		bool serves = seat->phase == SEAT_STARTING || seat->phase == SEAT_READY;

		n[seat->phase]++;
		busy += seat->phase == SEAT_READY && seat->busy && !seat->expired;
		expired += serves && seat->expired;
		overdue += serves && seat->overdue;
		CHECK(seat->phase != SEAT_EMPTY || i >= pool->first_empty);
	}
	CHECK(memcmp(n, pool->count, sizeof(n)) == 0);
	CHECK(pool->busy == busy && pool->expired == expired && pool->overdue == overdue);
}

/* What must hold in every state, whatever happened. */
static void check_step(const struct pool *pool, struct pool_step step, long long now_ms)
{
	const struct seat *seat = &pool->seats[step.seat];

	CHECK(step.action == POOL_WAIT || step.seat < pool->n_seats);
	switch (step.action) {
	case POOL_DO_SPAWN:
		CHECK(pool->goal == POOL_SERVE);
		CHECK(!pool->paused);
		CHECK(seat->phase == SEAT_EMPTY);
		/* never more than max that are not to be replaced */
		CHECK(pool_fresh(pool) < pool->limits.max);
		CHECK(now_ms >= pool->not_before_ms);
		/* an unproven pool has one probe at a time */
		CHECK(pool->proven || pool->count[SEAT_STARTING] == 0);
		break;
	case POOL_DO_STOP:
		CHECK(pool->goal != POOL_KILL);
		CHECK(is_alive(seat->phase));
		CHECK(seat->phase != SEAT_LEAVING || seat->kill_ms == 0 || now_ms < seat->kill_ms);
		if (pool->goal == POOL_SERVE && seat->phase != SEAT_LEAVING)
			check_leaver(pool, seat);
		break;
	case POOL_DO_KILL:
		CHECK(is_alive(seat->phase));
		/* who serves is killed only if he was given a time, and it is over */
		CHECK(pool->goal == POOL_KILL || (seat->kill_ms != 0 && now_ms >= seat->kill_ms));
		CHECK(pool->goal != POOL_SERVE || seat->overdue);
		break;
	case POOL_WAIT:
		/* never wait for a moment that has passed: the loop would spin */
		CHECK(step.wake_ms == 0 || step.wake_ms > now_ms);
		break;
	}
	CHECK(pool->not_before_ms <= now_ms + POOL_BACKOFF_MAX_MS);
}

/* Somebody must wake a pool that is not where it wants to be: an event or the timer. */
static void check_rest(const struct pool *pool, struct pool_step step)
{
	unsigned starting = pool->count[SEAT_STARTING], leaving = pool->count[SEAT_LEAVING];
	bool room = pool->count[SEAT_EMPTY] > 0;

	if (step.action != POOL_WAIT)
		return;
	if (pool->goal == POOL_SERVE && room && pool_fresh(pool) < pool_wanted(pool))
		CHECK(step.wake_ms != 0 || starting > 0);
	if (pool->goal != POOL_SERVE || pool->paused)
		CHECK(starting == 0 && pool->count[SEAT_READY] == 0);
	if (pool->goal != POOL_KILL && leaving > 0)
		CHECK(step.wake_ms != 0);
	if (pool->goal == POOL_KILL)
		CHECK(leaving == 0);
	if (pool->goal == POOL_SERVE)
		CHECK(pool->overdue == 0 && pool_fresh(pool) <= pool->limits.max);
}

static void visit(const struct world *world, long long now_ms);

/* The policy's step is carried out. */
static void try_step(const struct world *world, long long now_ms)
{
	struct world next = *world;
	struct pool *pool = pool_of(&next);
	struct pool_step step = pool_next(pool, now_ms);

	check_sums(pool);
	check_step(pool, step, now_ms);
	check_rest(pool, step);
	switch (step.action) {
	case POOL_DO_SPAWN:
		pool_spawned(pool, step.seat, now_ms);
		visit(&next, now_ms);
		break;
	case POOL_DO_STOP:
		pool_stop_sent(pool, step.seat, now_ms);
		visit(&next, now_ms);
		break;
	case POOL_DO_KILL:
		pool_kill_sent(pool, step.seat, now_ms);
		visit(&next, now_ms);
		break;
	case POOL_WAIT:
		if (step.wake_ms != 0)
			visit(&next, step.wake_ms);
		break;
	}
}

/* What workers do: get ready, end in every way; or they were never there. */
static void try_worker(const struct world *world, unsigned seat, long long now_ms)
{
	static const struct pool_exit ends[] = {
		{ .served = false, .own_fault = true },
		{ .served = true, .own_fault = true },
		{ .served = false, .own_fault = false },
	};
	struct world next = *world;

	if (world->seats[seat].phase == SEAT_EMPTY)
		return;
	if (world->seats[seat].phase == SEAT_STARTING || world->seats[seat].phase == SEAT_LEAVING) {
		pool_ready(pool_of(&next), seat, now_ms);
		visit(&next, now_ms);
	}
	if (!world->seats[seat].was_ready) {
		next = *world;
		pool_unspawned(pool_of(&next), seat, now_ms);
		CHECK(next.seats[seat].phase == SEAT_EMPTY);
		pool_spawn_failed(pool_of(&next), now_ms);
		CHECK(next.pool.crashes <= world->pool.crashes);
		visit(&next, now_ms);
	}
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		next = *world;
		pool_exited(pool_of(&next), seat, ends[i], now_ms);
		CHECK(next.seats[seat].phase == SEAT_EMPTY);
		visit(&next, now_ms);
	}
}

/* What the master sees: each of the ready ones idle or busy, and some that wait. */
static void try_look(const struct world *world, long long now_ms)
{
	for (unsigned busy = 0; busy < 1u << SEATS_MAX; busy++) {
		for (unsigned waiting = 0; waiting < 2; waiting++) {
			struct world next = *world;
			unsigned n = 0;

			for (unsigned i = 0; i < SEATS_MAX; i++) {
				bool ready = next.seats[i].phase == SEAT_READY;

				next.seats[i].busy = ready && (busy >> i & 1) != 0;
				n += next.seats[i].busy;
			}
			pool_seen(pool_of(&next), n, waiting, now_ms);
			visit(&next, now_ms);
		}
	}
}

/* What somebody may wish. */
static void try_wish(const struct world *world, unsigned seat, long long now_ms)
{
	struct world next = *world;

	pool_expire(pool_of(&next), seat, now_ms);
	visit(&next, now_ms);
	next = *world;
	pool_overdue(pool_of(&next), seat, now_ms);
	visit(&next, now_ms);
	next = *world;
	pool_pause(pool_of(&next), !next.pool.paused);
	visit(&next, now_ms);
}

/* What the master does: a goal only ever becomes harsher. */
static void try_goal(const struct world *world, long long now_ms)
{
	for (enum pool_goal goal = world->pool.goal + 1; goal <= POOL_KILL; goal++) {
		struct world next = *world;

		next.pool.goal = goal;
		visit(&next, now_ms);
	}
}

/* States to go on from; depth-first would need a deep stack. */
static struct {
	struct world world;
	long long now_ms;
} * queue;
static size_t n_queue, queue_size;

static void visit(const struct world *world, long long now_ms)
{
	struct world state = normalize(world, now_ms);

	if (!is_new(&state))
		return;
	if (n_queue == queue_size) {
		queue_size = queue_size == 0 ? 1024 : queue_size * 2;
		queue = realloc(queue, queue_size * sizeof(*queue));
		CHECK(queue != NULL);
	}
	queue[n_queue].world = *world;
	queue[n_queue++].now_ms = now_ms;
}

static void forget_states(void)
{
	for (size_t i = 0; i < TABLE; i++) {
		free(table[i]);
		table[i] = NULL;
	}
	n_states = 0;
}

/* Every order of events of a pool; of one whose size may change the looks and wishes, too. */
static void walk(struct world start)
{
	const struct pool_limits limits = start.pool.limits;
	unsigned n_seats = start.pool.n_seats;
	bool elastic = n_seats > limits.min;

	coarse = elastic;
	visit(&start, 1000000);
	while (n_queue > 0) {
		struct world world = queue[--n_queue].world;
		long long now_ms = queue[n_queue].now_ms;

		try_step(&world, now_ms);
		try_goal(&world, now_ms);
		for (unsigned i = 0; i < n_seats; i++) {
			try_worker(&world, i, now_ms);
			if (elastic)
				try_wish(&world, i, now_ms);
		}
		if (elastic)
			try_look(&world, now_ms);
		visit(&world, now_ms + POOL_USEFUL_MS);
	}
	printf("walked through %u states of %u seats, %u to %u workers\n", n_states, n_seats,
	       limits.min, limits.max);
	forget_states();
}

/* The first worker is a probe; the others follow when it is ready. */
static void story_of_a_start(void)
{
	struct world world = new_world(3);
	struct pool *pool = pool_of(&world);

	CHECK(pool_next(pool, 0).action == POOL_DO_SPAWN);
	pool_spawned(pool, 0, 0);
	CHECK(pool_next(pool, 0).action == POOL_WAIT);
	pool_ready(pool, 0, 1);
	CHECK(pool_next(pool, 1).action == POOL_DO_SPAWN && pool_next(pool, 1).seat == 1);
	pool_spawned(pool, 1, 1);
	CHECK(pool_next(pool, 1).action == POOL_DO_SPAWN && pool_next(pool, 1).seat == 2);
	pool_spawned(pool, 2, 1);
	CHECK(pool_next(pool, 1).action == POOL_WAIT && pool_next(pool, 1).wake_ms == 0);
}

/* Tries that come to nothing are 100 ms, 200 ms, ... 60 s apart. */
static void story_of_a_crash_loop(void)
{
	struct world world = new_world(3);
	struct pool *pool = pool_of(&world);
	const struct pool_exit crash = { .own_fault = true };
	long long now_ms = 5000, delay_ms = POOL_BACKOFF_MIN_MS;
	unsigned forks_in_10_s = 0;

	for (int i = 0; i < 20; i++) {
		CHECK(pool_next(pool, now_ms).action == POOL_DO_SPAWN);
		pool_spawned(pool, pool_next(pool, now_ms).seat, now_ms);
		forks_in_10_s += now_ms < 15000;
		pool_exited(pool, 0, crash, now_ms);
		CHECK(pool_next(pool, now_ms).action == POOL_WAIT);
		CHECK(pool_next(pool, now_ms).wake_ms == now_ms + delay_ms);
		now_ms += delay_ms;
		delay_ms = delay_ms * 2 > POOL_BACKOFF_MAX_MS ? POOL_BACKOFF_MAX_MS : delay_ms * 2;
	}
	CHECK(forks_in_10_s <= 20);
}

/* One that served is replaced at once, however young and however often it crashes. */
static void story_of_a_client_that_crashes_workers(void)
{
	struct world world = new_world(1);
	struct pool *pool = pool_of(&world);
	const struct pool_exit crash = { .served = true, .own_fault = true };

	for (int i = 0; i < 1000; i++) {
		CHECK(pool_next(pool, i).action == POOL_DO_SPAWN);
		pool_spawned(pool, 0, i);
		pool_ready(pool, 0, i);
		pool_exited(pool, 0, crash, i);
	}
	CHECK(pool->failures == 0);
}

/* Ready, but gone at once without having served: that is a crash loop, too. */
static void story_of_a_broken_listener(void)
{
	struct world world = new_world(2);
	struct pool *pool = pool_of(&world);
	const struct pool_exit broken = { .own_fault = true };

	pool_spawned(pool, 0, 0);
	pool_ready(pool, 0, 0);
	pool_exited(pool, 0, broken, 10);
	CHECK(pool_next(pool, 10).action == POOL_WAIT);
	CHECK(pool_next(pool, 10).wake_ms == 10 + POOL_BACKOFF_MIN_MS);
}

/* Workers that are killed from outside are replaced at once, all of them. */
static void story_of_a_massacre(void)
{
	struct world world = new_world(3);
	struct pool *pool = pool_of(&world);
	const struct pool_exit killed = { 0 };

	for (unsigned i = 0; i < 3; i++) {
		pool_spawned(pool, i, 0);
		pool_ready(pool, i, 0);
	}
	for (unsigned i = 0; i < 3; i++)
		pool_exited(pool, i, killed, 5);
	for (unsigned i = 0; i < 3; i++) {
		CHECK(pool_next(pool, 5).action == POOL_DO_SPAWN);
		pool_spawned(pool, pool_next(pool, 5).seat, 5);
	}
}

/* Told to leave, told again after 100 ms, and so on, killed when the drain time is over. */
static void story_of_a_retirement(void)
{
	struct world world = new_world(1);
	struct pool *pool = pool_of(&world);
	long long now_ms = 0;

	pool_spawned(pool, 0, 0);
	pool_ready(pool, 0, 0);
	pool->goal = POOL_RETIRE;
	for (; now_ms < DRAIN_MS; now_ms = pool_next(pool, now_ms).wake_ms) {
		CHECK(pool_next(pool, now_ms).action == POOL_DO_STOP);
		pool_stop_sent(pool, 0, now_ms);
		CHECK(pool_next(pool, now_ms).action == POOL_WAIT);
	}
	CHECK(now_ms == DRAIN_MS);
	CHECK(pool_next(pool, now_ms).action == POOL_DO_KILL);
	pool_kill_sent(pool, 0, now_ms);
	CHECK(pool_next(pool, now_ms + 100000).action == POOL_WAIT);
}

/* Several that die together are one failure. */
static void story_of_a_bad_moment(void)
{
	struct world world = new_world(3);
	struct pool *pool = pool_of(&world);
	const struct pool_exit crash = { .own_fault = true };

	pool_spawned(pool, 0, 0);
	pool_ready(pool, 0, 0);
	pool_spawned(pool, 1, 0);
	pool_spawned(pool, 2, 0);
	pool_exited(pool, 1, crash, 1);
	pool_exited(pool, 2, crash, 1);
	CHECK(pool->failures == 1 && pool->not_before_ms == 1 + POOL_BACKOFF_MIN_MS);
}

/* A worker that was of use and dies meanwhile does not end the row of failures. */
static void story_of_a_death_among_failures(void)
{
	struct world world = new_world(2);
	struct pool *pool = pool_of(&world);
	const struct pool_exit killed = { 0 };

	for (unsigned i = 0; i < 2; i++) {
		pool_spawned(pool, i, 0);
		pool_ready(pool, i, 0);
	}
	pool_exited(pool, 0, killed, 5000);
	pool_spawn_failed(pool, 5000);
	pool_exited(pool, 1, killed, 5001);
	pool_spawn_failed(pool, 5100);
	CHECK(pool->not_before_ms == 5100 + 2 * POOL_BACKOFF_MIN_MS);
}

/* The system has no process left: that is no fault of the service. */
static void story_of_no_processes(void)
{
	struct world world = new_world(2);
	struct pool *pool = pool_of(&world);
	const struct pool_exit crash = { .own_fault = true };
	long long now_ms = 0;

	for (int i = 0; i < 2 * POOL_CRASH_LOOP; i++) {
		pool_spawned(pool, 0, now_ms);
		pool_unspawned(pool, 0, now_ms);
		pool_spawn_failed(pool, now_ms);
		now_ms = pool->not_before_ms;
	}
	CHECK(!pool_in_crash_loop(pool));
	for (int i = 0; i < POOL_CRASH_LOOP; i++) {
		CHECK(!pool_in_crash_loop(pool));
		pool_spawned(pool, 0, now_ms);
		pool_exited(pool, 0, crash, now_ms);
		now_ms = pool->not_before_ms;
	}
	CHECK(pool_in_crash_loop(pool));
	pool_pause(pool, true);
	pool_pause(pool, false);
	CHECK(!pool_in_crash_loop(pool));
}

/* Healthy siblings do not make a seat that cannot start try faster. */
static void story_of_one_bad_seat(void)
{
	struct world world = new_world(2);
	struct pool *pool = pool_of(&world);
	const struct pool_exit crash = { .own_fault = true };
	long long now_ms = 0;

	pool_spawned(pool, 0, 0);
	pool_ready(pool, 0, 0);
	for (long long delay_ms = POOL_BACKOFF_MIN_MS; delay_ms < 5000; delay_ms *= 2) {
		pool_spawned(pool, 1, now_ms);
		pool_exited(pool, 1, crash, now_ms);
		CHECK(pool->not_before_ms == now_ms + delay_ms);
		now_ms += 5000;
		CHECK(pool_next(pool, now_ms).action == POOL_DO_SPAWN);
	}
	/* one that started and stayed ends the row of failures */
	pool_spawned(pool, 1, now_ms);
	pool_ready(pool, 1, now_ms);
	now_ms += POOL_USEFUL_MS;
	pool_exited(pool, 0, crash, now_ms);
	pool_spawned(pool, 0, now_ms);
	pool_exited(pool, 0, crash, now_ms);
	CHECK(pool->not_before_ms == now_ms + POOL_BACKOFF_MIN_MS);
}

/* Grows with the clients at once, shrinks to what was needed for a while. */
static void story_of_a_rush(void)
{
	struct world world = new_elastic_world(3, 1, 3);
	struct pool *pool = pool_of(&world);

	pool_spawned(pool, 0, 0);
	pool_ready(pool, 0, 0);
	CHECK(pool_next(pool, 0).action == POOL_WAIT);
	world.seats[0].busy = true;
	pool_seen(pool, 1, 1, 10);
	for (unsigned i = 1; i < 3; i++) {
		CHECK(pool_next(pool, 10).action == POOL_DO_SPAWN);
		pool_spawned(pool, i, 10);
		pool_ready(pool, i, 10);
	}
	CHECK(pool_next(pool, 10).action == POOL_WAIT);
	CHECK(pool_seen(pool, 3, 0, 20) && pool->window_ms == 20 + IDLE_MS);
	world.seats[0].busy = false;
	/* within the window two were busy at the same time: with one to spare all are needed */
	CHECK(pool_seen(pool, 2, 0, 20 + IDLE_MS));
	CHECK(pool_next(pool, 20 + IDLE_MS).action == POOL_WAIT);
	CHECK(pool_seen(pool, 0, 0, 20 + 2 * IDLE_MS));
	CHECK(pool->surplus == 2);
	CHECK(pool_next(pool, 20 + 2 * IDLE_MS).action == POOL_DO_STOP);
}

/* On demand: one at the start, to see that it can; then nobody until somebody comes. */
static void story_of_a_pool_on_demand(void)
{
	struct world world = new_elastic_world(2, 0, 1);
	struct pool *pool = pool_of(&world);

	CHECK(pool_next(pool, 0).action == POOL_DO_SPAWN);
	pool_spawned(pool, 0, 0);
	pool_ready(pool, 0, 0);
	pool_seen(pool, 0, 0, 0);
	pool_seen(pool, 0, 0, IDLE_MS);
	CHECK(pool_next(pool, IDLE_MS).action == POOL_DO_STOP);
	pool_stop_sent(pool, 0, IDLE_MS);
	pool_exited(pool, 0, (struct pool_exit){ 0 }, IDLE_MS);
	CHECK(pool_next(pool, IDLE_MS).action == POOL_WAIT);
	pool_seen(pool, 0, 1, IDLE_MS);
	CHECK(pool_next(pool, IDLE_MS).action == POOL_DO_SPAWN);
}

/* Who has served enough leaves when another one is ready in his place. */
static void story_of_a_replacement(void)
{
	struct world world = new_elastic_world(2, 1, 1);
	struct pool *pool = pool_of(&world);

	pool_spawned(pool, 0, 0);
	pool_ready(pool, 0, 0);
	pool->limits.min_age_ms = 100;
	pool_expire(pool, 0, 99);
	CHECK(pool_next(pool, 99).action == POOL_WAIT);
	pool_expire(pool, 0, 100);
	CHECK(pool_next(pool, 100).action == POOL_DO_SPAWN && pool_next(pool, 100).seat == 1);
	pool_spawned(pool, 1, 100);
	CHECK(pool_next(pool, 100).action == POOL_WAIT);
	pool_ready(pool, 1, 101);
	CHECK(pool_next(pool, 101).action == POOL_DO_STOP && pool_next(pool, 101).seat == 0);
	pool_stop_sent(pool, 0, 101);
	/* it may finish as long as it takes */
	CHECK(world.seats[0].kill_ms == 0);
}

/* While one of two has not finished, the other is replaced all the same, when nobody has it. */
static void story_of_one_that_does_not_finish(void)
{
	struct world world = new_elastic_world(3, 2, 2);
	struct pool *pool = pool_of(&world);

	for (unsigned i = 0; i < 3; i++) {
		pool_spawned(pool, i, 0);
		pool_ready(pool, i, 0);
	}
	pool_stop_sent(pool, 0, 0);
	pool_expire(pool, 1, 0);
	world.seats[1].busy = true;
	CHECK(pool_next(pool, 1).action == POOL_WAIT);
	world.seats[1].busy = false;
	CHECK(pool_next(pool, 1).action == POOL_DO_STOP && pool_next(pool, 1).seat == 1);
	pool_stop_sent(pool, 1, 1);
	/* but not the last one */
	pool_expire(pool, 2, 1);
	CHECK(pool_next(pool, 1).action == POOL_WAIT);
	pool_exited(pool, 1, (struct pool_exit){ 0 }, 2);
	CHECK(pool_next(pool, 2).action == POOL_DO_SPAWN && pool_next(pool, 2).seat == 1);
}

/* So many a second, and not more. */
static void story_of_a_rate(void)
{
	struct world world = new_elastic_world(3, 3, 3);
	struct pool *pool = pool_of(&world);

	pool->limits.spawn_rate = 2;
	for (unsigned i = 0; i < 2; i++) {
		CHECK(pool_next(pool, 5000).action == POOL_DO_SPAWN);
		pool_spawned(pool, i, 5000);
		pool_ready(pool, i, 5000);
	}
	CHECK(pool_next(pool, 5000).action == POOL_WAIT && pool_next(pool, 5000).wake_ms == 6000);
	CHECK(pool_next(pool, 6000).action == POOL_DO_SPAWN);
}

int main(int argc, char **argv)
{
	(void)argv;
	story_of_a_start();
	story_of_a_crash_loop();
	story_of_a_client_that_crashes_workers();
	story_of_a_broken_listener();
	story_of_a_massacre();
	story_of_a_retirement();
	story_of_a_bad_moment();
	story_of_one_bad_seat();
	story_of_a_death_among_failures();
	story_of_no_processes();
	story_of_a_rush();
	story_of_a_pool_on_demand();
	story_of_a_replacement();
	story_of_one_that_does_not_finish();
	story_of_a_rate();
	for (unsigned n = 1; n <= SEATS_MAX; n++)
		walk(new_world(n));
	walk(new_elastic_world(2, 0, 1));
	walk(new_elastic_world(2, 1, 1));
	walk(new_elastic_world(2, 0, 2));
	walk(new_elastic_world(2, 1, 2));
	/* a minute, and nothing that two seats do not show: for a change of the policy */
	if (argc > 1)
		walk(new_elastic_world(3, 1, 2));
	free(queue);
	printf("%u checks passed\n", checks);
	return 0;
}
