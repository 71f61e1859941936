/*
 * test_datagram.c - src/net/datagram.c: the mark of answers, and the filter that
 * drops what has it; tried with every TTL, over the loopback interface.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "net/datagram.h"
#include "unit.h"

#define MARK 200
#define HOPS 40
#define PATIENCE_MS 5000

union address {
	struct sockaddr_storage any;
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* How a datagram travels; v4-mapped: from an IPv4 client to an inet6 socket. */
struct way {
	const char *name;
	int family, client_family, type, protocol;
};

static const struct way ways[] = {
	{ "udp over IPv4", AF_INET, AF_INET, SOCK_DGRAM, 0 },
	{ "udp over IPv6", AF_INET6, AF_INET6, SOCK_DGRAM, 0 },
	{ "udp, v4-mapped", AF_INET6, AF_INET, SOCK_DGRAM, 0 },
	{ "udplite over IPv4", AF_INET, AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE },
	{ "udplite over IPv6", AF_INET6, AF_INET6, SOCK_DGRAM, IPPROTO_UDPLITE },
};

struct pair {
	const struct way *way;
	int service, client;
	union address at; /* the service, as the client sees it */
};

static socklen_t length_of(const union address *a)
{
	return a->any.ss_family == AF_INET ? sizeof(a->in) : sizeof(a->in6);
}

static union address loopback(int family)
{
	union address a = { .any = { 0 } };

	if (family == AF_INET)
		a.in = (struct sockaddr_in){ .sin_family = AF_INET,
					     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	else
		a.in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
					       .sin6_addr = in6addr_loopback };
	return a;
}

static void set_number(int fd, int level, int name, int value)
{
	if (!CHECK(setsockopt(fd, level, name, &value, sizeof(value)) == 0))
		perror("  setsockopt");
}

static int get_number(int fd, int level, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);

	CHECK(getsockopt(fd, level, name, &value, &size) == 0);
	return value;
}

static bool kernel_has(const struct way *way)
{
	union address a = loopback(way->family);
	int fd = socket(way->family, way->type, way->protocol);
	bool good = fd >= 0 && bind(fd, &a.sa, length_of(&a)) == 0;

	if (!good)
		printf("kernel: no %s here\n", way->name);
	if (fd >= 0)
		close(fd);
	return good;
}

/* A service as net/listener.c makes it, on every address, and a client of it. */
static struct pair open_pair(const struct way *way)
{
	struct pair pair = { .way = way };
	struct timeval patience = { PATIENCE_MS / 1000, 0 };
	union address any = { .any = { .ss_family = (sa_family_t)way->family } };
	socklen_t size = sizeof(any);

