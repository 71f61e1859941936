/*
 * fd.h - small services for file descriptors, for every process of preforkd.
 *
 * Descriptors are close-on-exec from birth everywhere; what must survive a
 * fork and what must not is decided by fd_close_except().
 */
#ifndef PREFORKD_BASE_FD_H
#define PREFORKD_BASE_FD_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Close *fd unless it is negative and make it -1; errno is kept. */
void fd_close(int *fd);

/*
 * Close every descriptor above 2 but those in keep (count of them, any order,
 * negative ones are ignored; at most 16). Source: close_range(2).
 */
void fd_close_except(const int *keep, size_t count);

/* Make fds 0, 1 and 2 exist: /dev/null where one is closed. Returns 0, or -1 with errno. */
int fd_fill_standard(void);

/* Read/write all of size bytes, continuing after EINTR. Returns 0, or -1 with errno. */
int fd_write_all(int fd, const void *data, size_t size);

/* A duplicate above the low numbers, which are for what programs inherit; -1 with errno. */
int fd_duplicate_high(int fd);

/* Nobody can change this memfd any more. Returns 0, or -1 with errno. Source: fcntl(2). */
int fd_seal(int memfd);

/* A memfd with these parts one behind the other, sealed. Returns it, or -1 with errno. */
int fd_sealed(const char *name, const struct iovec *parts, size_t count);

/*
 * Send one datagram to a unix datagram socket (path, or @name for an abstract
 * one) and never wait for its reader. Returns 0, or -1 with errno (EAGAIN: the
 * reader is behind; the datagram is not sent).
 */
int fd_send_datagram(const char *path, const struct iovec *parts, size_t count);

/* The same, with a descriptor its reader gets a copy of (-1: none). Source: unix(7), SCM_RIGHTS. */
int fd_send_descriptor(const char *path, const struct iovec *parts, size_t count, int descriptor);

/*
 * Keep a socket for that, connected to path, for a process that will not be able to make
 * one, or see the path, any more. Returns 0, or -1 with errno.
 */
int fd_keep_datagram(const char *path);

#endif
