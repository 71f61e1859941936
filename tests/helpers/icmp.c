/*
 * icmp: one ICMP or ICMPv6 packet, right or wrong in any way, from a raw socket (needs CAP_NET_RAW).
 *
 *	icmp [-s FROM] [-t TYPE] [-c CODE] [-i ID] [-n SEQUENCE] [-d DATA] [-l LENGTH] [-b] [-f SIZE] [-1] [-o WORDS]
 *	     [-H TTL] [-I INTERFACE] [-r COUNT] TO
 *
 * Without options an echo request to TO, from TO. DATA ("hello") follows the header; -l makes the message LENGTH bytes
 * long, which cuts it off or repeats its data. -b spoils the checksum, which is right otherwise, wherever there is room
 * for it. -f sends fragments of SIZE bytes (a multiple of 8), -1 only the first of them. -o puts WORDS times four bytes
 * of options into the IPv4 header. -H is the TTL or hop limit (64). -r sends it COUNT times.
 */
#include <arpa/inet.h>
#include <err.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#define HEADER 8
#define WORD 4
#define WORDS_MAX 10

struct packet {
	bool v6;
	struct in6_addr from, to; /* IPv4: the first four bytes */
	unsigned type, code, id, sequence, words, ttl;
	const char *data;
	size_t length, fragment;
	bool spoilt, first_only;
	uint8_t message[1 << 16];
};

/* RFC 1071; sums go on with one another. */
static uint32_t sum_up(uint32_t sum, const void *data, size_t size)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < size; i++)
		sum += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)(value & 0xff);
}

static void make_message(struct packet *p)
{
	size_t data = strlen(p->data);
	uint32_t sum = 0;

	if (p->length == SIZE_MAX)
		p->length = HEADER + data;
	if (p->length > sizeof(p->message))
		errx(EX_USAGE, "too long");
	for (size_t i = HEADER; i < p->length; i++)
		p->message[i] = data > 0 ? (uint8_t)p->data[(i - HEADER) % data] : 0;
	p->message[0] = (uint8_t)p->type;
	p->message[1] = (uint8_t)p->code;
	put16(p->message + 4, p->id);
	put16(p->message + 6, p->sequence);
	if (p->length < 4)
		return;
	if (p->v6) { /* the pseudo-header */
		sum = sum_up(sum, &p->from, sizeof(p->from));
		sum = sum_up(sum, &p->to, sizeof(p->to));
		sum = sum_up(sum + (uint32_t)p->length + IPPROTO_ICMPV6, NULL, 0);
	}
	sum = ~sum_up(sum, p->message, p->length) & 0xffff;
	put16(p->message + 2, p->spoilt ? sum ^ 0x5555 : sum);
}

static size_t head4(const struct packet *p, uint8_t *out, size_t offset, bool more)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = (sizeof(ip) / WORD + p->words) & 0xf,
		.ttl = (uint8_t)p->ttl,
		.id = htons(0x1ced),
		.protocol = IPPROTO_ICMP,
		.frag_off = htons((uint16_t)(offset / 8 | (more ? IP_MF : 0))),
	};

	memcpy(&ip.saddr, &p->from, sizeof(ip.saddr));
	memcpy(&ip.daddr, &p->to, sizeof(ip.daddr));
	memcpy(out, &ip, sizeof(ip));
	memset(out + sizeof(ip), IPOPT_NOP, p->words * WORD);
	return sizeof(ip) + p->words * WORD;
}

static size_t head6(const struct packet *p, uint8_t *out, size_t size, size_t offset, bool more)
{
	struct ip6_frag part = {
		.ip6f_nxt = IPPROTO_ICMPV6,
		.ip6f_offlg = htons((uint16_t)(offset | more)),
		.ip6f_ident = htonl(0x1ced),
	};
	struct ip6_hdr ip = { .ip6_src = p->from, .ip6_dst = p->to };
	size_t extra = p->fragment > 0 ? sizeof(part) : 0;

	ip.ip6_flow = htonl(6u << 28);
	ip.ip6_hlim = (uint8_t)p->ttl;
	ip.ip6_nxt = extra > 0 ? IPPROTO_FRAGMENT : IPPROTO_ICMPV6;
	ip.ip6_plen = htons((uint16_t)(extra + size));
	memcpy(out, &ip, sizeof(ip));
	memcpy(out + sizeof(ip), &part, extra);
	return sizeof(ip) + extra;
}

