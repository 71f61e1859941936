#include "conf/compile.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "conf/options.h"
#include "conf/read.h"
#include "conf/report.h"
#include "conf/value.h"

#define PAIR_MAX 4096 /* of name=value in a block of free keys */

uint32_t compile_alloc(struct compile *compile, size_t size)
{
	struct conf *conf = compile->conf;
	uint32_t offset = (conf->size + 15) & ~15u;

	if (size > CONF_SIZE_MAX - offset) {
		report_add(compile->report, "config", 0,
			   "too large: a compiled config has at most %u bytes", CONF_SIZE_MAX);
		_exit(EX_CONFIG);
	}
	conf->size = offset + (uint32_t)size;
	return offset;
}

static uint32_t put_string(struct compile *compile, const char *string)
{
	size_t size = strlen(string) + 1;
	uint32_t offset = compile_alloc(compile, size);

	memcpy((char *)compile->conf + offset, string, size);
	return offset;
}

/* "block.name" or "name" to the index of a row. */
static size_t key_index(const struct option *rows, const char *key)
{
	const char *dot = strrchr(key, '.');
	char block[32];

	if (dot == NULL)
		return options_index(rows, NULL, key);
	snprintf(block, sizeof(block), "%.*s", (int)(dot - key), key);
	return options_index(rows, block, dot + 1);
}

static struct conf_origin key_origin(const struct compile *compile,
				     const struct conf_service *service, const char *key)
{
	if (service == NULL)
		return compile->conf->origin[key_index(options_global, key)];
	return service->origin[key_index(options_service, key)];
}

bool compile_is_set(const struct compile *compile, const struct conf_service *service,
		    const char *key)
{
	return key_origin(compile, service, key).line != 0;
}

__attribute__((format(printf, 6, 0))) static void
add(const struct compile *compile, struct report *report, const char *mark,
    const struct conf_service *service, const char *key, const char *format, va_list args)
{
	struct conf *conf = compile->conf;
	struct conf_origin origin = key_origin(compile, service, key);
	char message[512];
	const char *file;

	if (origin.line == 0 && service != NULL)
		origin = service->where;
	file = conf_list_string(conf, conf->files, origin.file);
	vsnprintf(message, sizeof(message), format, args);
	if (service == NULL)
		report_add(report, file, origin.line, "%s%s: %s", mark, key, message);
	else
		report_add(report, file, origin.line, "%sservice \"%s\": %s: %s", mark,
			   conf_string(conf, service->name), key, message);
}

void compile_error(struct compile *compile, const struct conf_service *service, const char *key,
		   const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(compile, compile->report, "", service, key, format, args);
	va_end(args);
}

void compile_warning(struct compile *compile, const struct conf_service *service, const char *key,
		     const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(compile, compile->warnings, "warning: ", service, key, format, args);
	va_end(args);
}

void compile_end(struct compile *compile)
{
	compile->conf->warnings.offset = put_string(compile, compile->warnings->lines.buf);
}

const char *compile_key(const struct option *option, char *buf, size_t size)
{
	snprintf(buf, size, "%s%s%s", option->block != NULL ? option->block : "",
		 option->block != NULL ? "." : "", option->name);
	return buf;
}

static bool has_control(const char *string)
{
	for (; *string != '\0'; string++) {
		if ((unsigned char)*string < ' ' || *string == 0x7f)
			return true;
	}
	return false;
}

static void put_value(struct compile *compile, struct conf_service *service,
		      const struct option *option, const char *string, void *field)
{
	char key[64], buf[256];
	struct text why = text_start(buf, sizeof(buf));

	if (has_control(string))
		compile_error(compile, service, compile_key(option, key, sizeof(key)),
			      "control characters are not allowed");
	else if (option->kind == OPTION_TEXT)
		*(struct conf_text *)field = (struct conf_text){ put_string(compile, string) };
	else if (!value_parse(option, string, field, &why))
		compile_error(compile, service, compile_key(option, key, sizeof(key)), "%s", buf);
}

