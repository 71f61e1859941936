#include "master/spawn.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/process.h"
#include "master/launch.h"
#include "master/state.h"
#include "worker/worker.h"

/* A tenth more or less, so that those that began together do not end together. */
static long long about(long long value)
{
	long long tenth = value / 10;

	return tenth == 0 ? value : value - tenth + arc4random_uniform((uint32_t)(2 * tenth + 1));
}

static struct worker new_worker(struct service_pool *pool, unsigned seat)
{
	const struct conf_service *service = pool->service;
	long long now_ms = clock_now_ms();

	return (struct worker){
		.pool = pool,
		.seat = seat,
		.generation = pool->generation->id,
		.born_ms = now_ms,
		.conns_max = (uint64_t)about(service->max_connections),
		.expires_ms = service->max_age_ms > 0 ? now_ms + about(service->max_age_ms) : 0,
	};
}

/* Once: it is the same for all of them, as long as the kernel is. */
static void say_what_is_missing(const struct service_pool *pool)
{
	static bool looked;
	const char *lacks;

	if (looked || pool->service->sandbox == CONF_SANDBOX_OFF)
		return;
	looked = true;
	lacks = worker_sandbox_lacks(pool->service);
	if (lacks == NULL)
		return;
	log_warning("sandbox_missing",
		    KV("service", conf_string(pool->generation->conf, pool->service->name)),
		    KV("lacks", lacks),
		    KV("remedy", "workers run without; a newer kernel, or run.sandbox = off"));
}

void spawn_worker(struct service_pool *pool, unsigned seat)
{
	say_what_is_missing(pool);
	pool->workers[seat] = new_worker(pool, seat);
	board_clear(pool->board, seat);
	pool_spawned(&pool->policy, seat, pool->workers[seat].born_ms);
	pool->wanted++;
}

bool spawn_is_forking(const struct service_pool *pool)
{
	return pool->batch.born < pool->batch.n;
}

static bool forks(const struct generation *generation)
{
	for (unsigned i = 0; generation != NULL && i < generation->n_pools; i++) {
		if (spawn_is_forking(&generation->pools[i]))
			return true;
	}
	return false;
}

bool spawn_any_forking(const struct master *master)
{
	const struct generation *retired = master->retired;

	while (retired != NULL && !forks(retired))
		retired = retired->next;
	return retired != NULL || forks(master->current) || forks(master->starting);
}

unsigned spawn_find_unborn(const struct service_pool *pool, unsigned seat)
{
	while (pool->policy.seats[seat].phase == SEAT_EMPTY || pool->workers[seat].pid != 0)
		seat++;
	return seat;
}

static void log_failure(const struct service_pool *pool, unsigned n, int error, long long now_ms)
{
	log_warning("fork_failed",
		    KV("service", conf_string(pool->generation->conf, pool->service->name)),
		    KV("workers", n), KV("error", strerror(error)),
		    KV("retry_ms", pool->policy.not_before_ms - now_ms));
}

/* n of them, from this seat on, will not be there. error: why; 0: it has been said. */
static void give_up(struct service_pool *pool, unsigned seat, unsigned n, int error)
{
	long long now_ms = clock_now_ms();

	for (unsigned i = 0; i < n; i++) {
		seat = spawn_find_unborn(pool, seat);
		pool_unspawned(&pool->policy, seat, now_ms);
	}
	if (error == 0)
		return;
	pool_spawn_failed(&pool->policy, now_ms);
	log_failure(pool, n, error, now_ms);
}

static void end_batch(struct batch *batch)
{
	if (batch->births != NULL)
		munmap(batch->births, batch->n * sizeof(*batch->births));
	*batch = (struct batch){ .n = 0 };
}

/* Who was killed before it was born is killed now; who was told to leave is told again. */
static void born(struct service_pool *pool, unsigned seat, pid_t pid)
{
	pool->workers[seat].pid = pid;
	if (pool->policy.seats[seat].phase == SEAT_KILLED)
		process_signal(pid, SIGKILL);
}

void spawn_look(struct service_pool *pool)
{
	struct batch *batch = &pool->batch;

	if (!spawn_is_forking(pool))
		return;
	while (spawn_is_forking(pool)) {
		int birth = atomic_load(&batch->births[batch->born]);

		if (birth == 0)
			return;
		if (birth < 0) {
			give_up(pool, batch->next, batch->n - batch->born, -birth);
			break;
		}
		batch->next = spawn_find_unborn(pool, batch->next);
		born(pool, batch->next, birth);
		batch->born++;
	}
	end_batch(batch);
	pool->look = true;
}

void spawn_ended(struct service_pool *pool, unsigned seat)
{
	struct batch *batch = &pool->batch;

	if (!spawn_is_forking(pool) || batch->leader != seat)
		return;
	give_up(pool, batch->next, batch->n - batch->born, 0);
	end_batch(batch);
}

int spawn_batch(struct service_pool *pool)
{
	struct batch *batch = &pool->batch;
	unsigned n = pool->wanted;
	pid_t pid = -1;

	if (n == 0)
		return 0;
	pool->wanted = 0;
	batch->n = n;
	if (pool->outdated)
		errno = ESTALE;
	else
		pid = launch_batch(pool, n);
	if (pid < 0) {
		give_up(pool, 0, n, errno);
		end_batch(batch);
		return -1;
	}
	batch->leader = batch->next = spawn_find_unborn(pool, 0);
	batch->born = 1;
	born(pool, batch->leader, pid);
	if (n == 1)
		end_batch(batch);
	return 0;
}
