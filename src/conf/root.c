#include "conf/root.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "conf/capability.h"
#include "conf/compile.h"

int root_open(const struct conf *conf, const struct conf_service *service, const char *path,
	      int flags)
{
	const char *root = conf_string(conf, service->chroot);
	struct open_how how = {
		.flags = (unsigned)flags | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT,
	};
	int root_fd, fd;

	if (root[0] == '\0')
		return open(path, flags | O_CLOEXEC);
	root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0)
		return -1;
	fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
	fd_close(&root_fd);
	return fd;
}

int root_stat(const struct conf *conf, const struct conf_service *service, const char *path,
	      struct stat *st_r)
{
	int fd = root_open(conf, service, path, O_PATH);
	int r = fd >= 0 ? fstat(fd, st_r) : -1;

	fd_close(&fd);
	return r;
}

/* In a directory with the sticky bit others cannot replace what is not theirs. */
static const char *find_fault(const struct stat *st)
{
	if (!S_ISDIR(st->st_mode))
		return "is not a directory";
	if (st->st_uid != 0)
		return "does not belong to root (chown root)";
	if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0 && (st->st_mode & S_ISVTX) == 0)
		return "can be written by group or others (chmod go-w)";
	return NULL;
}

/* The directory and all on the way to it: who can change one of them chooses the root. */
static void check_way(struct compile *compile, const struct conf_service *service, const char *root)
{
	char part[PATH_MAX];
	size_t length = 0;

	do {
		const char *fault;
		struct stat st;

		length += 1 + strcspn(root + length + 1, "/");
		snprintf(part, sizeof(part), "%.*s", (int)length, root);
		fault = stat(part, &st) < 0 ? strerror(errno) : find_fault(&st);
		if (fault == NULL && root[length] == '\0' && (st.st_mode & S_IWOTH) != 0)
			fault = "can be written by others (chmod o-w)";
		if (fault != NULL) {
			compile_error(compile, service, "run.chroot", "%s: %s", part, fault);
			return;
		}
	} while (root[length] != '\0');
}

void root_check(struct compile *compile, const struct conf_service *service)
{
	const char *root = conf_string(compile->conf, service->chroot);

	if (root[0] == '\0')
		return;
	if (root[0] != '/')
		compile_error(compile, service, "run.chroot", "must be an absolute path");
	else if (strlen(root) >= PATH_MAX)
		compile_error(compile, service, "run.chroot", "%s", strerror(ENAMETOOLONG));
	else if (compile->here)
		check_way(compile, service, root);
	if (compile->here)
		capability_need(compile, service, "run.chroot", CAP_SYS_CHROOT);
}
