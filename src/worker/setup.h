/*
 * setup.h - from a fresh process to a worker that may meet clients.
 */
#ifndef PREFORKD_WORKER_SETUP_H
#define PREFORKD_WORKER_SETUP_H

struct serve;
struct worker_seat;

/*
 * What is the same for all workers of a batch. Ends the process as setup_worker() does.
 */
void setup_batch(const struct worker_seat *seat);

/*
 * Everything before the first accept(2); serve has conf, service and handler, and
 * gets slot and state. Ends the process with a status of enum worker_exit when
 * something fails, after a line in the log.
 */
void setup_worker(const struct worker_seat *seat, struct serve *serve);

/* The very last: when its log is where it will be, and before the first client or program. */
void setup_sandbox(const struct worker_seat *seat, const struct serve *serve);

/* Say which step failed, with errno, and leave with a status of enum worker_exit. */
_Noreturn void setup_failed(const struct worker_seat *seat, const char *step, int status);

#endif
