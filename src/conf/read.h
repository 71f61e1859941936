/*
 * read.h - the files of a config, read and taken apart by libconfuse.
 *
 * Runs only in the reading child (conf/load.c), because libconfuse may call
 * exit(3) and look-ups may stall. What comes out is text with its origin;
 * what the text means is the business of conf/compile.c.
 */
#ifndef PREFORKD_CONF_READ_H
#define PREFORKD_CONF_READ_H

#include <stdbool.h>

#include "conf/conf.h"

struct option;
struct report;

#define READ_FILES_MAX 256

/* A place where keys stand: the top level of the main file, or one service. */
struct read_scope {
	struct cfg_t *cfg;
	const char *title; /* of a service */
	struct conf_origin where;
};

struct read_result {
	unsigned n_files, n_services;
	char *files[READ_FILES_MAX];
	struct read_scope global;
	struct read_scope services[CONF_SERVICES_MAX];
};

/*
 * Read the main file and services.d/ *.conf beside it. Returns 0; or the exit
 * status (EX_NOINPUT, EX_CONFIG) with the findings in report. Nothing of the
 * result is ever freed: the child ends soon.
 */
int read_config(const char *path, struct report *report, struct read_result *result_r);

/*
 * The text of an option in a scope. Returns false where it was not written;
 * else count strings (1 but for lists) and where they stand.
 */
bool read_value(const struct read_scope *scope, const struct option *option, unsigned *count_r,
		struct conf_origin *origin_r);
const char *read_string(const struct read_scope *scope, const struct option *option,
			unsigned index);

/* The same for a block of free keys: name and text; false after the last one. */
bool read_pair(const struct read_scope *scope, const struct option *option, unsigned index,
	       const char **name_r, const char **text_r);

#endif
