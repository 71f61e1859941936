/*
 * spoof: a packet of IPv4 or IPv6 with a forged sender, from a raw socket (needs CAP_NET_RAW).
 *
 *	spoof [-c COUNT] [-l] [-p PROTOCOL] [-t TTL] [-u LENGTH] [-s SIZE] FROM TO [TEXT]
 *
 * Addresses: 127.0.0.1:7 or [::1]:7, and the packet is UDP around TEXT (without it: standard input), with -l UDP-Lite.
 * With -p it is TEXT as it is, of that protocol, and the ports may be missing. -t is the TTL or hop limit (64), -u what
 * the header of UDP claims to be the length (of UDP-Lite: the coverage), -s cuts off what follows the IP header after
 * SIZE bytes. The packet is sent COUNT times.
 *
 * The checksum of UDP over IPv4 is left out, which is allowed (RFC 768); all others are right.
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "address.h"

#define USAGE "usage: spoof [OPTION...] FROM TO [TEXT]"
#define ALL (-1L)

static struct {
	long count, udp_length, size;
	int protocol, ttl;
	bool lite;
	union address from, to;
} options = { .count = 1, .udp_length = ALL, .size = ALL, .protocol = -1, .ttl = 64 };

/* What is sent: the header of IP stands just before it. */
static char packet[1 << 17];
static char *const body = packet + sizeof(struct ip6_hdr);

static uint32_t sum_up(uint32_t sum, const void *data, size_t size)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < size; i++)
		sum += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static int protocol(void)
{
	if (options.protocol >= 0)
		return options.protocol;
	return options.lite ? IPPROTO_UDPLITE : IPPROTO_UDP;
}

/* With the pseudo-header. */
static uint16_t checksum(const void *data, size_t size)
{
	bool v6 = options.to.any.sa_family == AF_INET6;
	size_t length = v6 ? sizeof(struct in6_addr) : sizeof(struct in_addr);
	const union address *from = &options.from, *to = &options.to;
	uint32_t sum;

	sum = sum_up(0, v6 ? (const void *)&from->in6.sin6_addr : &from->in.sin_addr, length);
	sum = sum_up(sum, v6 ? (const void *)&to->in6.sin6_addr : &to->in.sin_addr, length);
	sum = sum_up(sum + (uint32_t)size + (uint32_t)protocol(), data, size);
	/* 0 would mean that there is none */
	return htons(sum == 0xffff ? 0xffff : ~sum & 0xffff);
}

/* Put the header of UDP before the text; returns the size of both. */
static size_t make_udp(size_t length)
{
	size_t size = sizeof(struct udphdr) + length;
	long claim = options.udp_length == ALL ? (long)size : options.udp_length;
	/* the ports stand at the same place in both families */
	struct udphdr udp = { .source = options.from.in.sin_port,
			      .dest = options.to.in.sin_port,
			      .len = htons((uint16_t)claim) };

	memmove(body + sizeof(udp), body, length);
	memcpy(body, &udp, sizeof(udp));
	if (options.lite || options.to.any.sa_family == AF_INET6) {
		udp.check = checksum(body, size);
		memcpy(body, &udp, sizeof(udp));
	}
	return size;
}

/* Returns the size of the header of IP. */
static size_t make_ip(size_t size)
{
	struct iphdr ip = { .version = 4,
			    .ihl = sizeof(ip) / 4,
			    .ttl = (uint8_t)options.ttl,
			    .protocol = (uint8_t)protocol(),
			    .tot_len = htons((uint16_t)(sizeof(ip) + size)),
			    .saddr = options.from.in.sin_addr.s_addr,
			    .daddr = options.to.in.sin_addr.s_addr };
	struct ip6_hdr ip6 = { .ip6_src = options.from.in6.sin6_addr,
			       .ip6_dst = options.to.in6.sin6_addr };

	ip6.ip6_flow = htonl(6u << 28);
	ip6.ip6_plen = htons((uint16_t)size);
	ip6.ip6_nxt = (uint8_t)protocol();
	ip6.ip6_hlim = (uint8_t)options.ttl;
	if (options.to.any.sa_family == AF_INET) {
		memcpy(body - sizeof(ip), &ip, sizeof(ip));
		return sizeof(ip);
	}
	memcpy(body - sizeof(ip6), &ip6, sizeof(ip6));
	return sizeof(ip6);
}

static void send_all(const char *data, size_t size)
{
	bool v6 = options.to.any.sa_family == AF_INET6;
	socklen_t length = v6 ? sizeof(options.to.in6) : sizeof(options.to.in);
	int fd = socket(options.to.any.sa_family, SOCK_RAW, IPPROTO_RAW);

	if (fd < 0)
		err(EX_OSERR, "raw socket");
	/* to a raw socket the port is a protocol */
	options.to.in.sin_port = 0;
	for (long i = 0; i < options.count; i++) {
		if (sendto(fd, data, size, 0, &options.to.any, length) < 0)
			err(EX_OSERR, "sendto");
	}
}

static void read_options(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "c:lp:t:u:s:")) != -1) {
		switch (option) {
		case 'c':
			options.count = atol(optarg);
			break;
		case 'l':
			options.lite = true;
			break;
		case 'p':
			options.protocol = atoi(optarg);
			break;
		case 't':
			options.ttl = atoi(optarg);
			break;
		case 'u':
			options.udp_length = atol(optarg);
			break;
		case 's':
			options.size = atol(optarg);
			break;
		default:
			exit(EX_USAGE);
		}
	}
	if (argc - optind < 2)
		errx(EX_USAGE, "%s", USAGE);
}

int main(int argc, char **argv)
{
	size_t room = sizeof(packet) / 2, size = 0, n, header;

	read_options(argc, argv);
	address_parse(argv[optind], options.protocol < 0, &options.from);
	address_parse(argv[optind + 1], options.protocol < 0, &options.to);
	if (options.from.any.sa_family != options.to.any.sa_family)
		errx(EX_USAGE, "not of one family");
	if (optind + 2 < argc)
		size = (size_t)snprintf(body, room, "%s", argv[optind + 2]);
	else
		while (size < room && (n = fread(body + size, 1, room - size, stdin)) > 0)
			size += n;
	if (options.protocol < 0)
		size = make_udp(size);
	if (options.size != ALL && (size_t)options.size < size)
		size = (size_t)options.size;
	header = make_ip(size);
	send_all(body - header, header + size);
	return 0;
}
