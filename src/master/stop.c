#include "master/stop.h"

#include "base/clock.h"
#include "base/log.h"
#include "master/account.h"
#include "master/generation.h"
#include "master/listeners.h"
#include "master/notify.h"
#include "master/upgrade.h"

#define MANAGER_GRACE_MS 5000 /* what the service manager shall wait beyond the drain time */

static long long longest_drain(const struct generation *generation)
{
	long long longest = 0;

	for (unsigned i = 0; generation != NULL && i < generation->n_pools; i++) {
		if (generation->pools[i].policy.limits.drain_ms > longest)
			longest = generation->pools[i].policy.limits.drain_ms;
	}
	return longest;
}

/* Nobody takes over: the pools serve what waits in their queues. */
static long long retire_all(struct master *master)
{
	struct generation *current = master->current, *starting = master->starting;
	long long drain_ms = longest_drain(current);

	master->current = NULL;
	master->starting = NULL;
	if (current != NULL)
		generation_retire(master, current);
	if (starting != NULL)
		generation_retire(master, starting);
	for (const struct generation *g = master->retired; g != NULL; g = g->next) {
		if (longest_drain(g) > drain_ms)
			drain_ms = longest_drain(g);
	}
	listeners_sweep(master);
	return drain_ms;
}

void stop_begin(struct master *master, enum master_stop how)
{
	long long drain_ms;

	if (master->stopping == STOP_NOT)
		account_stop(master);
	drain_ms = retire_all(master);
	upgrade_cancel(master);
	/* what a reload on its way comes to does not matter any more */
	master->reloading = false;
	if (how == STOP_NOW)
		drain_ms = 0;
	if (master->stopping == STOP_NOT)
		notify_stopping(drain_ms + MANAGER_GRACE_MS);
	master->stopping = how;
	log_notice("stopping", KV("how", how == STOP_NOW ? "now" : "graceful"),
		   KV("drain_ms", drain_ms));
	for (struct generation *g = master->retired; how == STOP_NOW && g != NULL; g = g->next)
		generation_kill(g);
	master->stop_deadline_ms = clock_now_ms() + drain_ms + STOP_KILL_GRACE_MS;
}

void stop_check(struct master *master, long long now_ms)
{
	if ((master->retired != NULL || master->orphans_next_ms != 0) &&
	    now_ms < master->stop_deadline_ms)
		return;
	if (master->retired != NULL)
		log_error("workers_left_behind",
			  KV("error", "they do not even die of SIGKILL (stuck in the kernel)"));
	sd_event_exit(master->event, master->exit_status);
}
