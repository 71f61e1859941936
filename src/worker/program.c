#include "worker/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/process.h"

#define ROUNDS_MAX 100 /* of killing what a program left */

int program_setup(void)
{
	return prctl(PR_SET_CHILD_SUBREAPER, 1);
}

/* What a worker ignores stays ignored over execve(2), unless: */
static void default_signals(void)
{
	static const int ignored[] = { SIGINT, SIGQUIT, SIGHUP, SIGUSR2, SIGPIPE };
	sigset_t none;

	for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
		signal(ignored[i], SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/*
 * The child of vfork(2) shares our memory until it execs: nothing may be changed
 * but *error, and no handler of ours may run. All other descriptors are
 * close-on-exec.
 */
_Noreturn static void become(const char *path, char *const *argv, char *const *envp,
			     const int fds[3], pid_t parent, volatile int *error)
{
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	for (int i = 0; i < 3; i++) {
		if (fds[i] != i)
			dup2(fds[i], i);
	}
	default_signals();
	execve(path, argv, envp);
	*error = errno;
	_exit(EXIT_FAILURE);
}

/* vfork(2): a worker may be large (PHP), and need not be copied for a program. */
static pid_t start(const char *path, char *const *argv, char *const *envp, const int fds[3],
		   volatile int *error)
{
	pid_t parent = getpid(), pid;
	sigset_t all, before;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	/* what the child may do and what not stands above */
	pid = vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork) */
	if (pid == 0)
		/* NOLINTNEXTLINE(clang-analyzer-unix.Vfork) */
		become(path, argv, envp, fds, parent, error);
	if (pid < 0)
		*error = errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	return pid;
}

int program_start(struct program *program_r, const char *path, char *const *argv, char *const *envp,
		  const int fds[3])
{
	volatile int error = 0;

	program_r->pid = start(path, argv, envp, fds, &error);
	program_r->pidfd = -1;
	if (program_r->pid > 0 && error == 0) {
		program_r->pidfd = pidfd_open(program_r->pid, 0);
		if (program_r->pidfd >= 0)
			return 0;
		error = errno;
		kill(program_r->pid, SIGKILL);
	}
	if (program_r->pid > 0)
		waitpid(program_r->pid, NULL, 0);
	errno = error;
	return -1;
}

void program_signal(const struct program *program, int signal)
{
	kill(-program->pid, signal);
}

void program_reap(struct program *program, int *status_r, struct rusage *usage_r)
{
	while (wait4(program->pid, status_r, 0, usage_r) < 0 && errno == EINTR)
		;
	fd_close(&program->pidfd);
}

static void open_first(pid_t pid, void *data)
{
	struct program *program = data;

	if (program->pidfd < 0)
		program->pidfd = pidfd_open(pid, 0);
}

bool program_left(struct program *program)
{
	pid_t pid;

	fd_close(&program->pidfd);
	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		;
	if (pid < 0)
		return false;
	process_each_child(open_first, program);
	return true;
}

static void kill_child(pid_t pid, void *data)
{
	(void)data;
	kill(pid, SIGKILL);
}

/* The number of the group is not used again as long as a child of ours in it is not reaped. */
static bool has_group(const struct program *program)
{
	siginfo_t info;

	return waitid(P_PGID, (id_t)program->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

void program_end(struct program *program)
{
	fd_close(&program->pidfd);
	/* new orphans may come as long as others die */
	for (int round = 0; round < ROUNDS_MAX; round++) {
		pid_t pid;

		if (has_group(program))
			program_signal(program, SIGKILL);
		/* those who left the group, or whose parents did, are our own children by now */
		process_each_child(kill_child, NULL);
		pid = waitpid(-1, NULL, 0);
		if (pid < 0 && errno != EINTR)
			return;
		while (pid > 0)
			pid = waitpid(-1, NULL, WNOHANG);
	}
}
