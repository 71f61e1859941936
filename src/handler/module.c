#include "handler/module.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "handler/handler.h"

const char *module_path(const char *name, char *buf, size_t size)
{
	if (name[0] == '/')
		snprintf(buf, size, "%s", name);
	else
		snprintf(buf, size, "%s/%s.so", MODULEDIR, name);
	return buf;
}

/* Who may write to the directory may put another file there. */
static bool is_open_directory(const char *path)
{
	char directory[PATH_MAX];
	struct stat st;

	snprintf(directory, sizeof(directory), "%.*s", (int)(strrchr(path, '/') - path), path);
	return stat(directory[0] != '\0' ? directory : "/", &st) == 0 &&
	       (st.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (st.st_mode & S_ISVTX) == 0;
}

/* What is wrong with the file; NULL: nothing. */
static const char *find_fault(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return "is not a regular file";
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return "belongs to neither root nor the user of the master (chown)";
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return "can be written by group or others (chmod go-w)";
	if (is_open_directory(path))
		return "its directory can be written by group or others (chmod go-w)";
	return NULL;
}

/* The table of sections is the last thing in the file; dlopen(3) does not look for the end. */
static bool is_cut_off(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ElfW(Ehdr) head = { 0 };
	struct stat st;
	bool cut = fd < 0 || fstat(fd, &st) < 0 ||
		   read(fd, &head, sizeof(head)) != (ssize_t)sizeof(head) ||
		   (off_t)(head.e_shoff + (size_t)head.e_shentsize * head.e_shnum) > st.st_size;

	if (fd >= 0)
		close(fd);
	return cut;
}

const struct handler *module_load(const char *path, char *error, size_t size)
{
	const char *fault = find_fault(path);
	const struct handler *handler;
	void *object;

	if (fault != NULL) {
		snprintf(error, size, "%s: %s", path, fault);
		return NULL;
	}
	if (is_cut_off(path)) {
		snprintf(error, size, "%s: is cut off", path);
		return NULL;
	}
	/* all symbols now: not one that is missing with a client waiting */
	object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (object == NULL) {
		snprintf(error, size, "%s", dlerror());
		return NULL;
	}
	handler = dlsym(object, "preforkd_handler");
	if (handler == NULL)
		snprintf(error, size, "%s: has no preforkd_handler", path);
	else if (handler->abi != HANDLER_ABI)
		snprintf(error, size,
			 "%s: is for version %u of the interface, this is %u: build it again", path,
			 handler->abi, (unsigned)HANDLER_ABI);
	else if (handler->serve == NULL)
		snprintf(error, size, "%s: its handler has no serve()", path);
	else
		return handler;
	dlclose(object);
	return NULL;
}
