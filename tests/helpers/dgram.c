/*
 * dgram: a client of datagram services, IPv4, IPv6 and unix.
 *
 *	dgram [-c COUNT] [-w MS] [-f FROM] [-o FILE] TO [TEXT]
 *
 * Sends TEXT (without it: all of standard input) as one datagram, COUNT times, from the address FROM, and waits until as
 * many answers came or none came for MS (2000). Each is a line "from=ADDRESS length=N"; -o appends its bytes to FILE.
 * Addresses: 127.0.0.1:7, [::1]:7, /path, @abstract. A unix client without FROM has no name and gets no answer.
 * Exit status: 0 at least one answer, 1 none.
 */
#include <arpa/inet.h>
#include <err.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

static char buffer[1 << 17];

static socklen_t parse(char *text, union address *a)
{
	char *colon = strrchr(text, ':');

	memset(a, 0, sizeof(*a));
	if (*text == '/' || *text == '@') {
		a->un.sun_family = AF_UNIX;
		strncpy(a->un.sun_path, text, sizeof(a->un.sun_path) - 1);
		if (*text == '@')
			a->un.sun_path[0] = 0;
		return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(text));
	}
	if (!colon)
		errx(64, "%s: no port", text);
	*colon = 0;
	if (*text == '[') {
		colon[-1] = 0;
		a->in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
						.sin6_port =
							htons((unsigned short)atoi(colon + 1)) };
		if (inet_pton(AF_INET6, text + 1, &a->in6.sin6_addr) != 1)
			errx(64, "%s: no IPv6 address", text);
		return sizeof(a->in6);
	}
	a->in = (struct sockaddr_in){ .sin_family = AF_INET,
				      .sin_port = htons((unsigned short)atoi(colon + 1)) };
	if (inet_pton(AF_INET, text, &a->in.sin_addr) != 1)
		errx(64, "%s: no IPv4 address", text);
	return sizeof(a->in);
}

static void print(const union address *a, ssize_t length)
{
	char host[INET6_ADDRSTRLEN];

	if (a->any.sa_family == AF_INET)
		printf("from=%s:%d", inet_ntop(AF_INET, &a->in.sin_addr, host, sizeof(host)),
		       ntohs(a->in.sin_port));
	else if (a->any.sa_family == AF_INET6)
		printf("from=[%s]:%d", inet_ntop(AF_INET6, &a->in6.sin6_addr, host, sizeof(host)),
		       ntohs(a->in6.sin6_port));
	else
		printf("from=%s%s", a->un.sun_path[0] ? "" : "@",
		       a->un.sun_path + !a->un.sun_path[0]);
	printf(" length=%zd\n", length);
}

int main(int argc, char **argv)
{
	int option, wait_ms = 2000, fd, on = 1;
	long count = 1, got = 0;
	char *from_text = NULL, *file = NULL;
	union address to, from;
	socklen_t to_length, from_length;
	size_t size = 0, n;
	struct pollfd ready;

	while ((option = getopt(argc, argv, "c:w:f:o:")) != -1) {
		switch (option) {
		case 'c':
			count = atol(optarg);
			break;
		case 'w':
			wait_ms = atoi(optarg);
			break;
		case 'f':
			from_text = optarg;
			break;
		case 'o':
			file = optarg;
			break;
		default:
			return 64;
		}
	}
	if (optind >= argc)
		errx(64, "usage: dgram [-c COUNT] [-w MS] [-f FROM] [-o FILE] TO [TEXT]");
	to_length = parse(argv[optind], &to);
	if (optind + 1 < argc)
		size = (size_t)snprintf(buffer, sizeof(buffer), "%s", argv[optind + 1]);
	else
		while ((n = fread(buffer + size, 1, sizeof(buffer) - size, stdin)) > 0)
			size += n;
	fd = socket(to.any.sa_family, SOCK_DGRAM, 0);
	if (fd < 0)
		err(71, "socket");
	setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on));
	if (from_text) {
		from_length = parse(from_text, &from);
		if (bind(fd, &from.any, from_length) < 0)
			err(71, "bind");
	}
	for (long i = 0; i < count; i++) {
		if (sendto(fd, buffer, size, 0, &to.any, to_length) < 0)
			err(71, "sendto");
	}
	ready = (struct pollfd){ .fd = fd, .events = POLLIN };
	for (; got < count && poll(&ready, 1, wait_ms) > 0; got++) {
		ssize_t length;
		FILE *out;

		memset(&from, 0, sizeof(from));
		from_length = sizeof(from);
		length = recvfrom(fd, buffer, sizeof(buffer), 0, &from.any, &from_length);
		if (length < 0)
			err(71, "recvfrom");
		print(&from, length);
		out = file ? fopen(file, "a") : NULL;
		if (out &&
		    (fwrite(buffer, 1, (size_t)length, out) != (size_t)length || fclose(out)))
			err(71, "%s", file);
	}
	return got ? 0 : 1;
}
