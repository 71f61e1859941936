/*
 * stop.h - how a worker is told to leave, without a race.
 *
 *	SIGTERM  retire: another generation serves the queue. The handler puts
 *	         /dev/null over the listening descriptor, so that an accept(2)
 *	         that is about to begin fails at once (ENOTSOCK), and one that
 *	         waits returns with EINTR.
 *	SIGUSR1  drain: nobody else will serve the queue. If it is empty that is
 *	         the same as to retire, so that a busy worker does not keep the
 *	         socket open for newcomers. Else the handler makes the listener
 *	         non-blocking, and the worker takes as many as waited at that
 *	         moment, or leaves earlier when the queue is empty. The flag is
 *	         shared by all who have the socket, and they all drain.
 *	SIGUSR2  the master is gone: retire, and end after the drain time. From the
 *	         kernel (PR_SET_PDEATHSIG), and never blocked, also where a handler
 *	         must not be interrupted by the others.
 */
#ifndef PREFORKD_WORKER_STOP_H
#define PREFORKD_WORKER_STOP_H

#include <signal.h>
#include <stdbool.h>

#define STOP_ORPHANED SIGUSR2

/*
 * Install the handlers for this listener and unblock all signals; standard input
 * must be /dev/null by now. master: who our parent must be. queue_max: what may wait in
 * its queue at most. drain_ms: how long we may live without a master. 0, or -1 with errno.
 */
int stop_setup(pid_t master, int listener, int queue_max, long long drain_ms);

/* Told to retire: take no more. */
bool stop_retiring(void);

/* Told to drain: take what is there, wait for nothing. */
bool stop_draining(void);

/* Before taking the next one: false if those that waited when the drain began are served. */
bool stop_may_take(void);

/* n were taken. */
void stop_took(int n);

/* Leave after the conn in hand, but while we drain: nobody takes our place then. */
void stop_leave(void);

#endif
