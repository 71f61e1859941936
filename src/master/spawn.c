#include "master/spawn.h"

#include <errno.h>
#include <fcntl.h>
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

/* The worker's READY, or the end of the pipe when it died before. */
static int on_ready(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct worker *worker = data;

	(void)source;
	(void)fd;
	(void)events;
	reap_ready(worker);
	return 0;
}

static int on_exit_event(sd_event_source *source, const siginfo_t *info, void *data)
{
	(void)source;
	reap_worker(data, info);
	return 0;
}

static int watch(struct worker *worker)
{
	sd_event *event = worker->pool->generation->master->event;
	int r;

	r = sd_event_add_child_pidfd(event, &worker->exit_source, worker->pidfd, WEXITED,
				     on_exit_event, worker);
	if (r < 0)
		return r;
	sd_event_source_set_child_pidfd_own(worker->exit_source, 1);
	r = sd_event_add_io(event, &worker->ready_source, worker->ready_fd, EPOLLIN, on_ready,
			    worker);
	if (r < 0)
		return r;
	return sd_event_source_set_io_fd_own(worker->ready_source, 1);
}

_Noreturn static void become_worker(struct service_pool *pool, unsigned seat, pid_t master,
				    int ready_fd)
{
	const struct worker_seat worker = {
		.conf = pool->generation->conf,
		.service = pool->service,
		.slot = board_slot(pool->board, seat),
		.listener = pool->listener->listener.fd,
		.ready_fd = ready_fd,
		.master = master,
		.index = seat + 1,
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
static pid_t fork_worker(struct service_pool *pool, unsigned seat, struct worker *worker)
{
	pid_t master = getpid(), pid;
	int ready[2];

	if (pipe2(ready, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	board_show(pool->board, seat);
	pid = process_fork(&worker->pidfd);
	if (pid == 0)
		become_worker(pool, seat, master, ready[1]);
	board_hide(pool->board, seat);
	fd_close(&ready[1]);
	if (pid < 0)
		fd_close(&ready[0]);
	worker->ready_fd = ready[0];
	return pid;
}

void spawn_worker(struct service_pool *pool, unsigned seat)
{
	struct worker *worker = &pool->workers[seat];
	int r;

	worker->pid = fork_worker(pool, seat, worker);
	if (worker->pid < 0) {
		r = errno;
		worker->pid = 0;
		pool_spawn_failed(&pool->policy, clock_now_ms());
		log_failure(pool, seat, r);
		return;
	}
	worker->born_ms = clock_now_ms();
	r = watch(worker);
	if (r < 0) {
		/* a child that cannot be watched is none of ours */
		reap_unwatched(worker);
		pool_spawn_failed(&pool->policy, clock_now_ms());
		log_failure(pool, seat, -r);
		return;
	}
	pool_spawned(&pool->policy, seat, worker->born_ms);
}
