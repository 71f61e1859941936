/*
 * check_run.h - the block run but for users and limits: what its texts mean, and whether it
 * can be done here.
 *
 * Runs in the reading child, which has the rights of the master.
 */
#ifndef PREFORKD_CONF_CHECK_RUN_H
#define PREFORKD_CONF_CHECK_RUN_H

struct compile;
struct conf_service;

/* Fill service->run, whose user is resolved; findings go to the report. */
void check_run(struct compile *compile, struct conf_service *service);

/* Warn of users that several services share who run code that is not ours. */
void check_users(struct compile *compile);

#endif
