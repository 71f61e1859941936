/*
 * persist.h - the handler "persistent": a worker becomes a program that accepts by
 * itself, and stays.
 *
 * The program finds the listening socket as descriptor 3, as sd_listen_fds(3) and
 * Server::Starter have it; the master goes on to supervise it like any worker.
 */
#ifndef PREFORKD_WORKER_PERSIST_H
#define PREFORKD_WORKER_PERSIST_H

struct slot;
struct worker_seat;

/* Become the program, after the slot has said so. Where that fails, a line in the log and exit. */
_Noreturn void persist_become(const struct worker_seat *seat, struct slot *slot);

#endif
