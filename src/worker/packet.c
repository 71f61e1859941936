/*
 * packet.c - receive datagrams in batches, let the handler answer each, send
 * the answers.
 *
 * The same handlers as for connections: each datagram is a conn. What must not
 * be answered (it could go round in circles, or hit somebody whose address was
 * forged) is refused before the handler sees it; see worker/guard.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "board/board.h"
#include "conf/conf.h"
#include "worker/conn.h"
#include "worker/guard.h"
#include "worker/serve.h"
#include "worker/stop.h"

#define BATCH 16
#define MESSAGE_MAX 65536
#define IPV4_HEADER_MIN 20
#define TOGETHER_MAX 1232 /* what every route of IPv6 takes whole (RFC 8200, 5), less the headers */
#define TOGETHER_CONTROL CMSG_SPACE(sizeof(uint16_t))

/* One message and its answer; buffers that are not used cost no memory. */
struct packet {
	struct sockaddr_storage peer;
	union {
		size_t align;
		char bytes[GUARD_CONTROL_MAX + TOGETHER_CONTROL];
	} control;
	struct iovec request_part;
	char request[MESSAGE_MAX], answer[MESSAGE_MAX];
};

static struct packet packets[BATCH];
static struct mmsghdr received[BATCH], answers[BATCH];
static struct iovec answer_parts[BATCH];
static unsigned n_answers, n_parts;
static bool may_join; /* answers to one peer */
static int answer_fd; /* the listener: one that stays when we are told to leave */

static void prepare_all(void)
{
	for (size_t i = 0; i < BATCH; i++) {
		struct packet *packet = &packets[i];

		packet->request_part = (struct iovec){ packet->request, sizeof(packet->request) };
		received[i].msg_hdr = (struct msghdr){
			.msg_name = &packet->peer,
			.msg_iov = &packet->request_part,
			.msg_iovlen = 1,
			.msg_control = guard_control_size() > 0 ? &packet->control : NULL,
		};
	}
}

/* What the kernel changed of the first n. */
static void prepare(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		received[i].msg_hdr.msg_namelen = sizeof(packets[i].peer);
		received[i].msg_hdr.msg_controllen = guard_control_size();
	}
}

/* Of an IPv4 packet that came whole: how long its header is, 0 if it is none. */
static size_t header_length(const struct listener_spec *socket, const char *packet, size_t length)
{
	size_t header = 4 * ((size_t)packet[0] & 0xf);

	if (socket->family != AF_INET || socket->type != SOCK_RAW)
		return 0;
	return length >= IPV4_HEADER_MIN && header <= length ? header : length;
}

/* A record that the kernel had to cut; of SCTP the rest would come as another one. */
static bool is_cut(const struct listener_spec *socket, int flags)
{
	static bool inside; /* the rest of it follows */
	bool rest = inside;

	if (socket->type == SOCK_SEQPACKET) {
		inside = (flags & MSG_EOR) == 0;
		return rest || inside;
	}
	return (flags & MSG_TRUNC) != 0;
}

