/*
 * reload.h - SIGHUP: read the config anew and put it beside the present one.
 *
 *	reload_begin() -> (the reading child) -> a new generation starts
 *	-> reconcile commits or drops it -> reload_end()
 *
 * Whatever goes wrong, the present generation goes on, and the service manager
 * hears READY=1.
 */
#ifndef PREFORKD_MASTER_RELOAD_H
#define PREFORKD_MASTER_RELOAD_H

struct conf;
struct master;

/* Read the config and say what a reload would do; see plan.h. */
void reload_plan(struct master *master);

/* Why a reload to this conf replaces the workers of all services; NULL: it does not. */
const char *reload_replaces_all(const struct master *master, const struct conf *conf);

/* Start reading; the rest happens in the event loop. */
void reload_begin(struct master *master);

/* The reading child has ended; it is reaped here. */
void reload_loaded(struct master *master);

/* The new generation was committed (why NULL), or the reload is refused because of why. */
void reload_end(struct master *master, const char *why);

/* Open the log again; the workers, which cannot do it themselves, are to be replaced then. */
void reload_reopen_log(struct master *master);

/* Replace the workers by a new generation of the same conf. */
void reload_respawn(struct master *master);

/* Let log and level follow a conf and the command line. -1 with errno: cannot be opened. */
int reload_apply_log(const struct master *master, const struct conf *conf);

/* Write each warning of a conf as a line of the log. */
void reload_log_warnings(const struct conf *conf);

#endif
