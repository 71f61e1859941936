#include "master/spawn.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "master/state.h"
#include "worker/worker.h"

_Noreturn static void become_worker(struct service_pool *pool, unsigned seat, pid_t master)
{
	const struct worker_seat worker = {
		.conf = pool->generation->conf,
		.service = pool->service,
		.board = pool->board,
		.listener = listener_fd(&pool->listener->listener, seat),
		.detach = pool->generation->master->daemon_fd >= 0,
		.ready_fd = pool->ready_fd,
		.master = master,
		.index = seat,
		.generation = pool->generation->id,
		.notify_name = pool->generation->master->messages_name,
		.bell_fd = pool->bell_fd,
		.conns_max = pool->workers[seat].conns_max,
	};

	worker_run(&worker);
}

static void log_failure(const struct service_pool *pool, unsigned seat, int error)
{
	log_warning("fork_failed",
		    KV("service", conf_string(pool->generation->conf, pool->service->name)),
		    KV("worker", seat + 1), KV("error", strerror(error)),
		    KV("retry_ms", pool->policy.not_before_ms - clock_now_ms()));
}

/* Returns the pid, or -1 with errno; then nothing is left of the attempt. */
static pid_t fork_worker(struct service_pool *pool, unsigned seat)
{
	pid_t master = getpid(), pid;

	if (pool->outdated) {
		errno = ESTALE;
		return -1;
	}

	if (pool->service->kind == CONF_PERSISTENT)
		listener_revive(&pool->listener->listener, seat);
	board_clear(pool->board, seat);
	pid = fork();
	if (pid == 0)
		become_worker(pool, seat, master);
	return pid;
}

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
	struct worker *worker = &pool->workers[seat];
	pid_t pid;

	*worker = new_worker(pool, seat);
	say_what_is_missing(pool);
	pid = fork_worker(pool, seat);

	if (pid < 0) {
		int error = errno;

		pool_spawn_failed(&pool->policy, clock_now_ms());
		log_failure(pool, seat, error);
		return;
	}
	worker->pid = pid;
	pool_spawned(&pool->policy, seat, worker->born_ms);
}
