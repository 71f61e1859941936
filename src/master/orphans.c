#include "master/orphans.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/process.h"
#include "master/state.h"

#define AGAIN_MS 50 /* SIGKILL has its effect by then, and their children are ours */

int orphans_setup(void)
{
	return prctl(PR_SET_CHILD_SUBREAPER, 1);
}

static bool has_worker(const struct generation *generation, pid_t pid)
{
	for (unsigned i = 0; generation != NULL && i < generation->n_pools; i++) {
		const struct service_pool *pool = &generation->pools[i];

		for (unsigned seat = 0; seat < pool->policy.n_seats; seat++) {
			if (pool->workers[seat].pid == pid)
				return true;
		}
	}
	return false;
}

static bool is_known(const struct master *master, pid_t pid)
{
	if (master->load_exit != NULL && master->load.pid == pid)
		return true;
	if (pid == master->rehearsal_pid)
		return true;
	for (const struct generation *g = master->retired; g != NULL; g = g->next) {
		if (has_worker(g, pid))
			return true;
	}
	return has_worker(master->current, pid) || has_worker(master->starting, pid);
}

struct search {
	const struct master *master;
	unsigned n;
};

static void end_unknown(pid_t pid, void *data)
{
	struct search *search = data;

	if (is_known(search->master, pid))
		return;
	if (waitpid(pid, NULL, WNOHANG) == 0) {
		kill(pid, SIGKILL);
		log_notice("orphan_killed", KV("orphan_pid", pid));
	}
	search->n++;
}

void orphans_end(struct master *master)
{
	struct search search = { .master = master };

	process_each_child(end_unknown, &search);
	master->orphans_next_ms = search.n > 0 ? clock_now_ms() + AGAIN_MS : 0;
}
