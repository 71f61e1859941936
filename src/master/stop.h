/*
 * stop.h - the end: graceful with a deadline, or now.
 */
#ifndef PREFORKD_MASTER_STOP_H
#define PREFORKD_MASTER_STOP_H

#include "master/state.h"

#define STOP_KILL_GRACE_MS 1000 /* from SIGKILL until we leave without the worker */

/* Begin to stop, or go on faster. */
void stop_begin(struct master *master, enum master_stop how);

/* Leave the loop when all workers are gone, or the last deadline is over. */
void stop_check(struct master *master, long long now_ms);

#endif
