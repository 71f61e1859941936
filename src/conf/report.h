/*
 * report.h - what is wrong with a config, one line each, with file and line.
 *
 * Collected in the reading child and handed to the master as text.
 */
#ifndef PREFORKD_CONF_REPORT_H
#define PREFORKD_CONF_REPORT_H

#include "base/text.h"

#define REPORT_SIZE ((size_t)64 * 1024) /* what does not fit is cut off */

struct report {
	struct text lines; /* each ends with a line feed */
	unsigned errors;
};

/*
 * Add "file:line: " (only "file: " for line 0) and the message, and count it.
 * Control characters in the message are escaped.
 */
void report_add(struct report *report, const char *file, unsigned line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#endif
