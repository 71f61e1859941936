/*
 * dgram: a client of datagram services, IPv4, IPv6 and unix.
 *
 *	dgram [-c COUNT] [-w MS] [-f FROM] [-o FILE] [-p PROTOCOL] [-r] [-t TTL] [-T] [-i WORDS]
 *	      [-d COUNT] [-l TARGET] [-a OTHER] TO [TEXT...]
 *
 * Sends each TEXT (without any: all of standard input) as one datagram, COUNT times, from the address FROM, and waits
 * until as many answers came or none came for MS (10000). Each is a line "from=ADDRESS length=N"; -o appends its bytes
 * to FILE. Addresses: 127.0.0.1:7, [::1]:7, /path, @abstract; of raw sockets without a port: 127.0.0.1, [::1]. A unix
 * client without FROM has no name and gets no answer.
 *
 * -p is the number of the protocol, -r takes a raw socket of it (the IPv4 header is left out of answers). -t sends with
 * this TTL or hop limit, -T prints the one of each answer as a third field. -i puts WORDS times four bytes of options
 * into the IPv4 header. -d passes so many descriptors with each datagram, and -l replaces the path FROM by a link to
 * TARGET before it sends (unix only). -a sends every second datagram to another address of the same family.
 *
 * Exit status: 0 at least one answer, 1 none.
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/ip.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "address.h"

#define DESCRIPTORS_MAX 253 /* SCM_MAX_FD of the kernel */
#define WORD 4
#define WORDS_MAX 10
#define USAGE "usage: dgram [OPTION...] TO [TEXT...]"

static struct {
	long count;
	int wait_ms, protocol, ttl, words, descriptors;
	bool raw, show_ttl;
	char *from, *file, *link, *to, *other;
	char **texts; /* ends with NULL */
} options = { .count = 1, .wait_ms = 10000, .ttl = -1 };

static union address to, other;
static socklen_t to_length;
static char buffer[1 << 17];

static void print(const union address *a, ssize_t length, int ttl)
{
	char host[INET6_ADDRSTRLEN];

	if (a->any.sa_family == AF_INET)
		printf("from=%s", inet_ntop(AF_INET, &a->in.sin_addr, host, sizeof(host)));
	else if (a->any.sa_family == AF_INET6)
		printf("from=[%s]", inet_ntop(AF_INET6, &a->in6.sin6_addr, host, sizeof(host)));
	else
		printf("from=%s%s", a->un.sun_path[0] ? "" : "@",
		       a->un.sun_path + !a->un.sun_path[0]);
	/* the port stands at the same place in both */
	if (a->any.sa_family != AF_UNIX && !options.raw)
		printf(":%d", ntohs(a->in.sin_port));
	printf(" length=%zd", length);
	if (options.show_ttl)
		printf(" ttl=%d", ttl);
	putchar('\n');
}

static void set(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)) < 0)
		err(EX_OSERR, "setsockopt");
}

static void set_up(int fd, int family)
{
	bool v6 = family == AF_INET6;
	int level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
	char nops[WORD * WORDS_MAX];
	int on = 1;

	setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on));
	if (options.ttl >= 0)
		set(fd, level, v6 ? IPV6_UNICAST_HOPS : IP_TTL, options.ttl);
	if (options.show_ttl)
		set(fd, level, v6 ? IPV6_RECVHOPLIMIT : IP_RECVTTL, 1);
	memset(nops, IPOPT_NOP, sizeof(nops));
	if (options.words > 0 &&
	    setsockopt(fd, IPPROTO_IP, IP_OPTIONS, nops, (socklen_t)(options.words * WORD)) < 0)
		err(EX_OSERR, "IP_OPTIONS");
}

/* Room for the descriptors or the TTL. */
static union {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
} control;

static void add_descriptors(struct msghdr *message)
{
	size_t size = (size_t)options.descriptors * sizeof(int);
	int null = STDIN_FILENO;

	control.align = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
					  .cmsg_type = SCM_RIGHTS,
					  .cmsg_len = CMSG_LEN(size) };
	for (size_t i = 0; i < size; i += sizeof(int))
		memcpy(CMSG_DATA(&control.align) + i, &null, sizeof(int));
	message->msg_control = &control;
	message->msg_controllen = CMSG_SPACE(size);
}

