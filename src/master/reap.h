/*
 * reap.h - what a worker tells by its READY, and what by its end.
 */
#ifndef PREFORKD_MASTER_REAP_H
#define PREFORKD_MASTER_REAP_H

/* Both are called for a struct worker, see watch.h. */

/* Its ready pipe has something to read: READY, or the end. */
void reap_ready(void *worker);

/* It is gone: explain the end in one line, add up what it served, free the seat. */
void reap_worker(void *worker);

#endif
