/*
 * worker.h - all that the master knows of a worker's code: one function.
 */
#ifndef PREFORKD_WORKER_WORKER_H
#define PREFORKD_WORKER_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct conf;
struct conf_service;
struct board;

/* What a new worker gets from the master. */
struct worker_seat {
	const struct conf *conf;
	const struct conf_service *service;
	const struct board *board;
	unsigned index; /* of its seat and slot, from 0 */
	unsigned generation;
	int listener;
	bool detach;		 /* after READY standard error is nobody's any more (-D) */
	int ready_fd;		 /* an eventfd, rung when the slot says how far we are */
	const char *notify_name; /* where a persistent program says how it is */
	pid_t master;		 /* who our parent must be */
	int bell_fd;		 /* to call the master, see board/bell.h */
	uint64_t conns_max;	 /* after so many it asks to be replaced; 0: never */
};

/* Exit statuses of a worker; 0: it left because it was told to. */
enum worker_exit {
	WORKER_EXIT_OK = 0,
	WORKER_EXIT_SETUP = 100,    /* rights or limits could not be set; said in the log */
	WORKER_EXIT_HANDLER = 101,  /* the handler's init failed */
	WORKER_EXIT_LISTENER = 102, /* the listening socket does not work any more */
	WORKER_EXIT_CALLED = 104,   /* a handler called exit(3) */
	WORKER_EXIT_ORPHAN = 103,   /* the master was gone before we began */
};

/* In short words for a log line; NULL for a status that is none of the above. */
const char *worker_exit_text(int status);

/* What the sandbox of the service wants and this kernel does not have; NULL: nothing. */
const char *worker_sandbox_lacks(const struct conf_service *service);

/* The name of a system call that a sandbox refused, if it is known; else NULL. */
const char *worker_refused_call(unsigned number);

/*
 * Be a worker, from the first moment after fork(): set up, serve, leave.
 * Signals of the master: SIGTERM: finish the conn in hand and leave; SIGUSR1:
 * serve what waits in the queue, too, before leaving.
 */
_Noreturn void worker_run(const struct worker_seat *seat);

#endif