static void send_one(int fd, const void *data, size_t size)
{
	static bool odd;
	struct iovec part = { (void *)data, size };
	struct msghdr message = { .msg_name = odd && options.other ? &other : &to,
				  .msg_namelen = to_length,
				  .msg_iov = &part,
				  .msg_iovlen = 1 };

	odd = !odd;
	if (options.descriptors > 0)
		add_descriptors(&message);
	if (sendmsg(fd, &message, 0) < 0)
		err(EX_OSERR, "sendmsg");
}

/* Returns how many. */
static long send_all(int fd)
{
	size_t size = 0, n;
	long sent = 0;

	if (!*options.texts) {
		while ((n = fread(buffer + size, 1, sizeof(buffer) - size, stdin)) > 0)
			size += n;
		for (; sent < options.count; sent++)
			send_one(fd, buffer, size);
		return sent;
	}
	for (long i = 0; i < options.count; i++) {
		for (char **text = options.texts; *text; text++, sent++)
			send_one(fd, *text, strlen(*text));
	}
	return sent;
}

static int ttl_of(struct msghdr *message)
{
	int ttl = -1;

	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(message); cmsg;
	     cmsg = CMSG_NXTHDR(message, cmsg)) {
		if ((cmsg->cmsg_level == IPPROTO_IP && cmsg->cmsg_type == IP_TTL) ||
		    (cmsg->cmsg_level == IPPROTO_IPV6 && cmsg->cmsg_type == IPV6_HOPLIMIT))
			memcpy(&ttl, CMSG_DATA(cmsg), sizeof(ttl));
	}
	return ttl;
}

static void write_file(const char *data, size_t size)
{
	FILE *out = fopen(options.file, "a");

	if (!out || fwrite(data, 1, size, out) != size || fclose(out))
		err(EX_IOERR, "%s", options.file);
}

static void receive(int fd)
{
	union address from = { 0 };
	struct iovec part = { buffer, sizeof(buffer) };
	struct msghdr message = { .msg_name = &from,
				  .msg_namelen = sizeof(from),
				  .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(fd, &message, 0), header = 0;

	if (n < 0)
		err(EX_OSERR, "recvmsg");
	if (options.raw && from.any.sa_family == AF_INET)
		header = WORD * (buffer[0] & 0xf);
	print(&from, n - header, ttl_of(&message));
	if (options.file)
		write_file(buffer + header, (size_t)(n - header));
}

static void read_options(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "c:w:f:o:p:rt:Ti:d:l:a:")) != -1) {
		switch (option) {
		case 'c':
			options.count = atol(optarg);
			break;
		case 'w':
			options.wait_ms = atoi(optarg);
			break;
		case 'f':
			options.from = optarg;
			break;
		case 'o':
			options.file = optarg;
			break;
		case 'p':
			options.protocol = atoi(optarg);
			break;
		case 'r':
			options.raw = true;
			break;
		case 't':
			options.ttl = atoi(optarg);
			break;
		case 'T':
			options.show_ttl = true;
			break;
		case 'i':
			options.words = atoi(optarg) % (WORDS_MAX + 1);
			break;
		case 'd':
			options.descriptors = atoi(optarg) % (DESCRIPTORS_MAX + 1);
			break;
		case 'l':
			options.link = optarg;
			break;
		case 'a':
			options.other = optarg;
			break;
		default:
			exit(EX_USAGE);
		}
	}
	if (optind >= argc)
		errx(EX_USAGE, "%s", USAGE);
	options.to = argv[optind];
	options.texts = &argv[optind + 1];
}

static int open_client(void)
{
	union address from;
	socklen_t length;
	int fd = socket(to.any.sa_family, options.raw ? SOCK_RAW : SOCK_DGRAM, options.protocol);

	if (fd < 0)
		err(EX_OSERR, "socket");
	set_up(fd, to.any.sa_family);
	if (options.from) {
		length = address_parse(options.from, !options.raw, &from);
		if (bind(fd, &from.any, length) < 0)
			err(EX_OSERR, "bind");
	}
	if (options.link && (unlink(options.from) < 0 || symlink(options.link, options.from) < 0))
		err(EX_OSERR, "%s", options.from);
	return fd;
}

int main(int argc, char **argv)
{
	struct pollfd ready = { .events = POLLIN };
	long sent, got = 0;

	read_options(argc, argv);
	to_length = address_parse(options.to, !options.raw, &to);
	if (options.other)
		address_parse(options.other, !options.raw, &other);
	ready.fd = open_client();
	sent = send_all(ready.fd);
	for (; got < sent && poll(&ready, 1, options.wait_ms) > 0; got++)
		receive(ready.fd);
	return got ? 0 : 1;
}
