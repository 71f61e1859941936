/*
 * bareloop.c - the least a pre-forked echo server can do, to measure preforkd
 * against.
 *
 * The server binds, listens and forks; each child accepts, reads, writes, reads
 * the end and closes, and makes no other system call. It checks nobody, counts
 * nothing and waits for ever: a yardstick, not a server to use. With --datagrams
 * each child receives from a UDP socket and sends it back, no more. With --exec
 * it spawns a program for each connection, waits for it and closes.
 *
 * With --forks it has no socket: it forks N children that say one byte into a
 * pipe and sleep, and is ready when all have said it. That is the yardstick for
 * the start of a pool.
 *
 * Either way one line on standard output says when it is ready. SIGTERM ends
 * it; the children never outlive it.
 */
#include <arpa/inet.h>
#include <err.h>
#include <getopt.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	MAX_CHILDREN = 4096,
	BUFFER_SIZE = 65536,
};

static unsigned int count = 4, port;
static const char *path, *program;
static int type = SOCK_STREAM;
static bool forks;

static pid_t children[MAX_CHILDREN];
static volatile sig_atomic_t stopping;

static void usage(FILE *to)
{
	fputs("usage: bareloop [-c N] [-p PORT [-d | -x PROGRAM] | -u PATH [-q]]\n"
	      "       bareloop [-c N] --forks\n"
	      "\n"
	      "  -c, --children N    how many processes (4)\n"
	      "  -p, --port PORT     TCP port on every IPv4 address (0: any free one)\n"
	      "  -d, --datagrams     UDP, and nothing to accept\n"
	      "  -x, --exec PROGRAM  its standard input and output are the connection\n"
	      "  -u, --unix PATH     a unix socket instead; @NAME is an abstract one\n"
	      "  -q, --seqpacket     the unix socket is of type seqpacket\n"
	      "  -f, --forks         no server: N children that only say that they run, and sleep\n"
	      "  -h, --help          this text\n",
	      to);
}

/* Returns the number in text; ends the program when it is none, or not within 0..max. */
static unsigned int number(const char *text, unsigned int max)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || n > max)
		errx(EX_USAGE, "%s: a number from 0 to %u is wanted", text, max);
	return (unsigned int)n;
}

/* Datagrams are not listened for. */
static void bind_and_listen(int fd, const void *addr, size_t len, const char *name)
{
	if (bind(fd, addr, (socklen_t)len) < 0 || (type != SOCK_DGRAM && listen(fd, SOMAXCONN) < 0))
		err(EX_UNAVAILABLE, "%s", name);
}

static int listen_inet(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_port = htons((unsigned short)port) };
	socklen_t len = sizeof(addr);
	int one = 1;
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		err(EX_OSERR, "socket");
	if (type != SOCK_DGRAM && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
		err(EX_OSERR, "SO_REUSEADDR");
	bind_and_listen(fd, &addr, len, "port");
	if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		err(EX_OSERR, "getsockname");
	printf("port=%u\n", ntohs(addr.sin_port));
	return fd;
}

static int listen_unix(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	size_t len = strlen(path);
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		err(EX_OSERR, "socket");
	if (len >= sizeof(addr.sun_path))
		errx(EX_USAGE, "%s: too long", path);
	memcpy(addr.sun_path, path, len);
	if (*path == '@')
		addr.sun_path[0] = '\0';
	len += offsetof(struct sockaddr_un, sun_path);
	bind_and_listen(fd, &addr, len, path);
	printf("path=%s\n", path);
	return fd;
}

static char buf[BUFFER_SIZE];

static _Noreturn void serve(int listener)
{
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		ssize_t n;

		if (fd < 0)
			continue;
		while ((n = read(fd, buf, sizeof(buf))) > 0 && write(fd, buf, (size_t)n) == n)
			;
		close(fd);
	}
}

/* A program that cannot be started ends the server: nothing is measured then. */
static void run_program(int fd)
{
	char *const argv[] = { (char *)program, NULL };
	posix_spawn_file_actions_t actions;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fd, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, fd, STDOUT_FILENO);
	if (posix_spawn(&pid, program, &actions, NULL, argv, environ) != 0)
		_exit(EX_UNAVAILABLE);
	posix_spawn_file_actions_destroy(&actions);
	waitpid(pid, NULL, 0);
}

