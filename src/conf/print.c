#include "conf/print.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "conf/conf.h"
#include "conf/options.h"
#include "conf/value.h"

#define VALUE_COLUMN 48 /* where the comments begin */
#define DEPTH_MAX 3

static const char *tabs(size_t n)
{
	static const char all[] = "\t\t\t";

	return all + DEPTH_MAX - n;
}

static void print_field(const struct conf *conf, const struct option *option, const void *field,
			FILE *out)
{
	const struct conf_list *list = field;

	if (option->kind == OPTION_TEXT) {
		value_print_string(conf_string(conf, *(const struct conf_text *)field), out);
	} else if (option->kind == OPTION_LIST) {
		putc('{', out);
		for (unsigned i = 0; i < list->count; i++) {
			fputs(i > 0 ? ", " : "", out);
			value_print_string(conf_list_string(conf, *list, i), out);
		}
		putc('}', out);
	} else {
		value_print(option, *(const long long *)field, out);
	}
}

static void print_key(const struct conf *conf, const struct option *option, const void *base,
		      struct conf_origin origin, const char *indent, FILE *out)
{
	char *value = NULL;
	size_t size = 0;
	FILE *memory = open_memstream(&value, &size);

	if (memory == NULL)
		return;
	print_field(conf, option, (const char *)base + option->field, memory);
	fclose(memory);
	fprintf(out, "%s%s = %-*s # ", indent, option->name,
		VALUE_COLUMN - (int)strlen(option->name) - 8 * (int)strlen(indent), value);
	if (origin.line == 0)
		fputs("default\n", out);
	else
		fprintf(out, "%s:%u\n", conf_list_string(conf, conf->files, origin.file),
			origin.line);
	free(value);
}

/* "" to "socket" to "socket.keepalive" and back: close what we leave, open what we enter. */
static void change_block(char *now, const char *next, size_t indent, FILE *out)
{
	size_t length = strlen(now);

	while (length > 0 &&
	       (strncmp(now, next, length) != 0 || strchr(".", next[length]) == NULL)) {
		char *dot = strrchr(now, '.');

		fprintf(out, "%s}\n", tabs(indent + (dot != NULL)));
		length = dot != NULL ? (size_t)(dot - now) : 0;
		now[length] = '\0';
	}
	while (next[length] != '\0') {
		const char *name = next + length + (length > 0);
		size_t size = strcspn(name, ".");

		fprintf(out, "%s%.*s {\n", tabs(indent + (length > 0)), (int)size, name);
		length = (size_t)(name - next) + size;
		memcpy(now, next, length);
		now[length] = '\0';
	}
}

/* Free keys: what was written, nothing where nothing was. */
static void print_pairs(const struct conf *conf, const struct option *option,
			const struct conf_list *list, struct conf_origin origin, FILE *out)
{
	for (unsigned i = 0; i < list->count; i++) {
		const char *pair = conf_list_string(conf, *list, i);
		const char *equals = strchr(pair, '=');

		if (i == 0)
			fprintf(out, "\t%s {\n", option->name);
		fprintf(out, "\t\t%.*s = ", (int)(equals - pair), pair);
		value_print_string(equals + 1, out);
		fprintf(out, " # %s:%u\n", conf_list_string(conf, conf->files, origin.file),
			origin.line);
	}
	fputs(list->count > 0 ? "\t}\n" : "", out);
}

/* The rows of a service, or of the top level, where service is NULL. */
static void print_rows(const struct conf *conf, const struct conf_service *service,
		       const struct option *rows, FILE *out)
{
	const void *base = service != NULL ? (const void *)service : conf;
	const struct conf_origin *origin = service != NULL ? service->origin : conf->origin;
	size_t indent = service != NULL;
	char now[64] = "";

	for (size_t i = 0; rows[i].name != NULL; i++) {
		const struct option *option = &rows[i];
		const char *block = option->block != NULL ? option->block : "";
		size_t depth = block[0] != '\0' ? 1 + (strchr(block, '.') != NULL) : 0;

		if (service != NULL && options_refusal(option, service) != NULL)
			continue;
		change_block(now, block, indent, out);
		if (option->kind == OPTION_PAIRS)
			print_pairs(conf, option,
				    (const void *)((const char *)base + option->field), origin[i],
				    out);
		else
			print_key(conf, option, base, origin[i], tabs(indent + depth), out);
	}
	change_block(now, "", indent, out);
}

void conf_print(const struct conf *conf, FILE *out)
{
	print_rows(conf, NULL, options_global, out);
	for (unsigned i = 0; i < conf->n_services; i++) {
		const struct conf_service *service = conf_service(conf, i);

		fprintf(out, "\nservice %s {\n", conf_string(conf, service->name));
		print_rows(conf, service, options_service, out);
		fputs("}\n", out);
	}
}
