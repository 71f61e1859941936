/*
 * scatter: thousands of random datagrams, the same ones for the same seed.
 *
 *	scatter SEED COUNT TARGET...
 *
 * Each of the COUNT datagrams goes to one of the targets:
 *	udp:127.0.0.1:7 or udp:[::1]:7	from a socket, with a random TTL
 *	ip:127.0.0.1:7			the same from a raw socket, and sender, length and TTL may be lies; only for
 *					a network of its own: answers go to random addresses
 *	raw:1:127.0.0.1			a packet of protocol 1; where it is ICMP half of them are well-formed
 *	unix:/path or unix:@abstract	up to 64 KiB + 1, with and without a name, with descriptors
 *
 * Prints "seed=SEED", and for each target a line "TARGET sent=N": how many the kernel took. Answers are left unread.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sysexits.h>
#include <unistd.h>

#include "address.h"

#define TARGETS_MAX 16
#define MESSAGE_MAX 65537
#define SHORT_MAX 64 /* most are short */
#define LONG_MAX_UDP 2000
#define SEND_TIMEOUT_S 5

enum kind { UDP, IP, RAW, UNIX };

struct target {
	const char *text;
	enum kind kind;
	union address to;
	socklen_t to_length;
	int fd, second_fd; /* unix: without and with a name */
	int protocol;
	long sent;
};

static struct target targets[TARGETS_MAX];
static uint64_t state;
static unsigned char message[MESSAGE_MAX];

/* Marsaglia, "Xorshift RNGs" (2003). */
static uint64_t next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static unsigned below(unsigned limit)
{
	return (unsigned)(next() % limit);
}

static bool one_of(unsigned n)
{
	return below(n) == 0;
}

static void fill(unsigned char *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		data[i] = (unsigned char)next();
}

/* Cut "PREFIX:" off; NULL if it is not there. */
static char *after(char *text, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(text, prefix, n) == 0 ? text + n : NULL;
}

static void parse(struct target *target, char *text)
{
	char *rest;

	target->text = strdup(text);
	if ((rest = after(text, "udp:"))) {
		target->kind = UDP;
	} else if ((rest = after(text, "ip:"))) {
		target->kind = IP;
	} else if ((rest = after(text, "raw:"))) {
		target->kind = RAW;
		target->protocol = (int)strtol(rest, &rest, 10);
		rest++;
	} else if ((rest = after(text, "unix:"))) {
		target->kind = UNIX;
	} else {
		errx(EX_USAGE, "%s: no target", text);
	}
	target->to_length = address_parse(rest, false, &target->to);
}

static int new_socket(const struct target *target)
{
	struct timeval limit = { SEND_TIMEOUT_S, 0 };
	bool raw = target->kind == RAW || target->kind == IP;
	int fd = socket(target->to.any.sa_family, raw ? SOCK_RAW : SOCK_DGRAM,
			target->kind == IP ? IPPROTO_RAW : target->protocol);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
		err(EX_OSERR, "%s", target->text);
	return fd;
}

static void open_target(struct target *target)
{
	struct sockaddr any_name = { .sa_family = AF_UNIX };

	target->fd = new_socket(target);
	if (target->kind != UNIX)
		return;
	target->second_fd = new_socket(target);
	if (bind(target->second_fd, &any_name, sizeof(any_name.sa_family)) < 0)
		err(EX_OSERR, "%s", target->text);
}

static size_t random_size(size_t max)
{
	if (one_of(20))
		return 0;
	if (one_of(50))
		return max;
	if (one_of(10))
		return below((unsigned)max + 1);
	return below(SHORT_MAX);
}

static void set_ttl(const struct target *target)
{
	bool v6 = target->to.any.sa_family == AF_INET6;
	int ttl = one_of(2) ? 64 : (int)below(255) + 1;

	if (setsockopt(target->fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_UNICAST_HOPS : IP_TTL,
		       &ttl, sizeof(ttl)) < 0)
		err(EX_OSERR, "TTL");
}

static bool send_to(const struct target *target, int fd, const void *data, size_t size)
{
	union address to = target->to;

	/* to a raw socket the port is a protocol */
	if (target->kind == IP || target->kind == RAW)
		to.in.sin_port = 0;
	return sendto(fd, data, size, 0, &to.any, target->to_length) >= 0;
}

static bool send_udp(struct target *target)
{
	size_t size = random_size(LONG_MAX_UDP);

	/* now and then from another port */
	if (one_of(100)) {
		close(target->fd);
		target->fd = new_socket(target);
	}
	set_ttl(target);
	fill(message, size);
	return send_to(target, target->fd, message, size);
}

