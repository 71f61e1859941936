/*
 * persist.h - the handler "persistent": a worker becomes a program that accepts by
 * itself, and stays.
 *
 * The program finds the listening socket as descriptor 3, as sd_listen_fds(3) and
 * Server::Starter have it; the master goes on to supervise it like any worker.
 */
#ifndef PREFORKD_WORKER_PERSIST_H
#define PREFORKD_WORKER_PERSIST_H

struct worker_seat;

/*
 * Become the program. seat->ready_fd gets a byte before and is closed by the
 * kernel when it has worked; when it has not, after a line in the log, another
 * byte: see master/persist.h. Does not return.
 */
_Noreturn void persist_become(const struct worker_seat *seat);

#endif
