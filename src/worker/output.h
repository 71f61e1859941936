/*
 * output.h - what programs write to their standard error, as lines of the log.
 *
 * Escaped, cut at a maximum, and at most so many for each conn: a program that
 * never stops talking must not fill the log, nor wait for us.
 */
#ifndef PREFORKD_WORKER_OUTPUT_H
#define PREFORKD_WORKER_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

struct serve;

#define OUTPUT_LINE_MAX 896 /* four times as much, escaped, has room in a line of the log */

struct output {
	const struct serve *serve;
	int read_fd, write_fd;
	char line[OUTPUT_LINE_MAX + 1];
	size_t length;
	unsigned long long lines, dropped; /* of this conn */
};

/* Make the pipe. Returns 0, or -1 with errno. */
int output_setup(struct output *output, const struct serve *serve);

/* Read what is there. False if there was nothing. */
bool output_take(struct output *output);

/* The conn is over: read the rest, finish the last line, say what was left out. */
void output_end(struct output *output);

#endif
