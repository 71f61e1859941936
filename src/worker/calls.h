/*
 * calls.h - lists of system calls for the sandbox, and how they become a seccomp filter.
 *
 * Written by hand and not with libseccomp: that library builds its filter anew in each
 * worker, which would cost more time and more private memory than all the rest of a
 * worker's start. Here it is a constant table and one system call. What the library
 * knows better, the many numbers of many machines, is not needed: a filter for a machine
 * that calls.c does not know is not made at all, and the master says so.
 */
#ifndef PREFORKD_WORKER_CALLS_H
#define PREFORKD_WORKER_CALLS_H

#include <stdbool.h>

enum calls_level {
	CALLS_NO_ATTACKS,   /* not what only administrators and attackers need */
	CALLS_NO_NEW,	    /* nor new programs, processes, sockets, open files */
	CALLS_NO_NEW_LATER, /* the same without what the setup of a worker needs, */
	CALLS_NO_NEW_NOW,   /* and only that: a second filter, which costs a worker little */
	CALLS_SERVING_ONLY  /* only what serving needs; anything else ends the process by SIGSYS */
};

/* Can a filter be made on this machine, with this kernel? */
bool calls_possible(void);

/*
 * From now on, for this process and its children. Needs no_new_privs. Returns 0, or -1
 * with errno. Source: seccomp(2).
 */
int calls_restrict(enum calls_level level);

/* "openat" of its number, as far as one of the lists has it; else NULL. */
const char *calls_name(unsigned number);

#endif
