#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define KEEP_MAX 16
#define LOW_FDS 10

void fd_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

static int compare_fds(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

void fd_close_except(const int *keep, size_t count)
{
	int sorted[KEEP_MAX];
	unsigned int from = 3;

	if (count > KEEP_MAX)
		abort();
	memcpy(sorted, keep, count * sizeof(*keep));
	qsort(sorted, count, sizeof(*sorted), compare_fds);
	for (size_t i = 0; i < count; i++) {
		if (sorted[i] < (int)from)
			continue;
		if ((unsigned int)sorted[i] > from)
			close_range(from, (unsigned int)sorted[i] - 1, 0);
		from = (unsigned int)sorted[i] + 1;
	}
	close_range(from, ~0U, 0);
}

int fd_fill_standard(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (fd < 0)
			return -1;
		/* 0-2 are for programs to inherit */
		if (fd <= STDERR_FILENO)
			fcntl(fd, F_SETFD, 0);
	} while (fd <= STDERR_FILENO);
	close(fd);
	return 0;
}

int fd_write_all(int fd, const void *data, size_t size)
{
	const char *p = data;

	while (size > 0) {
		ssize_t n = write(fd, p, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

int fd_duplicate_high(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, LOW_FDS);
}

int fd_seal(int memfd)
{
	return fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
}

int fd_sealed(const char *name, const struct iovec *parts, size_t count)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	bool good = fd >= 0;

	for (size_t i = 0; good && i < count; i++)
		good = fd_write_all(fd, parts[i].iov_base, parts[i].iov_len) == 0;
	if (!good || fd_seal(fd) < 0)
		fd_close(&fd);
	return fd;
}

static int kept = -1; /* of fd_keep_datagram() */

/* Returns the length, or 0 with errno. */
static socklen_t make_address(const char *path, struct sockaddr_un *addr_r)
{
	size_t length = strlen(path);

	*addr_r = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (length == 0 || length >= sizeof(addr_r->sun_path)) {
		errno = EINVAL;
		return 0;
	}
	memcpy(addr_r->sun_path, path, length);
	if (path[0] == '@')
		addr_r->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

static int new_socket(void)
{
	return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

int fd_keep_datagram(const char *path)
{
	struct sockaddr_un addr;
	socklen_t length = make_address(path, &addr);
	int fd = length > 0 ? new_socket() : -1;

	if (fd < 0)
		return -1;
	/* nobody may be there yet: then the path is all we have */
	(void)connect(fd, (struct sockaddr *)&addr, length);
	kept = fd_duplicate_high(fd);
	fd_close(&fd);
	return kept < 0 ? -1 : 0;
}

/* The path first: who listens there may be another one by now. */
static int send_kept(struct msghdr *message)
{
	if (sendmsg(kept, message, MSG_NOSIGNAL) >= 0)
		return 0;
	if (errno == EAGAIN)
		return -1;
	message->msg_name = NULL;
	message->msg_namelen = 0;
	return sendmsg(kept, message, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static int send_message(struct msghdr *message)
{
	int fd, r;

	if (message->msg_namelen == 0)
		return -1;
	if (kept >= 0)
		return send_kept(message);
	fd = new_socket();
	if (fd < 0)
		return -1;
	r = sendmsg(fd, message, MSG_NOSIGNAL) < 0 ? -1 : 0;
	fd_close(&fd);
	return r;
}

int fd_send_descriptor(const char *path, const struct iovec *parts, size_t count, int descriptor)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .header = { .cmsg_len = CMSG_LEN(sizeof(int)),
				  .cmsg_level = SOL_SOCKET,
				  .cmsg_type = SCM_RIGHTS } };
	struct sockaddr_un addr;
	struct msghdr message = {
		.msg_name = &addr,
		.msg_namelen = make_address(path, &addr),
		.msg_iov = (struct iovec *)parts,
		.msg_iovlen = count,
		.msg_control = &control,
		.msg_controllen = descriptor >= 0 ? sizeof(control.bytes) : 0,
	};

	memcpy(CMSG_DATA(&control.header), &descriptor, sizeof(int));
	return send_message(&message);
}

int fd_send_datagram(const char *path, const struct iovec *parts, size_t count)
{
	return fd_send_descriptor(path, parts, count, -1);
}
