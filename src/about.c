#include "about.h"

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "handler/handlers.h"
#include "net/triple.h"

static void print_words(const char *title, const struct triple_word *words)
{
	printf("\n[%s]\n", title);
	for (; words->name != NULL; words++)
		printf("%s\n", words->name);
}

static const char *family_of(const struct triple *triple)
{
	return triple_word(triple_families, triple->family);
}

static const char *type_of(const struct triple *triple)
{
	return triple_word(triple_types, triple->type);
}

void about_modules(void)
{
	printf("[handlers]\n");
	for (size_t i = 0; handlers_all[i] != NULL; i++)
		printf("%s: %s\n", handlers_all[i]->name, handlers_all[i]->summary);
	printf("exec: a program for each connection\n"
	       "persistent: a program that accepts by itself\n");
	printf("\n[modules]\n%s\n", MODULEDIR);
	print_words("families", triple_families);
	print_words("types", triple_types);
	printf("\n[protocols]\n");
	for (const struct triple *row = triples; row->family != AF_UNSPEC; row++)
		printf("%s %s %s\n", family_of(row), type_of(row), row->name);
	printf("\n[features]\nsystemd\n%s", PREFORKD_SANITIZERS ? "sanitizers\n" : "");
}

static void print_line(const struct triple *row, int error)
{
	printf("%-7s %-10s %-10s %-8s ", family_of(row), type_of(row), row->name,
	       row->accepts ? "accept" : "receive");
	if (error == 0)
		printf("works\n");
	else
		printf("no: %s (%s)\n", strerror(error), triple_remedy(row, error));
}

/* No text of ours has a quote or a backslash in it. */
static void print_object(const struct triple *row, int error)
{
	printf("{\"family\":\"%s\",\"type\":\"%s\",\"protocol\":\"%s\",", family_of(row),
	       type_of(row), row->name);
	printf("\"serves\":\"%s\",\"works\":%s", row->accepts ? "accept" : "receive",
	       error == 0 ? "true" : "false");
	if (error != 0)
		printf(",\"error\":\"%s\",\"remedy\":\"%s\"", strerror(error),
		       triple_remedy(row, error));
	printf("}");
}

void about_probe(bool json)
{
	if (json)
		printf("[");
	else
		puts("FAMILY  TYPE       PROTOCOL   SERVES   STATE");
	for (const struct triple *row = triples; row->family != AF_UNSPEC; row++) {
		int error = triple_probe(row, 0) < 0 ? errno : 0;

		if (json && row != triples)
			printf(",\n ");
		if (json)
			print_object(row, error);
		else
			print_line(row, error);
	}
	if (json)
		printf("]\n");
}
