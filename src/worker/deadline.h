/*
 * deadline.h - one lazy timer per worker, so that deadlines cost no system call.
 *
 * The timer is armed only when a deadline is set and it is not already
 * running; when it fires early it is set again for what is left; when nothing
 * is served it stays off. After the deadline it fires every 50 ms until the
 * deadline is cleared, so that a read(2) that began just after the signal is
 * interrupted by the next one.
 *
 *	off --set--> running --fires: no deadline--> off
 *	                     --fires: too early----> running (for what is left)
 *	                     --fires: passed-------> running (50 ms)
 */
#ifndef PREFORKD_WORKER_DEADLINE_H
#define PREFORKD_WORKER_DEADLINE_H

/* Make the timer; its signal is SIGALRM. 0, or -1 with errno. Source: timer_create(2). */
int deadline_setup(void);

/* Take the timer down: nothing interrupts from here on, until a deadline is set again. */
void deadline_stop(void);

/* Interrupt blocking calls from this moment on (clock_now_ms()); 0: never. */
void deadline_set(long long at_ms);

#endif