static _Noreturn void serve_by_program(int listener)
{
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			continue;
		run_program(fd);
		close(fd);
	}
}

static _Noreturn void serve_datagrams(int fd)
{
	struct sockaddr_in peer;

	for (;;) {
		socklen_t len = sizeof(peer);
		ssize_t n = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&peer, &len);

		if (n >= 0)
			sendto(fd, buf, (size_t)n, 0, (struct sockaddr *)&peer, len);
	}
}

static _Noreturn void sleep_forever(int fd)
{
	if (write(fd, "+", 1) != 1)
		_exit(EX_OSERR);
	for (;;)
		pause();
}

/* Forks n children that run work(fd), which does not return. */
static void fork_children(unsigned int n, void (*work)(int fd), int fd)
{
	pid_t parent = getpid();

	for (unsigned int i = 0; i < n; i++) {
		children[i] = fork();
		if (children[i] < 0)
			err(EX_OSERR, "fork");
		if (children[i] > 0)
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == parent)
			work(fd);
		_exit(EX_SOFTWARE);
	}
}

/* Forks n sleepers; returns when each of them has run. */
static void fork_sleepers(unsigned int n)
{
	char said[MAX_CHILDREN];
	unsigned int running = 0;
	int fds[2];

	if (pipe(fds) < 0)
		err(EX_OSERR, "pipe");
	fork_children(n, sleep_forever, fds[1]);
	while (running < n) {
		ssize_t got = read(fds[0], said, sizeof(said));

		if (got <= 0)
			err(EX_OSERR, "pipe");
		running += (unsigned int)got;
	}
	printf("ready=%u\n", n);
}

static void on_term(int sig)
{
	(void)sig;
	stopping = 1;
}

/* Sleeps until SIGTERM, which must be blocked, then ends the children. */
static void wait_for_end(unsigned int n, const sigset_t *unblocked)
{
	while (!stopping)
		sigsuspend(unblocked);
	for (unsigned int i = 0; i < n; i++)
		kill(children[i], SIGKILL);
	while (wait(NULL) > 0)
		;
}

static void options(int argc, char **argv)
{
	static const struct option longopts[] = {
		{ "children", required_argument, NULL, 'c' },
		{ "port", required_argument, NULL, 'p' },
		{ "unix", required_argument, NULL, 'u' },
		{ "seqpacket", no_argument, NULL, 'q' },
		{ "datagrams", no_argument, NULL, 'd' },
		{ "forks", no_argument, NULL, 'f' },
		{ "exec", required_argument, NULL, 'x' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:p:u:qdfx:h", longopts, NULL)) != -1) {
		switch (c) {
		case 'c':
			count = number(optarg, MAX_CHILDREN);
			break;
		case 'p':
			port = number(optarg, 65535);
			break;
		case 'u':
			path = optarg;
			break;
		case 'q':
			type = SOCK_SEQPACKET;
			break;
		case 'd':
			type = SOCK_DGRAM;
			break;
		case 'f':
			forks = true;
			break;
		case 'x':
			program = optarg;
			break;
		case 'h':
			usage(stdout);
			exit(EX_OK);
		default:
			usage(stderr);
			exit(EX_USAGE);
		}
	}
	if (optind < argc) {
		usage(stderr);
		exit(EX_USAGE);
	}
}

int main(int argc, char **argv)
{
	struct sigaction act = { .sa_handler = on_term };
	sigset_t term, before;

	options(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, &before);
	sigaction(SIGTERM, &act, NULL);
	if (forks)
		fork_sleepers(count);
	else
		fork_children(count,
			      type == SOCK_DGRAM ? serve_datagrams :
			      program		 ? serve_by_program :
						   serve,
			      path ? listen_unix() : listen_inet());
	if (fflush(stdout) == EOF)
		err(EX_IOERR, "standard output");
	wait_for_end(count, &before);
	return EX_OK;
}
