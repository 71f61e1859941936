/*
 * packets.c - the datagrams of one process of load (load.c says what it is for).
 *
 * A client is a socket with places for as many datagrams as it may have on their
 * way. A place is free, or holds what was sent, until the same bytes come back.
 * All that can be sent goes in one call, and the kernel cuts it (UDP_SEGMENT):
 * a client that made a packet of each itself would cost as much as the server,
 * and saturate nothing.
 *
 * That a datagram is lost nothing says but silence. When nothing has come for
 * the time limit, all that are on their way are lost; a few of them shrink the
 * window for one turn, no more.
 */
#include <err.h>
#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sysexits.h>
#include <unistd.h>

#include "clients.h"

enum {
	BATCH = 64, /* of one call; older kernels cut into no more */
	BUFFER = 2048,
};

struct stamp { /* how each datagram begins; what follows is the same in all */
	uint64_t start_ns;
	uint32_t serial, place;
};

struct client {
	int fd;
	char *places;
	unsigned int *free, n_free; /* a stack */
};

struct side { /* the clients of one server */
	struct client *clients;
	struct pollfd *readable;
};

static const struct load *load;
static struct slice slice;
static struct side sides[2];
static unsigned long started; /* datagrams of this process */
static uint64_t last_ns;      /* when the last answer came */

static struct mmsghdr answers[BATCH];
static struct iovec answer_parts[BATCH];
static char answer_bytes[BATCH][BUFFER];

static char *place_at(const struct client *c, unsigned int place)
{
	return c->places + place * load->size;
}

/* Frees a place and counts what became of its datagram. */
static void client_end(struct client *c, unsigned int place, enum outcome outcome)
{
	struct stamp stamp;

	memcpy(&stamp, place_at(c, place), sizeof(stamp));
	memset(place_at(c, place), 0, sizeof(stamp));
	c->free[c->n_free++] = place;
	slice.tally->outcome[outcome]++;
	if (outcome == OK)
		tally_latency(slice.tally, last_ns - stamp.start_ns);
}

/* All that are on their way. */
static void client_end_all(struct client *c, enum outcome outcome)
{
	struct stamp stamp;

	for (unsigned int i = 0; i < load->window; i++) {
		memcpy(&stamp, place_at(c, i), sizeof(stamp));
		if (stamp.start_ns > 0)
			client_end(c, i, outcome);
	}
}

/* What an earlier datagram met is an outcome; what this machine cannot do ends the program. */
static void client_fail(struct client *c)
{
	if (errno != ECONNREFUSED)
		err(EX_OSERR, "datagram");
	client_end_all(c, REFUSED);
}

/* How many to send now. */
static unsigned int client_room(const struct client *c)
{
	unsigned long n = c->n_free < BATCH ? c->n_free : BATCH;

	if (!slice_wants(&slice, started))
		return 0;
	if (load->connections && load->connections - started < n)
		n = load->connections - started;
	return (unsigned int)n;
}

static void client_send(struct client *c)
{
	struct iovec parts[BATCH];
	struct msghdr all = { .msg_iov = parts, .msg_iovlen = client_room(c) };
	struct stamp stamp = { .start_ns = now_ns() };

	if (all.msg_iovlen == 0)
		return;
	for (size_t i = 0; i < all.msg_iovlen; i++) {
		stamp.place = c->free[--c->n_free];
		stamp.serial = (uint32_t)started++;
		parts[i] = (struct iovec){ place_at(c, stamp.place), load->size };
		memcpy(parts[i].iov_base, &stamp, sizeof(stamp));
	}
	if (sendmsg(c->fd, &all, MSG_NOSIGNAL) < 0)
		client_fail(c);
}

static void client_answer(struct client *c, const char *buf, size_t n)
{
	struct stamp got, sent;

	memcpy(&got, buf, sizeof(got));
	if (n != load->size || got.place >= load->window) {
		slice.tally->outcome[WRONG]++;
		return;
	}
	memcpy(&sent, place_at(c, got.place), sizeof(sent));
	if (sent.start_ns == 0 || sent.serial != got.serial)
		return; /* we have given it up */
	client_end(c, got.place, memcmp(buf, place_at(c, got.place), n) == 0 ? OK : WRONG);
}

/* Returns how many came. A client that is alone waits for them. */
static int client_receive(struct client *c)
{
	int n = recvmmsg(c->fd, answers, BATCH, load->clients > 1 ? MSG_DONTWAIT : MSG_WAITFORONE,
			 NULL);

	if (n < 0) {
		if (errno != EAGAIN)
			client_fail(c);
		return 0;
	}
	last_ns = now_ns();
	for (int i = 0; i < n; i++)
		client_answer(c, answer_bytes[i], answers[i].msg_len);
	return n;
}

static void client_open(struct client *c, int server)
{
	int size = (int)load->size;
	struct timeval limit = {
		.tv_sec = (time_t)(load->timeout_ms / 1000),
		.tv_usec = (suseconds_t)(load->timeout_ms % 1000 * 1000),
	};

	c->fd = socket(load->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	c->places = malloc(load->window * load->size);
	c->free = calloc(load->window, sizeof(*c->free));
	if (c->fd < 0 || !c->places || !c->free)
		err(EX_OSERR, "start");
	if (setsockopt(c->fd, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size)) < 0 ||
	    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
	    connect(c->fd, (const struct sockaddr *)&load->peer[server], load->peer_len[server]) <
		    0)
		err(EX_OSERR, "socket");
	memset(c->places, '.', load->window * load->size);
	for (unsigned int i = 0; i < load->window; i++) {
		memset(place_at(c, i), 0, sizeof(struct stamp));
		c->free[c->n_free++] = i;
	}
}

static void prepare(void)
{
	for (int server = 0; server < (load->slice_ms ? 2 : 1); server++) {
		struct side *side = &sides[server];

		side->clients = calloc(load->clients, sizeof(*side->clients));
		side->readable = calloc(load->clients, sizeof(*side->readable));
		if (!side->clients || !side->readable)
			err(EX_OSERR, "start");
		for (unsigned long i = 0; i < load->clients; i++) {
			client_open(&side->clients[i], server);
			side->readable[i] =
				(struct pollfd){ .fd = side->clients[i].fd, .events = POLLIN };
		}
	}
	for (int i = 0; i < BATCH; i++) {
		answer_parts[i] = (struct iovec){ answer_bytes[i], sizeof(answer_bytes[i]) };
		answers[i].msg_hdr.msg_iov = &answer_parts[i];
		answers[i].msg_hdr.msg_iovlen = 1;
	}
}

/* Returns whether any datagram is on its way. */
static bool send_all(void)
{
	bool any = false;

	for (unsigned long i = 0; i < load->clients; i++) {
		struct client *c = &sides[slice.server].clients[i];

		client_send(c);
		any = any || c->n_free < load->window;
	}
	return any;
}

static void receive_all(void)
{
	const struct side *side = &sides[slice.server];
	int got = 0;

	for (unsigned long i = 0; i < load->clients; i++)
		got += client_receive(&side->clients[i]);
	/* who is alone has waited */
	if (got > 0 ||
	    (load->clients > 1 && poll(side->readable, load->clients, (int)load->timeout_ms) != 0))
		return;
	for (unsigned long i = 0; i < load->clients; i++)
		client_end_all(&side->clients[i], TIMEOUT);
}

void packets_run(const struct load *what)
{
	load = what;
	prepare();
	slice_begin(&slice, load, 0);
	for (;;) {
		if (send_all())
			receive_all();
		else if (!slice_next(&slice, last_ns > slice.begin_ns ? last_ns : now_ns()))
			return;
	}
}
