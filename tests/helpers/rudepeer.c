/*
 * rudepeer: a client of a unix stream socket that has bound itself to an abstract name full of control bytes, sends
 * "x", waits for the echo, says so on standard output, and holds the connection until it is ended.
 *
 *	rudepeer PATH TAG	(its name is "\0TAG<LF>level=bug event=forged <ESC>[31m"<DEL><0xff>")
 */
#include <err.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_un self = { .sun_family = AF_UNIX }, server = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), n;
	char byte;

	if (argc != 3 || strlen(argv[1]) >= sizeof(server.sun_path))
		errx(EX_USAGE, "usage: rudepeer PATH TAG");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	n = snprintf(self.sun_path + 1, sizeof(self.sun_path) - 1,
		     "%s\nlevel=bug event=forged \033[31m\"\177\377", argv[2]);
	strcpy(server.sun_path, argv[1]);
	if (bind(fd, (void *)&self,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) < 0)
		err(EX_OSERR, "bind");
	if (connect(fd, (void *)&server, sizeof(server)) < 0)
		err(EX_UNAVAILABLE, "%s", argv[1]);
	if (write(fd, "x", 1) != 1 || read(fd, &byte, 1) != 1)
		err(EX_UNAVAILABLE, "echo");
	puts("served");
	fflush(stdout);
	pause();
	return 0;
}
