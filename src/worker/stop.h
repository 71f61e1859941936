/*
 * stop.h - how a worker is told to leave, without a race.
 *
 *	SIGTERM  retire: another generation serves the queue. The handler puts
 *	         /dev/null over the listening descriptor, so that an accept(2)
 *	         that is about to begin fails at once (ENOTSOCK), and one that
 *	         waits returns with EINTR.
 *	SIGUSR1  drain: nobody else will serve the queue. The handler makes the
 *	         listener non-blocking; the worker leaves when it is empty. The flag
 *	         is shared by all who have the socket, and they all drain.
 */
#ifndef PREFORKD_WORKER_STOP_H
#define PREFORKD_WORKER_STOP_H

#include <stdbool.h>

/*
 * Install the handlers for this listener and unblock all signals; standard input
 * must be /dev/null by now. 0, or -1 with errno.
 */
int stop_setup(int listener);

/* Told to retire: take no more. */
bool stop_retiring(void);

/* Told to drain: take what is there, wait for nothing. */
bool stop_draining(void);

#endif
