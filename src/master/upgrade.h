/*
 * upgrade.h - SIGUSR2: another binary takes the place of this one, with the same pid.
 *
 *	upgrade_begin() -> (a child: the new binary rehearses; see takeover.h)
 *	-> upgrade_check() in reconcile() -> execve(2)
 *	-> the new binary: takeover() -> a new generation starts as at a reload
 *	-> reconcile commits or drops it -> upgrade_end()
 *
 * Until execve(2) succeeds whatever goes wrong is a line in the log and no more; after
 * it the workers of the old binary serve until new ones are ready. Workers stay
 * children, since the process stays the same, and are not told that their master
 * is gone, since its thread does not end (prctl(2), PR_SET_PDEATHSIG).
 */
#ifndef PREFORKD_MASTER_UPGRADE_H
#define PREFORKD_MASTER_UPGRADE_H

struct master;

/* Remember which file this binary is: before anything changes the directory. */
void upgrade_setup(struct master *master);

/* Start the rehearsal; the rest happens in the event loop. */
void upgrade_begin(struct master *master);

/* From reconcile(), where no event is half done: if the rehearsal went well, do it. */
void upgrade_check(struct master *master);

/* The rehearsal has ended; it is reaped here. */
void upgrade_rehearsed(struct master *master);

/* The service stops: there is no upgrade any more. */
void upgrade_cancel(struct master *master);

/* In the new binary: its workers serve (why NULL), or the old ones go on because of why. */
void upgrade_end(struct master *master, const char *why);

#endif
