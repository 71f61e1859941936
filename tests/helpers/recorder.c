/*
 * recorder: a unix datagram socket that writes down what it is sent, one line a datagram:
 *
 *	pid=SENDER now_us=MONOTONIC text
 *
 * In the text, line feeds are written as "|" and other control bytes as "?". It plays the service manager, the journal
 * or syslog in tests; SIGSTOP makes it a reader that is stuck. "bound" is the first line, when it can be sent to.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 // struct ucred
#endif
#include <err.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <time.h>

static int open_socket(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	size_t length = strlen(path);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;

	if (length == 0 || length >= sizeof(addr.sun_path))
		errx(EX_USAGE, "%s: not the name of a socket", path);
	memcpy(addr.sun_path, path, length);
	if (path[0] == '@')
		addr.sun_path[0] = '\0';
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&addr,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0)
		err(EX_OSERR, "%s", path);
	/* workers without rights write here, too */
	if (path[0] != '@' && chmod(path, 0666) < 0)
		err(EX_OSERR, "%s", path);
	return fd;
}

static int sender(struct msghdr *message)
{
	struct cmsghdr *part = CMSG_FIRSTHDR(message);
	struct ucred who = { .pid = 0 };

	if (part != NULL && part->cmsg_type == SCM_CREDENTIALS)
		memcpy(&who, CMSG_DATA(part), sizeof(who));
	return who.pid;
}

int main(int argc, char **argv)
{
	char text[65536], control[256];
	struct iovec part = { text, sizeof(text) };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control };
	struct timespec now;
	ssize_t n;
	int fd;

	if (argc != 2)
		errx(EX_USAGE, "usage: recorder {PATH | @NAME}");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = open_socket(argv[1]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("bound");
	for (;;) {
		message.msg_controllen = sizeof(control);
		n = recvmsg(fd, &message, 0);
		if (n < 0)
			err(EX_OSERR, "recvmsg");
		clock_gettime(CLOCK_MONOTONIC, &now);
		for (ssize_t i = 0; i < n; i++) {
			if (text[i] == '\n')
				text[i] = '|';
			else if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
				text[i] = '?';
		}
		printf("pid=%d now_us=%lld %.*s\n", sender(&message),
		       (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000, (int)n, text);
	}
}
