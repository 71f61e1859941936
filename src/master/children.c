#include "master/children.h"

#include <sys/wait.h>

#include "master/reap.h"
#include "master/reload.h"
#include "master/spawn.h"
#include "master/state.h"
#include "master/upgrade.h"

#define ENDS_A_ROUND 64

static struct worker *find_in(const struct generation *generation, pid_t pid)
{
	for (unsigned i = 0; generation != NULL && i < generation->n_pools; i++) {
		struct service_pool *pool = &generation->pools[i];

		/* it may have been born since we looked */
		spawn_look(pool);
		for (unsigned seat = 0; seat < pool->policy.n_seats; seat++) {
			if (pool->workers[seat].pid == pid)
				return &pool->workers[seat];
		}
	}
	return NULL;
}

struct worker *children_worker(const struct master *master, pid_t pid)
{
	struct worker *worker;

	/* 0 is that of an empty seat */
	if (pid <= 0)
		return NULL;
	worker = find_in(master->current, pid);
	if (worker == NULL)
		worker = find_in(master->starting, pid);
	for (const struct generation *g = master->retired; worker == NULL && g != NULL; g = g->next)
		worker = find_in(g, pid);
	return worker;
}

/* Whose end it is has to reap it. */
static void ended(struct master *master, pid_t pid)
{
	struct worker *worker = children_worker(master, pid);

	if (worker != NULL)
		reap_worker(worker);
	else if (master->loading && master->load.pid == pid)
		reload_loaded(master);
	else if (master->rehearsal_pid == pid)
		upgrade_rehearsed(master);
	else
		(void)waitpid(pid, NULL, WNOHANG); /* an orphan */
}

bool children_reap(struct master *master)
{
	for (int n = 0; n < ENDS_A_ROUND; n++) {
		siginfo_t info = { 0 };

		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
			return false;
		ended(master, info.si_pid);
	}
	return true;
}
