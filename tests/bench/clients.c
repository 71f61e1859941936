/*
 * clients.c - the clients of one process of load (load.c says what each does),
 * driven by one edge-triggered epoll.
 *
 * A client is in one phase at a time. Each phase has one time limit for all, so
 * the clients of a phase queue up, and the head is always the first to be due.
 *
 *	RETRY -> THINKING -> EXCHANGE -> HOLDING -> FINISHING -> idle
 *
 * RETRY is for unix sockets alone: their connect says EAGAIN when the backlog
 * is full, and nothing says when it is not. On loopback a connection is there
 * before connect returns its EINPROGRESS, so a client sends at once; when it
 * was too early (EAGAIN), epoll tells.
 */
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sysexits.h>
#include <unistd.h>

#include "clients.h"

#define NS_PER_MS 1000000ULL
#define NS_PER_S 1000000000ULL

enum {
	SPREAD = 50, /* destinations with --spread: 127.0.0.1 and so on */
	EVENTS = 64, /* of one epoll_wait */
	RETRY_MS = 5,
	PATTERN = 4096,
	STAMP = 16, /* hex digits that make a line unique */
};

enum phase { RETRY, THINKING, EXCHANGE, HOLDING, FINISHING, PHASES };

struct client {
	TAILQ_ENTRY(client) link; /* in the queue of its phase, or in idle */
	enum phase phase;
	int fd;
	bool readable, ended; /* what epoll said; ended: the peer sends no more */
	size_t sent, got;
	uint64_t start_ns, due_ns;
	char *line;
};

TAILQ_HEAD(queue, client);

static const struct load *load;
static struct slice slice;
static struct queue queues[PHASES], idle;
static uint64_t limit_ns[PHASES];
static unsigned long started; /* connections of this process */
static uint64_t begin_ns;
static char pattern[2 * PATTERN];
static int epfd;
static pid_t pid;

static void client_enter(struct client *c, enum phase phase)
{
	TAILQ_REMOVE(&queues[c->phase], c, link);
	c->phase = phase;
	c->due_ns = now_ns() + limit_ns[phase];
	TAILQ_INSERT_TAIL(&queues[phase], c, link);
}

static void client_end(struct client *c, enum outcome outcome)
{
	close(c->fd);
	TAILQ_REMOVE(&queues[c->phase], c, link);
	TAILQ_INSERT_HEAD(&idle, c, link);
	slice.tally->outcome[outcome]++;
	if (outcome == OK)
		tally_latency(slice.tally, now_ns() - c->start_ns);
}

/* What the server did is an outcome; what this machine cannot do ends the program. */
static void client_fail(struct client *c, int error)
{
	switch (error) {
	case ECONNREFUSED:
	case ENOENT:
		client_end(c, REFUSED);
		break;
	case ENOTCONN:
	case ECONNRESET:
	case EPIPE:
		client_end(c, RESET);
		break;
	case ETIMEDOUT:
		client_end(c, TIMEOUT);
		break;
	default:
		errno = error;
		err(EX_OSERR, "connection");
	}
}

/* Returns the length read, 0 at the end, or -1: the client must wait, or is over. */
static ssize_t client_read(struct client *c, char *buf, size_t size)
{
	ssize_t n;

	if (!c->readable)
		return -1;
	n = recv(c->fd, buf, size, 0);
	if (n < 0 && errno == EAGAIN)
		c->readable = false;
	else if (n < 0)
		client_fail(c, errno);
	else if ((size_t)n < size && !c->ended && load->type == SOCK_STREAM)
		c->readable = false; /* a short read: nothing is left, epoll tells what comes */
	return n;
}

static void client_finish(struct client *c)
{
	char extra;
	ssize_t n;

	if (c->phase != FINISHING) {
		if (c->ended) { /* the server hung up on a client that was not done */
			client_end(c, RESET);
			return;
		}
		client_enter(c, FINISHING);
		if (shutdown(c->fd, SHUT_WR) < 0) {
			client_fail(c, errno);
			return;
		}
	}
	n = client_read(c, &extra, 1);
	if (n >= 0)
		client_end(c, n == 0 ? OK : WRONG);
}

static void client_watch(struct client *c, int how, uint32_t also)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP | EPOLLET | also, .data.ptr = c };

	if (epoll_ctl(epfd, how, c->fd, &ev) < 0)
		err(EX_OSERR, "epoll");
}

/* Whether these are the next bytes of the line; a record is all of it. */
static bool is_right(const struct client *c, const char *buf, size_t n)
{
	size_t left = load->size - c->got;

	if (load->type == SOCK_SEQPACKET ? n != left : n > left)
		return false;
	return memcmp(buf, c->line + c->got, n) == 0;
}

static void client_exchange(struct client *c)
{
	static char buf[65536];

	while (c->sent < load->size) {
		ssize_t n = send(c->fd, c->line + c->sent, load->size - c->sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			client_watch(c, EPOLL_CTL_MOD, EPOLLOUT);
			break;
		}
		if (n < 0) {
			client_fail(c, errno);
			return;
		}
		c->sent += (size_t)n;
	}
	while (c->got < load->size) {
		ssize_t n = client_read(c, buf, sizeof(buf));

		if (n < 0)
			return;
		if (n == 0) {
			client_end(c, RESET);
			return;
		}
		if (!is_right(c, buf, (size_t)n)) {
			client_end(c, WRONG);
			return;
		}
		c->got += (size_t)n;
		client_enter(c, EXCHANGE); /* the time limit is for silence, not for long lines */
	}
	if (load->hold_ms)
		client_enter(c, HOLDING);
	else
		client_finish(c);
}

