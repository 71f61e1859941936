#include "master/generation.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/clock.h"
#include "base/log.h"
#include "conf/compare.h"
#include "conf/share.h"
#include "master/canary.h"
#include "master/listeners.h"
#include "master/look.h"
#include "master/persist.h"
#include "master/state.h"
#include "net/address.h"

#define GRACE_MS 2000 /* of a worker that is stuck, between stop signal and kill */

void generation_free(struct generation *generation)
{
	for (unsigned i = 0; i < generation->n_pools; i++) {
		struct service_pool *pool = &generation->pools[i];

		look_end(pool);
		board_free(pool->board);
		free(pool->policy.seats);
		free(pool->workers);
	}
	free(generation->pools);
	/* none: it was read from a handover that made no sense */
	if (generation->conf != NULL)
		conf_unref(generation->conf);
	free(generation);
}

/*
 * Seats for as many workers as any config may have, so that a pool can be scaled;
 * what is not touched costs no memory.
 */
static int allocate(struct service_pool *pool, unsigned n)
{
	unsigned capacity = pool->service->spec.sockets > 1 ? n : pool_seats_for(CONF_WORKERS_MAX);
	struct seat *seats = calloc(capacity, sizeof(*seats));

	pool_init(&pool->policy, seats, n, capacity);
	pool->workers = calloc(capacity, sizeof(*pool->workers));
	pool->board = board_new(capacity);
	if (seats == NULL || pool->workers == NULL || pool->board == NULL)
		return -1;
	return look_setup(pool);
}

/* Workers with sockets of their own have their seats; of others there may be some too many. */
static unsigned seats_of(const struct conf_service *service)
{
	unsigned max = (unsigned)service->workers_max;

	return service->spec.sockets > 1 ? max : pool_seats_for(max);
}

static struct pool_limits limits_of(const struct conf_service *service)
{
	return (struct pool_limits){
		.min = (unsigned)service->workers_min,
		.max = (unsigned)service->workers_max,
		.spare = (unsigned)service->spare,
		.spawn_rate = (unsigned)service->spawn_rate,
		.idle_ms = service->idle_timeout_ms,
		.min_age_ms = service->min_age_ms,
		.drain_ms = service->drain_ms,
		/* nobody knows of a program that accepts by itself whether it is busy */
		.finish_ms = service->kind == CONF_PERSISTENT ? service->drain_ms : 0,
		.grace_ms = GRACE_MS,
	};
}

/* The pool of the current generation whose workers can go on as they are, or NULL. */
static struct service_pool *find_kept(const struct generation *generation,
				      const struct conf_service *service)
{
	struct generation *current = generation->master->current;

	/* a module or a program may be another one behind the same name */
	if (current == NULL || current->inherited || service->kind == CONF_MODULE ||
	    service->kind == CONF_PERSISTENT)
		return NULL;
	for (unsigned i = 0; i < current->n_pools; i++) {
		struct service_pool *pool = &current->pools[i];

		if (strcmp(conf_string(current->conf, pool->service->name),
			   conf_string(generation->conf, service->name)) != 0)
			continue;
		return conf_compare(current->conf, pool->service, generation->conf, service, NULL,
				    0) < CONF_WORKERS ?
			       pool :
			       NULL;
	}
	return NULL;
}

static int build_pool(struct generation *generation, struct service_pool *pool,
		      const struct conf_service *service, bool all, int *status_r)
{
	pool->generation = generation;
	pool->service = service;
	pool->bell_fd = pool->ready_fd = -1;
	/* who leaves a pool that serves leaves the queue to the others */
	pool->drain_from = UINT_MAX;
	pool->keeps = all ? NULL : find_kept(generation, service);
	if (pool->keeps != NULL)
		return 0;
	if (allocate(pool, seats_of(service)) < 0) {
		log_error("out_of_memory",
			  KV("service", conf_string(generation->conf, service->name)),
			  KV("workers", service->workers_max), KV("error", strerror(errno)));
		*status_r = EX_OSERR;
		return -1;
	}
	if (service->kind == CONF_PERSISTENT && persist_setup(generation->master) < 0) {
		log_error("loop_failed", KV("error", "no socket for the messages of programs"));
		*status_r = EX_OSERR;
		return -1;
	}
	pool->policy.limits = limits_of(service);
	pool->look = true;
	return 0;
}

