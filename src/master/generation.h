/*
 * generation.h - one read of the config come to life: listeners, pools, board.
 *
 * Built beside the present one; everything that can fail fails while it is
 * built, and then nothing has happened.
 */
#ifndef PREFORKD_MASTER_GENERATION_H
#define PREFORKD_MASTER_GENERATION_H

#include <stdbool.h>

#define GENERATION_START_MS 60000 /* all workers of a new generation are ready by then */

struct conf;
struct counts;
struct generation;
struct master;

/*
 * Make master->starting from a conf, and take the conf over in any case. all: there
 * will be new workers everywhere; else the pools of services that are the same as
 * in the current generation go on in this one, when it is committed. Returns 0, or
 * -1 after lines in the log, with an exit status in *status_r.
 */
int generation_build(struct master *master, const struct conf *conf, bool all, int *status_r);

/*
 * Open the listeners that are not open yet. Returns 0: generation->bound says
 * whether all are, else some wait for their address (socket.bind_retry); or -1
 * as generation_build().
 */
int generation_bind(struct generation *generation, long long now_ms, int *status_r);

/*
 * When its start is done, if nobody dies before: every pool has the ready workers it
 * needs at least, and persistent programs that are ready at once have lived for a
 * second. 0: not all are ready.
 */
long long generation_settled_at(const struct generation *generation);

/* Let its pools have the sizes that the config says. */
void generation_resize(struct generation *generation);

/* True when no worker is left. */
bool generation_is_empty(const struct generation *generation);

/*
 * Tell all its workers to finish; it is put into master->retired. Pools whose
 * listener is not in the current generation serve their queue first.
 */
void generation_retire(struct master *master, struct generation *generation);

/*
 * It is the current one from now on: take the pools that it keeps from the one before it,
 * with their workers. What was changed about them by hand is as the config says again.
 */
void generation_serves(struct generation *generation);

/* Give all its workers the goal to be gone now. */
void generation_kill(struct generation *generation);

/* Free a generation without workers. */
void generation_free(struct generation *generation);

#endif
