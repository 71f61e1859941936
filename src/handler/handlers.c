#include "handler/handlers.h"

#include <string.h>

const struct handler *const handlers_all[] = {
	&handler_echo, &handler_discard, &handler_chargen, &handler_daytime,
	&handler_time, &handler_qotd,	 &handler_ping,	   NULL,
};

const struct handler *handlers_find(const char *name)
{
	for (size_t i = 0; handlers_all[i] != NULL; i++) {
		if (strcmp(handlers_all[i]->name, name) == 0)
			return handlers_all[i];
	}
	return NULL;
}
