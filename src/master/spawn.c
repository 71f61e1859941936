#include "master/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
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

void spawn_worker(struct service_pool *pool, unsigned seat)
{
	struct worker *worker = &pool->workers[seat];
	pid_t pid = fork_worker(pool, seat);

	if (pid < 0) {
		int error = errno;

		pool_spawn_failed(&pool->policy, clock_now_ms());
		log_failure(pool, seat, error);
		return;
	}
	worker->pid = pid;
	worker->begins = worker->stopping = worker->told = false;
	worker->ready_at_ms = worker->start_by_ms = worker->watchdog_at_ms = 0;
	worker->born_ms = clock_now_ms();
	pool_spawned(&pool->policy, seat, worker->born_ms);
}
