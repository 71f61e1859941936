/*
 * bequeath.h - the old master writes down what it knows; see handover.h.
 */
#ifndef PREFORKD_MASTER_BEQUEATH_H
#define PREFORKD_MASTER_BEQUEATH_H

#include <stdbool.h>

struct master;

/* All of it, for a binary that has read the config into conf_fd. As handover_seal(). */
int bequeath(const struct master *master, int conf_fd);

/*
 * Whether the descriptors that are handed over stay open across execve(2). Returns 0,
 * or -1 with errno when one of them is not open.
 */
int bequeath_keep(const struct master *master, bool keep);

#endif
