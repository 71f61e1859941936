#include "master/look.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "board/bell.h"
#include "master/overdue.h"
#include "master/persist.h"
#include "master/spawn.h"
#include "master/state.h"

#define QUIET_MS 1000 /* after a call that was about nothing new */
#define CALLS_MAX 50  /* in CALLS_MS; only a hostile worker calls more often */
#define CALLS_MS 100
#define AGAIN_MS 10	   /* when the pool changes faster than it can be looked at */
#define FULL_FIRST_MS 1000 /* a pool that is full for so long is worth a line, */
#define FULL_AGAIN_MS 60000

static int on_bell(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct service_pool *pool = data;
	long long now_ms = clock_now_ms();
	uint64_t calls;

	(void)events;
	if (read(fd, &calls, sizeof(calls)) < 0)
		return 0;
	if (now_ms - pool->calls_ms >= CALLS_MS) {
		pool->calls_ms = now_ms;
		pool->calls = 0;
	}
	if (++pool->calls > CALLS_MAX) {
		pool->deaf_ms = now_ms + CALLS_MS;
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
	}
	pool->look = pool->called = true;
	return 0;
}

static int on_arrival(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct service_pool *pool = data;

	(void)source;
	(void)fd;
	(void)events;
	pool->arrival = sd_event_source_disable_unref(pool->arrival);
	pool->look = true;
	return 0;
}

void look_ready(struct worker *worker)
{
	struct service_pool *pool = worker->pool;
	uint32_t state = atomic_load(&board_slot(pool->board, worker->seat)->state);

	if (pool->policy.seats[worker->seat].phase != SEAT_STARTING)
		return;
	if (pool->service->kind != CONF_PERSISTENT && state == SLOT_READY)
		pool_ready(&pool->policy, worker->seat, clock_now_ms());
	else if (pool->service->kind == CONF_PERSISTENT && state == SLOT_BECOMES && !worker->began)
		persist_began(worker);
	pool->look = true;
}

static int on_ready(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct service_pool *pool = data;
	uint64_t calls;

	(void)source;
	(void)events;
	if (read(fd, &calls, sizeof(calls)) < 0)
		return 0;
	spawn_look(pool);
	for (unsigned i = 0; i < pool->policy.n_seats; i++) {
		if (pool->policy.seats[i].phase == SEAT_STARTING)
			look_ready(&pool->workers[i]);
	}
	return 0;
}

/* Negative, with errno, if it cannot be heard. */
static int listen_to(struct service_pool *pool, int fd, sd_event_io_handler_t on_event,
		     sd_event_source **source_r)
{
	int r = sd_event_add_io(pool->generation->master->event, source_r, fd, EPOLLIN, on_event,
				pool);

	if (r < 0)
		errno = -r;
	return r;
}

int look_inherit(struct service_pool *pool)
{
	if (listen_to(pool, pool->bell_fd, on_bell, &pool->bell) < 0 ||
	    listen_to(pool, pool->ready_fd, on_ready, &pool->ready) < 0)
		return -1;
	return 0;
}

int look_setup(struct service_pool *pool)
{
	atomic_store(&board_bell(pool->board)->ring_at, BELL_NEVER);
	pool->bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pool->ready_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return pool->bell_fd < 0 || pool->ready_fd < 0 ? -1 : look_inherit(pool);
}

void look_end(struct service_pool *pool)
{
	/* before their descriptors are closed */
	pool->arrival = sd_event_source_disable_unref(pool->arrival);
	pool->bell = sd_event_source_disable_unref(pool->bell);
	pool->ready = sd_event_source_disable_unref(pool->ready);
	fd_close(&pool->bell_fd);
	fd_close(&pool->ready_fd);
}

void look_move(struct service_pool *pool)
{
	pool->arrival = sd_event_source_disable_unref(pool->arrival);
	sd_event_source_set_userdata(pool->bell, pool);
	sd_event_source_set_userdata(pool->ready, pool);
}

