/*
 * root.h - paths as a service will see them: inside of its run.chroot, if it has one.
 *
 * Used by the reading child. A symbolic link in there leads to something in there.
 */
#ifndef PREFORKD_CONF_ROOT_H
#define PREFORKD_CONF_ROOT_H

#include <sys/stat.h>

struct compile;
struct conf;
struct conf_service;

/* stat(2) and open(2) of an absolute path, with errno. Flags are without O_CREAT. */
int root_stat(const struct conf *conf, const struct conf_service *service, const char *path,
	      struct stat *st_r);
int root_open(const struct conf *conf, const struct conf_service *service, const char *path,
	      int flags);

/* Is run.chroot a directory that nobody but root can change, and may we use it? Else report. */
void root_check(struct compile *compile, const struct conf_service *service);

#endif
