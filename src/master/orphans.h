/*
 * orphans.h - what the programs of a worker leave behind when the worker is killed.
 *
 * A worker ends all that its programs started. If it cannot any more, the
 * processes become children of the master (PR_SET_CHILD_SUBREAPER), who ends
 * them: nothing that a client caused shall outlive its connection.
 */
#ifndef PREFORKD_MASTER_ORPHANS_H
#define PREFORKD_MASTER_ORPHANS_H

struct master;

/* At the start: become the parent of orphans. Returns 0, or -1 with errno. */
int orphans_setup(void);

/*
 * End and reap every child that is none of ours; again a moment later, until there
 * is none. at_ms of the next time is in master->orphans_next_ms, 0 when all is done.
 */
void orphans_end(struct master *master);

#endif
