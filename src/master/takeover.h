/*
 * takeover.h - the first steps of a new binary: the rehearsal, and then the real thing.
 *
 * The rehearsal is a child of the old master. It does all that can fail and touches
 * nothing, so that the new binary fails there and not when it is the master.
 */
#ifndef PREFORKD_MASTER_TAKEOVER_H
#define PREFORKD_MASTER_TAKEOVER_H

struct conf;
struct master;

/* Of the rehearsal: the handover is read from the one, the conf written to the other. */
#define TAKEOVER_STATE_FD 3
#define TAKEOVER_CONF_FD 4

/* The number of the descriptor of the handover, when it is no rehearsal. */
#define TAKEOVER_VARIABLE "PREFORKD_HANDOVER"

/* The descriptor that the environment names, which then names it no more; -1: none. */
int takeover_fd(void);

/* Rehearse, with the config as it was read. Returns an exit status, after a line on stderr. */
int takeover_rehearse(const struct conf *conf);

/*
 * Become the master: all that the old one had is there, and a new generation starts.
 * Sets up log and loop as well. Returns 0, or -1 after a line in the log, with an
 * exit status in *status_r.
 */
int takeover(struct master *master, int *status_r);

#endif
