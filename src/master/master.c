#include "master/master.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "conf/share.h"
#include "master/account.h"
#include "master/adopt.h"
#include "master/control.h"
#include "master/generation.h"
#include "master/launch.h"
#include "master/listeners.h"
#include "master/lock.h"
#include "master/loop.h"
#include "master/orphans.h"
#include "master/plan.h"
#include "master/postmortem.h"
#include "master/reload.h"
#include "master/state.h"
#include "master/takeover.h"
#include "master/upgrade.h"

static int setup_log(struct master *master, const struct conf *conf)
{
	if (reload_apply_log(master, conf) == 0) {
		reload_log_warnings(conf);
		return 0;
	}
	log_error("log_failed", KV("file", conf_string(conf, conf->log)),
		  KV("error", strerror(errno)),
		  KV("remedy", "it must be a plain file of our own in a directory that exists"));
	master->exit_status = EX_CANTCREAT;
	return -1;
}

/* A service has some descriptors, or one for each of its workers; workers get their own limit. */
static void setup_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int setup_locks(struct master *master, const struct conf *conf)
{
	const char *pidfile = master->pidfile_option;

	master->lock_fd = lock_config(master->config_path, &master->heir, &master->exit_status);
	if (master->lock_fd < 0)
		return -1;
	if (pidfile == NULL)
		pidfile = conf_string(conf, conf->pidfile);
	if (pidfile[0] == '\0')
		return 0;
	master->pidfile_fd = lock_pidfile(pidfile, &master->exit_status);
	return master->pidfile_fd < 0 ? -1 : 0;
}

static int setup_loop(struct master *master)
{
	int r = loop_setup(master);

	if (r == 0)
		return 0;
	log_error("loop_failed", KV("error", strerror(-r)));
	master->exit_status = EX_OSERR;
	return -1;
}

static void clean_up(struct master *master)
{
	upgrade_cancel(master);
	listeners_sweep(master);
	adopt_free(master);
	account_close(master, true);
	/* those that even SIGKILL did not end */
	while (master->retired != NULL) {
		struct generation *left = master->retired;

		master->retired = left->next;
		generation_free(left);
	}
	control_free(master);
	loop_free(master);
	plan_free(master);
	postmortem_free(master);
	lock_release(&master->pidfile_fd);
	lock_release(&master->lock_fd);
	fd_close(&master->programs.worker_fd);
	fd_close(&master->programs.module_fd);
}

static int no_program(void)
{
	log_error("worker_program_missing", KV("files", LAUNCH_WORKER ", " LAUNCH_MODULE),
		  KV("error", strerror(errno)), KV("remedy", "install preforkd again"));
	return EX_OSFILE;
}

/* Of a master that begins with nothing. */
static int start(struct master *master, const struct conf *conf, int *status_r)
{
	if (setup_log(master, conf) < 0 || setup_locks(master, conf) < 0 ||
	    setup_loop(master) < 0 || control_setup(master, conf, &master->exit_status) < 0) {
		conf_unref(conf);
		*status_r = master->exit_status;
		return -1;
	}
	if (adopt_assign(master, conf, status_r) < 0) {
		conf_unref(conf);
		return -1;
	}
	return generation_build(master, conf, true, status_r);
}

/*
 * The order: the log first, since the rest speaks through it; then the locks,
 * so that a second master touches nothing; then the loop, which blocks the
 * signals before anything is forked; then the control socket, the listeners and the
 * workers.
 */
int master_run(const struct master_options *options, const struct conf *conf)
{
	struct master master = {
		.config_path = options->config_path,
		.pidfile_option = options->pidfile,
		.level_option = options->log_level,
		.daemon_fd = options->daemon_fd,
		.argv = options->argv,
		.handover_fd = options->handover_fd,
		.born_ms = clock_now_ms(),
		.messages_fd = -1,
		.oom_fd = -1,
		.lock_fd = -1,
		.pidfile_fd = -1,
	};
	int status = EX_OSERR;

	adopt_environment(&master);
	setup_limits();
	/* arrays for thousands of workers go back to the system, as they would not by default */
	mallopt(M_MMAP_THRESHOLD, 128 * 1024);
	(void)orphans_setup(); /* fails on no kernel since 3.4 */
	upgrade_setup(&master);
	/* before the first line, whose reader may be gone */
	signal(SIGPIPE, SIG_IGN);
	if (launch_find(&master.programs) < 0)
		status = no_program();
	else if ((conf != NULL ? start(&master, conf, &status) : takeover(&master, &status)) == 0)
		status = loop_run(&master);
	clean_up(&master);
	/* whom SIGKILL does not end keeps what he had */
	log_notice("stopped", KV("status", status),
		   KV("accepted_after", master.accepted_after > 0 ? master.accepted_after : 0));
	return status;
}
