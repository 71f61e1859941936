#include "conf/check.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/text.h"
#include "conf/compile.h"
#include "conf/options.h"
#include "conf/report.h"
#include "conf/resolve.h"
#include "handler/handlers.h"
#include "net/address.h"
#include "net/triple.h"

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

static void check_socket(struct compile *compile, const struct conf_service *service)
{
	const struct listener_spec *spec = &service->spec;
	char buf[256];
	struct text why = text_start(buf, sizeof(buf));

	if (!triple_check(spec->family, spec->type, spec->protocol, &why))
		compile_error(compile, service, spec->protocol != 0 ? "protocol" : "type", "%s",
			      buf);
	for (const struct option *row = options_service; row->name != NULL; row++) {
		const char *refusal = options_refusal(row, service);

		if (refusal != NULL && row->block == NULL &&
		    compile_is_set(compile, service, row->name))
			compile_error(compile, service, row->name, "%s", refusal);
	}
}

static void check_path(struct compile *compile, const struct conf_service *service)
{
	const char *path = conf_string(compile->conf, service->path);

	if (service->family != AF_UNIX)
		return;
	if (path[0] == '\0')
		compile_error(compile, service, "path", "is required by family unix");
	else if (path[0] == '@' && path[1] == '\0')
		compile_error(compile, service, "path",
			      "an abstract name is @ and at least one character");
	else if (path[0] != '/' && path[0] != '@')
		compile_error(compile, service, "path",
			      "must begin with / or, for an abstract name, with @");
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
	else if (service->workers_min != service->workers_max)
		compile_error(
			compile, service, "workers.max",
			"%lld is not workers.min, %lld: pools of this version have a fixed size",
			service->workers_max, service->workers_min);
}

static void check_handler(struct compile *compile, const struct conf_service *service)
{
	const char *name = conf_string(compile->conf, service->handler);
	char buf[256];
	struct text known = text_start(buf, sizeof(buf));

	if (name[0] == '\0' && !compile_is_set(compile, service, "handler"))
		return; /* reported as missing already */
	if (handlers_find(name) != NULL)
		return;
	for (size_t i = 0; handlers_all[i] != NULL; i++)
		text_addf(&known, " %s", handlers_all[i]->name);
	compile_error(compile, service, "handler", "there is no handler \"%s\"; there are:%s", name,
		      buf);
}

static void check_directory(struct compile *compile, const struct conf_service *service)
{
	const char *path = conf_string(compile->conf, service->directory);
	struct stat st;

	if (path[0] != '/')
		compile_error(compile, service, "run.directory", "must be an absolute path");
	else if (stat(path, &st) < 0)
		compile_error(compile, service, "run.directory", "%s: %s", path, strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		compile_error(compile, service, "run.directory", "%s is not a directory", path);
}

static void check_environment(struct compile *compile, const struct conf_service *service)
{
	for (unsigned i = 0; i < service->environment.count; i++) {
		const char *entry = conf_list_string(compile->conf, service->environment, i);
		const char *equals = strchr(entry, '=');

		if (equals == NULL || equals == entry)
			compile_error(compile, service, "run.environment",
				      "\"%s\" is not NAME=value", entry);
	}
}

/* One path is one place in the file system, whatever the type of the socket. */
static bool is_one_address(const struct listener_spec *a, const struct listener_spec *b)
{
	const char *path_a = address_path(&a->address), *path_b = address_path(&b->address);

	if (path_a != NULL && path_b != NULL)
		return strcmp(path_a, path_b) == 0;
	return listener_same_address(a, b);
}

/* Two services cannot share a name, nor an address (port 0 is a new one each time). */
static void check_pair(struct compile *compile, const struct conf_service *service,
		       const struct conf_service *earlier)
{
	const struct conf *conf = compile->conf;
	const char *file = conf_list_string(conf, conf->files, earlier->where.file);
	char text[ADDRESS_TEXT_MAX];
	const struct listener_spec *spec = &service->spec;

	if (strcmp(conf_string(conf, service->name), conf_string(conf, earlier->name)) == 0)
		report_add(compile->report,
			   conf_list_string(conf, conf->files, service->where.file),
			   service->where.line, "service \"%s\" is there already (%s:%u)",
			   conf_string(conf, service->name), file, earlier->where.line);
	else if (is_one_address(spec, &earlier->spec) &&
		 (spec->family == AF_UNIX || service->port != 0))
		compile_error(compile, service, spec->family == AF_UNIX ? "path" : "port",
			      "%s is taken by service \"%s\" (%s:%u)",
			      address_text(&spec->address, spec->length, text),
			      conf_string(conf, earlier->name), file, earlier->where.line);
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

		resolve_service(compile, service);
		check_name(compile, service);
		check_socket(compile, service);
		check_path(compile, service);
		check_workers(compile, service);
		check_handler(compile, service);
		check_directory(compile, service);
		check_environment(compile, service);
		for (unsigned j = 0; j < i; j++)
			check_pair(compile, service, conf_service(conf, j));
	}
}
