/*
 * reap.h - what a worker tells by its end.
 */
#ifndef PREFORKD_MASTER_REAP_H
#define PREFORKD_MASTER_REAP_H

struct worker;

/* It is gone: explain the end in one line, add up what it served, free the seat. */
void reap_worker(struct worker *worker);

#endif
