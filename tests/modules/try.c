/*
 * try.c - a handler that does what the client says, and answers with the error or "ok":
 *
 *	open PATH, write PATH, socket, fork, exec PATH, ptrace, map, die
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <preforkd/handler.h>

static int try_fork(const char *program)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		if (program != NULL)
			execl(program, program, (char *)NULL);
		_exit(program != NULL ? errno : 0);
	}
	if (pid < 0)
		return -1;
	waitpid(pid, &status, 0);
	errno = WEXITSTATUS(status);
	return WIFEXITED(status) && errno == 0 ? 0 : -1;
}

static int try(const char *what, const char *path)
{
	if (strcmp(what, "open") == 0)
		return open(path, O_RDONLY | O_CLOEXEC);
	if (strcmp(what, "write") == 0)
		return open(path, O_WRONLY | O_CLOEXEC);
	if (strcmp(what, "socket") == 0)
		return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (strcmp(what, "fork") == 0 || strcmp(what, "exec") == 0)
		return try_fork(path);
	if (strcmp(what, "ptrace") == 0)
		return (int)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	if (strcmp(what, "map") == 0)
		return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			    0) == MAP_FAILED ?
			       -1 :
			       0;
	if (strcmp(what, "die") == 0)
		abort();
	/* memory of every size, and its end */
	for (size_t size = 1; size < 64 << 20; size *= 2) {
		char *p = malloc(size);

		if (p == NULL)
			return -1;
		memset(p, 1, size);
		free(p);
	}
	return 0;
}

static int serve(struct conn *conn, void *state)
{
	char line[512], *path;

	(void)state;
	while (conn_read_line(conn, line, sizeof(line)) > 0) {
		line[strcspn(line, "\n")] = '\0';
		path = strchr(line, ' ');
		if (path != NULL)
			*path++ = '\0';
		if (conn_printf(conn, "%s\n", try(line, path) < 0 ? strerrorname_np(errno) : "ok") <
		    0)
			return -1;
	}
	return 0;
}

const struct handler preforkd_handler = {
	.abi = HANDLER_ABI,
	.name = "try",
	.serve = serve,
};
