#include "handler/env.h"

#include <string.h>

const char *handler_option(const struct handler_env *env, const char *name)
{
	size_t length = strlen(name);

	for (const char *const *option = env->options; *option != NULL; option++) {
		if (strncmp(*option, name, length) == 0 && (*option)[length] == '=')
			return *option + length + 1;
	}
	return NULL;
}

const char *handler_service(const struct handler_env *env)
{
	return env->service;
}

struct handler_socket handler_socket(const struct handler_env *env)
{
	return env->socket;
}
