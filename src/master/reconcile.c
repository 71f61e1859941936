#include "master/reconcile.h"

#include <signal.h>
#include <sysexits.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/process.h"
#include "master/account.h"
#include "master/canary.h"
#include "master/children.h"
#include "master/control.h"
#include "master/generation.h"
#include "master/listeners.h"
#include "master/look.h"
#include "master/loop.h"
#include "master/notify.h"
#include "master/orphans.h"
#include "master/persist.h"
#include "master/reload.h"
#include "master/spawn.h"
#include "master/state.h"
#include "master/stop.h"
#include "master/store.h"
#include "master/upgrade.h"
#include "net/address.h"

#define RETIRED_MAX 4	    /* generations that may finish at the same time */
#define BIRTHS_MS 20	    /* between two looks at a batch of a pool that has no bell any more */
#define BIND_RETRY_MS 250LL /* between two attempts to bind to an address that is not there yet */

/* One round's budget and the next moment that matters. */
struct round {
	long long now_ms, wake_ms;
};

static void wake_at(struct round *round, long long at_ms)
{
	clock_earlier(&round->wake_ms, at_ms);
}

static void stop_worker(struct service_pool *pool, unsigned seat, long long now_ms)
{
	struct worker *worker = &pool->workers[seat];
	bool program = pool->service->kind == CONF_PERSISTENT;

	/* ours may miss one, and take many for one; other programs take the second one badly */
	if (!program || !worker->told)
		process_signal(worker->pid,
			       !program && seat >= pool->drain_from ? SIGUSR1 : SIGTERM);
	worker->told = worker->pid > 0;
	pool_stop_sent(&pool->policy, seat, now_ms);
	pool->look = true;
}

static void kill_worker(struct service_pool *pool, unsigned seat, long long now_ms)
{
	const struct slot *slot = board_slot(pool->board, seat);
	struct counts counts = board_read(slot);
	bool quiet = state_start_failed(pool->generation->master) && counts.in_flight == 0;
	struct sockaddr_storage peer = slot->peer;
	const char *why = pool->workers[seat].told_why;
	char serving[ADDRESS_TEXT_MAX] = "-";

	if (pool->policy.goal == POOL_KILL)
		why = "stop_now";
	else if (why == NULL)
		why = "drain_time_over";
	if (counts.in_flight > 0)
		address_text(&peer, slot->peer_length, serving);
	log_write(
		quiet ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING, "worker_killed",
		LOG_FIELDS(KV("service", conf_string(pool->generation->conf, pool->service->name)),
			   KV("worker", seat + 1), KV("worker_pid", pool->workers[seat].pid),
			   KV("reason", why), KV("serving", serving)));
	process_signal(pool->workers[seat].pid, SIGKILL);
	pool_kill_sent(&pool->policy, seat, now_ms);
}

/* Said once, and again when it has recovered in between. */
static void check_crash_loop(struct service_pool *pool, struct round *round)
{
	static const char *const words[] = { "backoff", "stop", "exit" };
	long long action = pool->service->on_crash_loop;
	struct master *master = pool->generation->master;

	if (!pool_in_crash_loop(&pool->policy) || pool->policy.goal != POOL_SERVE) {
		pool->crash_loop_said = false;
		return;
	}
	if (pool->crash_loop_said)
		return;
	pool->crash_loop_said = true;
	log_error("crash_loop",
		  KV("service", conf_string(pool->generation->conf, pool->service->name)),
		  KV("failures", pool->policy.crashes), KV("action", words[action]));
	if (action == CONF_CRASH_STOP) {
		pool_pause(&pool->policy, true);
		/* those that are left go at once, and not when the next try is due */
		wake_at(round, round->now_ms);
	}
	if (action != CONF_CRASH_EXIT || master->stop_wanted != STOP_NOT)
		return;
	master->exit_status = EX_SOFTWARE;
	master->stop_wanted = STOP_GRACEFUL;
}

