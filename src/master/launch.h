/*
 * launch.h - start the program of the workers, with an order for a batch.
 */
#ifndef PREFORKD_MASTER_LAUNCH_H
#define PREFORKD_MASTER_LAUNCH_H

#include <sys/types.h>

struct master;
struct service_pool;

#define LAUNCH_WORKER LIBEXECDIR "/preforkd-worker"
#define LAUNCH_MODULE LIBEXECDIR "/preforkd-worker-module"

/*
 * The programs, as they were when we began, whatever is installed later: they have to be of
 * our version. The one for handlers that are modules can load them.
 */
struct launch_programs {
	int worker_fd, module_fd;
};

/* Find them, beside our own or where they are installed. Returns 0, or -1 with errno. */
int launch_find(struct launch_programs *programs_r);

/*
 * Order n workers for the seats of the pool that have none yet, and map pool->batch.births
 * if they are more than one. Returns the pid of the first, their leader, or -1 with errno;
 * then nothing is left of the attempt but that mapping. Source: posix_spawn(3).
 */
pid_t launch_batch(struct service_pool *pool, unsigned n);

#endif
