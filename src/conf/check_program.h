/*
 * check_program.h - can the command of a service be run, by its user, without harm?
 */
#ifndef PREFORKD_CONF_CHECK_PROGRAM_H
#define PREFORKD_CONF_CHECK_PROGRAM_H

struct compile;
struct conf_service;

/* Check the command of a (resolved) service; findings go to the report. */
void check_program(struct compile *compile, const struct conf_service *service);

#endif
