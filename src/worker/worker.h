/*
 * worker.h - all that the master knows of the code of workers, but for order.h.
 */
#ifndef PREFORKD_WORKER_WORKER_H
#define PREFORKD_WORKER_WORKER_H

struct conf_service;

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

#endif
