/*
 * opens: which sockets does this system give? Asked with socket(2) alone, and with nothing of preforkd's.
 *
 *	opens [-b]
 *
 * Reads lines "FAMILY TYPE PROTOCOL" in the words of "preforkd -m" and prints each again with what came of it: "works",
 * or the name and the text of the error. With -b the socket is also bound to the loopback address of its family.
 */
#include <err.h>
#include <errno.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#define EXPERIMENT 253 /* RFC 3692: no kernel has it */
#define MPTCP 262      /* older headers do not have it */

struct word {
	const char *name;
	int number;
};

static const struct word families[] = {
	{ "inet", AF_INET },   { "inet6", AF_INET6 }, { "unix", AF_UNIX },
	{ "vsock", AF_VSOCK }, { "tipc", AF_TIPC },   { NULL, 0 },
};

static const struct word types[] = {
	{ "stream", SOCK_STREAM }, { "dgram", SOCK_DGRAM }, { "seqpacket", SOCK_SEQPACKET },
	{ "raw", SOCK_RAW },	   { "rdm", SOCK_RDM },	    { NULL, 0 },
};

static const struct word protocols[] = {
	{ "none", 0 },
	{ "tcp", IPPROTO_TCP },
	{ "mptcp", MPTCP },
	{ "sctp", IPPROTO_SCTP },
	{ "udp", IPPROTO_UDP },
	{ "udplite", IPPROTO_UDPLITE },
	{ "icmp", IPPROTO_ICMP },
	{ "ipv6-icmp", IPPROTO_ICMPV6 },
	{ "other", EXPERIMENT },
	{ NULL, 0 },
};

static int number_of(const struct word *words, const char *name)
{
	for (; words->name != NULL; words++) {
		if (strcmp(words->name, name) == 0)
			return words->number;
	}
	errx(EX_DATAERR, "%s: unknown word", name);
}

static int bind_loopback(int fd, int family)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
	struct sockaddr_vm vm = { .svm_family = AF_VSOCK,
				  .svm_port = VMADDR_PORT_ANY,
				  .svm_cid = VMADDR_CID_LOCAL };

	switch (family) {
	case AF_INET:
		return bind(fd, (void *)&in, sizeof(in));
	case AF_INET6:
		return bind(fd, (void *)&in6, sizeof(in6));
	case AF_VSOCK:
		return bind(fd, (void *)&vm, sizeof(vm));
	default:
		return 0;
	}
}

static int try(const char *family, const char *type, const char *protocol, int and_bind)
{
	int number = number_of(families, family);
	int fd = socket(number, number_of(types, type), number_of(protocols, protocol));
	int error = 0;

	if (fd < 0)
		return errno;
	if (and_bind && bind_loopback(fd, number) < 0)
		error = errno;
	close(fd);
	return error;
}

int main(int argc, char **argv)
{
	char family[16], type[16], protocol[16];
	int and_bind = argc == 2 && strcmp(argv[1], "-b") == 0;
	int error;

	if (argc > 1 && !and_bind)
		errx(EX_USAGE, "usage: opens [-b]");
	while (scanf("%15s %15s %15s", family, type, protocol) == 3) {
		error = try(family, type, protocol, and_bind);
		printf("%s %s %s ", family, type, protocol);
		if (error == 0)
			printf("works\n");
		else
			printf("%s %s\n", strerrorname_np(error), strerror(error));
	}
	return 0;
}
