/*
 * children.h - all processes whose parent the master is: who they are, and their ends.
 *
 * Workers, who reads the config, who rehearses an upgrade, and what those left behind.
 * The number of a child is its own until it is reaped, which happens here only, so
 * a signal to it cannot reach a stranger. A pidfd for each would say the same, but
 * each fork copies the table of descriptors and each new worker closes them all:
 * with 4000 workers that was a fifth of a start and half of a reload (measured).
 */
#ifndef PREFORKD_MASTER_CHILDREN_H
#define PREFORKD_MASTER_CHILDREN_H

#include <stdbool.h>
#include <sys/types.h>

struct master;
struct worker;

/* The worker of this number, of whatever generation; NULL: none. */
struct worker *children_worker(const struct master *master, pid_t pid);

/* Reap those that have ended. True when there may be more: others get their turn first. */
bool children_reap(struct master *master);

#endif
