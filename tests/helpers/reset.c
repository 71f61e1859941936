/*
 * reset: clients of an echo server over TCP that leave by a reset, one after the other.
 *
 *	reset [-n COUNT] [-q] ADDRESS:PORT
 *
 * Each sends a byte, waits for its echo, and closes with SO_LINGER 0, which sends RST instead of FIN (socket(7)); with
 * -q at once after connect, when the server has perhaps not even accepted.
 */
#include <arpa/inet.h>
#include <err.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

static void one(const struct sockaddr_in *to, bool quick)
{
	struct linger none = { .l_onoff = 1, .l_linger = 0 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char byte = 'x';

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none)) < 0)
		err(EX_OSERR, "socket");
	if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0)
		err(EX_UNAVAILABLE, "connect");
	if (!quick && (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1))
		err(EX_UNAVAILABLE, "echo");
	close(fd);
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	bool quick = false;
	int option, count = 1;
	char *colon;

	while ((option = getopt(argc, argv, "n:q")) != -1) {
		if (option == 'n')
			count = atoi(optarg);
		else if (option == 'q')
			quick = true;
		else
			return EX_USAGE;
	}
	if (optind != argc - 1 || (colon = strrchr(argv[optind], ':')) == NULL)
		errx(EX_USAGE, "usage: reset [-n COUNT] [-q] ADDRESS:PORT");
	*colon = 0;
	to.sin_port = htons((unsigned short)atoi(colon + 1));
	if (inet_pton(AF_INET, argv[optind], &to.sin_addr) != 1)
		errx(EX_USAGE, "%s: no IPv4 address", argv[optind]);
	while (count-- > 0)
		one(&to, quick);
	return 0;
}
