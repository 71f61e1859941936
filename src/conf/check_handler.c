#include "conf/check_handler.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "conf/check_program.h"
#include "conf/compile.h"
#include "handler/env.h"
#include "handler/handlers.h"
#include "handler/module.h"

static bool knows(const struct handler *handler, const char *pair)
{
	size_t length = strcspn(pair, "=");

	for (size_t i = 0; handler->options != NULL && handler->options[i] != NULL; i++) {
		if (strlen(handler->options[i]) == length &&
		    strncmp(handler->options[i], pair, length) == 0)
			return true;
	}
	return false;
}

static void refuse_option(struct compile *compile, const struct conf_service *service,
			  const struct handler *handler, const char *pair)
{
	char buf[256];
	struct text known = text_start(buf, sizeof(buf));

	for (size_t i = 0; handler->options != NULL && handler->options[i] != NULL; i++)
		text_addf(&known, " %s", handler->options[i]);
	compile_error(compile, service, "options", "handler %s has no option %.*s; it has:%s",
		      conf_string(compile->conf, service->handler), (int)strcspn(pair, "="), pair,
		      known.length > 0 ? buf : " none");
}

static void check_options(struct compile *compile, const struct conf_service *service,
			  const struct handler *handler)
{
	for (unsigned i = 0; i < service->options.count; i++) {
		const char *pair = conf_list_string(compile->conf, service->options, i);

		if (!knows(handler, pair))
			refuse_option(compile, service, handler, pair);
	}
}

/* What the handler itself thinks of it. */
static void ask(struct compile *compile, const struct conf_service *service,
		const struct handler *handler)
{
	const char **options = conf_list_pointers(compile->conf, service->options);
	const struct handler_env env = {
		.service = conf_string(compile->conf, service->name),
		.socket = { service->spec.family, service->spec.type, service->spec.protocol },
		.options = options,
	};
	char message[256] = "";
	int r = handler->check != NULL ? handler->check(&env, message, sizeof(message) - 1) : 0;

	if (r < 0)
		compile_error(compile, service, "handler", "%s: %s", handler->name, message);
	else if (r > 0)
		compile_warning(compile, service, "handler", "%s: %s", handler->name, message);
	free(options);
}

static void refuse_name(struct compile *compile, const struct conf_service *service,
			const char *error)
{
	char buf[256];
	struct text known = text_start(buf, sizeof(buf));

	if (strstr(error, ": No such file") == NULL ||
	    conf_string(compile->conf, service->handler)[0] == '/') {
		compile_error(compile, service, "handler", "%s", error);
		return;
	}
	for (size_t i = 0; handlers_all[i] != NULL; i++)
		text_addf(&known, " %s", handlers_all[i]->name);
	compile_error(compile, service, "handler",
		      "there is no handler \"%s\"; there are:%s exec persistent, and modules (%s)",
		      conf_string(compile->conf, service->handler), buf, error);
}

void check_handler(struct compile *compile, const struct conf_service *service)
{
	const char *name = conf_string(compile->conf, service->handler);
	const struct handler *handler = handlers_find(name);
	char path[PATH_MAX], error[512];

	if (name[0] == '\0' && !compile_is_set(compile, service, "handler"))
		return; /* reported as missing already */
	if (service->kind == CONF_EXEC || service->kind == CONF_PERSISTENT) {
		if (service->options.count > 0)
			compile_error(compile, service, "options", "handler %s has none", name);
		check_program(compile, service);
		return;
	}
	if (handler == NULL && !compile->here)
		return; /* a module is code, and only looking is no reason to run it */
	compile_note(compile, service, name);
	if (handler == NULL)
		handler = module_load(module_path(name, path, sizeof(path)), error, sizeof(error));
	if (handler == NULL) {
		refuse_name(compile, service, error);
	} else {
		check_options(compile, service, handler);
		/* files that it would look at out here are not those that it will have */
		if (conf_string(compile->conf, service->chroot)[0] == '\0')
			ask(compile, service, handler);
	}
	compile_note(compile, service, NULL);
}
