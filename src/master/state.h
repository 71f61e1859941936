/*
 * state.h - what the master knows: the structures its rooms share.
 *
 *	master -> generations -> pools (one per service) -> workers (one per seat)
 *	       -> listeners, which outlive generations
 *
 * Only facts are kept here. loop.c and its callbacks change facts, reconcile.c
 * acts on them; see src/README.
 */
#ifndef PREFORKD_MASTER_STATE_H
#define PREFORKD_MASTER_STATE_H

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "board/board.h"
#include "conf/conf.h"
#include "conf/load.h"
#include "master/launch.h"
#include "master/pool.h"
#include "net/listener.h"

/* A listener of the master, kept while a service of the current config has its address. */
struct open_listener {
	struct listener listener;
	char service[64];   /* port 0 is kept for the service of this name */
	unsigned stored;    /* so many of its sockets are in the store of the manager, too, */
	char stored_as[64]; /* with the name of this service: it may have been another one's */
	struct open_listener *next;
};

/* The process in one seat; pid 0: none, or none yet. */
struct worker {
	struct service_pool *pool;
	unsigned seat;
	pid_t pid;
	unsigned generation; /* that it was started in */
	long long born_ms;
	uint64_t conns_max;   /* then it is to be replaced; 0: never */
	long long expires_ms; /* likewise */
	uint64_t slow_conn;   /* the number of the conn that was said to be slow, */
	long long slow_ms;    /* when that was */
	bool kill_wanted;     /* somebody asked for its end */
	const char *told_why; /* for the line that it was killed; NULL: its time was over */
	/* of a persistent program, 0 for not: */
	bool began;		  /* its slot said so */
	bool stopping;		  /* it said so */
	bool told;		  /* to leave: once is enough for somebody else's program */
	long long ready_at_ms;	  /* when it counts as ready */
	long long start_by_ms;	  /* when it is killed if it is not ready */
	long long watchdog_at_ms; /* when it is killed if it has said nothing */
};

/* Workers that are on their way: all but the first of a batch, which forks them. See spawn.c. */
struct batch {
	_Atomic int *births; /* by their place in the order: pids; 0: not born yet, < 0: -errno */
	unsigned n;	     /* of the whole batch, */
	unsigned born;	     /* and so many are known; as many as n: there is no batch */
	unsigned leader;     /* the seat of the first */
	unsigned next;	     /* the others that are not born have seats from here on */
};

/* The pool of one service in one generation. */
struct service_pool {
	struct generation *generation;
	const struct conf_service *service;
	struct service_pool *keeps; /* STARTING: of the current generation, to go on in this one */
	struct open_listener *listener; /* NULL once retired: the listener lives on without us */
	long long bind_since_ms;	/* STARTING: since then we try to bind */
	bool waiting;			/* ... and have said that we wait */
	unsigned drain_from; /* seats from this one on serve their queue before they leave */
	struct pool policy;
	struct board *board;
	struct worker *workers;
	unsigned wanted; /* seats that are filled when all is decided, by one batch */
	struct batch batch;

	/* of look.c */
	int bell_fd, ready_fd; /* eventfds: its workers call by one, and say READY by the other */
	sd_event_source *bell, *ready;
	sd_event_source *arrival; /* of the listener, while no worker waits for clients */
	bool look, called;	  /* something happened; a worker called */
	bool looked;		  /* the bell is to be set */
	long long look_ms;	  /* when to look again; 0: when something happens */
	long long times_ms;	  /* when a conn that is there may be overdue; 0: none */
	long long sizes_ms;	  /* when to look at the memory of the workers; 0: they rest */
	long long quiet_ms;	  /* workers do not call for being busy before */
	long long deaf_ms;	  /* nobody is heard before */
	long long calls_ms;	  /* start of the time in which */
	unsigned calls;		  /* so many called */
	int64_t base;		  /* what the bell counts when nobody is busy, or less */
	uint64_t begun;		  /* conns, at the last look */
	unsigned busy;		  /* READY with a conn */
	unsigned guess;		  /* how many wait, where the kernel does not tell */
	long long full_ms;	/* since when all that may be are busy, and clients wait; 0: not */
	long long full_said_ms; /* when the next line about it is due */
	unsigned full_count;	/* how often that was so */
	bool crash_loop_said;
	bool outdated; /* inherited, and no service of the config any more: it starts nobody */

	unsigned kills; /* workers with kill_wanted; see control_change.c */
};

enum canary { CANARY_NONE, CANARY_STARTS, CANARY_SINGS };

