#include "conf/report.h"

#include <stdarg.h>
#include <stdio.h>

void report_add(struct report *report, const char *file, unsigned line, const char *format, ...)
{
	char message[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	report->errors++;
	text_add_escaped(&report->lines, file, "");
	if (line > 0)
		text_addf(&report->lines, ":%u", line);
	text_add(&report->lines, ": ");
	text_add_escaped(&report->lines, message, "");
	text_add(&report->lines, "\n");
}