static int build_pools(struct generation *generation, bool all, int *status_r)
{
	const struct conf *conf = generation->conf;

	generation->pools = calloc(conf->n_services, sizeof(*generation->pools));
	if (generation->pools == NULL) {
		*status_r = EX_OSERR;
		return -1;
	}
	for (unsigned i = 0; i < conf->n_services; i++) {
		generation->n_pools++;
		if (build_pool(generation, &generation->pools[i], conf_service(conf, i), all,
			       status_r) < 0)
			return -1;
	}
	return 0;
}

static void log_waiting(struct service_pool *pool, long long left_ms, int error)
{
	const struct listener_spec *spec = &pool->service->spec;
	char address[ADDRESS_TEXT_MAX];

	if (pool->waiting)
		return;
	pool->waiting = true;
	log_warning("listen_waiting",
		    KV("service", conf_string(pool->generation->conf, pool->service->name)),
		    KV("address", address_text(&spec->address, spec->length, address)),
		    KV("for_ms", left_ms),
		    KV("reason", error == EADDRINUSE ? "a master before us had it" :
						       "the address or device is not there yet"));
}

/* Returns 0, also when it still waits for its address. */
static int bind_pool(struct service_pool *pool, long long now_ms, int *status_r)
{
	struct generation *generation = pool->generation;
	struct master *master = generation->master;
	long long waited_ms, patience_ms;

	if (pool->listener != NULL)
		return 0;
	if (pool->bind_since_ms == 0)
		pool->bind_since_ms = now_ms;
	waited_ms = now_ms - pool->bind_since_ms;
	pool->listener =
		listeners_take(master, generation->conf, pool->service, waited_ms, status_r);
	if (pool->listener != NULL)
		return 0;
	if (*status_r != EX_OK)
		return -1;
	patience_ms = listeners_patience(master, pool->service, errno);
	log_waiting(pool, patience_ms - waited_ms, errno);
	generation->bound = false;
	return 0;
}

int generation_bind(struct generation *generation, long long now_ms, int *status_r)
{
	generation->bound = true;
	for (unsigned i = 0; i < generation->n_pools; i++) {
		if (bind_pool(&generation->pools[i], now_ms, status_r) < 0)
			return -1;
	}
	/* only now: the kernel gives clients to a new socket of a pool at once */
	for (unsigned i = 0; generation->bound && i < generation->n_pools; i++) {
		struct service_pool *pool = &generation->pools[i];

		if (listeners_grow(pool->listener, pool->service, status_r) < 0)
			return -1;
	}
	generation->start_deadline_ms = now_ms + GENERATION_START_MS;
	return 0;
}

/* The same config again, for new workers: what somebody wanted of a pool still holds. */
static void keep_orders(struct generation *generation)
{
	for (unsigned i = 0; i < generation->n_pools; i++) {
		struct service_pool *pool = &generation->pools[i];
		const struct service_pool *before = &generation->master->current->pools[i];

		pool_follow(&pool->policy, &before->policy);
		pool->crash_loop_said = before->crash_loop_said;
	}
}

int generation_build(struct master *master, const struct conf *conf, bool all, int *status_r)
{
	struct generation *generation = calloc(1, sizeof(*generation));

	if (generation == NULL) {
		conf_unref(conf);
		*status_r = EX_OSERR;
		return -1;
	}
	generation->master = master;
	generation->born_ms = clock_now_ms();
	generation->conf = conf;
	if (build_pools(generation, all, status_r) < 0 ||
	    generation_bind(generation, clock_now_ms(), status_r) < 0) {
		generation_free(generation);
		listeners_sweep(master);
		if (master->current != NULL)
			listeners_shrink(master);
		return -1;
	}
	generation->id = ++master->last_id;
	/* at the first start there is nobody beside whom they could serve */
	if (master->current != NULL && conf != master->current->conf)
		canary_prepare(generation);
	else if (master->current != NULL)
		keep_orders(generation);
	master->starting = generation;
	return 0;
}

