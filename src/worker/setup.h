/*
 * setup.h - from a fresh fork of the master to a worker that may meet clients.
 */
#ifndef PREFORKD_WORKER_SETUP_H
#define PREFORKD_WORKER_SETUP_H

struct handler;
struct slot;
struct worker_seat;

/*
 * Everything before the first accept(2). Ends the process with a status of
 * enum worker_exit when something fails, after a line in the log; the slot and
 * the state of the handler come out.
 */
void setup_worker(const struct worker_seat *seat, const struct handler *handler,
		  struct slot **slot_r, void **state_r);

#endif