/* Where a worker's time as such is over: between two conns it is replaced. */
static void see_age(struct worker *worker, const struct counts *counts, long long now_ms)
{
	struct pool *policy = &worker->pool->policy;
	const struct seat *seat = &policy->seats[worker->seat];

	if (seat->expired)
		return;
	if ((worker->conns_max != 0 && counts->accepted >= worker->conns_max) ||
	    (worker->expires_ms != 0 && now_ms >= worker->expires_ms)) {
		pool_expire(policy, worker->seat, now_ms);
		/* too young: then as soon as it may */
		worker->expires_ms = seat->expired ? 0 : seat->since_ms + policy->limits.min_age_ms;
	}
	clock_earlier(&worker->pool->look_ms, worker->expires_ms);
}

static void see_seat(struct service_pool *pool, unsigned index, long long now_ms)
{
	struct seat *seat = &pool->policy.seats[index];
	struct worker *worker = &pool->workers[index];
	struct counts counts;

	if (seat->phase != SEAT_READY && seat->phase != SEAT_LEAVING)
		return;
	counts = board_read(board_slot(pool->board, index));
	if (counts.in_flight > 0)
		clock_earlier(&pool->times_ms, overdue_check(worker, &counts, now_ms));
	if (seat->phase != SEAT_READY)
		return;
	seat->busy = counts.in_flight > 0;
	pool->busy += seat->busy;
	see_age(worker, &counts, now_ms);
}

static unsigned see_waiting(struct service_pool *pool)
{
	const struct pool *policy = &pool->policy;
	unsigned n;

	/* who is idle takes them */
	if (pool->busy < policy->count[SEAT_READY] || pool->listener == NULL || policy->paused)
		n = 0;
	else
		n = listener_waiting(&pool->listener->listener);
	if (n < LISTENER_SOME) {
		pool->guess = 0;
		return n;
	}
	/* it does not tell how many: twice as many as the last time */
	pool->guess = pool->guess == 0 ? 1 : 2 * pool->guess;
	if (pool->guess > policy->limits.max)
		pool->guess = policy->limits.max;
	return pool->guess;
}

static void see_full(struct service_pool *pool, unsigned waiting, long long now_ms)
{
	const struct pool *policy = &pool->policy;
	const char *service = conf_string(pool->generation->conf, pool->service->name);
	bool said = pool->full_said_ms > pool->full_ms + FULL_FIRST_MS;
	bool full =
		waiting > 0 && !pool_may_grow(&pool->policy) && policy->count[SEAT_STARTING] == 0;

	if (full && pool->full_ms == 0) {
		pool->full_ms = now_ms;
		pool->full_said_ms = now_ms + FULL_FIRST_MS;
		pool->full_count++;
	} else if (full && now_ms >= pool->full_said_ms) {
		pool->full_said_ms = now_ms + FULL_AGAIN_MS;
		log_warning("all_busy", KV("service", service), KV("workers", pool->busy),
			    KV("waiting", waiting), KV("for_ms", now_ms - pool->full_ms),
			    KV("remedy", "more workers.max, or a faster handler"));
	} else if (!full && pool->full_ms != 0) {
		if (said)
			log_notice("all_busy_over", KV("service", service),
				   KV("for_ms", now_ms - pool->full_ms));
		pool->full_ms = 0;
	}
}

/* The most that were busy at the same time in this window. */
static unsigned see_peak(const struct service_pool *pool)
{
	uint64_t peak = (uint64_t)atomic_load(&board_bell(pool->board)->peak);
	int64_t n = (int64_t)(peak - (uint64_t)pool->base);

	if (n < (int64_t)pool->busy)
		return pool->busy;
	return n < pool->policy.n_seats ? (unsigned)n : pool->policy.n_seats;
}

