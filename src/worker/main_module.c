/*
 * main_module.c - preforkd-worker-module, the program of workers whose handler is a module.
 */
#include <limits.h>
#include <unistd.h>

#include "base/log.h"
#include "conf/conf.h"
#include "handler/module.h"
#include "worker/batch.h"
#include "worker/seat.h"
#include "worker/worker.h"

/* While we have the rights of the master: the file need not be for the user's eyes. */
static const struct handler *load_module(const struct worker_seat *seat)
{
	char path[PATH_MAX], error[512];
	const char *name = conf_string(seat->conf, seat->service->handler);
	const struct handler *handler =
		module_load(module_path(name, path, sizeof(path)), error, sizeof(error));

	if (handler == NULL) {
		log_error("module_failed",
			  KV("service", conf_string(seat->conf, seat->service->name)),
			  KV("error", error));
		_exit(WORKER_EXIT_HANDLER);
	}
	return handler;
}

int main(int argc, char **argv)
{
	return batch_main(argc, argv, load_module);
}
