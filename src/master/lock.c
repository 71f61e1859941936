#include "master/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "conf/runtime.h"

/* The same file by name and by descriptor: nobody replaced it while we waited for the lock. */
static int is_still_there(int fd, const char *path)
{
	struct stat by_fd, by_name;

	return fstat(fd, &by_fd) == 0 && lstat(path, &by_name) == 0 &&
	       by_fd.st_dev == by_name.st_dev && by_fd.st_ino == by_name.st_ino;
}

/* errno EWOULDBLOCK: somebody has it; EPERM: it is not a plain file of ours. */
static int open_locked(const char *path)
{
	int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	struct stat st;

	for (;;) {
		int fd = open(path, flags, 0644);

		if (fd < 0)
			return -1;
		if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink > 1 ||
		    st.st_uid != geteuid()) {
			fd_close(&fd);
			errno = EPERM;
			return -1;
		}
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			fd_close(&fd);
			return -1;
		}
		if (is_still_there(fd, path))
			return fd;
		fd_close(&fd); /* its owner removed it between our open and flock: again */
	}
}

static int write_pid(int fd)
{
	char pid[32];

	snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) < 0)
		return -1;
	return fd_write_all(fd, pid, strlen(pid));
}

int lock_note(int fd, const char *text)
{
	char both[PATH_MAX];
	int length = snprintf(both, sizeof(both), "%d\n%s\n", (int)getpid(),
			      text[0] != '\0' ? text : "-");

	/* over what the binary before us wrote, so that a reader finds one of them */
	if (pwrite(fd, both, (size_t)length, 0) != length)
		return -1;
	return ftruncate(fd, length);
}

static long read_pid(const char *path)
{
	char pid[32] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd >= 0 && read(fd, pid, sizeof(pid) - 1) < 0)
		pid[0] = '\0';
	fd_close(&fd);
	return strtol(pid, NULL, 10);
}

static int lock_file(const char *path, const char *event, const char *held, bool *heir_r,
		     int *status_r)
{
	int fd = open_locked(path);

	/* who ends by himself removes it */
	*heir_r = fd >= 0 && read_pid(path) != 0;
	if (fd >= 0 && write_pid(fd) == 0)
		return fd;
	if (fd < 0 && errno == EWOULDBLOCK) {
		log_error(event, KV("file", path), KV("pid_of_other", read_pid(path)),
			  KV("error", held));
		*status_r = EX_TEMPFAIL;
		return -1;
	}
	log_error(
		event, KV("file", path), KV("error", strerror(errno)),
		KV("remedy", "it must be a plain file of our own in a directory we may write to"));
	*status_r = EX_CANTCREAT;
	fd_close(&fd);
	return -1;
}

int lock_config(const char *config_path, bool *heir_r, int *status_r)
{
	char directory[RUNTIME_PATH_MAX], path[RUNTIME_PATH_MAX + 300];
	struct stat st;

	runtime_directory(directory);
	if (mkdir(directory, 0755) < 0 && errno != EEXIST) {
		log_error("lock_failed", KV("directory", directory), KV("error", strerror(errno)),
			  KV("remedy",
			     geteuid() == 0 ?
				     "make the directory above it" :
				     "make the directory above it, or set RUNTIME_DIRECTORY"));
		*status_r = EX_CANTCREAT;
		return -1;
	}
	/* in /tmp somebody else may have been here first */
	if (lstat(directory, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
	    (st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
		log_error("lock_failed", KV("directory", directory),
			  KV("error", "is not a directory of our own, or others can write to it"));
		*status_r = EX_CANTCREAT;
		return -1;
	}
	runtime_lock(directory, config_path, path, sizeof(path));
	return lock_file(path, "lock_failed", "another preforkd runs with this config", heir_r,
			 status_r);
}

int lock_pidfile(const char *path, int *status_r)
{
	bool heir;

	return lock_file(path, "pidfile_failed", "another preforkd has this pid file", &heir,
			 status_r);
}

void lock_release(int *fd)
{
	char link[64], path[RUNTIME_PATH_MAX];
	ssize_t n;

	if (*fd < 0)
		return;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", *fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n > 0) {
		path[n] = '\0';
		if (is_still_there(*fd, path))
			unlink(path);
	}
	fd_close(fd);
}