	pair.service = socket(way->family, way->type, way->protocol);
	pair.client = socket(way->client_family, way->type, way->protocol);
	CHECK(pair.service >= 0 && pair.client >= 0);
	if (way->family == AF_INET6)
		set_number(pair.service, IPPROTO_IPV6, IPV6_V6ONLY, way->client_family == AF_INET6);
	CHECK(datagram_setup(pair.service, way->family, true) == 0);
	CHECK(bind(pair.service, &any.sa, length_of(&any)) == 0);
	CHECK(getsockname(pair.service, &any.sa, &size) == 0);
	pair.at = loopback(way->client_family);
	/* the port stands at the same place in both */
	pair.at.in.sin_port = any.in.sin_port;
	CHECK(setsockopt(pair.service, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0);
	CHECK(setsockopt(pair.client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0);
	return pair;
}

static void close_pair(struct pair *pair)
{
	close(pair->service);
	close(pair->client);
}

static void send_with(const struct pair *pair, int ttl)
{
	unsigned char byte = (unsigned char)ttl;

	if (pair->way->client_family == AF_INET)
		set_number(pair->client, IPPROTO_IP, IP_TTL, ttl);
	else
		set_number(pair->client, IPPROTO_IPV6, IPV6_UNICAST_HOPS, ttl);
	CHECK(sendto(pair->client, &byte, 1, 0, &pair->at.sa, length_of(&pair->at)) == 1);
}

static long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What came of n datagrams is at the socket or was dropped, soon. */
static unsigned receive_all(const struct pair *pair, unsigned n, bool came[256])
{
	long long end_ms = now_ms() + PATIENCE_MS;
	unsigned received = 0, dropped = 0;
	unsigned char byte;

	while (received + dropped < n && now_ms() < end_ms) {
		while (recv(pair->service, &byte, 1, MSG_DONTWAIT) == 1) {
			CHECK(!came[byte]);
			came[byte] = true;
			received++;
		}
		dropped = datagram_dropped(pair->service);
	}
	CHECK_NUMBER(received + dropped, n, "received or dropped");
	return dropped;
}

static void test_filter(const struct way *way)
{
	struct pair pair = open_pair(way);
	bool came[256] = { false };
	unsigned n = 0;

	/* the kernel sends no IPv4 with 0 */
	for (int ttl = way->client_family == AF_INET ? 1 : 0; ttl <= 255; ttl++, n++)
		send_with(&pair, ttl);
	CHECK_NUMBER(receive_all(&pair, n, came), HOPS, way->name);
	for (int ttl = 1; ttl <= 255; ttl++) {
		char about[64];

		snprintf(about, sizeof(about), "%s: TTL %d comes through", way->name, ttl);
		CHECK_NUMBER(came[ttl], ttl <= MARK - HOPS || ttl > MARK, about);
	}
	close_pair(&pair);
}

/* A filter that cuts off: what is let through is whole. */
static void test_length(const struct way *way)
{
	static const size_t sizes[] = { 0, 1, 2, 1500, 65507 };
	static unsigned char request[65507], got[sizeof(request) + 1];
	struct pair pair = open_pair(way);

	for (size_t i = 0; i < sizeof(request); i++)
		request[i] = (unsigned char)(i * 7);
	set_number(pair.client, SOL_SOCKET, SO_SNDBUF, 1 << 20);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		ssize_t n = (ssize_t)sizes[i];

		CHECK(sendto(pair.client, request, sizes[i], 0, &pair.at.sa, length_of(&pair.at)) ==
		      n);
		CHECK_NUMBER(recv(pair.service, got, sizeof(got), 0), n, way->name);
		CHECK(memcmp(got, request, sizes[i]) == 0);
	}
	close_pair(&pair);
}

/* With which TTL an answer of the service comes to the client. */
static int ttl_of_answer(const struct pair *pair)
{
	bool v4 = pair->way->client_family == AF_INET;
	union {
		size_t align;
		char bytes[256];
	} control;
	unsigned char byte;
	union address from;
	struct iovec part = { &byte, 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	socklen_t size = sizeof(from);
	int ttl = -1;

	set_number(pair->client, v4 ? IPPROTO_IP : IPPROTO_IPV6,
		   v4 ? IP_RECVTTL : IPV6_RECVHOPLIMIT, 1);
	send_with(pair, 64);
	CHECK(recvfrom(pair->service, &byte, 1, 0, &from.sa, &size) == 1);
	CHECK(sendto(pair->service, &byte, 1, 0, &from.sa, size) == 1);
	message.msg_control = &control;
	message.msg_controllen = sizeof(control);
	if (!CHECK(recvmsg(pair->client, &message, 0) == 1))
		return -1;
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(&message); cmsg != NULL;
	     cmsg = CMSG_NXTHDR(&message, cmsg)) {
		if (cmsg->cmsg_type == (v4 ? IP_TTL : IPV6_HOPLIMIT))
			memcpy(&ttl, CMSG_DATA(cmsg), sizeof(ttl));
	}
	return ttl;
}

static void test_mark(const struct way *way)
{
	struct pair pair = open_pair(way);

	CHECK_NUMBER(ttl_of_answer(&pair), MARK, way->name);
	close_pair(&pair);
}

/* Groups that others joined are not ours, and where a request came to is told. */
static void test_options(const struct way *way)
{
	struct pair pair = open_pair(way);

	if (way->family == AF_INET6) {
		CHECK_NUMBER(get_number(pair.service, IPPROTO_IPV6, IPV6_MULTICAST_ALL), 0,
			     way->name);
		CHECK_NUMBER(get_number(pair.service, IPPROTO_IPV6, IPV6_RECVPKTINFO), 1,
			     way->name);
	}
	CHECK_NUMBER(get_number(pair.service, IPPROTO_IP, IP_MULTICAST_ALL), 0, way->name);
	CHECK_NUMBER(get_number(pair.service, IPPROTO_IP, IP_PKTINFO), 1, way->name);
	close_pair(&pair);
}

static void test_no_group(const struct way *way)
{
	const struct datagram_group none = { .address = { .ss_family = AF_UNSPEC } };
	char buf[64];
	struct text error = text_start(buf, sizeof(buf));
	int fd = socket(way->family, way->type, way->protocol);

	CHECK(datagram_join(fd, &none, &error) == 0);
	datagram_leave(fd, &none);
	CHECK_TEXT(buf, "", "no error");
	close(fd);
}

/* A group on an interface that is not there. */
static void test_no_interface(const struct way *way)
{
	struct datagram_group group = { .interface = "no-such-if" };
	union address a = loopback(way->family);
	char buf[256];
	struct text error = text_start(buf, sizeof(buf));
	int fd = socket(way->family, way->type, way->protocol);

	CHECK(inet_pton(AF_INET, "239.1.2.3", &a.in.sin_addr) == 1);
	if (way->family == AF_INET6)
		CHECK(inet_pton(AF_INET6, "ff02::1234", &a.in6.sin6_addr) == 1);
	group.address = a.any;
	errno = 0;
	CHECK(datagram_join(fd, &group, &error) == -1);
	CHECK_NUMBER(errno, ENODEV, way->name);
	CHECK(strstr(buf, "socket.multicast.group: ") == buf && strstr(buf, "ip link") != NULL);
	close(fd);
}

static void test_broadcast(void)
{
	static const struct {
		int family;
		const char *host;
		bool expected;
	} rows[] = {
		{ AF_INET, "255.255.255.255", true }, { AF_INET, "127.255.255.255", true },
		{ AF_INET, "127.0.0.1", false },      { AF_INET, "0.0.0.0", false },
		{ AF_INET, "239.1.2.3", false },      { AF_INET6, "::1", false },
		{ AF_INET6, "ff02::1", false },	      { AF_INET6, "::ffff:255.255.255.255", false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		union address a = loopback(rows[i].family);
		void *at = rows[i].family == AF_INET ? (void *)&a.in.sin_addr : &a.in6.sin6_addr;

		CHECK(inet_pton(rows[i].family, rows[i].host, at) == 1);
		CHECK_NUMBER(datagram_is_broadcast(&a.any, length_of(&a)), rows[i].expected,
			     rows[i].host);
	}
}

static void test_errors(void)
{
	CHECK_NUMBER(datagram_dropped(-1), 0, "no socket");
	CHECK(datagram_setup(-1, AF_INET, false) == -1 && errno == EBADF);
	CHECK(datagram_setup(-1, AF_INET6, true) == -1 && errno == EBADF);
}

int main(void)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		const struct way *way = &ways[i];

		if (!kernel_has(way))
			continue;
		test_filter(way);
		test_length(way);
		test_mark(way);
		test_options(way);
		test_no_group(way);
		test_no_interface(way);
	}
	test_broadcast();
	test_errors();
	return unit_end();
}