static void send_part(const struct packet *p, int fd, size_t offset, size_t size)
{
	static uint8_t whole[sizeof(p->message) + 100];
	struct sockaddr_in to = { .sin_family = AF_INET };
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6, .sin6_addr = p->to };
	bool more = offset + size < p->length;
	size_t head = p->v6 ? head6(p, whole, size, offset, more) : head4(p, whole, offset, more);

	memcpy(&to.sin_addr, &p->to, sizeof(to.sin_addr));
	memcpy(whole + head, p->message + offset, size);
	if (sendto(fd, whole, head + size, 0, p->v6 ? (void *)&to6 : (void *)&to,
		   p->v6 ? sizeof(to6) : sizeof(to)) < 0)
		err(EX_OSERR, "sendto");
}

static void send_all(const struct packet *p, int fd)
{
	size_t step = p->fragment > 0 ? p->fragment : p->length;

	if (step >= p->length) {
		send_part(p, fd, 0, p->length);
		return;
	}
	for (size_t offset = 0; offset < p->length; offset += step) {
		send_part(p, fd, offset, p->length - offset < step ? p->length - offset : step);
		if (p->first_only)
			return;
	}
}

static int open_raw(bool v6, const char *interface)
{
	int on = 1, fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_RAW, IPPROTO_RAW);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)) < 0)
		err(EX_OSERR, "raw socket");
	if (interface != NULL && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface,
					    (socklen_t)strlen(interface)) < 0)
		err(EX_OSERR, "%s", interface);
	return fd;
}

static void parse_address(const struct packet *p, const char *text, struct in6_addr *out)
{
	if (inet_pton(p->v6 ? AF_INET6 : AF_INET, text, out) != 1)
		errx(EX_USAGE, "%s: no address", text);
}

static unsigned number(void)
{
	return (unsigned)strtoul(optarg, NULL, 0);
}

int main(int argc, char **argv)
{
	static struct packet p = {
		.type = 256, .id = 77, .sequence = 1, .ttl = 64, .data = "hello", .length = SIZE_MAX
	};
	const char *from = NULL, *interface = NULL;
	unsigned count = 1;
	int option, fd;

	while ((option = getopt(argc, argv, "s:t:c:i:n:d:l:bf:1o:H:I:r:")) != -1) {
		switch (option) {
		case 's':
			from = optarg;
			break;
		case 't':
			p.type = number();
			break;
		case 'c':
			p.code = number();
			break;
		case 'i':
			p.id = number();
			break;
		case 'n':
			p.sequence = number();
			break;
		case 'd':
			p.data = optarg;
			break;
		case 'l':
			p.length = number();
			break;
		case 'b':
			p.spoilt = true;
			break;
		case 'f':
			p.fragment = number() & ~7u;
			break;
		case '1':
			p.first_only = true;
			break;
		case 'o':
			p.words = number() % (WORDS_MAX + 1);
			break;
		case 'H':
			p.ttl = number();
			break;
		case 'I':
			interface = optarg;
			break;
		case 'r':
			count = number();
			break;
		default:
			return EX_USAGE;
		}
	}
	if (optind != argc - 1)
		errx(EX_USAGE, "usage: icmp [OPTION...] TO");
	p.v6 = strchr(argv[optind], ':') != NULL;
	if (p.type == 256)
		p.type = p.v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO;
	parse_address(&p, argv[optind], &p.to);
	parse_address(&p, from != NULL ? from : argv[optind], &p.from);
	make_message(&p);
	fd = open_raw(p.v6, interface);
	while (count-- > 0)
		send_all(&p, fd);
	return 0;
}
