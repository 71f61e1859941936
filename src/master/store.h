/*
 * store.h - listeners in the store of the service manager, which has them while
 * no master runs: what comes meanwhile waits in their queues.
 *
 * systemd.service(5), FileDescriptorStoreMax=; sd_pid_notify_with_fds(3). The master
 * that starts next gets them back through adopt.c. Each socket has a name of its own
 * there, which says whose it is; so it can be taken out alone.
 */
#ifndef PREFORKD_MASTER_STORE_H
#define PREFORKD_MASTER_STORE_H

#include <stdbool.h>

#include "net/unixpath.h"

struct master;
struct open_listener;

#define STORE_NAME_MAX 160 /* with NUL; systemd takes 255 bytes */

/* Put in what is not there yet, and belongs there; nothing when there is no store. */
void store_keep(struct master *master);

/* Take out the sockets of a listener from this one on. */
void store_drop(struct open_listener *open, unsigned from);

/* Take out one that nobody wants back, by its name. */
void store_drop_name(const char *name);

/*
 * Read a name that a master of ours gave: the service, and the node of the path of a
 * unix socket. Returns false if it is none.
 */
bool store_read_name(const char *name, char service_r[64], struct unixpath_node *node_r);

#endif
