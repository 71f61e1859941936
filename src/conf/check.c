#include "conf/check.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/text.h"
#include "conf/check_handler.h"
#include "conf/check_run.h"
#include "conf/check_socket.h"
#include "conf/compile.h"
#include "conf/identity.h"
#include "conf/report.h"
#include "conf/resolve.h"
#include "net/address.h"

#define NAME_MAX_BYTES 32

static void check_name(struct compile *compile, const struct conf_service *service)
{
	const char *name = conf_string(compile->conf, service->name);
	size_t length = strlen(name);
	bool good = isalnum((unsigned char)name[0]) && length <= NAME_MAX_BYTES;

	for (const char *p = name; *p != '\0'; p++)
		good = good && (isalnum((unsigned char)*p) || strchr("_.-", *p) != NULL);
	if (good)
		return;
	report_add(compile->report,
		   conf_list_string(compile->conf, compile->conf->files, service->where.file),
		   service->where.line,
		   "service \"%s\": a name has 1 to %d letters, digits, _ . -, no mark first", name,
		   NAME_MAX_BYTES);
}

static void check_workers(struct compile *compile, struct conf_service *service)
{
	bool min_set = compile_is_set(compile, service, "workers.min");
	bool max_set = compile_is_set(compile, service, "workers.max");

	if (min_set && !max_set)
		service->workers_max = service->workers_min;
	else if (max_set && !min_set)
		service->workers_min = service->workers_max;
	else if (service->workers_min > service->workers_max)
		compile_error(compile, service, "workers.min",
			      "%lld is more than workers.max, %lld", service->workers_min,
			      service->workers_max);
	if (service->workers_max == 0)
		compile_error(compile, service, "workers.min",
			      "0 workers until somebody comes: how many then? Write workers.max");
	else if (service->spare > service->workers_max)
		compile_error(compile, service, "workers.spare",
			      "%lld is more than workers.max, %lld", service->spare,
			      service->workers_max);
}

/* Where nobody knows who is busy, or each worker has a socket, the size is fixed. */
static void check_growth(struct compile *compile, const struct conf_service *service)
{
	const char *why = NULL;

	if (service->workers_min >= service->workers_max)
		return;
	if (service->kind == CONF_PERSISTENT)
		why = "programs that accept by themselves do not tell who is busy";
	else if (service->spec.sockets > 1)
		why = "with reuse_port = per-worker the kernel divides the clients";
	if (why != NULL)
		compile_error(compile, service, "workers.min", "must be workers.max, %lld: %s",
			      service->workers_max, why);
}

static void check_control(struct compile *compile)
{
	const char *path = conf_string(compile->conf, compile->conf->control_path);
	struct sockaddr_storage address;
	socklen_t length;

	identity_control(compile);
	if (path[0] == '\0' || strcmp(path, CONF_CONTROL_AUTO) == 0)
		return;
	if (path[0] != '/')
		compile_error(compile, NULL, "control.path",
			      "\"%s\" is neither " CONF_CONTROL_AUTO " nor an absolute path", path);
	else if (address_from_path(path, &address, &length) < 0)
		compile_error(compile, NULL, "control.path", "is longer than 107 bytes");
}

static void check_global(struct compile *compile)
{
	const struct conf *conf = compile->conf;
	const char *log = conf_string(conf, conf->log), *pidfile = conf_string(conf, conf->pidfile);

	if (log[0] != '/' && strcmp(log, "stderr") != 0 && strcmp(log, "journal") != 0 &&
	    strcmp(log, "syslog") != 0)
		compile_error(compile, NULL, "log",
			      "\"%s\" is none of stderr, journal, syslog, or an absolute path",
			      log);
	if (pidfile[0] != '\0' && pidfile[0] != '/')
		compile_error(compile, NULL, "pidfile", "must be an absolute path");
	check_control(compile);
	if (conf->n_services == 0)
		report_add(compile->report, conf_list_string(conf, conf->files, 0), 0,
			   "there is no service: write one here or in services.d/NAME.conf");
}

void check_config(struct compile *compile)
{
	struct conf *conf = compile->conf;

	check_global(compile);
	for (unsigned i = 0; i < conf->n_services; i++) {
		struct conf_service *service = (struct conf_service *)conf_service(conf, i);

		check_name(compile, service);
		check_workers(compile, service);
		resolve_service(compile, service);
		check_socket(compile, service);
		check_handler(compile, service);
		check_growth(compile, service);
		check_run(compile, service);
		for (unsigned j = 0; j < i; j++)
			check_pair(compile, service, conf_service(conf, j));
	}
	check_users(compile);
	compile_end(compile);
}
