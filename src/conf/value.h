/*
 * value.h - the text of one value and what it means, in both directions.
 */
#ifndef PREFORKD_CONF_VALUE_H
#define PREFORKD_CONF_VALUE_H

#include <stdbool.h>
#include <stdio.h>

struct option;
struct text;

/*
 * Read a scalar value (all kinds but OPTION_TEXT and OPTION_LIST). On false,
 * `why` got a sentence that says what was expected.
 */
bool value_parse(const struct option *option, const char *string, long long *value_r,
		 struct text *why);

/* The number in a file of /proc/sys; fallback if there is none. */
long long value_from_file(const char *path, long long fallback);

/* The most that may wait in the queue of a socket that listens. */
long long value_somaxconn(void);

/* Print a scalar in the shortest form that value_parse() reads back as the same. */
void value_print(const struct option *option, long long value, FILE *out);

/* Print a string in double quotes, escaped so that libconfuse reads it back as the same. */
void value_print_string(const char *string, FILE *out);

#endif