/* That a program works which is ready at once, nothing says but that it stays. */
static long long settled_at(const struct service_pool *pool)
{
	bool at_once = pool->service->kind == CONF_PERSISTENT && pool->service->ready_ms == 0;
	const struct pool *policy = &pool->policy;
	long long at_ms = 1; /* long ago */

	if (pool->keeps != NULL || policy->paused)
		return at_ms;
	if (!policy->tried || policy->count[SEAT_READY] < policy->limits.min)
		return 0;
	/* not since each was ready: a young one may just have replaced an old one */
	return at_once ? policy->proven_ms + POOL_USEFUL_MS : at_ms;
}

long long generation_settled_at(const struct generation *generation)
{
	long long latest_ms = 1;

	for (unsigned i = 0; i < generation->n_pools; i++) {
		long long at_ms = settled_at(&generation->pools[i]);

		if (at_ms == 0)
			return 0;
		if (at_ms > latest_ms)
			latest_ms = at_ms;
	}
	return latest_ms;
}

bool generation_is_empty(const struct generation *generation)
{
	for (unsigned i = 0; i < generation->n_pools; i++) {
		const struct pool *policy = &generation->pools[i].policy;

		if (policy->count[SEAT_EMPTY] < policy->n_seats)
			return false;
	}
	return true;
}

/* From which seat on the socket of a worker goes with it: 0 when the listener does. */
static unsigned sockets_kept(const struct master *master, const struct service_pool *pool)
{
	for (unsigned i = 0; master->current != NULL && i < master->current->n_pools; i++) {
		const struct service_pool *now = &master->current->pools[i];

		if (pool->listener == NULL || now->listener != pool->listener)
			continue;
		return pool->service->spec.sockets > 1 ? now->service->spec.sockets : UINT_MAX;
	}
	return 0;
}

void generation_retire(struct master *master, struct generation *generation)
{
	for (unsigned i = 0; i < generation->n_pools; i++) {
		struct service_pool *pool = &generation->pools[i];

		pool->policy.goal = POOL_RETIRE;
		pool->drain_from = sockets_kept(master, pool);
		pool->listener = NULL;
		look_end(pool);
	}
	generation->next = master->retired;
	master->retired = generation;
}

static void resize(struct service_pool *pool)
{
	const struct pool_limits limits = limits_of(pool->service);

	pool->policy.limits = limits;
	pool_pause(&pool->policy, false);
	(void)pool_scale(&pool->policy, limits.min, limits.max);
	pool->look = true;
}

void generation_resize(struct generation *generation)
{
	for (unsigned i = 0; i < generation->n_pools; i++) {
		if (generation->pools[i].keeps == NULL)
			resize(&generation->pools[i]);
	}
}

/* All but what the new generation has of its own: its service, its listener. */
static void take_kept(struct service_pool *pool)
{
	struct service_pool *from = pool->keeps, was = *from;

	was.generation = pool->generation;
	was.service = pool->service;
	was.listener = pool->listener;
	*pool = was;
	look_move(pool);
	*from = (struct service_pool){ .generation = from->generation, .service = from->service };
	from->bell_fd = from->ready_fd = -1;
	resize(pool);
	for (unsigned i = 0; i < pool->policy.n_seats; i++)
		pool->workers[i].pool = pool;
}

void generation_serves(struct generation *generation)
{
	for (unsigned i = 0; i < generation->n_pools; i++) {
		struct service_pool *pool = &generation->pools[i];

		if (pool->keeps != NULL)
			take_kept(pool);
		pool->look = true;
	}
}

void generation_kill(struct generation *generation)
{
	for (unsigned i = 0; i < generation->n_pools; i++)
		generation->pools[i].policy.goal = POOL_KILL;
}
