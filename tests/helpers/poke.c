/*
 * poke.c - make another process, which waits in a system call, make one more call, and
 * say what it got: what a handler that was taken over could do.
 *
 *	poke PID open PATH | truncate PATH | exec PATH | socket | fork | kill PID | nothing
 *	poke version		of Landlock
 *
 * Prints "ok", the name of the error, or "SIGSYS". Exit status 77: not for this machine.
 */
#include <elf.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define NOT_HERE 77

#ifdef __x86_64__

struct call {
	unsigned long long number, args[3];
};

static struct user_regs_struct get(pid_t pid)
{
	struct user_regs_struct regs;
	struct iovec part = { &regs, sizeof(regs) };

	if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &part) < 0)
		err(EX_OSERR, "PTRACE_GETREGSET");
	return regs;
}

static void set(pid_t pid, struct user_regs_struct regs)
{
	struct iovec part = { &regs, sizeof(regs) };

	if (ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &part) < 0)
		err(EX_OSERR, "PTRACE_SETREGSET");
}

/* Into its stack, far below what it uses. */
static unsigned long long put(pid_t pid, const char *text)
{
	unsigned long long where = (get(pid).rsp - 4096) & ~15ULL;
	struct iovec ours = { (void *)text, strlen(text) + 1 };
	struct iovec theirs = { (void *)where, ours.iov_len };

	if (process_vm_writev(pid, &ours, 1, &theirs, 1, 0) < 0)
		err(EX_OSERR, "process_vm_writev");
	return where;
}

static struct call choose(pid_t pid, const char *name, const char *text)
{
	unsigned long long path = text != NULL ? put(pid, text) : 0;

	if (strcmp(name, "open") == 0)
		return (struct call){ SYS_openat,
				      { (unsigned long long)AT_FDCWD, path, O_RDONLY } };
	if (strcmp(name, "truncate") == 0)
		return (struct call){ SYS_truncate, { path, 0 } };
	if (strcmp(name, "exec") == 0)
		return (struct call){ SYS_execve, { path, 0, 0 } };
	if (strcmp(name, "socket") == 0)
		return (struct call){ SYS_socket, { AF_INET, SOCK_STREAM, 0 } };
	if (strcmp(name, "fork") == 0)
		return (struct call){ SYS_clone, { SIGCHLD, 0, 0 } };
	if (strcmp(name, "kill") == 0)
		return (struct call){ SYS_kill, { strtoull(text, NULL, 10), 0 } };
	return (struct call){ SYS_getpid, { 0 } };
}

/* To the begin or the end of a call. */
static void go_on(pid_t pid)
{
	int status;

	if (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) < 0 || waitpid(pid, &status, __WALL) < 0)
		err(EX_OSERR, "PTRACE_SYSCALL");
}

/* Told to it, but not to us yet: that comes with its next stop. */
static bool is_pending(pid_t pid, int number)
{
	struct __ptrace_peeksiginfo_args all = { .nr = 1 };
	siginfo_t info;

	return ptrace(PTRACE_PEEKSIGINFO, pid, &all, &info) == 1 && info.si_signo == number;
}

static void make(pid_t pid, struct call call)
{
	struct user_regs_struct before = get(pid), regs = before;
	long long result;

	/* it stands behind its own call, which it makes again afterwards */
	before.rip -= 2;
	before.rax = before.orig_rax;
	regs.rip -= 2;
	regs.rax = call.number;
	regs.orig_rax = (unsigned long long)-1;
	regs.rdi = call.args[0];
	regs.rsi = call.args[1];
	regs.rdx = call.args[2];
	regs.r10 = regs.r8 = 0;
	set(pid, regs);
	go_on(pid);
	go_on(pid);
	if (is_pending(pid, SIGSYS)) {
		puts("SIGSYS");
		ptrace(PTRACE_DETACH, pid, NULL, NULL);
		return;
	}
	result = (long long)get(pid).rax;
	puts(result < 0 ? strerrorname_np((int)-result) : "ok");
	set(pid, before);
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
}

static void poke(pid_t pid, const char *name, const char *text)
{
	int status;

	if (ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACESYSGOOD) < 0 ||
	    ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0 || waitpid(pid, &status, __WALL) < 0)
		err(EX_OSERR, "%d", (int)pid);
	make(pid, choose(pid, name, text));
}

#else

static void poke(pid_t pid, const char *name, const char *text)
{
	errx(NOT_HERE, "%d %s %s: not for this machine", (int)pid, name, text);
}

#endif

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "version") == 0)
		printf("%ld\n", syscall(SYS_landlock_create_ruleset, NULL, 0,
					LANDLOCK_CREATE_RULESET_VERSION));
	else if (argc == 3 || argc == 4)
		poke((pid_t)atoi(argv[1]), argv[2], argv[3]);
	else
		errx(EX_USAGE, "usage: poke PID CALL [ARGUMENT]");
	return 0;
}
