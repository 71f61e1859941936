/*
 * handlers.h - the handlers that are built in.
 */
#ifndef PREFORKD_HANDLER_HANDLERS_H
#define PREFORKD_HANDLER_HANDLERS_H

#include "handler/handler.h"

extern const struct handler handler_echo, handler_discard, handler_chargen, handler_daytime,
	handler_time, handler_qotd, handler_ping;

/* All of them, ended by NULL. */
extern const struct handler *const handlers_all[];

/* The handler of that name, or NULL. */
const struct handler *handlers_find(const char *name);

#endif
