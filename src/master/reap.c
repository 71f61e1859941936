#include "master/reap.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/process.h"
#include "base/text.h"
#include "master/account.h"
#include "master/look.h"
#include "master/persist.h"
#include "master/postmortem.h"
#include "master/spawn.h"
#include "master/state.h"
#include "net/address.h"
#include "worker/worker.h"

static const char *service_name(const struct worker *worker)
{
	return conf_string(worker->pool->generation->conf, worker->pool->service->name);
}

/* What a sandbox ended: the worker itself has said by which call, so it may be wrong. */
static void add_refused_call(const struct worker *worker, char *buf, size_t size)
{
	unsigned call = board_slot(worker->pool->board, worker->seat)->refused_call;
	const char *name = call > 0 ? worker_refused_call(call - 1) : NULL;
	struct text text = { .buf = buf, .size = size, .length = strlen(buf) };

	if (name != NULL)
		text_addf(&text, " (run.sandbox: %s)", name);
	else if (call > 0)
		text_addf(&text, " (run.sandbox: system call %u)", call - 1);
}

static void describe(const struct worker *worker, int status, char *buf, size_t size)
{
	char name[PROCESS_SIGNAL_NAME];
	const char *known = NULL;

	if (WIFSIGNALED(status)) {
		snprintf(buf, size, "%s%s", process_signal_name(WTERMSIG(status), name),
			 WCOREDUMP(status) ? " (core dumped)" : "");
		if (WTERMSIG(status) == SIGSYS)
			add_refused_call(worker, buf, size);
		return;
	}
	/* a program's statuses have meanings of their own */
	if (worker->pool->service->kind != CONF_PERSISTENT || status == 0)
		known = worker_exit_text(WEXITSTATUS(status));
	if (known != NULL)
		snprintf(buf, size, "%s", known);
	else
		snprintf(buf, size, "status %d", WEXITSTATUS(status));
}

/* Of the conn that ends with its worker. */
static void add_conn(struct postmortem *record, const struct slot *slot, long long born_ms,
		     long long now_ms)
{
	struct sockaddr_storage peer = slot->peer;

	address_text(&peer, slot->peer_length, record->peer);
	record->conn_age_ms = board_age_ms(slot, born_ms, now_ms);
	record->conn_in = atomic_load(&slot->conn_in);
	record->conn_out = atomic_load(&slot->conn_out);
}

/* All that is known of an end. */
static struct postmortem examine(const struct worker *worker, int status,
				 const struct rusage *usage)
{
	const struct slot *slot = board_slot(worker->pool->board, worker->seat);
	long long now_ms = clock_now_ms();
	struct postmortem record = {
		.at_ms = time(NULL) * 1000LL,
		.worker = worker->seat + 1,
		.generation = worker->generation,
		.pid = worker->pid,
		.age_ms = now_ms - worker->born_ms,
		.cpu_ms = process_cpu_ms(usage),
		.max_rss = usage->ru_maxrss * 1024LL,
		.counts = board_read(slot),
		.peer = "-",
	};

	snprintf(record.service, sizeof(record.service), "%s", service_name(worker));
	describe(worker, status, record.reason, sizeof(record.reason));
	record.counts.lost = record.counts.in_flight;
	record.counts.in_flight = 0;
	if (record.counts.lost > 0)
		add_conn(&record, slot, worker->born_ms, now_ms);
	board_notes(slot, record.last_lines, sizeof(record.last_lines));
	return record;
}

static const char *oom_text(enum postmortem_oom oom)
{
	return oom == OOM_YES ? "yes" : oom == OOM_NO ? "no" : "unknown";
}

/* An end that nobody asked for is a warning. */
static void explain(const struct postmortem *record, enum log_level level)
{
	const struct counts *counts = &record->counts;

	log_write(level, "worker_exit",
		  LOG_FIELDS(KV("service", record->service), KV("worker", record->worker),
			     KV("worker_pid", record->pid), KV("generation", record->generation),
			     KV("reason", record->reason), KV("serving", record->peer),
			     KV("accepted", counts->accepted), KV("served", counts->served),
			     KV("failed", counts->failed), KV("refused", counts->refused),
			     KV("lost", counts->lost), KV("oom", oom_text(record->oom)),
			     KV("conn_age_ms", record->conn_age_ms), KV("cpu_ms", record->cpu_ms),
			     KV("max_rss", record->max_rss), KV("age_ms", record->age_ms)));
}

/* Crashed or exited with an error; not: left, or was ended from outside. */
static bool is_own_fault(const struct worker *worker, int status)
{
	/* a program that stays has no reason to leave by itself */
	if (worker->pool->service->kind == CONF_PERSISTENT)
		return true;
	if (WIFEXITED(status))
		return WEXITSTATUS(status) != WORKER_EXIT_OK;
	return WTERMSIG(status) != SIGKILL && WTERMSIG(status) != SIGTERM;
}

static void look_for_orphans(struct master *master)
{
	if (master->orphans_next_ms == 0)
		master->orphans_next_ms = clock_now_ms();
}

/* Of a generation that starts; a program that is ready at once has not shown anything yet. */
static bool shows_fault(const struct worker *worker)
{
	return !worker->pool->policy.seats[worker->seat].was_ready ||
	       worker->pool->service->kind == CONF_PERSISTENT ||
	       worker->pool->generation->canary == CANARY_SINGS;
}

/* Every end is a line, and one that nobody asked for is remembered. */
static void report(const struct worker *worker, struct postmortem *record, int status)
{
	struct master *master = worker->pool->generation->master;
	enum seat_phase phase = worker->pool->policy.seats[worker->seat].phase;
	bool asked = phase == SEAT_LEAVING || phase == SEAT_KILLED || worker->stopping;

	/* only who was killed by somebody else may have been killed for its memory */
	record->oom = OOM_NO;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && phase != SEAT_KILLED)
		record->oom = postmortem_was_oom(master);
	if (!asked || record->counts.lost > 0 || record->oom == OOM_YES) {
		explain(record, LOG_LEVEL_WARNING);
		postmortem_add(master, record);
	} else {
		bool quiet = state_start_failed(master) && record->counts.accepted == 0;

		explain(record, quiet ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	}
	if (!asked && shows_fault(worker))
		worker->pool->generation->start_failed = true;
}

static void free_seat(struct worker *worker, const struct counts *counts, int status)
{
	struct service_pool *pool = worker->pool;
	struct pool_exit how = { counts->accepted > 0, is_own_fault(worker, status) };

	pool_exited(&pool->policy, worker->seat, how, clock_now_ms());
	pool->look = true;
	worker->pid = 0;
}

void reap_worker(struct worker *worker)
{
	const struct service_pool *pool = worker->pool;
	struct master *master = pool->generation->master;
	struct postmortem record;
	struct rusage usage = { 0 };
	int status = 0;

	if (wait4(worker->pid, &status, WNOHANG, &usage) == 0)
		return;
	if (pool->service->kind == CONF_PERSISTENT)
		persist_listen(master);
	look_ready(worker); /* its READY may be behind its end in the queue of events */
	record = examine(worker, status, &usage);
	report(worker, &record, status);
	account_add(master, record.service, &record.counts);
	/* who was ended from outside could not clean up behind its programs */
	if (pool->service->kind == CONF_PERSISTENT ||
	    (pool->service->kind == CONF_EXEC && WIFSIGNALED(status)))
		look_for_orphans(master);
	free_seat(worker, &record.counts, status);
	spawn_ended(worker->pool, worker->seat);
}
