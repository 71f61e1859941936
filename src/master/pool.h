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
 * How many workers a pool wants follows from how many are busy: those, and some to
 * spare, between min and max. It grows at once, and shrinks when the most that were
 * busy for a while (idle_ms) needed fewer.
 *
 * One that is expired (it has served enough, is too old or too big, or somebody
 * asked for it) leaves when another one is ready in its place; for that there
 * are more seats than max.
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
#define POOL_USEFUL_MS 1000	/* a worker that was ready for so long was of use */
#define POOL_REPEAT_MS 100	/* until the second stop signal to one worker; then doubling */
#define POOL_REPEAT_MAX_MS 5000 /* between two of them */
#define POOL_CRASH_LOOP 5	/* crashes in a row that are one */

enum seat_phase { SEAT_EMPTY, SEAT_STARTING, SEAT_READY, SEAT_LEAVING, SEAT_KILLED };

#define SEAT_PHASES (SEAT_KILLED + 1)

/* What the master knows of one worker. Times are clock_now_ms(). */
struct seat {
	enum seat_phase phase;
	bool was_ready;
	bool busy;	     /* READY: with a conn, at the last look */
	bool expired;	     /* to be replaced */
	bool overdue;	     /* not to be waited for: it leaves within grace_ms, or is killed */
	long long since_ms;  /* start of the phase */
	long long kill_ms;   /* LEAVING: when its time is over; 0: it may finish */
	long long signal_ms; /* LEAVING: when the stop signal is sent again, */
	long long repeat_ms; /* so long after the last time */
};

enum pool_goal {
	POOL_SERVE,  /* as many workers as are wanted */
	POOL_RETIRE, /* no new ones; those that are finish and leave */
	POOL_KILL,   /* all gone, now */
};

/* What does not change by itself; what serves is between min and max. */
struct pool_limits {
	unsigned min, max, spare;
	unsigned spawn_rate;  /* workers a second; 0: no limit */
	long long idle_ms;    /* the pool shrinks to what was needed for so long */
	long long min_age_ms; /* a worker does not expire earlier */
	long long drain_ms;   /* one of a pool that retires may finish for so long, */
	long long finish_ms;  /* and one that leaves a pool that serves; 0: for ever */
	long long grace_ms;   /* one that is overdue, between stop signal and kill */
};

struct pool {
	struct seat *seats;
	unsigned n_seats, capacity;  /* those that may be filled; memory is there for more */
	unsigned count[SEAT_PHASES]; /* seats in each phase */
	unsigned expired, overdue;   /* of those that are STARTING or READY */
	unsigned starting_expired;   /* of those that are STARTING */
	unsigned first_empty;	     /* no seat before this one is EMPTY */
	enum pool_goal goal;
	struct pool_limits limits;
	bool paused;

	/* as it was seen last */
	unsigned busy;	     /* READY, not expired, with a conn */
	unsigned waiting;    /* clients that nobody has taken yet */
	unsigned surplus;    /* idle workers that are not needed */
	long long window_ms; /* when is judged what was needed; 0: nothing to judge */

	unsigned failures;	 /* starts in a row that came to nothing, */
	unsigned crashes;	 /* and in how many of them there was a worker */
	long long not_before_ms; /* no spawn earlier */
	bool tried;		 /* a worker was ready once */
	bool proven;		 /* a worker was ready since the last failure, */
	long long proven_ms;	 /* at this moment */
	long long rate_ms;	 /* start of the second in which */
	unsigned rate_used;	 /* so many were spawned */
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

/* Seats for so many workers: to replace some while they are still there. */
static inline unsigned pool_seats_for(unsigned max)
{
	return max + 1 + max / 8;
}

/* All seats of the array are empty; n_seats of them may be filled. */
void pool_init(struct pool *pool, struct seat *seats, unsigned n_seats, unsigned capacity);

struct pool_step pool_next(const struct pool *pool, long long now_ms);

/* How many workers it wants to have, those that are expired not counted. */
unsigned pool_wanted(const struct pool *pool);

/* How many it has that are not expired, starting or ready. */
unsigned pool_fresh(const struct pool *pool);

/* Is there room for one more? Those that leave keep their seats until they have finished. */
bool pool_may_grow(const struct pool *pool);

/* ---- what happened (pool_events.c) ---- */

void pool_spawned(struct pool *pool, unsigned seat, long long now_ms);
void pool_unspawned(struct pool *pool, unsigned seat, long long now_ms); /* it was never there */
void pool_spawn_failed(struct pool *pool, long long now_ms);
void pool_ready(struct pool *pool, unsigned seat, long long now_ms);
void pool_stop_sent(struct pool *pool, unsigned seat, long long now_ms);
void pool_kill_sent(struct pool *pool, unsigned seat, long long now_ms);
void pool_exited(struct pool *pool, unsigned seat, struct pool_exit how, long long now_ms);

/*
 * The master has looked who is busy (seats[].busy); peak: the most that were since the
 * window began; waiting: clients without a worker. True when a window begins, and
 * the peak shall be counted from here on.
 */
bool pool_seen(struct pool *pool, unsigned peak, unsigned waiting, long long now_ms);

/* The worker in a seat shall be replaced; nothing for a seat without one, or before min_age. */
void pool_expire(struct pool *pool, unsigned seat, long long now_ms);

/* The same at any age: somebody asked for it. False where there is none that serves. */
bool pool_retire(struct pool *pool, unsigned seat);

/* The worker in a seat shall be gone within grace_ms. */
void pool_overdue(struct pool *pool, unsigned seat, long long now_ms);

/* Other numbers than the config's. False where there is no room for so many. */
bool pool_scale(struct pool *pool, unsigned min, unsigned max);

/* A new one in the place of another: its size, and whether it is paused. */
void pool_follow(struct pool *pool, const struct pool *before);

/* No workers, until it is resumed; clients wait. Then it is tried at once, as a new pool is. */
void pool_pause(struct pool *pool, bool paused);

/* No worker is tried before it is asked for: it failed too often. */
static inline bool pool_in_crash_loop(const struct pool *pool)
{
	return pool->crashes >= POOL_CRASH_LOOP;
}

#endif
