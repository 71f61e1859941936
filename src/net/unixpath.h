/*
 * unixpath.h - the node in the file system that a unix socket is bound to:
 * its directory, its rights from the first moment, and what is in the way.
 */
#ifndef PREFORKD_NET_UNIXPATH_H
#define PREFORKD_NET_UNIXPATH_H

#include <sys/socket.h>
#include <sys/types.h>

struct text;

struct unixpath_rights {
	mode_t mode;
	mode_t directory_mode; /* of directories that are missing; 0: none is created */
	uid_t owner;	       /* (uid_t)-1: the master's */
	gid_t group;
};

/* Which node it is, to know it again. */
struct unixpath_node {
	dev_t device;
	ino_t inode; /* 0: none */
};

/*
 * Bind fd to the path of addr with these rights. A path is taken over only from a
 * socket on which nobody answers; type is that of the socket. Returns 0, or -1
 * with errno and a sentence with the remedy in *error. Source: unix(7).
 */
int unixpath_bind(int fd, int type, const struct sockaddr_storage *addr, socklen_t length,
		  const struct unixpath_rights *rights, struct unixpath_node *node_r,
		  struct text *error);

/*
 * Change mode, owner and group where they differ, if the path is still that node.
 * Returns as unixpath_bind().
 */
int unixpath_adjust(const char *path, const struct unixpath_node *node,
		    const struct unixpath_rights *before, const struct unixpath_rights *rights,
		    struct text *error);

/* Remove the path if it is still that node. */
void unixpath_remove(const char *path, const struct unixpath_node *node);

#endif
