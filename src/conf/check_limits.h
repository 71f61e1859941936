/*
 * check_limits.h - the texts of run.limits, run.nofile and run.core to numbers for setrlimit(2).
 *
 * Runs in the reading child, whose hard limits are those of the master.
 */
#ifndef PREFORKD_CONF_CHECK_LIMITS_H
#define PREFORKD_CONF_CHECK_LIMITS_H

struct compile;
struct conf_service;

/* Fill service->run.limits; what the master could not give is refused. */
void check_limits(struct compile *compile, struct conf_service *service);

#endif
