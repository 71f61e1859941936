/*
 * daemon.h - the -D option: into the background once the service is up.
 */
#ifndef PREFORKD_MASTER_DAEMON_H
#define PREFORKD_MASTER_DAEMON_H

/*
 * Fork; the parent waits and exits 0 when daemon_ready() is called, else with
 * the child's exit status. Returns in the child the descriptor for
 * daemon_ready(), or -1 with errno when it could not fork.
 */
int daemon_start(void);

/* The service is up: let the parent go and cut the ties to the terminal. Closes *fd. */
void daemon_ready(int *fd);

#endif
