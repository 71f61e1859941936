/*
 * persist.h - workers that are programs by now: when they count as ready, and what
 * they say on their NOTIFY_SOCKET.
 *
 * The ready pipe tells of them: WORKER_BECOMES, then its end: the program runs.
 * WORKER_FAILED, or the end alone: it does not, and the process will exit.
 *
 *	ready = now       ready when it runs
 *	ready = 1s        ready when it has run for so long
 *	ready = notify    ready when it says READY=1 (sd_notify(3))
 *
 * Who speaks is known from the credentials that the kernel adds; what is said
 * is believed of the speaker only.
 */
#ifndef PREFORKD_MASTER_PERSIST_H
#define PREFORKD_MASTER_PERSIST_H

struct master;
struct service_pool;
struct worker;

/* Make the socket that programs notify, if it is not there. 0, or -1 with errno. */
int persist_setup(struct master *master);
/* Likewise with the socket that is there, after an upgrade. */
int persist_inherit(struct master *master);
void persist_free(struct master *master);

/* Take what waits, before an end is judged that may be explained by it. */
void persist_listen(struct master *master);

/* The program of a worker runs. */
void persist_began(struct worker *worker);

/*
 * Do what is due for the programs of a pool: count them as ready, kill those that
 * are never ready or whose watchdog is silent. Returns when to call it again; 0: not.
 */
long long persist_check(struct service_pool *pool, long long now_ms);

#endif
