#include "master/control_view.h"

#include <string.h>

#include "base/clock.h"
#include "master/state.h"

/* A worker of ours that serves somebody; of a program that accepts by itself nobody knows. */
static bool is_busy(const struct service_pool *pool, unsigned seat)
{
	return board_read(board_slot(pool->board, seat)).in_flight > 0;
}

static void add_seat(struct view *view, const struct service_pool *pool, unsigned seat)
{
	switch (pool->policy.seats[seat].phase) {
	case SEAT_EMPTY:
		return;
	case SEAT_STARTING:
		view->starting++;
		break;
	case SEAT_READY:
		if (is_busy(pool, seat))
			view->busy++;
		else
			view->idle++;
		break;
	default:
		view->leaving++;
		break;
	}
	view->workers++;
}

struct view control_view_pool(const struct service_pool *pool)
{
	struct view view = {
		.min = pool->policy.limits.min,
		.max = pool->policy.limits.max,
	};
	long long wait_ms = pool->policy.not_before_ms - clock_now_ms();

	for (unsigned i = 0; i < pool->policy.n_seats; i++)
		add_seat(&view, pool, i);
	if (wait_ms > 0 && pool->policy.goal == POOL_SERVE && !pool->policy.paused)
		view.backoff_ms = (uint64_t)wait_ms;
	if (pool->listener != NULL)
		view.waiting = listener_waiting(&pool->listener->listener);
	view.knows_waiting = pool->listener != NULL && view.waiting != LISTENER_SOME;
	return view;
}

/* Nobody said so but on_crash_loop. */
static bool was_stopped(const struct service_pool *pool)
{
	return pool->service->on_crash_loop == CONF_CRASH_STOP && pool_in_crash_loop(&pool->policy);
}

static bool is_full(const struct service_pool *pool, const struct view *view)
{
	return view->busy >= view->max || (view->starting == 0 && !pool_may_grow(&pool->policy));
}

const char *control_view_state(const struct service_pool *pool, const struct view *view)
{
	if (pool->listener == NULL)
		return "waiting for its address";
	if (pool->policy.paused)
		return was_stopped(pool) ? "stopped" : "paused";
	if (view->busy + view->idle == 0 && view->backoff_ms > 0)
		return "failing";
	if (view->busy + view->idle + view->starting == 0)
		return view->min == 0 ? "on demand" : "no worker";
	if (view->busy + view->idle == 0)
		return "starting";
	if (view->idle == 0)
		return is_full(pool, view) ? "all busy" : "growing";
	return "ok";
}

const char *control_view_worker(const struct worker *worker, const struct counts *counts)
{
	switch (worker->pool->policy.seats[worker->seat].phase) {
	case SEAT_STARTING:
		return "starting";
	case SEAT_READY:
		if (worker->pool->service->kind == CONF_PERSISTENT)
			return "ready";
		return counts->in_flight > 0 ? "busy" : "idle";
	case SEAT_LEAVING:
		return "leaving";
	default:
		return "killed";
	}
}

static void add_generation(struct counts *sum, const struct generation *generation,
			   const char *service)
{
	for (unsigned i = 0; generation != NULL && i < generation->n_pools; i++) {
		const struct service_pool *pool = &generation->pools[i];

		if (strcmp(conf_string(generation->conf, pool->service->name), service) != 0)
			continue;
		for (unsigned seat = 0; seat < pool->policy.n_seats; seat++) {
			struct counts counts;

			/* of those that are gone the account has it */
			if (pool->workers[seat].pid == 0)
				continue;
			counts = board_read(board_slot(pool->board, seat));
			board_add(sum, &counts);
		}
	}
}

struct counts control_view_service(const struct master *master, const char *service)
{
	struct counts sum = { 0 };

	for (const struct account *a = master->accounts; a != NULL; a = a->next) {
		if (strcmp(a->service, service) == 0)
			board_add(&sum, &a->counts);
	}
	add_generation(&sum, master->starting, service);
	add_generation(&sum, master->current, service);
	for (const struct generation *g = master->retired; g != NULL; g = g->next)
		add_generation(&sum, g, service);
	return sum;
}
