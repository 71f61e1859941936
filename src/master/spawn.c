#include "master/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/process.h"
#include "master/reap.h"
#include "master/state.h"
#include "worker/worker.h"

_Noreturn static void become_worker(struct service_pool *pool, unsigned seat, pid_t master,
				    int ready_fd)
{
	const struct worker_seat worker = {
		.conf = pool->generation->conf,
		.service = pool->service,
		.board = pool->board,
		.listener = listener_fd(&pool->listener->listener, seat),
		.detach = pool->generation->master->daemon_fd >= 0,
		.ready_fd = ready_fd,
		.master = master,
		.index = seat,
		.generation = pool->generation->id,
		.notify_name = pool->generation->master->messages_name,
		.bell_fd = pool->bell.fd,
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

/* Both or none. 0, or -1 with errno, and then the descriptors are still the caller's. */
static int watch_worker(struct master *master, struct worker *worker, int pidfd, int ready_fd)
{
	if (watch_add(master, &worker->ready, ready_fd, reap_ready, worker) < 0)
		return -1;
	if (watch_add(master, &worker->exit, pidfd, reap_worker, worker) == 0)
		return 0;
	watch_forget(master, &worker->ready);
	return -1;
}

/* A child that cannot be watched is none of ours. */
static void abandon(pid_t pid, int *pidfd, int *ready_fd)
{
	int saved = errno;

	if (pid > 0) {
		process_signal(*pidfd, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	fd_close(pidfd);
	fd_close(ready_fd);
	errno = saved;
}

/* Returns the pid, or -1 with errno; then nothing is left of the attempt. */
static pid_t fork_worker(struct service_pool *pool, unsigned seat)
{
	struct worker *worker = &pool->workers[seat];
	int ready[2], pidfd = -1;
	pid_t master = getpid(), pid;

	if (pool->outdated) {
		errno = ESTALE;
		return -1;
	}

	if (pool->service->kind == CONF_PERSISTENT)
		listener_revive(&pool->listener->listener, seat);
	if (pipe2(ready, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	board_clear(pool->board, seat);
	pid = process_fork(&pidfd);
	if (pid == 0)
		become_worker(pool, seat, master, ready[1]);
	fd_close(&ready[1]);
	if (pid > 0 && watch_worker(pool->generation->master, worker, pidfd, ready[0]) == 0)
		return pid;
	abandon(pid, &pidfd, &ready[0]);
	return -1;
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
		.exit.fd = -1,
		.ready.fd = -1,
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
