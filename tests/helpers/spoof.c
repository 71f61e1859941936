/*
 * spoof: one UDP datagram over IPv4 with a forged sender, from a raw socket (needs CAP_NET_RAW).
 *
 *	spoof FROM:PORT TO:PORT TEXT
 *
 * The checksum is left out, which UDP over IPv4 allows (RFC 768).
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static struct sockaddr_in parse(char *text)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	char *colon = strrchr(text, ':');

	if (!colon)
		errx(64, "%s: no port", text);
	*colon = 0;
	a.sin_port = htons((unsigned short)atoi(colon + 1));
	if (inet_pton(AF_INET, text, &a.sin_addr) != 1)
		errx(64, "%s: no IPv4 address", text);
	return a;
}

int main(int argc, char **argv)
{
	struct {
		struct iphdr ip;
		struct udphdr udp;
		char text[1024];
	} packet = { 0 };
	struct sockaddr_in from, to;
	size_t length, all;
	int fd;

	if (argc != 4 || strlen(argv[3]) >= sizeof(packet.text))
		errx(64, "usage: spoof FROM:PORT TO:PORT TEXT");
	from = parse(argv[1]);
	to = parse(argv[2]);
	length = strlen(argv[3]);
	all = sizeof(packet.ip) + sizeof(packet.udp) + length;
	packet.ip = (struct iphdr){
		.version = 4,
		.ihl = 5,
		.ttl = 64,
		.protocol = IPPROTO_UDP,
		.tot_len = htons((unsigned short)all),
		.saddr = from.sin_addr.s_addr,
		.daddr = to.sin_addr.s_addr,
	};
	packet.udp.source = from.sin_port;
	packet.udp.dest = to.sin_port;
	packet.udp.len = htons((unsigned short)(sizeof(packet.udp) + length));
	memcpy(packet.text, argv[3], length);
	to.sin_port = 0;
	fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	if (fd < 0 || sendto(fd, &packet, all, 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		err(71, "raw socket");
	return 0;
}
