/*
 * table.h - columns as wide as what stands in them.
 */
#ifndef PREFORKD_CTL_TABLE_H
#define PREFORKD_CTL_TABLE_H

#include <stdio.h>

struct table;

/*
 * A new table. titles: words with a space between them, those of columns to be
 * aligned on the right with a > before them. Ends the process without memory.
 */
struct table *table_new(const char *titles);

/* Append a cell; after the last one of a row comes the next row. A tab or worse is not expected. */
void table_add(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Print it, titles first, and free it. */
void table_print(struct table *table, FILE *out);

#endif
