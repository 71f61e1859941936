/*
 * landlock.h - Landlock of the kernel: which files a process and its children may still use.
 *
 * Debian 12's header knows the first of its abilities only, so they are written out here.
 */
#ifndef PREFORKD_WORKER_LANDLOCK_H
#define PREFORKD_WORKER_LANDLOCK_H

#include <stdbool.h>

/* What is taken away; files are given back path by path. */
struct landlock {
	bool files;
	bool devices;  /* ioctl(2) on device files that are opened from now on */
	bool tcp;      /* bind(2), connect(2) */
	bool signals;  /* to others than this process and its children */
	bool abstract; /* unix sockets of others without a path */
	int fd;	       /* of landlock_start() */
};

/* What the kernel has of it, 0: nothing. */
int landlock_version(void);

/*
 * Begin; what this kernel does not have is left out. Returns 0, or -1 with errno, as the
 * others. Source: landlock(7).
 */
int landlock_start(struct landlock *landlock);

/* Give back a file, or a directory with all below it: to read and execute, or to write, too. */
int landlock_allow(const struct landlock *landlock, const char *path, bool write);

/* Hold to it from now on. Needs no_new_privs. */
int landlock_enter(struct landlock *landlock);

#endif