/* Until nothing is to be done but to wait, if only for the end of a batch. */
static void take_steps(struct service_pool *pool, struct round *round)
{
	for (;;) {
		struct pool_step step = pool_next(&pool->policy, round->now_ms);

		switch (step.action) {
		case POOL_WAIT:
			wake_at(round, step.wake_ms);
			return;
		case POOL_DO_SPAWN:
			if (spawn_is_forking(pool))
				return;
			spawn_worker(pool, step.seat);
			break;
		case POOL_DO_STOP:
			stop_worker(pool, step.seat, round->now_ms);
			break;
		case POOL_DO_KILL:
			kill_worker(pool, step.seat, round->now_ms);
			break;
		}
	}
}

/* What preforkctl was told to kill. */
static void kill_wanted(struct service_pool *pool, struct round *round)
{
	for (unsigned i = 0; pool->kills > 0 && i < pool->policy.n_seats; i++) {
		struct worker *worker = &pool->workers[i];

		if (worker->pid == 0 || !worker->kill_wanted)
			continue;
		worker->kill_wanted = false;
		worker->told_why = "asked_for";
		kill_worker(pool, i, round->now_ms);
	}
	pool->kills = 0;
}

static void reconcile_pool(struct service_pool *pool, struct round *round)
{
	spawn_look(pool);
	kill_wanted(pool, round);
	look_at_pool(pool, round->now_ms);
	do {
		take_steps(pool, round);
	} while (spawn_batch(pool) < 0);
	if (spawn_is_forking(pool))
		wake_at(round, round->now_ms + BIRTHS_MS);
	/* who was told to leave is not counted on any more */
	look_at_pool(pool, round->now_ms);
	wake_at(round, look_listen(pool, round->now_ms));
	check_crash_loop(pool, round);
}

static void reconcile_generation(struct generation *generation, struct round *round)
{
	for (unsigned i = 0; generation != NULL && i < generation->n_pools; i++) {
		struct service_pool *pool = &generation->pools[i];

		/* it waits for its address, or its workers serve in another generation still */
		if ((pool->listener == NULL || pool->keeps != NULL) &&
		    pool->policy.goal == POOL_SERVE)
			continue;
		reconcile_pool(pool, round);
	}
}

/* At a reload nothing is forked before all listeners are there; at a start, what can serve does. */
static void reconcile_starting(struct master *master, struct round *round)
{
	if (master->current == NULL || (master->starting != NULL && master->starting->bound))
		reconcile_generation(master->starting, round);
}

/* Before anything is decided: what is due makes programs ready. */
static void check_programs(struct generation *generation, struct round *round)
{
	for (unsigned i = 0; generation != NULL && i < generation->n_pools; i++)
		wake_at(round, persist_check(&generation->pools[i], round->now_ms));
}

/* The oldest of too many is ended; the list is newest first. */
static void limit_retired(struct master *master)
{
	unsigned n = 0;

	for (struct generation *g = master->retired; g != NULL; g = g->next) {
		if (++n > RETIRED_MAX)
			generation_kill(g);
	}
}

static void commit(struct master *master)
{
	struct generation *old = master->current;
	bool first = old == NULL;

	master->current = master->starting;
	generation_serves(master->current);
	master->starting = NULL;
	if (old != NULL) {
		generation_retire(master, old);
		limit_retired(master);
	}
	listeners_adjust(master);
	listeners_sweep(master);
	store_keep(master);
	if (first)
		loop_started(master);
	else
		reload_end(master, NULL);
}

/* Some of its workers may serve somebody already, so they are not killed but retired. */
static void drop(struct master *master, const char *why, int status)
{
	struct generation *failed = master->starting;

	if (master->current == NULL) {
		log_error("start_failed", KV("error", why));
		master->exit_status = status;
		stop_begin(master, STOP_NOW);
		return;
	}
	master->starting = NULL;
	generation_retire(master, failed);
	listeners_sweep(master);
	listeners_shrink(master);
	reload_end(master, why);
}

static void bind_starting(struct master *master, struct round *round)
{
	struct generation *starting = master->starting;
	int status;

	if (starting == NULL || starting->bound || round->now_ms < master->bind_next_ms)
		return;
	if (generation_bind(starting, round->now_ms, &status) < 0) {
		drop(master, "a service cannot be started", status);
	} else if (!starting->bound) {
		master->bind_next_ms = round->now_ms + BIND_RETRY_MS;
		notify_waiting(2 * BIND_RETRY_MS);
	}
}

