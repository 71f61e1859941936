/*
 * exec.h - the handler "exec": a program for each conn, which talks to the client
 * on its standard input and output.
 *
 * As inetd (nowait), tcpserver and Accept=yes do it, so their programs run
 * unchanged. The worker waits for the program, passes what it writes to its
 * standard error on to the log, and ends it when its time is over.
 */
#ifndef PREFORKD_WORKER_EXEC_H
#define PREFORKD_WORKER_EXEC_H

struct handler;
struct serve;

extern const struct handler handler_exec;

/* In the worker, with its final rights. Returns the state for serve(), or NULL with errno. */
void *exec_setup(const struct serve *serve);

#endif
