#include "ctl/table.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "ctl/usage.h"

#define COLUMNS_MAX 24

struct table {
	unsigned n_columns;
	bool right[COLUMNS_MAX];
	size_t width[COLUMNS_MAX];
	size_t n_cells, room;
	char **cells;
};

static void put(struct table *table, char *cell)
{
	size_t column = table->n_cells % table->n_columns;
	size_t length = strlen(cell);

	if (table->n_cells == table->room) {
		table->room = table->room * 2 + COLUMNS_MAX;
		table->cells = reallocarray(table->cells, table->room, sizeof(*table->cells));
		if (table->cells == NULL)
			usage_die(EX_OSERR, "out of memory");
	}
	table->cells[table->n_cells++] = cell;
	if (length > table->width[column])
		table->width[column] = length;
}

struct table *table_new(const char *titles)
{
	struct table *table = calloc(1, sizeof(*table));
	const char *word = titles;

	if (table == NULL)
		usage_die(EX_OSERR, "out of memory");
	for (; word != NULL; word = strchr(word + 1, ' '))
		table->n_columns++;
	for (unsigned i = 0; i < table->n_columns; i++) {
		size_t length;

		table->right[i] = *titles == '>';
		titles += table->right[i];
		length = strcspn(titles, " ");
		table_add(table, "%.*s", (int)length, titles);
		titles += length + 1;
	}
	return table;
}

void table_add(struct table *table, const char *format, ...)
{
	char *cell;
	va_list args;

	va_start(args, format);
	if (vasprintf(&cell, format, args) < 0)
		usage_die(EX_OSERR, "out of memory");
	va_end(args);
	put(table, cell);
}

void table_print(struct table *table, FILE *out)
{
	for (size_t i = 0; i < table->n_cells; i++) {
		size_t column = i % table->n_columns;
		bool last = column + 1 == table->n_columns;
		int width = (int)table->width[column];

		if (table->right[column])
			fprintf(out, "%*s", width, table->cells[i]);
		else
			fprintf(out, "%-*s", last ? 0 : width, table->cells[i]);
		fputs(last ? "\n" : "  ", out);
		free(table->cells[i]);
	}
	free(table->cells);
	free(table);
}
