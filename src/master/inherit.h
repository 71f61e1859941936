/*
 * inherit.h - the new master takes over what the old one wrote down; see handover.h.
 *
 * Its workers were started by another binary. They go on as they are: what served
 * is the current generation until a new one is ready, what was leaving leaves.
 */
#ifndef PREFORKD_MASTER_INHERIT_H
#define PREFORKD_MASTER_INHERIT_H

#include "master/handover.h"

struct conf;
struct text;

/*
 * The first record, and from it what is needed before all else: paths, locks, wishes.
 * Returns 0, or -1 with a sentence in *error.
 */
int inherit_master(struct master *master, struct handover_cursor *cursor,
		   struct handover_master *record_r, struct text *error);

/*
 * The rest: listeners, accounts, generations. The services of the pools are those of
 * conf. No descriptor is touched. Returns as inherit_master(), and then what has been
 * read is there.
 */
int inherit_all(struct master *master, struct handover_cursor *cursor,
		const struct handover_master *record, const struct conf *conf, struct text *error);

/* Map, watch, listen to what the descriptors stand for. Returns 0, or -1 with errno. */
int inherit_attach(struct master *master);

#endif
