#include "master/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/fd.h"

_Noreturn static void wait_for_child(pid_t pid, int fd)
{
	char byte;
	ssize_t n;
	int status;

	do {
		n = read(fd, &byte, 1);
	} while (n < 0 && errno == EINTR);
	if (n == 1)
		_exit(EX_OK);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status))
		_exit(EX_SOFTWARE);
	/* told to stop before it was up: it left in order, but there is no service */
	_exit(WEXITSTATUS(status) != EX_OK ? WEXITSTATUS(status) : EX_UNAVAILABLE);
}

int daemon_start(void)
{
	int ready[2];
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid > 0) {
		close(ready[1]);
		wait_for_child(pid, ready[0]);
	}
	fd_close(&ready[0]);
	if (pid < 0)
		fd_close(&ready[1]);
	else
		setsid();
	return ready[1];
}

void daemon_ready(int *fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)fd_write_all(*fd, "R", 1);
	fd_close(fd);
	for (int i = 0; null >= 0 && i <= STDERR_FILENO; i++)
		dup2(null, i);
	fd_close(&null);
}