/* Everything one read of the config needs. */
struct generation {
	struct master *master;
	unsigned id;
	long long born_ms;
	const struct conf *conf;
	struct service_pool *pools;
	unsigned n_pools;
	bool bound;		     /* all its listeners are open */
	long long start_deadline_ms; /* STARTING: to be ready by */
	enum canary canary;	     /* STARTING: see canary.h */
	long long canary_ms;	     /* STARTING: when its time is over */
	bool start_failed;	     /* STARTING: a worker died before it was done */
	bool inherited;		     /* its workers are those of the binary before us */
	struct generation *next;     /* in master->retired */
};

/* Served conns of one service over all generations. */
struct account {
	char service[64];
	struct counts counts;
	uint64_t dropped; /* datagrams, by the kernel */
	struct account *next;
};

/* What came of the last reload. */
struct verdict {
	unsigned number; /* it was the nth; 0: there was none */
	int status;	 /* 0: it was done; else one of sysexits.h */
	unsigned generation;
	long long ended_ms;
	char why[128];	     /* "" when it was done */
	char problems[8192]; /* lines: warnings, errors, what else was logged of that level */
};

/* What a reload would do, for who asked last. */
struct plan {
	int status;	   /* 0; or one of sysexits.h, and then the text says why it would fail */
	char *text;	   /* lines */
	unsigned warnings; /* so many of them, the first */
};

enum master_stop { STOP_NOT, STOP_GRACEFUL, STOP_NOW };

struct master {
	/* given */
	const char *config_path;
	const char *pidfile_option; /* -p, or NULL */
	int level_option;	    /* -l, or -1 */
	int daemon_fd;		    /* -D: who waits for READY; -1 without */
	bool daemon_gone;	    /* -D: stderr is gone */

	/* for an upgrade */
	const char *binary; /* absolute */
	struct launch_programs programs;
	char **argv;
	int handover_fd; /* what the binary before us left; -1: nothing */

	/* the world */
	long long born_ms; /* when the service began; clock_now_ms() */
	sd_event *event;
	sd_event_source *timer;
	uint64_t watchdog_us; /* what the service manager wants; 0: nothing */
	int messages_fd;      /* what persistent programs say; see persist.h */
	sd_event_source *messages;
	char messages_name[128];
	struct generation *current;  /* NULL before the first is ready */
	struct generation *starting; /* being started by start or reload */
	struct generation *retired;  /* finishing what they have; newest first */
	struct open_listener *listeners;
	struct adopted *adopted; /* sockets that wait for a service to take them */
	struct account *accounts;
	unsigned last_id; /* of a generation */
	bool heir;	  /* the master before us was killed: its workers may still be leaving */
	int lock_fd;
	int pidfile_fd;
	struct control *control;		 /* NULL: there is no control socket */
	const struct control_left *control_left; /* of the master before us; NULL: nothing */

	struct postmortem *postmortems; /* a ring; see postmortem.h */
	unsigned n_postmortems;		/* that there ever were */
	int oom_fd;			/* where the kernel counts those it killed for memory */
	long long oom_kills;		/* of which we know; -1: nobody tells */
	long long oom_seen;		/* that were counted, */
	long long oom_seen_ms;		/* the last ones at this moment */
	sd_event_source *oom_events;

	/* facts set by signals */
	bool reap_wanted, reload_wanted, reopen_wanted, respawn_wanted, upgrade_wanted;
	enum master_stop stop_wanted;

	/* a reload on its way */
	bool reloading;
	unsigned reloads; /* begun */
	struct verdict verdict;
	bool plan_wanted, planning; /* see plan.h */
	unsigned plans;		    /* that have ended */
	struct plan plan;
	struct conf_load load;
	bool loading;
	sd_event_source *load_timer;

	/* an upgrade on its way */
	struct rehearsal *rehearsal; /* of upgrade.c; NULL: none */
	pid_t rehearsal_pid;	     /* 0: none */
	bool upgrading;		     /* the reload on its way is the second half of one */

	/* stopping */
	enum master_stop stopping;
	long long orphans_next_ms; /* when to look for processes without a worker; 0: not */
	long long bind_next_ms;	   /* when the starting generation tries to bind again */
	long long stop_deadline_ms;
	long long accepted_after; /* the stop had begun; see account_stop() */
	int exit_status;
};

/* One line says why nothing began: then the ends of those who served nobody are no news. */
static inline bool state_start_failed(const struct master *master)
{
	return master->stopping != STOP_NOT && master->exit_status != 0;
}

#endif
