/*
 * pool.h - how many workers, and when: the policy of one pool.
 *
 * Pure: numbers in, numbers out, no system call and no clock, so a test walks
 * through every order of events. The master asks pool_next() what to do, does
 * it, and tells what happened; nothing else forks or signals workers.
 *
 *	          spawned            ready
 *	EMPTY ------------> STARTING -----> READY
 *	  ^                    |              |
 *	  |      exited        | stopped      | stopped
 *	  +--------------------+--> LEAVING <-+
 *	  +------------------------- |  ^ | (signal repeated)
 *	  |                          v  +-+
 *	  +------------------------ KILLED     (drain time over)
 *
 * A pool that was never ready, or whose workers die young, starts one worker
 * at a time, a probe; the others follow at once when it is ready. So a service
 * that cannot start costs one fork a try, and tries are 100 ms apart, doubling
 * to 60 s. A worker that was of use (it served, or was ready for a second) is
 * replaced at once, so that who can crash his own worker cannot slow down the
 * service of others.
 */
#ifndef PREFORKD_MASTER_POOL_H
#define PREFORKD_MASTER_POOL_H

#include <stdbool.h>

#define POOL_BACKOFF_MIN_MS 100
#define POOL_BACKOFF_MAX_MS 60000
#define POOL_USEFUL_MS 1000 /* a worker that was ready for so long was of use */
#define POOL_REPEAT_MS 100  /* between two stop signals to one worker */

enum seat_phase { SEAT_EMPTY, SEAT_STARTING, SEAT_READY, SEAT_LEAVING, SEAT_KILLED };

/* What the master knows of one worker. Times are clock_now_ms(). */
struct seat {
	enum seat_phase phase;
	bool was_ready;
	long long since_ms;  /* start of the phase */
	long long kill_ms;   /* LEAVING: when the drain time is over */
	long long signal_ms; /* LEAVING: when the stop signal is sent again */
};

enum pool_goal {
	POOL_SERVE,  /* every seat has a worker */
	POOL_RETIRE, /* no new ones; those that are finish and leave */
	POOL_KILL,   /* all gone, now */
};

struct pool {
	struct seat *seats;
	unsigned n_seats;
	enum pool_goal goal;
	long long drain_ms;
	unsigned failures;	 /* starts in a row that came to nothing */
	long long not_before_ms; /* no spawn earlier */
	bool proven;		 /* a worker was ready since the last failure, */
	long long proven_ms;	 /* at this moment */
};

enum pool_action { POOL_WAIT, POOL_DO_SPAWN, POOL_DO_STOP, POOL_DO_KILL };

/* What to do: an action and its seat, or wait until wake_ms (0: for an event). */
struct pool_step {
	enum pool_action action;
	unsigned seat;
	long long wake_ms;
};

/* How a worker ended, as far as the policy cares. */
struct pool_exit {
	bool served;	/* it had taken at least one conn */
	bool own_fault; /* it exited with an error or crashed; not: it left, or was killed */
};

struct pool_step pool_next(const struct pool *pool, long long now_ms);

/* What happened. */
void pool_spawned(struct pool *pool, unsigned seat, long long now_ms);
void pool_spawn_failed(struct pool *pool, long long now_ms);
void pool_ready(struct pool *pool, unsigned seat, long long now_ms);
void pool_stop_sent(struct pool *pool, unsigned seat, long long now_ms);
void pool_kill_sent(struct pool *pool, unsigned seat, long long now_ms);
void pool_exited(struct pool *pool, unsigned seat, struct pool_exit how, long long now_ms);

/* Seats in a phase. */
unsigned pool_count(const struct pool *pool, enum seat_phase phase);

#endif
