/*
 * listeners.h - the open listeners of the master, found by address.
 *
 * A reload asks for each service; who has the same triple and address gets
 * the same descriptor, so nothing that waits in its queue is lost.
 */
#ifndef PREFORKD_MASTER_LISTENERS_H
#define PREFORKD_MASTER_LISTENERS_H

#include <stdbool.h>

struct conf;
struct conf_service;
struct master;
struct open_listener;

/*
 * The listener for a service: one that is open already, or a new one. NULL
 * when it cannot be opened, after a line in the log, with an exit status of
 * sysexits.h in *status_r; EX_OK, and no line but errno, when it may wait for its
 * address longer than waited_ms.
 */
struct open_listener *listeners_take(struct master *master, const struct conf *conf,
				     const struct conf_service *service, long long waited_ms,
				     int *status_r);

/* How long a service waits for its address after this error of bind(2), in ms; 0: not. */
long long listeners_patience(const struct master *master, const struct conf_service *service,
			     int error);

/*
 * Open what a service needs besides, when each worker has a socket of its own.
 * Returns 0, or -1 as listeners_take().
 */
int listeners_grow(struct open_listener *open, const struct conf_service *service, int *status_r);

/* Close what the current generation does not need of it, after another one failed to start. */
void listeners_shrink(struct master *master);

/* Let the options of the listeners follow the current config (mode, backlog, ...). */
void listeners_adjust(struct master *master);

/* Close the listeners that no pool of the current or starting generation has. */
void listeners_sweep(struct master *master);

#endif
