/*
 * manager: plays the service manager, with socket units and a store of descriptors:
 *
 *	manager NOTIFY_PATH STORE_MAX [hand NAME KIND ADDRESS]... -- COMMAND...
 *
 * KIND is tcp, udp, unix, dgram, or a connection; ADDRESS is HOST:PORT (with brackets: inet6) or a path. Each is opened
 * once and handed to the command in every run, with what it has stored. One line for each datagram of the command,
 * with "|" for line feeds, and "started PID", "ended STATUS", "stored N" (how many the store has). On SIGHUP the
 * command is ended by SIGTERM and started again; on SIGUSR1 the same with SIGKILL; on SIGTERM it is ended, and the
 * manager with it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define FDS_MAX 600
#define FIRST 3 /* descriptor that is handed in */

struct kept {
	int fd;
	ino_t inode;
	char name[256];
};

static struct kept given[FDS_MAX], store[FDS_MAX];
static int n_given, n_store, store_max;
static pid_t child;

static ino_t inode_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		err(EX_OSERR, "fstat");
	return st.st_ino;
}

static socklen_t parse(char *text, struct sockaddr_storage *address)
{
	struct sockaddr_in *in = (void *)address;
	struct sockaddr_in6 *in6 = (void *)address;
	struct sockaddr_un *un = (void *)address;
	char *colon = strrchr(text, ':');

	memset(address, 0, sizeof(*address));
	if (text[0] == '/') {
		un->sun_family = AF_UNIX;
		snprintf(un->sun_path, sizeof(un->sun_path), "%s", text);
		unlink(text);
		return sizeof(*un);
	}
	if (colon == NULL)
		errx(EX_USAGE, "%s: no address", text);
	*colon = '\0';
	if (text[0] == '[') {
		colon[-1] = '\0';
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)atoi(colon + 1));
		inet_pton(AF_INET6, text + 1, &in6->sin6_addr);
		return sizeof(*in6);
	}
	in->sin_family = AF_INET;
	in->sin_port = htons((uint16_t)atoi(colon + 1));
	inet_pton(AF_INET, text, &in->sin_addr);
	return sizeof(*in);
}

static int open_given(const char *kind, char *text)
{
	struct sockaddr_storage address;
	socklen_t length = parse(text, &address);
	int stream = strcmp(kind, "udp") != 0 && strcmp(kind, "dgram") != 0, on = 1;
	int type = (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
	int fd = socket(address.ss_family, type, 0), other;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    (address.ss_family != AF_UNIX &&
	     setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0) ||
	    bind(fd, (void *)&address, length) < 0 || (stream && listen(fd, 1) < 0))
		err(EX_OSERR, "%s", text);
	length = sizeof(address);
	if (strcmp(kind, "connection") != 0)
		return fd;
	other = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (getsockname(fd, (void *)&address, &length) < 0 ||
	    connect(other, (void *)&address, length) < 0)
		err(EX_OSERR, "connect");
	return accept4(fd, NULL, NULL, SOCK_CLOEXEC);
}

static void put(struct kept *list, int *n, int fd, const char *name)
{
	if (*n == FDS_MAX)
		errx(EX_SOFTWARE, "too many descriptors");
	list[*n].fd = fcntl(fd, F_DUPFD_CLOEXEC, 1000);
	if (list[*n].fd < 0)
		err(EX_OSERR, "F_DUPFD");
	list[*n].inode = inode_of(fd);
	snprintf(list[*n].name, sizeof(list[*n].name), "%s", name);
	(*n)++;
	close(fd);
}

static void keep(int fd, const char *name)
{
	for (int i = 0; i < n_store; i++) {
		if (store[i].inode == inode_of(fd)) {
			close(fd);
			return;
		}
	}
	if (n_store < store_max)
		put(store, &n_store, fd, name);
	else
		close(fd);
}

static void forget(const char *name)
{
	for (int i = 0; i < n_store;) {
		if (strcmp(store[i].name, name) != 0) {
			i++;
			continue;
		}
		close(store[i].fd);
		store[i] = store[--n_store];
	}
}

static void pass(char *names, size_t size, int *n, const struct kept *list, int count)
{
	for (int i = 0; i < count; i++) {
		size_t length = strlen(names);

		snprintf(names + length, size - length, "%s%s", *n > 0 ? ":" : "", list[i].name);
		/* without close-on-exec */
		if (dup2(list[i].fd, FIRST + (*n)++) < 0)
			err(EX_OSERR, "dup2");
	}
}

