/*
 * program.h - a process for one conn: started, waited for, and gone with all it left.
 *
 * A program is the leader of its own session and process group. Whatever it
 * starts may finish for a moment and is ended then: the group by a signal, what has
 * left the group because orphans become the worker's children (PR_SET_CHILD_SUBREAPER). If
 * the worker is killed, the kernel ends the program, and the master the rest.
 */
#ifndef PREFORKD_WORKER_PROGRAM_H
#define PREFORKD_WORKER_PROGRAM_H

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

struct program {
	pid_t pid;
	int pidfd; /* readable when it has ended; afterwards of something that it left, or -1 */
};

/* Once, in a worker that will start programs. Returns 0, or -1 with errno. */
int program_setup(void);

/*
 * Start a program with the descriptors 0, 1 and 2 as given and no other, default
 * signals, in a session of its own. path must be absolute. Returns 0, or -1 with
 * errno of what failed, execve(2) included; then there is no process.
 */
int program_start(struct program *program_r, const char *path, char *const *argv, char *const *envp,
		  const int fds[3]);

/* Signal the whole group. */
void program_signal(const struct program *program, int signal);

/* After it has ended: its status as of wait(2), and what it took. Closes the pidfd. */
void program_reap(struct program *program, int *status_r, struct rusage *usage_r);

/*
 * After that: true if something that it started is still there. Then the pidfd is
 * that of one of them, after whose end is to be asked again.
 */
bool program_left(struct program *program);

/* End all that it left. */
void program_end(struct program *program);

#endif
