#include "master/reap.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/process.h"
#include "base/text.h"
#include "master/account.h"
#include "master/persist.h"
#include "master/state.h"
#include "net/address.h"
#include "worker/worker.h"

void reap_ready(struct worker *worker)
{
	char byte;
	ssize_t n;

	if (worker->ready.fd < 0)
		return;
	while ((n = read(worker->ready.fd, &byte, 1)) == 1) {
		if (byte == WORKER_READY[0])
			pool_ready(&worker->pool->policy, worker->seat, clock_now_ms());
		worker->begins = byte == WORKER_BECOMES[0];
	}
	/* the other end is still open: more is to come */
	if (n < 0 && worker->begins)
		return;
	if (worker->begins)
		persist_began(worker);
	worker->begins = false;
	watch_remove(worker->pool->generation->master, &worker->ready);
}

static const char *service_name(const struct worker *worker)
{
	return conf_string(worker->pool->generation->conf, worker->pool->service->name);
}

static const char *describe(const struct worker *worker, const siginfo_t *info, char *buf,
			    size_t size)
{
	char name[PROCESS_SIGNAL_NAME];
	const char *known = NULL;

	if (info->si_code != CLD_EXITED) {
		snprintf(buf, size, "%s%s", process_signal_name(info->si_status, name),
			 info->si_code == CLD_DUMPED ? " (core dumped)" : "");
		return buf;
	}
	/* a program's statuses have meanings of their own */
	if (worker->pool->service->kind != CONF_PERSISTENT || info->si_status == 0)
		known = worker_exit_text(info->si_status);
	if (known != NULL)
		return known;
	snprintf(buf, size, "status %d", info->si_status);
	return buf;
}

/* An end that nobody asked for is a warning. */
static void explain(const struct worker *worker, const siginfo_t *info, const struct counts *counts,
		    enum log_level level)
{
	const struct slot *slot = board_slot(worker->pool->board, worker->seat);
	struct sockaddr_storage peer = slot->peer;
	char reason[64], serving[ADDRESS_TEXT_MAX] = "-";

	if (counts->lost > 0)
		address_text(&peer, slot->peer_length, serving);
	log_write(level, "worker_exit",
		  LOG_FIELDS(KV("service", service_name(worker)), KV("worker", worker->seat + 1),
			     KV("worker_pid", worker->pid),
			     KV("generation", worker->pool->generation->id),
			     KV("reason", describe(worker, info, reason, sizeof(reason))),
			     KV("serving", serving), KV("accepted", counts->accepted),
			     KV("served", counts->served), KV("failed", counts->failed),
			     KV("refused", counts->refused), KV("lost", counts->lost),
			     KV("age_ms", clock_now_ms() - worker->born_ms)));
}

/* Crashed or exited with an error; not: left, or was ended from outside. */
static bool is_own_fault(const struct worker *worker, const siginfo_t *info)
{
	/* a program that stays has no reason to leave by itself */
	if (worker->pool->service->kind == CONF_PERSISTENT)
		return true;
	if (info->si_code == CLD_EXITED)
		return info->si_status != WORKER_EXIT_OK;
	return info->si_status != SIGKILL && info->si_status != SIGTERM;
}

static void look_for_orphans(struct master *master)
{
	if (master->orphans_next_ms == 0)
		master->orphans_next_ms = clock_now_ms();
}

void reap_worker(struct worker *worker)
{
	struct service_pool *pool = worker->pool;
	struct master *master = pool->generation->master;
	struct seat *seat = &pool->policy.seats[worker->seat];
	struct pool_exit how;
	struct counts counts;
	siginfo_t info = { 0 };
	bool asked;

	if (waitid(P_PIDFD, (id_t)worker->exit.fd, &info, WEXITED | WNOHANG) == 0 &&
	    info.si_pid == 0)
		return;
	if (pool->service->kind == CONF_PERSISTENT)
		persist_listen(master);
	reap_ready(worker); /* its READY may be behind its end in the queue of events */
	counts = board_read(board_slot(pool->board, worker->seat));
	how = (struct pool_exit){ counts.accepted > 0, is_own_fault(worker, &info) };
	asked = seat->phase == SEAT_LEAVING || seat->phase == SEAT_KILLED || worker->stopping;
	counts.lost = counts.in_flight;
	counts.in_flight = 0;
	explain(worker, &info, &counts,
		asked && counts.lost == 0 ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING);
	account_add(master, service_name(worker), &counts);
	/* a program that is ready at once has not shown anything yet */
	if (!asked && (!seat->was_ready || pool->service->kind == CONF_PERSISTENT))
		pool->generation->start_failed = true;
	/* who was ended from outside could not clean up behind its programs */
	if (pool->service->kind == CONF_PERSISTENT ||
	    (pool->service->kind == CONF_EXEC && info.si_code != CLD_EXITED))
		look_for_orphans(master);
	pool_exited(&pool->policy, worker->seat, how, clock_now_ms());
	watch_remove(master, &worker->exit);
	worker->pid = 0;
}