static void client_connect(struct client *c)
{
	struct sockaddr_storage peer = load->peer[slice.server];

	if (load->spread) {
		struct sockaddr_in *in = (struct sockaddr_in *)&peer;

		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)(started % SPREAD));
	}
	if (connect(c->fd, (struct sockaddr *)&peer, load->peer_len[slice.server]) < 0 &&
	    errno != EINPROGRESS) {
		if (errno == EAGAIN && load->family == AF_UNIX)
			client_enter(c, RETRY);
		else
			client_fail(c, errno);
		return;
	}
	client_watch(c, EPOLL_CTL_ADD, 0);
	client_enter(c, load->think_ms ? THINKING : EXCHANGE);
	if (c->phase == EXCHANGE)
		client_exchange(c);
}

static void client_open(struct client *c)
{
	unsigned long serial = started++;
	char stamp[STAMP + 1];

	/* the process and a number make the line unique, also beside other programs */
	snprintf(stamp, sizeof(stamp), "%06x%010lx", (unsigned int)pid & 0xffffff,
		 serial & 0xffffffffffUL);
	for (size_t at = 0; at < load->size; at += PATTERN)
		memcpy(c->line + at, pattern + (serial + at / 1021) % PATTERN,
		       load->size - at < PATTERN ? load->size - at : PATTERN);
	memcpy(c->line, stamp, load->size - 1 < STAMP ? load->size - 1 : STAMP);
	c->line[load->size - 1] = '\n';
	c->sent = c->got = 0;
	c->readable = c->ended = false;
	c->phase = RETRY;
	c->start_ns = now_ns();
	c->fd = socket(load->family, load->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		err(EX_OSERR, "socket");
	TAILQ_REMOVE(&idle, c, link);
	TAILQ_INSERT_TAIL(&queues[c->phase], c, link);
	client_connect(c);
}

static void client_event(struct client *c, uint32_t events)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (events & EPOLLERR && !getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) && error) {
		client_fail(c, error);
		return;
	}
	c->ended = c->ended || events & (EPOLLRDHUP | EPOLLHUP);
	c->readable = c->readable || events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP);
	if (c->phase == EXCHANGE)
		client_exchange(c);
	else if (c->phase == FINISHING)
		client_finish(c);
}

/* Deals with every client whose phase is over. Returns when the next one is, UINT64_MAX: never. */
static uint64_t expire(void)
{
	uint64_t now = now_ns(), next = UINT64_MAX;

	for (enum phase p = 0; p < PHASES; p++) {
		struct client *c;

		while ((c = TAILQ_FIRST(&queues[p])) && c->due_ns <= now) {
			switch (p) {
			case RETRY:
				if (now - c->start_ns > limit_ns[EXCHANGE])
					client_end(c, TIMEOUT);
				else
					client_connect(c);
				break;
			case THINKING:
				client_enter(c, EXCHANGE);
				client_exchange(c);
				break;
			case HOLDING:
				client_finish(c);
				break;
			default:
				client_end(c, TIMEOUT);
			}
		}
		if (c && c->due_ns < next)
			next = c->due_ns;
	}
	return next;
}

static void prepare(void)
{
	struct client *all = calloc(load->clients, sizeof(*all));

	pid = getpid();
	epfd = epoll_create1(EPOLL_CLOEXEC);
	if (!all || epfd < 0)
		err(EX_OSERR, "start");
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (char)(' ' + (i * i / 7 + i) % 95);
	limit_ns[RETRY] = RETRY_MS * NS_PER_MS;
	limit_ns[THINKING] = load->think_ms * NS_PER_MS;
	limit_ns[HOLDING] = load->hold_ms * NS_PER_MS;
	limit_ns[EXCHANGE] = limit_ns[FINISHING] = load->timeout_ms * NS_PER_MS;
	for (enum phase p = 0; p < PHASES; p++)
		TAILQ_INIT(&queues[p]);
	TAILQ_INIT(&idle);
	for (unsigned long i = 0; i < load->clients; i++) {
		if (!(all[i].line = malloc(load->size)))
			err(EX_OSERR, "start");
		TAILQ_INSERT_TAIL(&idle, &all[i], link);
	}
}

/* When the next connection may be opened. */
static uint64_t open_ns(void)
{
	return load->rate ? begin_ns + started * NS_PER_S / load->rate : 0;
}

/* A client that fails at once is idle again, and waits for the next round. */
static void open_idle(void)
{
	struct client *c, *next;

	for (c = TAILQ_FIRST(&idle); c && open_ns() <= now_ns(); c = next) {
		next = TAILQ_NEXT(c, link);
		if (slice_wants(&slice, started))
			client_open(c);
	}
}

/* Until something happens, or the time has come. */
static void wait_until(uint64_t until_ns)
{
	struct epoll_event ev[EVENTS];
	uint64_t now = now_ns(), ns = until_ns > now ? until_ns - now : 0;
	struct timespec limit = { (time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S) };
	int n = epoll_pwait2(epfd, ev, EVENTS, until_ns == UINT64_MAX ? NULL : &limit, NULL);

	for (int i = 0; i < n; i++)
		client_event(ev[i].data.ptr, ev[i].events);
}

void clients_run(const struct load *what)
{
	load = what;
	prepare();
	begin_ns = now_ns();
	slice_begin(&slice, load, 0);
	for (;;) {
		uint64_t until_ns;

		open_idle();
		until_ns = expire();
		if (slice_wants(&slice, started) && !TAILQ_EMPTY(&idle)) {
			uint64_t at_ns = open_ns();

			until_ns = at_ns < until_ns ? at_ns : until_ns;
		} else if (until_ns == UINT64_MAX) {
			if (!slice_next(&slice, now_ns()))
				return;
			continue;
		}
		wait_until(until_ns);
	}
}
