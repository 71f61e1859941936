/*
 * usage.h - how preforkctl is called, and how it says that it was called wrongly.
 */
#ifndef PREFORKD_CTL_USAGE_H
#define PREFORKD_CTL_USAGE_H

#include "conf/runtime.h"

/* The options before the command. */
struct arguments {
	const char *config, *address;
	const char *socket; /* NULL: that of the master of the config */
	long long port;	    /* -1: that of the config */
	long long wait_ms;  /* -1: as long as is usual for the command */
};

extern const char usage_text[];

/* A line on the standard error, for EX_USAGE the summary as well, and the end. */
_Noreturn void usage_die(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
