/*
 * compile.h - from the text of the keys to the flat conf.
 *
 * Runs in the reading child. Fills the (key) fields through the tables of
 * conf/options.c; conf/resolve.c and conf/check.c do the rest.
 */
#ifndef PREFORKD_CONF_COMPILE_H
#define PREFORKD_CONF_COMPILE_H

#include <stdbool.h>

#include "conf/conf.h"

struct option;
struct report;
struct read_result;

#define COMPILE_NOTE_SIZE 512

/* The conf under construction: `conf` points to CONF_SIZE_MAX zeroed bytes. */
struct compile {
	struct conf *conf;
	struct report *report, *warnings;
	bool here;  /* will it run here and as this user? else it is only looked at */
	char *note; /* COMPILE_NOTE_SIZE bytes: what to say should the child die */
};

/* The code of this handler is to be run now, and may be our end; NULL: it was not. */
void compile_note(struct compile *compile, const struct conf_service *service, const char *handler);

/* Fill the conf; findings go to the report. */
void compile_config(struct compile *compile, const struct read_result *result);

/* Room for `size` zeroed bytes in the conf; returns the offset. Ends the child when it is full. */
uint32_t compile_alloc(struct compile *compile, size_t size);

/*
 * Report what is wrong with a key: "file:line: service "x": block.key: ...".
 * service NULL: a key of the top level. key is "block.name" or "name"; the line
 * is that of the key, or of the service's block where the key was not written.
 */
void compile_error(struct compile *compile, const struct conf_service *service, const char *key,
		   const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The same for what is allowed, but likely not meant: it goes into conf->warnings. */
void compile_warning(struct compile *compile, const struct conf_service *service, const char *key,
		     const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Put the warnings into the conf, when all has been checked. */
void compile_end(struct compile *compile);

/* "block.name" or "name" of a row, in buf. Returns buf. */
const char *compile_key(const struct option *option, char *buf, size_t size);

/* True if the key was written, not defaulted; service and key as in compile_error(). */
bool compile_is_set(const struct compile *compile, const struct conf_service *service,
		    const char *key);

#endif
