/*
 * check_handler.h - is there such a handler, and does it go with the service?
 */
#ifndef PREFORKD_CONF_CHECK_HANDLER_H
#define PREFORKD_CONF_CHECK_HANDLER_H

struct compile;
struct conf_service;

/* Check handler and options of a (resolved) service; findings go to the report. */
void check_handler(struct compile *compile, const struct conf_service *service);

#endif
