/*
 * sockopt: what the kernel has of the options of another process's sockets.
 *
 *	sockopt [-c] PID ADDRESS OPTION...
 *
 * For each socket of the process that is bound to ADDRESS and has no peer (-c: that has one) a line with the values of
 * the options, in the order of the descriptors. Addresses: 127.0.0.1:7, [::1]:7, /path, @abstract, or - for any of
 * them; "stream ", "dgram " or "raw " before one means that type only, as two may have the same port. Options: names as in socket(7), ip(7), ipv6(7), tcp(7), such as SO_RCVBUF, or the word inode. Where the kernel
 * does not know one, its error stands in the place of the value.
 * Exit status: 0 at least one socket, 1 none, 77 the kernel does not let us look (pidfd_getfd(2)).
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#define EXIT_NOT_ALLOWED 77

#ifndef SO_BUF_LOCK
/* since Linux 5.14: which size is fixed, 1 that of the send buffer, 2 that of the other */
#define SO_BUF_LOCK 72
#endif

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
	struct sockaddr_storage storage;
};

#define OPTION(level, name)        \
	{                          \
		level, name, #name \
	}

/* clang-format off */
static const struct {
	int level, name;
	const char *word;
} options[] = {
	OPTION(SOL_SOCKET, SO_ACCEPTCONN),
	OPTION(SOL_SOCKET, SO_BINDTODEVICE),
	OPTION(SOL_SOCKET, SO_BROADCAST),
	OPTION(SOL_SOCKET, SO_BUF_LOCK),
	OPTION(SOL_SOCKET, SO_KEEPALIVE),
	OPTION(SOL_SOCKET, SO_MARK),
	OPTION(SOL_SOCKET, SO_PASSCRED),
	OPTION(SOL_SOCKET, SO_PRIORITY),
	OPTION(SOL_SOCKET, SO_RCVBUF),
	OPTION(SOL_SOCKET, SO_REUSEPORT),
	OPTION(SOL_SOCKET, SO_SNDBUF),
	OPTION(IPPROTO_IP, IP_FREEBIND),
	OPTION(IPPROTO_IP, IP_TOS),
	OPTION(IPPROTO_IP, IP_TRANSPARENT),
	OPTION(IPPROTO_IP, IP_TTL),
	OPTION(IPPROTO_IPV6, IPV6_FREEBIND),
	OPTION(IPPROTO_IPV6, IPV6_TCLASS),
	OPTION(IPPROTO_IPV6, IPV6_TRANSPARENT),
	OPTION(IPPROTO_IPV6, IPV6_UNICAST_HOPS),
	OPTION(IPPROTO_IPV6, IPV6_V6ONLY),
	OPTION(IPPROTO_TCP, TCP_CONGESTION),
	OPTION(IPPROTO_TCP, TCP_DEFER_ACCEPT),
	OPTION(IPPROTO_TCP, TCP_FASTOPEN),
	OPTION(IPPROTO_TCP, TCP_KEEPCNT),
	OPTION(IPPROTO_TCP, TCP_KEEPIDLE),
	OPTION(IPPROTO_TCP, TCP_KEEPINTVL),
	OPTION(IPPROTO_TCP, TCP_NODELAY),
	OPTION(IPPROTO_TCP, TCP_USER_TIMEOUT),
};
/* clang-format on */

#define N_OPTIONS (sizeof(options) / sizeof(*options))

static size_t find(const char *word)
{
	size_t i = 0;

	while (i < N_OPTIONS && strcmp(options[i].word, word) != 0)
		i++;
	if (i == N_OPTIONS)
		errx(EX_USAGE, "%s: not an option that is known here", word);
	return i;
}

static const char *to_text(const union address *a, socklen_t length, char *text, size_t size)
{
	char host[INET6_ADDRSTRLEN];
	size_t name = length - offsetof(struct sockaddr_un, sun_path);

	if (a->any.sa_family == AF_INET)
		snprintf(text, size, "%s:%d",
			 inet_ntop(AF_INET, &a->in.sin_addr, host, sizeof(host)),
			 ntohs(a->in.sin_port));
	else if (a->any.sa_family == AF_INET6)
		snprintf(text, size, "[%s]:%d",
			 inet_ntop(AF_INET6, &a->in6.sin6_addr, host, sizeof(host)),
			 ntohs(a->in6.sin6_port));
	else if (a->any.sa_family == AF_UNIX && length > offsetof(struct sockaddr_un, sun_path))
		snprintf(text, size, "%s%.*s", a->un.sun_path[0] ? "" : "@",
			 (int)(a->un.sun_path[0] ? name : name - 1),
			 a->un.sun_path + !a->un.sun_path[0]);
	else
		snprintf(text, size, "-");
	return text;
}

