#include "master/takeover.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "conf/conf.h"
#include "conf/load.h"
#include "conf/share.h"
#include "master/control.h"
#include "master/generation.h"
#include "master/handover.h"
#include "master/inherit.h"
#include "master/launch.h"
#include "master/loop.h"
#include "master/reload.h"
#include "master/state.h"

int takeover_fd(void)
{
	const char *number = getenv(TAKEOVER_VARIABLE);
	long long fd = -1;

	if (number == NULL)
		return -1;
	/* what is no number is no descriptor either, and is told so */
	if (!text_to_number(number, 3, INT_MAX, &fd))
		fd = INT_MAX;
	unsetenv(TAKEOVER_VARIABLE);
	/* sockets that the old master was started with: it has taken them */
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return (int)fd;
}

int takeover_rehearse(const struct conf *conf)
{
	static struct master master;
	char buf[256];
	struct text error = text_start(buf, sizeof(buf));
	struct handover_cursor cursor = { 0 };
	struct handover_master record;
	char *content = handover_open(TAKEOVER_STATE_FD, &cursor.left, &error);

	cursor.at = content;
	if (content == NULL || inherit_master(&master, &cursor, &record, &error) < 0 ||
	    inherit_all(&master, &cursor, &record, conf, &error) < 0) {
		fprintf(stderr, "preforkd: %s\n", buf);
		return EX_DATAERR;
	}
	free(content);
	if (launch_find(&master.programs) < 0) {
		fprintf(stderr, "preforkd: its program for workers: %s\n", strerror(errno));
		return EX_OSFILE;
	}
	if (fd_write_all(TAKEOVER_CONF_FD, conf, conf->size) == 0)
		return EX_OK;
	fprintf(stderr, "preforkd: %s\n", strerror(errno));
	return EX_IOERR;
}

/* With the log of the conf, if that can be had, and with the loop. */
static int set_up(struct master *master, const struct conf *conf, struct text *error)
{
	int r;

	if (reload_apply_log(master, conf) < 0)
		log_error("log_failed", KV("file", conf_string(conf, conf->log)),
			  KV("error", strerror(errno)));
	r = loop_setup(master);
	if (r < 0)
		text_addf(error, "event loop: %s", strerror(-r));
	return r;
}

static int inherit(struct master *master, struct handover_cursor *cursor,
		   const struct conf **conf_r, struct text *error)
{
	static struct handover_master record; /* its texts are used later */

	if (inherit_master(master, cursor, &record, error) < 0)
		return -1;
	master->config_path = record.config_path;
	master->control_left = &record.control;
	*conf_r = conf_map(record.conf_fd);
	fd_close(&record.conf_fd);
	if (*conf_r == NULL) {
		text_addf(error, "the config that was handed over is none");
		return -1;
	}
	if (set_up(master, *conf_r, error) < 0 ||
	    inherit_all(master, cursor, &record, *conf_r, error) < 0)
		return -1;
	if (inherit_attach(master) == 0)
		return 0;
	text_addf(error, "a descriptor that was handed over: %s", strerror(errno));
	return -1;
}

int takeover(struct master *master, int *status_r)
{
	char buf[256];
	struct text error = text_start(buf, sizeof(buf));
	struct handover_cursor cursor = { 0 };
	char *content = handover_open(master->handover_fd, &cursor.left, &error);
	const struct conf *conf = NULL;
	int status, r;

	cursor.at = content;
	fd_close(&master->handover_fd);
	r = content != NULL ? inherit(master, &cursor, &conf, &error) : -1;
	free(content);
	if (r < 0) {
		log_error("takeover_failed", KV("error", buf));
		*status_r = EX_SOFTWARE;
		if (conf != NULL)
			conf_unref(conf);
		return -1;
	}
	/* a line says why there is none; nobody stops to serve for that */
	(void)control_setup(master, conf, &status);
	master->reloading = master->upgrading = true;
	/* what the rehearsal left behind, or a worker that the binary before us has reaped */
	master->orphans_next_ms = clock_now_ms();
	reload_log_warnings(conf);
	if (generation_build(master, conf, true, &status) < 0)
		reload_end(master, "a service cannot be started");
	return 0;
}
