/*
 * hold.c - many clients of an echo server at the same moment, which then stay.
 *
 * Opens all connections, sends a line on each, and waits until all of them have
 * their echo: how long that took, and when it was, is one line on standard
 * output. A connection that ends meanwhile, as that of a worker that is killed,
 * is opened anew, and counted. From then on it holds them, until a signal ends
 * it. A server that gives each connection a process of its own needs as many by
 * then; that is what this is for, and load.c is for rates.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
	MAX_CLIENTS = 4096,
	MAX_PORT = 65535,
	LINE = 16,
	TIMEOUT_MS = 30000,
};

struct client {
	size_t got;
	char line[LINE + 1];
};

static struct client clients[MAX_CLIENTS];
static struct pollfd fds[MAX_CLIENTS];

/* Returns the number in text; ends the program when it is none, or not within 1..max. */
static unsigned int number(const char *text, unsigned int max)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || n < 1 || n > max)
		errx(EX_USAGE, "%s: a number from 1 to %u is wanted", text, max);
	return (unsigned int)n;
}

static double now_s(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* On loopback a connection is there at once, also one that nobody has accepted yet. */
static void start_client(unsigned int i, unsigned int port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				    .sin_port = htons((in_port_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		err(EX_OSERR, "socket");
	snprintf(clients[i].line, sizeof(clients[i].line), "client %08u\n", i);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    send(fd, clients[i].line, LINE, MSG_NOSIGNAL) != LINE)
		err(EX_UNAVAILABLE, "connection %u", i + 1);
	fds[i] = (struct pollfd){ .fd = fd, .events = POLLIN };
}

static unsigned int again;

static void start_again(unsigned int i, int error, unsigned int port)
{
	if (error != ECONNRESET || again == MAX_CLIENTS)
		errx(EX_UNAVAILABLE, "no echo for connection %u: %s", i + 1, strerror(error));
	again++;
	close(fds[i].fd);
	clients[i].got = 0;
	start_client(i, port);
}

/* Whether its echo is complete now. */
static bool read_echo(unsigned int i, unsigned int port)
{
	char buf[LINE];
	struct client *client = &clients[i];
	ssize_t n = recv(fds[i].fd, buf, LINE - client->got, MSG_DONTWAIT);

	if (n <= 0) {
		start_again(i, n == 0 ? ECONNRESET : errno, port);
		return false;
	}
	if (memcmp(buf, client->line + client->got, (size_t)n) != 0)
		errx(EX_PROTOCOL, "connection %u: not what was sent", i + 1);
	client->got += (size_t)n;
	if (client->got < LINE)
		return false;
	fds[i].fd = -fds[i].fd; /* poll(2) passes over it, and it stays open */
	return true;
}

static void wait_for_echoes(unsigned int n, unsigned int port)
{
	unsigned int waiting = n;

	while (waiting > 0) {
		if (poll(fds, n, TIMEOUT_MS) <= 0)
			errx(EX_UNAVAILABLE, "no echo for %u connections", waiting);
		for (unsigned int i = 0; i < n; i++) {
			if (fds[i].revents != 0 && read_echo(i, port))
				waiting--;
		}
	}
}

int main(int argc, char **argv)
{
	unsigned int n, port;
	double start_s;

	if (argc != 3) {
		fputs("usage: hold PORT N\n"
		      "N connections to 127.0.0.1 that are held once each has its echo.\n",
		      stderr);
		return EX_USAGE;
	}
	port = number(argv[1], MAX_PORT);
	n = number(argv[2], MAX_CLIENTS);

	start_s = now_s(CLOCK_MONOTONIC);
	for (unsigned int i = 0; i < n; i++)
		start_client(i, port);
	wait_for_echoes(n, port);
	printf("ms=%.3f at=%.6f again=%u\n", (now_s(CLOCK_MONOTONIC) - start_s) * 1e3,
	       now_s(CLOCK_REALTIME), again);
	if (fflush(stdout) == EOF)
		err(EX_IOERR, "standard output");
	for (;;)
		pause();
}
