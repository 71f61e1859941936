/*
 * print.h - the effective config, each value with where it came from.
 */
#ifndef PREFORKD_CONF_PRINT_H
#define PREFORKD_CONF_PRINT_H

#include <stdio.h>

struct conf;

/* Print the whole conf in config syntax; what is printed can be read back in. */
void conf_print(const struct conf *conf, FILE *out);

#endif
