/*
 * scan.h - look at the raw text of a config file before libconfuse does.
 *
 * libconfuse reads some broken files as good ones (measured): a file cut off
 * inside of a section, a NUL in a string, an unset ${VAR}, a lone *. These are
 * found here, by following quotes, comments and braces only. Comments are
 * replaced by blanks, because libconfuse loses count of the lines in them.
 */
#ifndef PREFORKD_CONF_SCAN_H
#define PREFORKD_CONF_SCAN_H

#include <stddef.h>

struct report;

#define SCAN_BLOCKS_MAX 1024

struct scan {
	unsigned n_blocks;
	unsigned block_line[SCAN_BLOCKS_MAX]; /* of the `{` of each service, in order */
};

/*
 * Scan `size` bytes (text[size] must be NUL) and blank out the comments.
 * Returns 0, or -1 with every finding in report.
 */
int scan_text(char *text, size_t size, const char *file, struct report *report,
	      struct scan *scan_r);

#endif
