/*
 * reconcile.h - compare what is wanted with what is, and act: the only way to
 * fork(), to stop signals, and to the end.
 *
 * Called after each round of events. It asks the policy of every pool for the
 * next step until all say "wait", settles the fate of a starting generation,
 * buries empty ones, and sets the one timer to the next moment that matters.
 */
#ifndef PREFORKD_MASTER_RECONCILE_H
#define PREFORKD_MASTER_RECONCILE_H

struct master;

void reconcile(struct master *master);

#endif