/* Strings of a list lie one behind the other, not aligned. */
static void add_to_list(struct compile *compile, struct conf_list *list, const char *string)
{
	struct conf *conf = compile->conf;
	size_t size = strlen(string) + 1;

	if (list->count++ == 0)
		list->offset = compile_alloc(compile, size);
	else if (size > CONF_SIZE_MAX - conf->size)
		compile_alloc(compile, CONF_SIZE_MAX);
	else
		conf->size += (uint32_t)size;
	memcpy((char *)conf + conf->size - size, string, size);
}

static void put_list(struct compile *compile, struct conf_service *service,
		     const struct read_scope *scope, const struct option *option, unsigned count,
		     struct conf_list *list)
{
	char key[64];

	for (unsigned i = 0; i < count; i++) {
		const char *string = read_string(scope, option, i);

		if (has_control(string))
			compile_error(compile, service, compile_key(option, key, sizeof(key)),
				      "control characters are not allowed");
		add_to_list(compile, list, string);
	}
}

/* As a list of name=value. The line of each is not known, that of the service is. */
static void put_pairs(struct compile *compile, struct conf_service *service,
		      const struct read_scope *scope, const struct option *option,
		      struct conf_list *list, struct conf_origin *origin)
{
	const char *name, *text;
	char pair[PAIR_MAX];

	for (unsigned i = 0; read_pair(scope, option, i, &name, &text); i++) {
		*origin = scope->where;
		if (has_control(text))
			compile_error(compile, service, option->name,
				      "%s: control characters are not allowed", name);
		else if (snprintf(pair, sizeof(pair), "%s=%s", name, text) >= (int)sizeof(pair))
			compile_error(compile, service, option->name, "%s: is longer than %d bytes",
				      name, PAIR_MAX);
		else
			add_to_list(compile, list, pair);
	}
}

static void put_default(struct compile *compile, struct conf_service *service,
			const struct option *option, void *field)
{
	char key[64];

	if (option->fallback == NULL)
		compile_error(compile, service, compile_key(option, key, sizeof(key)),
			      "is required");
	else if (option->kind != OPTION_LIST)
		put_value(compile, service, option, option->fallback, field);
}

/* All keys of a scope; base is struct conf or struct conf_service. */
static void put_scope(struct compile *compile, struct conf_service *service,
		      const struct read_scope *scope, const struct option *rows, void *base,
		      struct conf_origin *origins)
{
	for (size_t i = 0; rows[i].name != NULL; i++) {
		const struct option *option = &rows[i];
		void *field = (char *)base + option->field;
		unsigned count = 0;

		if (option->kind == OPTION_PAIRS) {
			put_pairs(compile, service, scope, option, field, &origins[i]);
		} else if (!read_value(scope, option, &count, &origins[i])) {
			put_default(compile, service, option, field);
		} else if (option->kind == OPTION_LIST) {
			put_list(compile, service, scope, option, count, field);
		} else {
			put_value(compile, service, option, read_string(scope, option, 0), field);
		}
	}
}

void compile_config(struct compile *compile, const struct read_result *result)
{
	struct conf *conf = compile->conf;

	conf->magic = CONF_MAGIC;
	conf->version = CONF_VERSION;
	conf->size = sizeof(*conf);
	for (unsigned i = 0; i < result->n_files; i++)
		add_to_list(compile, &conf->files, result->files[i]);
	put_scope(compile, NULL, &result->global, options_global, conf, conf->origin);
	conf->n_services = result->n_services;
	conf->services = compile_alloc(compile, result->n_services * sizeof(struct conf_service));
	for (unsigned i = 0; i < result->n_services; i++) {
		struct conf_service *service = (struct conf_service *)conf_service(conf, i);

		service->name.offset = put_string(compile, result->services[i].title);
		service->where = result->services[i].where;
		put_scope(compile, service, &result->services[i], options_service, service,
			  service->origin);
	}
}

void compile_note(struct compile *compile, const struct conf_service *service, const char *handler)
{
	if (handler == NULL)
		compile->note[0] = '\0';
	else
		snprintf(compile->note, COMPILE_NOTE_SIZE, "%s:%u: service \"%s\": handler %s",
			 conf_list_string(compile->conf, compile->conf->files, service->where.file),
			 service->where.line, conf_string(compile->conf, service->name), handler);
}
