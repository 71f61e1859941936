#include "master/reload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "conf/compare.h"
#include "conf/share.h"
#include "master/control.h"
#include "master/generation.h"
#include "master/notify.h"
#include "master/plan.h"
#include "master/state.h"
#include "master/upgrade.h"

#define CONFIG_ERRORS "the config has errors"

static void log_errors(const char *errors)
{
	char *copy = strdup(errors), *rest = copy, *line;

	while ((line = text_next_line(&rest)) != NULL)
		log_error("config_error", KV("error", line));
	free(copy);
}

static void log_warnings(const char *warnings)
{
	char *copy = strdup(warnings), *rest = copy, *line;

	while ((line = text_next_line(&rest)) != NULL)
		log_warning("config_warning", KV("text", line));
	free(copy);
}

void reload_log_warnings(const struct conf *conf)
{
	log_warnings(conf_string(conf, conf->warnings));
}

int reload_apply_log(const struct master *master, const struct conf *conf)
{
	const char *target = conf_string(conf, conf->log);

	/* a daemon has no stderr any more */
	if (master->daemon_gone && strcmp(target, "stderr") == 0)
		target = "syslog";
	if (log_open(target) < 0)
		return -1;
	log_set_level(master->level_option >= 0 ? (enum log_level)master->level_option :
						  (enum log_level)conf->log_level);
	return 0;
}

/* The one reload's whose lines they are; the log knows no master. */
static struct verdict *collecting;

/* An error of the config as it is, anything else with its name; what is too much is cut off. */
static void collect(const char *event, const struct log_field *fields)
{
	struct verdict *verdict = collecting;
	size_t length = strlen(verdict->problems);
	struct text text = { verdict->problems, sizeof(verdict->problems), length };

	if (length > 0)
		text_add(&text, "\n");
	if (strncmp(event, "config_", strlen("config_")) == 0) {
		text_add(&text, fields->text);
	} else {
		text_add(&text, event);
		log_add_fields(&text, fields);
	}
}

static void begin_verdict(struct master *master)
{
	control_settle(master); /* whoever waits for the one before */
	master->reloads++;
	collecting = &master->verdict;
	collecting->problems[0] = '\0';
	log_listen(LOG_LEVEL_WARNING, collect);
}

static void end_verdict(struct master *master, const char *why)
{
	struct verdict *verdict = &master->verdict;
	struct text text = text_start(verdict->why, sizeof(verdict->why));

	log_listen(LOG_LEVEL_WARNING, NULL);
	text_add(&text, why != NULL ? why : "");
	verdict->number = master->reloads;
	verdict->status = why == NULL ? EX_OK : EX_UNAVAILABLE;
	if (why != NULL && strcmp(why, CONFIG_ERRORS) == 0)
		verdict->status = EX_CONFIG;
	verdict->generation = master->current->id;
	verdict->ended_ms = clock_now_ms();
}

void reload_end(struct master *master, const char *why)
{
	if (!master->reloading) {
		/* nobody asked for more than that the log is opened again */
		if (why != NULL)
			log_error("respawn_failed", KV("error", why),
				  KV("remedy", "workers write to the old log: reload"));
		return;
	}
	master->reloading = false;
	end_verdict(master, why);
	/* the old generation goes on, with its log */
	if (why != NULL)
		(void)reload_apply_log(master, master->current->conf);
	if (master->upgrading)
		upgrade_end(master, why);
	else if (why == NULL)
		log_notice("reload_done", KV("generation", master->current->id));
	else
		log_error("reload_refused", KV("error", why),
			  KV("generation", master->current->id));
	notify_ready();
}

/* Workers write to the log that was there when they were started. */
static bool same_log(const struct conf *a, const struct conf *b)
{
	return a->log_level == b->log_level &&
	       strcmp(conf_string(a, a->log), conf_string(b, b->log)) == 0;
}

