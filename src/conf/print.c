#include "conf/print.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "conf/conf.h"
#include "conf/options.h"
#include "conf/value.h"

#define VALUE_COLUMN 48 /* where the comments begin */

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

static void print_service(const struct conf *conf, const struct conf_service *service, FILE *out)
{
	const char *block = NULL;

	fprintf(out, "\nservice %s {\n", conf_string(conf, service->name));
	for (size_t i = 0; options_service[i].name != NULL; i++) {
		const struct option *option = &options_service[i];

		if (option->block != block) {
			fprintf(out, "%s\t%s {\n", block != NULL ? "\t}\n" : "", option->block);
			block = option->block;
		}
		if (options_refusal(option, service) == NULL)
			print_key(conf, option, service, service->origin[i],
				  block != NULL ? "\t\t" : "\t", out);
	}
	fprintf(out, "%s}\n", block != NULL ? "\t}\n" : "");
}

void conf_print(const struct conf *conf, FILE *out)
{
	for (size_t i = 0; options_global[i].name != NULL; i++)
		print_key(conf, &options_global[i], conf, conf->origin[i], "", out);
	for (unsigned i = 0; i < conf->n_services; i++)
		print_service(conf, conf_service(conf, i), out);
}
