/*
 * lock.h - one master per config, and its pid file.
 *
 * Both are files that are locked with flock(2) for as long as the master
 * lives, so that a crash leaves nothing that stops the next start.
 */
#ifndef PREFORKD_MASTER_LOCK_H
#define PREFORKD_MASTER_LOCK_H

#include <stdbool.h>

/*
 * Take the lock of a config (absolute path) in the runtime directory. Returns
 * the descriptor that holds it, or -1 after a line in the log, with an exit
 * status in *status_r. *heir_r: whether the master before us was killed.
 */
int lock_config(const char *config_path, bool *heir_r, int *status_r);

/*
 * Say in the file of lock_config() where the control socket is, "" for nowhere:
 * its second line, where preforkctl looks. Returns 0, or -1 with errno.
 */
int lock_note(int fd, const char *text);

/* Create, lock and fill a pid file. Returns as lock_config() does. */
int lock_pidfile(const char *path, int *status_r);

/* Remove the file behind a descriptor of the above, if it still is that file, and close it. */
void lock_release(int *fd);

#endif