static void look(struct service_pool *pool, long long now_ms)
{
	struct bell *bell = board_bell(pool->board);
	uint64_t begun = atomic_load(&bell->begun);
	unsigned waiting;

	pool->look_ms = pool->times_ms = 0;
	pool->busy = 0;
	overdue_sizes(pool, begun != pool->begun, now_ms);
	for (unsigned i = 0; i < pool->policy.n_seats; i++)
		see_seat(pool, i, now_ms);
	/*
	 * What begins and what ends meanwhile makes this less than it is, never more:
	 * the bell then rings too early, and not too late.
	 */
	pool->base = (int64_t)(begun - atomic_load(&bell->ended) - pool->busy);
	pool->begun = begun;
	waiting = see_waiting(pool);
	if (pool_seen(&pool->policy, see_peak(pool), waiting, now_ms))
		atomic_store(&bell->peak, bell_busy(bell));
	see_full(pool, waiting, now_ms);
	clock_earlier(&pool->look_ms, pool->times_ms);
	/* a pool that has shrunk meanwhile has something to be called for */
	if (pool_may_grow(&pool->policy))
		pool->quiet_ms = 0;
	else if (pool->called)
		pool->quiet_ms = now_ms + QUIET_MS;
	pool->called = false;
	pool->looked = true;
}

void look_at_pool(struct service_pool *pool, long long now_ms)
{
	if (pool->policy.goal != POOL_SERVE)
		return;
	if (pool->look || (pool->look_ms != 0 && now_ms >= pool->look_ms) ||
	    (pool->policy.window_ms != 0 && now_ms >= pool->policy.window_ms)) {
		pool->look = false;
		look(pool, now_ms);
	}
}

/* What stands on the page may be anything: it wraps around, as the counters there do. */
static int64_t add(int64_t a, unsigned b)
{
	return (int64_t)((uint64_t)a + b);
}

/* How many conns in flight, as the bell counts them, are worth a call. */
static int64_t call_at(const struct service_pool *pool)
{
	unsigned ready = pool->policy.count[SEAT_READY];
	unsigned spare = pool_may_grow(&pool->policy) ? pool->policy.limits.spare : 0;
	int64_t limit = BELL_NEVER;

	if (spare == 0)
		spare = 1;
	if (ready >= pool->busy + spare)
		limit = add(pool->base, ready - spare + 1);
	/* somebody must look at the clock, from the next conn on */
	if (overdue_is_kept(pool) && pool->times_ms == 0 && ready > pool->busy)
		limit = add(pool->base, pool->busy + 1);
	return limit;
}

static void set_bell(struct service_pool *pool, long long now_ms)
{
	struct bell *bell = board_bell(pool->board);
	int64_t limit = call_at(pool);

	if (now_ms < pool->quiet_ms) {
		limit = BELL_NEVER;
		clock_earlier(&pool->look_ms, pool->quiet_ms);
	}
	/* who asks to be replaced is heard all the same */
	if (now_ms < pool->deaf_ms)
		clock_earlier(&pool->look_ms, pool->deaf_ms);
	else
		sd_event_source_set_enabled(pool->bell, SD_EVENT_ON);
	if (!pool_may_grow(&pool->policy) && limit == BELL_NEVER && pool->busy > 0)
		clock_earlier(&pool->look_ms, now_ms + QUIET_MS);
	atomic_store(&bell->ring_at, limit);
	/* it may have been so before it was written down */
	if (bell_busy(bell) >= limit)
		clock_earlier(&pool->look_ms, now_ms + AGAIN_MS);
}

/* Where no worker waits for clients the master does; it does not take them. */
static void watch_arrivals(struct service_pool *pool)
{
	const struct pool *policy = &pool->policy;
	bool wanted = pool->generation == pool->generation->master->current &&
		      pool_may_grow(policy) && policy->waiting == 0 &&
		      policy->count[SEAT_STARTING] == 0 && pool->busy == policy->count[SEAT_READY];

	if (wanted && pool->arrival == NULL)
		(void)listen_to(pool, listener_fd(&pool->listener->listener, 0), on_arrival,
				&pool->arrival);
	else if (!wanted)
		pool->arrival = sd_event_source_disable_unref(pool->arrival);
}

long long look_listen(struct service_pool *pool, long long now_ms)
{
	long long wake_ms = 0;

	if (pool->policy.goal != POOL_SERVE)
		return 0;
	if (pool->looked) {
		pool->looked = false;
		set_bell(pool, now_ms);
		watch_arrivals(pool);
	}
	clock_earlier(&wake_ms, pool->look_ms);
	clock_earlier(&wake_ms, pool->policy.window_ms);
	return wake_ms;
}
