/*
 * watch.h - the descriptors of all workers behind one descriptor of the loop.
 *
 * Two per worker: its pidfd, readable when it is gone, and for a moment its
 * ready pipe. Two per pool: its bell, and at times its listener. sd-event could
 * watch them, too, but its sources lie on the heap, which each worker inherits
 * and the master goes on to change: with 64 workers that made 36 of 108 KiB of
 * private memory of a worker (measured).
 */
#ifndef PREFORKD_MASTER_WATCH_H
#define PREFORKD_MASTER_WATCH_H

#include <stdbool.h>

struct master;

struct watch {
	int fd; /* -1: none */
	void (*on_event)(void *owner);
	void *owner;
};

/* Make the one descriptor and give it to the loop. 0, or a negative errno. */
int watch_setup(struct master *master);

/*
 * Call on_event when fd is readable or its other end is closed. Takes fd over
 * if it succeeds. 0, or -1 with errno.
 */
int watch_add(struct master *master, struct watch *watch, int fd, void (*on_event)(void *owner),
	      void *owner);

/* The same, but it is called once, and again only after watch_again(). */
int watch_add_once(struct master *master, struct watch *watch, int fd,
		   void (*on_event)(void *owner), void *owner);
void watch_again(struct master *master, struct watch *watch);

/* End the watch, but leave the descriptor open. */
void watch_forget(struct master *master, struct watch *watch);

/* Close the descriptor; nothing is called for it from here on. */
void watch_remove(struct master *master, struct watch *watch);

#endif