/* What is behind the type that the address begins with; NULL: the socket has another one. */
static const char *skip_type(int fd, const char *address)
{
	static const char *const names[] = {
		[SOCK_STREAM] = "stream ", [SOCK_DGRAM] = "dgram ", [SOCK_RAW] = "raw "
	};
	socklen_t length = sizeof(int);
	int type = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0)
		return NULL;
	for (int i = SOCK_STREAM; i <= SOCK_RAW; i++) {
		if (strncmp(address, names[i], strlen(names[i])) == 0)
			return type == i ? address + strlen(names[i]) : NULL;
	}
	return address;
}

static bool is_wanted(int fd, const char *address, bool connected)
{
	union address a = { 0 };
	socklen_t length = sizeof(a), unused = sizeof(a);
	char text[sizeof(a) + INET6_ADDRSTRLEN];

	address = skip_type(fd, address);
	if (address == NULL || getsockname(fd, &a.any, &length) < 0)
		return false;
	if (strcmp(address, "-") != 0 &&
	    strcmp(address, to_text(&a, length, text, sizeof(text))) != 0)
		return false;
	return (getpeername(fd, &a.any, &unused) == 0) == connected;
}

static void print(int fd, const char *word)
{
	struct stat st;
	union {
		int number;
		char text[64];
	} value = { 0 };
	socklen_t length = sizeof(value) - 1;
	size_t i;

	if (strcmp(word, "inode") == 0) {
		if (fstat(fd, &st) < 0)
			err(EX_OSERR, "fstat");
		printf("%ju", (uintmax_t)st.st_ino);
		return;
	}
	i = find(word);
	if (getsockopt(fd, options[i].level, options[i].name, &value, &length) < 0)
		printf("%s", strerrorname_np(errno));
	else if (options[i].name == TCP_CONGESTION && options[i].level == IPPROTO_TCP)
		printf("%s", value.text);
	else if (options[i].name == SO_BINDTODEVICE && options[i].level == SOL_SOCKET)
		printf("\"%s\"", value.text);
	else
		printf("%u", (unsigned)value.number);
}

static int compare(const struct dirent **a, const struct dirent **b)
{
	return atoi((*a)->d_name) - atoi((*b)->d_name);
}

/* A descriptor of our own of that one; -1 if it was closed meanwhile, or is none. */
static int borrow(int pidfd, const char *fd)
{
	int borrowed;

	if (*fd == '.')
		return -1;
	borrowed = (int)syscall(SYS_pidfd_getfd, pidfd, atoi(fd), 0);
	if (borrowed < 0 && errno != EBADF)
		err(EXIT_NOT_ALLOWED, "pidfd_getfd");
	return borrowed;
}

int main(int argc, char **argv)
{
	bool connected = argc > 1 && strcmp(argv[1], "-c") == 0, found = false;
	struct dirent **entries;
	char path[64];
	int pidfd, n;

	argv += connected;
	argc -= connected;
	if (argc < 4)
		errx(EX_USAGE, "usage: sockopt [-c] PID ADDRESS OPTION...");
	snprintf(path, sizeof(path), "/proc/%s/fd", argv[1]);
	pidfd = (int)syscall(SYS_pidfd_open, atoi(argv[1]), 0);
	n = scandir(path, &entries, NULL, compare);
	if (pidfd < 0 || n < 0)
		err(EXIT_NOT_ALLOWED, "process %s", argv[1]);
	for (int i = 0; i < n; i++) {
		int fd = borrow(pidfd, entries[i]->d_name);

		if (fd >= 0 && is_wanted(fd, argv[2], connected)) {
			found = true;
			for (int j = 3; j < argc; j++) {
				print(fd, argv[j]);
				putchar(j + 1 < argc ? ' ' : '\n');
			}
		}
		if (fd >= 0)
			close(fd);
		free(entries[i]);
	}
	free(entries);
	return found ? 0 : 1;
}