/* Let the handler work; returns 0, or -1: failed. *length_r: of the answer, 0 for none. */
static int handle(struct serve *serve, unsigned i, size_t *length_r)
{
	const struct listener_spec *socket = &serve->service->spec;
	struct packet *packet = &packets[i];
	size_t header = header_length(socket, packet->request, received[i].msg_len);
	size_t length = received[i].msg_len - header;
	const char *request = packet->request + header;
	struct conn conn = conn_datagram(socket, request, length, packet->answer,
					 guard_answer_max(request, length, MESSAGE_MAX));
	int r;

	*length_r = 0;
	conn.slot = serve->slot;
	if (is_cut(socket, received[i].msg_hdr.msg_flags)) {
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

/*
 * Whether an answer can go together with those of a message: to the same peer,
 * and all of one length but the last, which may be shorter.
 */
static bool joins(const struct msghdr *message, const struct msghdr *from, size_t length)
{
	const struct iovec *first = message->msg_iov, *last = first + message->msg_iovlen - 1;

	return first->iov_len <= TOGETHER_MAX && last->iov_len == first->iov_len &&
	       length <= first->iov_len && message->msg_namelen == from->msg_namelen &&
	       message->msg_controllen == from->msg_controllen &&
	       memcmp(message->msg_name, from->msg_name, from->msg_namelen) == 0 &&
	       (from->msg_controllen == 0 ||
		memcmp(message->msg_control, from->msg_control, from->msg_controllen) == 0);
}

static void queue_answer(unsigned i, size_t length)
{
	struct packet *packet = &packets[i];
	struct msghdr *from = &received[i].msg_hdr;
	struct iovec *part = &answer_parts[n_parts++];

	guard_answer_from(from);
	*part = (struct iovec){ packet->answer, length };
	if (may_join && n_answers > 0 && joins(&answers[n_answers - 1].msg_hdr, from, length)) {
		answers[n_answers - 1].msg_hdr.msg_iovlen++;
		return;
	}
	answers[n_answers++].msg_hdr = (struct msghdr){
		.msg_name = from->msg_name,
		.msg_namelen = from->msg_namelen,
		.msg_iov = part,
		.msg_iovlen = 1,
		.msg_control = &packet->control,
		.msg_controllen = from->msg_controllen,
	};
}

/*
 * Answers that go together are one message, which the kernel cuts at the end of
 * its way: most of what an answer costs is the way.
 */
static void join_answers(void)
{
	for (unsigned i = 0; i < n_answers; i++) {
		struct msghdr *message = &answers[i].msg_hdr;
		uint16_t length = (uint16_t)message->msg_iov->iov_len;
		struct cmsghdr *cmsg;

		if (message->msg_iovlen == 1)
			continue;
		cmsg = (void *)((char *)message->msg_control + message->msg_controllen);
		cmsg->cmsg_level = IPPROTO_UDP;
		cmsg->cmsg_type = UDP_SEGMENT;
		cmsg->cmsg_len = CMSG_LEN(sizeof(length));
		memcpy(CMSG_DATA(cmsg), &length, sizeof(length));
		message->msg_controllen += TOGETHER_CONTROL;
	}
}

/* Put the answers of a message that cannot be sent in its place, one by one. */
static void part_answers(unsigned at)
{
	struct msghdr whole = answers[at].msg_hdr;
	unsigned n = (unsigned)whole.msg_iovlen;

	/* not every route and device can cut: no need to try again */
	if (errno == EINVAL || errno == EIO)
		may_join = false;
	memmove(&answers[at + n], &answers[at + 1], (n_answers - at - 1) * sizeof(*answers));
	n_answers += n - 1;
	whole.msg_iovlen = 1;
	whole.msg_controllen -= TOGETHER_CONTROL;
	for (unsigned i = 0; i < n; i++, whole.msg_iov++)
		answers[at + i].msg_hdr = whole;
}

static void count_sent(struct slot *slot, const struct mmsghdr *message)
{
	board_count(&slot->bytes_out, message->msg_len);
	board_count(&slot->served, message->msg_hdr.msg_iovlen);
}

/*
 * Send without waiting: a client that does not read its answers must not hold
 * a worker. An answer that cannot be sent fails alone.
 */
static void send_answers(struct serve *serve)
{
	unsigned sent = 0;

	while (sent < n_answers) {
		int r = sendmmsg(answer_fd, answers + sent, n_answers - sent,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (r < 0 && errno == EINTR)
			continue;
		if (r > 0) {
			while (r-- > 0)
				count_sent(serve->slot, &answers[sent++]);
		} else if (answers[sent].msg_hdr.msg_iovlen > 1) {
			part_answers(sent);
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

	n_answers = n_parts = 0;
	atomic_store_explicit(&slot->since_ms, clock_now_ms(), memory_order_relaxed);
	board_count(&slot->accepted, n);
	bell_begin(serve->bell, serve->bell_fd);
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
			queue_answer(i, length);
	}
	join_answers();
	send_answers(serve);
	bell_end(serve->bell);
}

int serve_datagrams(struct serve *serve)
{
	/* what may take long is not taken away from the other workers */
	unsigned batch = serve->service->kind == CONF_BUILT_IN ? BATCH : 1;
	const struct listener_spec *spec = &serve->service->spec;
	int n = BATCH;

	guard_setup(serve->conf, serve->service);
	prepare_all();
	answer_fd = fcntl(serve->listener, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (answer_fd < 0)
		answer_fd = serve->listener;
	may_join = spec->type == SOCK_DGRAM && spec->protocol == IPPROTO_UDP;
	while (stop_may_take()) {
		prepare(n > 0 ? (unsigned)n : 0);
		n = recvmmsg(serve->listener, received, batch, MSG_WAITFORONE, NULL);
		if (n > 0) {
			serve->trouble = 0;
			stop_took(n);
			serve_batch(serve, (unsigned)n);
			serve_ask_replacement(serve);
			continue;
		}
		if (!serve_goes_on(serve))
			break;
	}
	return serve->status;
}
