/*
 * packet.c - receive datagrams in batches, let the handler answer each, send
 * the answers.
 *
 * The same handlers as for connections: each datagram is a conn. What must not
 * be answered (it could go round in circles, or hit somebody whose address was
 * forged) is refused before the handler sees it; see worker/guard.c.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "board/board.h"
#include "conf/conf.h"
#include "worker/conn.h"
#include "worker/guard.h"
#include "worker/serve.h"
#include "worker/stop.h"

#define BATCH 16
#define DATAGRAM_MAX 65536

/* One datagram and its answer; buffers that are not used cost no memory. */
struct packet {
	struct sockaddr_storage peer;
	union {
		size_t align;
		char bytes[128]; /* struct in_pktinfo and in6_pktinfo */
	} control;
	struct iovec request_part, answer_part;
	char request[DATAGRAM_MAX], answer[DATAGRAM_MAX];
};

static struct packet packets[BATCH];
static struct mmsghdr received[BATCH], answers[BATCH];

static void prepare(void)
{
	for (size_t i = 0; i < BATCH; i++) {
		struct packet *packet = &packets[i];

		packet->request_part = (struct iovec){ packet->request, sizeof(packet->request) };
		received[i].msg_hdr = (struct msghdr){
			.msg_name = &packet->peer,
			.msg_namelen = sizeof(packet->peer),
			.msg_iov = &packet->request_part,
			.msg_iovlen = 1,
			.msg_control = &packet->control,
			.msg_controllen = sizeof(packet->control),
		};
	}
}

/* Answers are no larger than requests where the sender's address may be forged. */
static size_t answer_limit(int family, size_t request_length)
{
	return family == AF_UNIX ? DATAGRAM_MAX : request_length;
}

/* Let the handler work; returns 0, or -1: failed. *length_r: of the answer, 0 for none. */
static int handle(struct serve *serve, unsigned i, size_t *length_r)
{
	struct packet *packet = &packets[i];
	size_t length = received[i].msg_len;
	struct conn conn = conn_datagram(packet->request, length, packet->answer,
					 answer_limit((int)serve->service->family, length));
	int r;

	*length_r = 0;
	if ((received[i].msg_hdr.msg_flags & MSG_TRUNC) != 0) {
		errno = EMSGSIZE;
		return -1;
	}
	r = serve->handler->serve(&conn, serve->state);
	board_count(&serve->slot->bytes_in, length);
	/* a unix client without a name cannot be answered */
	if (r == 0 && received[i].msg_hdr.msg_namelen > 0)
		*length_r = conn.answer_length;
	return r;
}

static void queue_answer(unsigned i, unsigned n, size_t length)
{
	struct packet *packet = &packets[i];
	struct msghdr *from = &received[i].msg_hdr;

	guard_answer_from(from);
	packet->answer_part = (struct iovec){ packet->answer, length };
	answers[n].msg_hdr = (struct msghdr){
		.msg_name = from->msg_name,
		.msg_namelen = from->msg_namelen,
		.msg_iov = &packet->answer_part,
		.msg_iovlen = 1,
		.msg_control = from->msg_control,
		.msg_controllen = from->msg_controllen,
	};
}

/*
 * Send without waiting: a client that does not read its answers must not hold
 * a worker. An answer that cannot be sent fails alone.
 */
static void send_answers(struct serve *serve, unsigned n)
{
	unsigned sent = 0;

	while (sent < n) {
		int r = sendmmsg(serve->listener, answers + sent, n - sent,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (r < 0 && errno == EINTR)
			continue;
		for (int i = 0; i < r; i++)
			board_count(&serve->slot->bytes_out, answers[sent + (unsigned)i].msg_len);
		if (r > 0) {
			board_count(&serve->slot->served, (uint64_t)r);
			sent += (unsigned)r;
		} else {
			log_debug("answer_failed",
				  KV("service", conf_string(serve->conf, serve->service->name)),
				  KV("worker", serve->index), KV("error", strerror(errno)));
			board_count(&serve->slot->failed, 1);
			sent++;
		}
	}
}

static void serve_batch(struct serve *serve, unsigned n)
{
	struct slot *slot = serve->slot;
	unsigned n_answers = 0;

	atomic_store_explicit(&slot->since_ms, clock_now_ms(), memory_order_relaxed);
	board_count(&slot->accepted, n);
	for (unsigned i = 0; i < n; i++) {
		size_t length;

		slot->peer = packets[i].peer;
		slot->peer_length = received[i].msg_hdr.msg_namelen;
		if (!guard_allows(&received[i].msg_hdr))
			board_count(&slot->refused, 1);
		else if (handle(serve, i, &length) < 0)
			board_count(&slot->failed, 1);
		else if (length == 0)
			board_count(&slot->served, 1);
		else
			queue_answer(i, n_answers++, length);
	}
	send_answers(serve, n_answers);
}

int serve_datagrams(struct serve *serve, const uint16_t *own_ports, unsigned n_own_ports)
{
	guard_setup(own_ports, n_own_ports);
	while (stop_may_take()) {
		int n;

		prepare();
		n = recvmmsg(serve->listener, received, BATCH, MSG_WAITFORONE, NULL);
		if (n > 0) {
			serve->trouble = 0;
			stop_took(n);
			serve_batch(serve, (unsigned)n);
			continue;
		}
		if (!serve_goes_on(serve))
			break;
	}
	return serve->status;
}
