/*
 * postmortem.h - why workers died: the last ends that nobody had asked for.
 *
 * The same that stands in the line worker_exit, and what its handler said last;
 * kept so that it can be asked for when the log is somewhere else.
 */
#ifndef PREFORKD_MASTER_POSTMORTEM_H
#define PREFORKD_MASTER_POSTMORTEM_H

#include <sys/types.h>

#include "board/board.h"
#include "net/address.h"

#define POSTMORTEM_KEPT 64 /* of them, the newest */

enum postmortem_oom { OOM_UNKNOWN, OOM_NO, OOM_YES };

struct postmortem {
	long long at_ms; /* since the epoch */
	char service[64], reason[64];
	unsigned worker, generation; /* the worker from 1 */
	pid_t pid;
	enum postmortem_oom oom;
	long long age_ms, cpu_ms, max_rss; /* bytes */
	struct counts counts;

	/* of the conn that was lost with it; peer is "-" when there was none */
	char peer[ADDRESS_TEXT_MAX];
	long long conn_age_ms;
	uint64_t conn_in, conn_out;

	char last_lines[1024]; /* of its handler, each with a line feed; a stranger's text */
};

struct master;

/* Before there are workers: whom the OOM killer has ended up to here is none of them. */
void postmortem_setup(struct master *master);
void postmortem_free(struct master *master);

/* Keep a copy. Without memory there is none, and the line in the log must do. */
void postmortem_add(struct master *master, const struct postmortem *record);

/* The newest one (back 0), the one before it (1), ... NULL: no more. */
const struct postmortem *postmortem_get(const struct master *master, unsigned back);

/*
 * Whether the kernel's OOM killer has ended a process of our cgroup in the last seconds;
 * each is told once. Source: memory.events in cgroups(7). OOM_UNKNOWN without such a file.
 */
enum postmortem_oom postmortem_was_oom(struct master *master);

#endif
