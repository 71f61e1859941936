/*
 * plan.h - what a reload would do, and nothing of it done: preforkctl reload --plan.
 *
 * The config is read as for a reload (reload_plan()); then it is compared with the one
 * in use, service by service, with what decides at a reload (conf/compare.h).
 */
#ifndef PREFORKD_MASTER_PLAN_H
#define PREFORKD_MASTER_PLAN_H

struct conf_result;
struct control_reply;
struct master;

/* The config has been read, or cannot be: who asked gets his answer in this round. */
void plan_end(struct master *master, const struct conf_result *result);
void plan_fail(struct master *master, const char *why);

/* The answer for one of those who asked. */
void plan_tell(const struct master *master, struct control_reply *reply);

void plan_free(struct master *master);

#endif
