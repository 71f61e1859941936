#include "master/orphans.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/process.h"
#include "master/children.h"
#include "master/spawn.h"
#include "master/state.h"

#define AGAIN_MS 50 /* SIGKILL has its effect by then, and their children are ours */

int orphans_setup(void)
{
	return prctl(PR_SET_CHILD_SUBREAPER, 1);
}

static bool is_known(const struct master *master, pid_t pid)
{
	return (master->loading && master->load.pid == pid) || master->rehearsal_pid == pid ||
	       children_worker(master, pid) != NULL;
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

	bool known = !spawn_any_forking(master);

	if (known)
		process_each_child(end_unknown, &search);
	master->orphans_next_ms = !known || search.n > 0 ? clock_now_ms() + AGAIN_MS : 0;
}
