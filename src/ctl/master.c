#include "ctl/master.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "conf/runtime.h"
#include "ctl/usage.h"
#include "net/address.h"

#define ANSWER_MAX (64u << 20)
#define PIECE 65536
#define TRIES 3 /* when the master had to make room for others */

/* The line that lock_note() of the master wrote, "" where no master did. */
static void read_note(const char *directory, const char *config, char *path, size_t size)
{
	char lock[RUNTIME_PATH_MAX + 300];
	struct stat st;
	FILE *file;

	path[0] = '\0';
	/* in /tmp somebody else may have been here first */
	if (lstat(directory, &st) < 0 || (st.st_uid != geteuid() && st.st_uid != 0))
		return;
	runtime_lock(directory, config, lock, sizeof(lock));
	file = fopen(lock, "re");
	if (file == NULL)
		return;
	/* the first one is the pid */
	for (int line = 0; line < 2; line++) {
		if (fgets(path, (int)size, file) == NULL)
			path[0] = '\0';
	}
	path[strcspn(path, "\n")] = '\0';
	fclose(file);
}

/* Whoever we are, the master may be ours or the system's. 0, or an exit status. */
static int find_socket(const char *config, char *path, size_t size, struct text *error)
{
	char absolute[PATH_MAX], directory[RUNTIME_PATH_MAX];

	if (realpath(config, absolute) == NULL) {
		text_addf(error, "%s: %s (-c names another config, -s a socket)", config,
			  strerror(errno));
		return EX_NOINPUT;
	}
	runtime_directory(directory);
	read_note(directory, absolute, path, size);
	if (path[0] == '\0')
		read_note(RUNSTATEDIR "/preforkd", absolute, path, size);
	if (path[0] == '/')
		return 0;
	if (path[0] == '-')
		text_addf(error, "the preforkd of %s has no control socket (control.path)",
			  absolute);
	else
		text_addf(error,
			  "no preforkd runs with %s (start it; or -c names another config, -s a "
			  "socket)",
			  absolute);
	return EX_UNAVAILABLE;
}

static int explain(const char *path, struct text *error)
{
	int saved = errno;

	if (saved == ECONNREFUSED || saved == ENOENT) {
		text_addf(error, "no preforkd listens at %s (start it)", path);
		return EX_UNAVAILABLE;
	}
	if (saved == EACCES || saved == EPERM) {
		text_addf(error, "%s: %s (be root, or in the group of control.group)", path,
			  strerror(saved));
		return EX_NOPERM;
	}
	if (saved == EAGAIN || saved == EINPROGRESS) {
		text_addf(error, "the master does not answer at %s", path);
		return EX_UNAVAILABLE;
	}
	text_addf(error, "%s: %s", path, strerror(saved));
	return EX_UNAVAILABLE;
}

/* The descriptor, or -1 with errno. */
static int connect_to(const char *path, long long wait_ms)
{
	struct timeval limit = { wait_ms / 1000, wait_ms % 1000 * 1000 };
	struct sockaddr_storage address;
	socklen_t length;
	int fd;

	if (address_from_path(path, &address, &length) < 0) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0 &&
	    connect(fd, (const void *)&address, length) == 0)
		return fd;
	fd_close(&fd);
	return -1;
}

/* All that comes. NULL with errno. */
static char *receive(int fd, size_t *size_r)
{
	char *buf = NULL;
	size_t size = 0;

	for (;;) {
		char *larger = size < ANSWER_MAX ? realloc(buf, size + PIECE) : NULL;
		ssize_t n = larger != NULL ? recv(fd, larger + size, PIECE, 0) : -1;

		if (larger != NULL)
			buf = larger;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != ECONNRESET) {
			free(buf);
			return NULL;
		}
		if (n <= 0) {
			*size_r = size;
			return buf;
		}
		size += (size_t)n;
	}
}

/* One attempt. NULL with errno; an empty answer: the master closed without a word. */
static char *exchange(const char *path, const char *line, long long wait_ms, size_t *size_r)
{
	int fd = connect_to(path, wait_ms);
	char *buf;

	if (fd < 0)
		return NULL;
	/* who had to go at once still has something to be read, perhaps */
	(void)send(fd, line, strlen(line), MSG_NOSIGNAL);
	buf = receive(fd, size_r);
	fd_close(&fd);
	return buf;
}

int master_ask(const struct arguments *arguments, const char *line, long long wait_ms,
	       struct answer *answer_r, struct text *error)
{
	char path[RUNTIME_PATH_MAX];
	size_t size = 0;
	char *buf = NULL;
	int status = 0;

	answer_r->buf = NULL;
	snprintf(path, sizeof(path), "%s", arguments->socket != NULL ? arguments->socket : "");
	if (arguments->socket == NULL)
		status = find_socket(arguments->config, path, sizeof(path), error);
	if (status != 0)
		return status;
	for (int i = 0; i < TRIES && size == 0; i++) {
		free(buf);
		buf = exchange(path, line, wait_ms, &size);
		if (buf == NULL)
			return explain(path, error);
	}
	if (answer_parse(buf, size, answer_r))
		return 0;
	text_addf(error, "the answer of %s is not whole: it may be too busy, or stopping", path);
	free(buf);
	answer_r->buf = NULL;
	return EX_PROTOCOL;
}