/* A header of IPv4 with what the kernel lets pass. */
static size_t make_header(const struct target *target)
{
	struct iphdr ip = { .version = 4,
			    .ihl = (5 + (one_of(4) ? below(11) : 0)) & 0xf,
			    .ttl = (uint8_t)(one_of(2) ? 64 : next()),
			    .protocol = IPPROTO_UDP,
			    .saddr = htonl(INADDR_LOOPBACK + below(1000)),
			    .daddr = target->to.in.sin_addr.s_addr };

	/* forged by the service itself, and by nobody in particular */
	if (one_of(10))
		ip.saddr = ip.daddr;
	else if (one_of(20))
		ip.saddr = (in_addr_t)next();
	memset(message, IPOPT_NOP, (size_t)ip.ihl * 4);
	memcpy(message, &ip, sizeof(ip));
	return (size_t)ip.ihl * 4;
}

static bool send_ip(struct target *target)
{
	size_t header = make_header(target);
	size_t size = sizeof(struct udphdr) + random_size(SHORT_MAX);
	struct udphdr udp = { .source = (in_port_t)next(),
			      .dest = target->to.in.sin_port,
			      .len = htons((uint16_t)size) };

	if (one_of(5))
		udp.source = one_of(2) ? udp.dest : htons((in_port_t)below(1024));
	if (one_of(5))
		udp.len = (uint16_t)next();
	if (one_of(10))
		udp.check = (uint16_t)next();
	fill(message + header, size);
	memcpy(message + header, &udp, sizeof(udp));
	if (one_of(10))
		size = below((unsigned)size + 1);
	return send_to(target, target->fd, message, header + size);
}

/* RFC 1071 */
static void set_checksum(unsigned char *data, size_t size)
{
	uint32_t sum = 0;

	data[2] = data[3] = 0;
	for (size_t i = 0; i < size; i++)
		sum += i % 2 == 0 ? (uint32_t)data[i] << 8 : data[i];
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	data[2] = (unsigned char)(~sum >> 8);
	data[3] = (unsigned char)(~sum & 0xff);
}

static bool send_raw(struct target *target)
{
	static const unsigned char types[] = { 0, 3, 4, 5, 8, 8, 8, 11, 12, 13, 17, 30 };
	static const unsigned char types6[] = { 0, 1, 2, 3, 4, 127, 128, 128, 128, 129, 130, 135 };
	size_t size = random_size(LONG_MAX_UDP);
	bool v6 = target->to.any.sa_family == AF_INET6;

	set_ttl(target);
	fill(message, size);
	if (size >= 4 && one_of(2)) {
		message[0] = v6 ? types6[below(sizeof(types6))] : types[below(sizeof(types))];
		if (!one_of(4))
			message[1] = 0;
		set_checksum(message, size);
	}
	return send_to(target, target->fd, message, size);
}

static bool send_unix(struct target *target)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(4 * sizeof(int))];
	} control = { .bytes = { 0 } };
	size_t n = one_of(4) ? below(4) + 1 : 0;
	struct iovec part = { message, random_size(MESSAGE_MAX) };
	struct msghdr header = { .msg_name = &target->to,
				 .msg_namelen = target->to_length,
				 .msg_iov = &part,
				 .msg_iovlen = 1 };
	int null = STDIN_FILENO;

	fill(message, part.iov_len < SHORT_MAX ? part.iov_len : SHORT_MAX);
	if (n > 0) {
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(n * sizeof(int));
		for (size_t i = 0; i < n; i++)
			memcpy(CMSG_DATA(&control.align) + i * sizeof(int), &null, sizeof(int));
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(n * sizeof(int));
	}
	return sendmsg(one_of(2) ? target->fd : target->second_fd, &header, 0) >= 0;
}

static void send_one(struct target *target)
{
	static bool (*const senders[])(struct target *) = {
		[UDP] = send_udp,
		[IP] = send_ip,
		[RAW] = send_raw,
		[UNIX] = send_unix,
	};

	if (senders[target->kind](target))
		target->sent++;
	else if (errno == ECONNREFUSED || errno == ENOENT || errno == EBADF)
		err(EX_UNAVAILABLE, "%s", target->text);
}

int main(int argc, char **argv)
{
	unsigned n_targets = 0;
	long count;

	if (argc < 4 || argc - 3 > TARGETS_MAX)
		errx(EX_USAGE, "usage: scatter SEED COUNT TARGET...");
	state = strtoull(argv[1], NULL, 10) * 0x9e3779b97f4a7c15 + 1;
	count = atol(argv[2]);
	printf("seed=%s\n", argv[1]);
	for (; argv[n_targets + 3]; n_targets++) {
		parse(&targets[n_targets], argv[n_targets + 3]);
		open_target(&targets[n_targets]);
	}
	while (count-- > 0)
		send_one(&targets[below(n_targets)]);
	for (unsigned i = 0; i < n_targets; i++)
		printf("%s sent=%ld\n", targets[i].text, targets[i].sent);
	return 0;
}