static void start(char **command)
{
	child = fork();
	if (child < 0)
		err(EX_OSERR, "fork");
	if (child == 0) {
		static char names[65536];
		char number[16];
		sigset_t none;
		int n = 0;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pass(names, sizeof(names), &n, given, n_given);
		pass(names, sizeof(names), &n, store, n_store);
		if (n > 0) {
			snprintf(number, sizeof(number), "%d", n);
			setenv("LISTEN_FDS", number, 1);
			snprintf(number, sizeof(number), "%d", getpid());
			setenv("LISTEN_PID", number, 1);
			setenv("LISTEN_FDNAMES", names, 1);
		}
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		/* before its own first line */
		printf("started %d\n", getpid());
		execvp(command[0], command);
		err(EX_UNAVAILABLE, "%s", command[0]);
	}
}

/* A line of the message with this key, or "". */
static void value_of(const char *text, const char *key, char value[256])
{
	const char *at = strstr(text, key);

	value[0] = '\0';
	if (at != NULL)
		snprintf(value, 256, "%.*s", (int)strcspn(at + strlen(key), "\n"),
			 at + strlen(key));
}

static void hear(int notify)
{
	char text[65536], name[256];
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * 4)];
	} control;
	struct iovec part = { text, sizeof(text) - 1 };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(notify, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	struct cmsghdr *header = n < 0 ? NULL : CMSG_FIRSTHDR(&message);
	int fd = -1;

	if (n < 0)
		return;
	text[n] = '\0';
	if (header != NULL && header->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	value_of(text, "FDNAME=", name);
	if (strstr(text, "FDSTORE=1") != NULL && fd >= 0)
		keep(fd, name);
	else if (strstr(text, "FDSTOREREMOVE=1") != NULL)
		forget(name);
	for (char *p = text; *p != '\0'; p++)
		*p = *p == '\n' ? '|' : *p;
	puts(text);
	if (strncmp(text, "FDSTORE", 7) == 0)
		printf("stored %d\n", n_store);
}

static void end_child(int notify, int signal_number)
{
	int status;

	kill(child, signal_number);
	while (waitpid(child, &status, WNOHANG) == 0) {
		struct pollfd readable = { notify, POLLIN, 0 };

		if (poll(&readable, 1, 5) > 0)
			hear(notify);
	}
	printf("ended %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static int open_notify(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || bind(fd, (void *)&address, sizeof(address)) < 0)
		err(EX_OSERR, "%s", path);
	setenv("NOTIFY_SOCKET", path, 1);
	return fd;
}

static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static void serve(int notify, int signals, char **command)
{
	for (;;) {
		struct pollfd fds[] = { { notify, POLLIN, 0 }, { signals, POLLIN, 0 } };
		struct signalfd_siginfo info;

		if (poll(fds, 2, -1) < 0)
			err(EX_OSERR, "poll");
		if (fds[0].revents != 0)
			hear(notify);
		if (fds[1].revents == 0)
			continue;
		if (read(signals, &info, sizeof(info)) != sizeof(info))
			err(EX_OSERR, "read");
		end_child(notify, info.ssi_signo == SIGUSR1 ? SIGKILL : SIGTERM);
		if (info.ssi_signo == SIGTERM)
			return;
		start(command);
	}
}

int main(int argc, char **argv)
{
	int notify, signals, i = 3;

	if (argc < 5)
		errx(EX_USAGE,
		     "usage: manager NOTIFY_PATH STORE_MAX [hand NAME KIND ADDRESS]... -- COMMAND...");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	store_max = atoi(argv[2]);
	setenv("FDSTORE", argv[2], 1);
	if (store_max == 0)
		unsetenv("FDSTORE");
	notify = open_notify(argv[1]);
	signals = open_signals();
	for (; i + 4 < argc && strcmp(argv[i], "hand") == 0; i += 4)
		put(given, &n_given, open_given(argv[i + 2], argv[i + 3]), argv[i + 1]);
	if (i >= argc - 1 || strcmp(argv[i], "--") != 0)
		errx(EX_USAGE, "no command");
	start(argv + i + 1);
	serve(notify, signals, argv + i + 1);
	return EX_OK;
}
