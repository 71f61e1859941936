/*
 * env.h - what a handler may know of its service: struct handler_env, which
 * handler.h keeps closed.
 */
#ifndef PREFORKD_HANDLER_ENV_H
#define PREFORKD_HANDLER_ENV_H

#include "handler/handler.h"

struct handler_env {
	const char *service;
	struct handler_socket socket;
	const char *const *options; /* "name=value", ended by NULL */
};

#endif
