/*
 * loop.h - the event loop of the master: sd-event with signals, one timer, the
 * watchdog, and reconcile() after each round.
 */
#ifndef PREFORKD_MASTER_LOOP_H
#define PREFORKD_MASTER_LOOP_H

struct master;

/* Make the loop. Signals of the master are blocked from here on. 0, or a negative errno. */
int loop_setup(struct master *master);

/* Run until the end; returns the exit status. */
int loop_run(struct master *master);

/* Free the loop. */
void loop_free(struct master *master);

/* Call reconcile() at this time (clock_now_ms()) at the latest; 0: only after events. */
void loop_wake_at(struct master *master, long long at_ms);

/* The first generation is ready: tell everybody who waits for it. */
void loop_started(struct master *master);

#endif