/* Everybody is ready who was to start so far. */
static void settle_canary(struct master *master, struct round *round)
{
	struct generation *starting = master->starting;
	char buf[256];
	const char *why;

	if (starting->canary == CANARY_NONE) {
		commit(master);
	} else if (!canary_is_over(starting, round->now_ms)) {
		wake_at(round, starting->canary_ms);
	} else {
		why = canary_end(starting, buf, sizeof(buf));
		starting->start_deadline_ms = round->now_ms + GENERATION_START_MS;
		if (why != NULL)
			drop(master, why, EX_OSERR);
	}
}

static const char *why_failed(const struct generation *starting)
{
	if (starting->canary == CANARY_SINGS)
		return "a canary died or was stuck (its own line says why)";
	return "a worker died during the start (its own line says why)";
}

static void settle_starting(struct master *master, struct round *round)
{
	struct generation *starting = master->starting;
	long long settled_ms = starting != NULL ? generation_settled_at(starting) : 0;

	if (starting == NULL)
		return;
	if (!starting->bound)
		wake_at(round, master->bind_next_ms);
	else if (starting->start_failed)
		drop(master, why_failed(starting), EX_OSERR);
	else if (settled_ms != 0 && round->now_ms >= settled_ms)
		settle_canary(master, round);
	else if (round->now_ms >= starting->start_deadline_ms)
		drop(master, "not all workers were ready in time", EX_OSERR);
	else
		wake_at(round, settled_ms != 0 ? settled_ms : starting->start_deadline_ms);
}

static void bury_retired(struct master *master)
{
	struct generation **at = &master->retired;

	while (*at != NULL) {
		struct generation *generation = *at;

		if (!generation_is_empty(generation)) {
			at = &generation->next;
			continue;
		}
		*at = generation->next;
		log_debug("generation_gone", KV("generation", generation->id));
		generation_free(generation);
		account_close(master, false);
	}
}

static void obey_signals(struct master *master)
{
	if (master->stop_wanted > master->stopping)
		stop_begin(master, master->stop_wanted);
	if (master->stopping != STOP_NOT || master->current == NULL)
		return;
	if (master->reopen_wanted) {
		master->reopen_wanted = false;
		reload_reopen_log(master);
	}
	/* who waits for an address would do so for long, perhaps in vain */
	if (master->reload_wanted && master->starting != NULL && !master->starting->bound)
		drop(master, "superseded by another reload", EX_OSERR);
	if (master->rehearsal != NULL) {
		upgrade_check(master);
		return;
	}
	/* one at a time; a HUP during a reload starts another one after it */
	if (master->reloading || master->planning || master->starting != NULL || master->loading)
		return;
	if (master->reload_wanted) {
		master->reload_wanted = false;
		reload_begin(master);
	} else if (master->plan_wanted) {
		master->plan_wanted = false;
		reload_plan(master);
	} else if (master->respawn_wanted) {
		master->respawn_wanted = false;
		reload_respawn(master);
	} else if (master->upgrade_wanted && !spawn_any_forking(master)) {
		master->upgrade_wanted = false;
		upgrade_begin(master);
	}
}

void reconcile(struct master *master)
{
	struct round round = { .now_ms = clock_now_ms() };

	if (master->reap_wanted && (master->reap_wanted = children_reap(master)))
		wake_at(&round, round.now_ms);
	check_programs(master->current, &round);
	check_programs(master->starting, &round);
	bind_starting(master, &round);
	settle_starting(master, &round);
	obey_signals(master);
	reconcile_generation(master->current, &round);
	reconcile_starting(master, &round);
	for (struct generation *g = master->retired; g != NULL; g = g->next)
		reconcile_generation(g, &round);
	if (master->orphans_next_ms != 0 && round.now_ms >= master->orphans_next_ms)
		orphans_end(master);
	wake_at(&round, master->orphans_next_ms);
	bury_retired(master);
	if (master->stopping != STOP_NOT) {
		stop_check(master, round.now_ms);
		/* to tell the service manager how long it still takes */
		wake_at(&round, round.now_ms + 1000);
	}
	wake_at(&round, master->stop_deadline_ms);
	/* a pool that is to end the service when it cannot serve */
	if (master->stop_wanted > master->stopping)
		wake_at(&round, round.now_ms);
	loop_wake_at(master, round.wake_ms);
	notify_status(master);
	control_settle(master);
}
