#include "master/loop.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>

#include "base/log.h"
#include "master/daemon.h"
#include "master/notify.h"
#include "master/persist.h"
#include "master/postmortem.h"
#include "master/reconcile.h"
#include "master/reload.h"
#include "master/state.h"
#include "master/stop.h"

static const int signals[] = { SIGCHLD, SIGHUP, SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2 };

#define N_SIGNALS (sizeof(signals) / sizeof(*signals))

/* A signal is only written down here; reconcile() obeys. */
static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *data)
{
	struct master *master = data;

	(void)source;
	if (info->ssi_signo != SIGCHLD)
		log_debug("signal", KV("signal", sigabbrev_np((int)info->ssi_signo)),
			  KV("from_pid", info->ssi_pid));
	switch (info->ssi_signo) {
	case SIGCHLD:
		master->reap_wanted = true;
		break;
	case SIGHUP:
		master->reload_wanted = true;
		break;
	case SIGUSR1:
		master->reopen_wanted = true;
		break;
	case SIGUSR2:
		master->upgrade_wanted = true;
		break;
	case SIGTERM:
		/* not less than what was asked for before */
		if (master->stop_wanted == STOP_NOT)
			master->stop_wanted = STOP_GRACEFUL;
		else if (master->stopping != STOP_NOT)
			master->stop_wanted = STOP_NOW;
		break;
	default:
		master->stop_wanted = STOP_NOW;
		break;
	}
	return 0;
}

/* Nothing to do: the post source calls reconcile() after any event. */
static int on_timer(sd_event_source *source, uint64_t usec, void *data)
{
	(void)source;
	(void)usec;
	(void)data;
	return 0;
}

/*
 * Not sd_event_set_watchdog(3), which waits for a manager that does not read.
 * Being called at all is what it proves: the loop goes round.
 */
static int on_watchdog(sd_event_source *source, uint64_t usec, void *data)
{
	const struct master *master = data;

	(void)usec;
	notify_watchdog();
	sd_event_source_set_time_relative(source, master->watchdog_us / 2);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int add_watchdog(struct master *master)
{
	if (sd_watchdog_enabled(0, &master->watchdog_us) <= 0)
		return 0;
	return sd_event_add_time_relative(master->event, NULL, CLOCK_MONOTONIC, 0, 1000,
					  on_watchdog, master);
}

static int on_round(sd_event_source *source, void *data)
{
	(void)source;
	reconcile(data);
	return 0;
}

static int add_signals(struct master *master)
{
	sigset_t set;
	int r = 0;

	sigemptyset(&set);
	for (size_t i = 0; i < N_SIGNALS; i++)
		sigaddset(&set, signals[i]);
	/* who started us may have blocked or ignored anything */
	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_SETMASK, &set, NULL) < 0)
		return -errno;
	for (size_t i = 0; i < N_SIGNALS && r >= 0; i++)
		r = sd_event_add_signal(master->event, NULL, signals[i], on_signal, master);
	return r;
}

int loop_setup(struct master *master)
{
	sd_event_source *post;
	int r = sd_event_new(&master->event);

	/* of who ended before, nobody may have told us */
	master->reap_wanted = true;
	if (r >= 0)
		r = add_signals(master);
	if (r >= 0)
		r = sd_event_add_time(master->event, &master->timer, CLOCK_MONOTONIC, 0, 1000,
				      on_timer, master);
	if (r >= 0)
		r = sd_event_add_post(master->event, &post, on_round, master);
	/* after all events of a round */
	if (r >= 0)
		r = sd_event_source_set_priority(post, SD_EVENT_PRIORITY_IDLE);
	if (r >= 0)
		r = sd_event_source_set_floating(post, 1);
	if (r >= 0)
		sd_event_source_unref(post);
	if (r >= 0)
		r = add_watchdog(master);
	if (r >= 0)
		postmortem_setup(master);
	return r < 0 ? r : 0;
}

int loop_run(struct master *master)
{
	int r = sd_event_loop(master->event);

	if (r < 0) {
		log_error("loop_failed", KV("error", strerror(-r)));
		return EX_OSERR;
	}
	return r;
}

void loop_free(struct master *master)
{
	persist_free(master);
	sd_event_source_disable_unref(master->timer);
	sd_event_unref(master->event);
}

void loop_wake_at(struct master *master, long long at_ms)
{
	if (at_ms == 0) {
		sd_event_source_set_enabled(master->timer, SD_EVENT_OFF);
		return;
	}
	sd_event_source_set_time(master->timer, (uint64_t)at_ms * 1000);
	sd_event_source_set_enabled(master->timer, SD_EVENT_ONESHOT);
}

void loop_started(struct master *master)
{
	unsigned workers = 0;

	for (unsigned i = 0; i < master->current->n_pools; i++)
		workers += master->current->pools[i].policy.count[SEAT_READY];
	log_notice("ready", KV("services", master->current->n_pools), KV("workers", workers),
		   KV("generation", master->current->id));
	notify_ready();
	if (master->daemon_fd < 0)
		return;
	daemon_ready(&master->daemon_fd);
	master->daemon_gone = true;
	(void)reload_apply_log(master, master->current->conf);
}