/* A file of this name is another one by now: it was rotated. */
static bool is_rotated(const char *path)
{
	struct stat now = { 0 }, open = { 0 };

	if (path[0] != '/' || fstat(log_fd(), &open) < 0)
		return false;
	return stat(path, &now) < 0 || now.st_dev != open.st_dev || now.st_ino != open.st_ino;
}

const char *reload_replaces_all(const struct master *master, const struct conf *conf)
{
	if (conf->reload == CONF_RELOAD_ALL)
		return "reload = all";
	if (!same_log(master->current->conf, conf))
		return "log, log_level";
	return is_rotated(conf_string(conf, conf->log)) ? "the log file is another one" : NULL;
}

/* The new world is built here; what fails leaves the old one as it was. */
static void build(struct master *master, const struct conf *conf)
{
	bool all = reload_replaces_all(master, conf) != NULL;
	char lines[CONF_GLOBAL_MAX];
	int status;

	conf_compare_global(master->current->conf, conf, lines, sizeof(lines));
	log_warnings(lines);
	reload_log_warnings(conf);
	if (reload_apply_log(master, conf) < 0) {
		log_error("log_failed", KV("file", conf_string(conf, conf->log)),
			  KV("error", strerror(errno)));
		conf_unref(conf);
		reload_end(master, "the log cannot be opened");
	} else if (generation_build(master, conf, all, &status) < 0) {
		reload_end(master, "a service cannot be started");
	}
}

void reload_loaded(struct master *master)
{
	struct conf_result result;

	master->loading = false;
	master->load_timer = sd_event_source_disable_unref(master->load_timer);
	result = conf_load_end(&master->load);
	if (master->planning) {
		plan_end(master, &result);
	} else if (!master->reloading) {
		/* out of time, and reported as such already; or the master stops */
	} else if (result.conf == NULL) {
		log_errors(result.errors != NULL ? result.errors : "out of memory");
		reload_end(master, CONFIG_ERRORS);
	} else {
		build(master, conf_ref(result.conf));
	}
	if (result.conf != NULL)
		conf_unref(result.conf);
	free(result.errors);
}

/* A process that hangs in the kernel does not even die at once: it is reaped when it does. */
static int on_load_timeout(sd_event_source *source, uint64_t usec, void *data)
{
	struct master *master = data;
	char *why = conf_load_too_long(&master->load);

	(void)source;
	(void)usec;
	conf_load_kill(&master->load);
	/* a plan has its answer when the reader is gone */
	if (!master->planning) {
		log_errors(why != NULL ? why : "out of memory");
		reload_end(master, "the config could not be read in time");
	}
	free(why);
	return 0;
}

/* Begin to read the config. Returns 0, or -1 with errno. */
static int load(struct master *master)
{
	int r;

	if (conf_load_start(master->config_path, true, &master->load) < 0)
		return -1;
	master->loading = true;
	r = sd_event_add_time_relative(master->event, &master->load_timer, CLOCK_MONOTONIC,
				       CONF_LOAD_MS * 1000ULL, 1000, on_load_timeout, master);
	if (r < 0) {
		conf_load_kill(&master->load);
		reload_loaded(master);
	}
	return 0;
}

void reload_begin(struct master *master)
{
	master->reloading = true;
	begin_verdict(master);
	notify_reloading();
	log_notice("reload_started", KV("config", master->config_path));
	if (load(master) < 0)
		reload_end(master, strerror(errno));
}

void reload_plan(struct master *master)
{
	master->planning = true;
	if (load(master) < 0)
		plan_fail(master, strerror(errno));
}

void reload_reopen_log(struct master *master)
{
	if (log_reopen() < 0) {
		log_error("log_failed", KV("error", strerror(errno)));
		return;
	}
	log_notice("log_reopened");
	master->respawn_wanted = log_is_file();
}

void reload_respawn(struct master *master)
{
	int status;

	/* of the config of old workers, after an upgrade that failed, not all is known */
	if (master->current->inherited)
		reload_begin(master);
	else if (generation_build(master, conf_ref(master->current->conf), true, &status) < 0)
		reload_end(master, "a service cannot be started");
}
