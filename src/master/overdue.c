#include "master/overdue.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "board/board.h"
#include "master/state.h"
#include "net/address.h"

#define SIZES_MS 5000 /* between two looks at the memory of a worker */

bool overdue_is_kept(const struct service_pool *pool)
{
	const struct conf_service *service = pool->service;

	return service->slow_ms > 0 || service->max_rss > 0 ||
	       (service->total_ms > 0 && service->stuck_ms > 0);
}

/* The first line of a file of /proc; "-" if it cannot be read. */
static const char *proc_line(pid_t pid, const char *name, char *buf, size_t size)
{
	char path[64];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, buf, size - 1);
		close(fd);
	}
	if (n <= 0)
		return "-";
	buf[n] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return buf;
}

/* "S" of "(a name (with) anything) S ...": sleeping, proc(5). */
static char proc_state(pid_t pid)
{
	char buf[512];
	const char *end = strrchr(proc_line(pid, "stat", buf, sizeof(buf)), ')');

	return end != NULL && end[1] == ' ' ? end[2] : '?';
}

static void log_slow(const struct worker *worker, const struct slot *slot, long long age_ms)
{
	char peer[ADDRESS_TEXT_MAX], wchan[128], call[256], state[2] = { proc_state(worker->pid) };
	struct sockaddr_storage address = slot->peer;

	log_warning("conn_slow",
		    KV("service",
		       conf_string(worker->pool->generation->conf, worker->pool->service->name)),
		    KV("worker", worker->seat + 1), KV("worker_pid", worker->pid),
		    KV("peer", address_text(&address, slot->peer_length, peer)),
		    KV("age_ms", age_ms), KV("bytes_in", atomic_load(&slot->conn_in)),
		    KV("bytes_out", atomic_load(&slot->conn_out)), KV("state", state),
		    KV("wchan", proc_line(worker->pid, "wchan", wchan, sizeof(wchan))),
		    KV("syscall", proc_line(worker->pid, "syscall", call, sizeof(call))));
}

static void end_stuck(struct worker *worker, long long age_ms, long long now_ms)
{
	struct pool *policy = &worker->pool->policy;

	if (worker->told_why != NULL)
		return;
	worker->told_why = "stuck";
	log_warning("worker_stuck",
		    KV("service",
		       conf_string(worker->pool->generation->conf, worker->pool->service->name)),
		    KV("worker", worker->seat + 1), KV("worker_pid", worker->pid),
		    KV("age_ms", age_ms), KV("kill_ms", policy->limits.grace_ms));
	pool_overdue(policy, worker->seat, now_ms);
	if (worker->pool->generation->canary == CANARY_SINGS)
		worker->pool->generation->start_failed = true;
}

static long long later(long long a_ms, long long b_ms)
{
	return a_ms > b_ms ? a_ms : b_ms;
}

long long overdue_check(struct worker *worker, const struct counts *counts, long long now_ms)
{
	const struct conf_service *service = worker->pool->service;
	const struct slot *slot = board_slot(worker->pool->board, worker->seat);
	long long since_ms = now_ms - board_age_ms(slot, worker->born_ms, now_ms);
	long long slow_ms = 0, stuck_ms = 0;

	if (service->total_ms > 0 && service->stuck_ms > 0)
		stuck_ms = since_ms + service->total_ms + service->stuck_ms;
	if (stuck_ms != 0 && now_ms >= stuck_ms) {
		end_stuck(worker, now_ms - since_ms, now_ms);
		stuck_ms = 0;
	}
	/* a conn begins after the last line at the earliest, whatever a worker that lies says */
	if (service->slow_ms > 0 && worker->slow_conn != counts->accepted)
		slow_ms = later(since_ms, worker->slow_ms) + service->slow_ms;
	if (slow_ms != 0 && now_ms >= slow_ms) {
		worker->slow_conn = counts->accepted;
		worker->slow_ms = now_ms;
		log_slow(worker, slot, now_ms - since_ms);
		slow_ms = 0;
	}
	clock_earlier(&slow_ms, stuck_ms);
	return slow_ms;
}

/*
 * Resident memory that is no file's and nobody else's. Not smaps_rollup, which has it
 * to the page: that waits for a lock of the worker (proc(5)).
 */
static long long private_bytes(pid_t pid)
{
	long long resident, shared;
	char buf[128], *rest;

	if (!isdigit((unsigned char)proc_line(pid, "statm", buf, sizeof(buf))[0]))
		return 0;
	/* of the whole size, of what is resident, of what of that is shared */
	(void)strtoll(buf, &rest, 10);
	resident = strtoll(rest, &rest, 10);
	shared = strtoll(rest, &rest, 10);
	return (resident - shared) * sysconf(_SC_PAGESIZE);
}

static void expire_big(struct service_pool *pool, long long now_ms)
{
	for (unsigned i = 0; i < pool->policy.n_seats; i++) {
		if (pool->policy.seats[i].phase == SEAT_READY &&
		    private_bytes(pool->workers[i].pid) > pool->service->max_rss)
			pool_expire(&pool->policy, i, now_ms);
	}
}

void overdue_sizes(struct service_pool *pool, bool active, long long now_ms)
{
	if (pool->service->max_rss == 0)
		return;
	/* some time after it began to work, as it grows meanwhile; and again as long as it does */
	if (active && pool->sizes_ms == 0)
		pool->sizes_ms = now_ms + SIZES_MS;
	if (pool->sizes_ms != 0 && now_ms >= pool->sizes_ms) {
		expire_big(pool, now_ms);
		pool->sizes_ms = active || pool->policy.busy > 0 ? now_ms + SIZES_MS : 0;
	}
	pool->times_ms = pool->sizes_ms;
}
