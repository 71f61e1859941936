#include "master/launch.h"

#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "conf/share.h"
#include "master/spawn.h"
#include "master/state.h"
#include "worker/order.h"

extern char **environ;

#define OWN_PROGRAM "/proc/self/exe"

/* Not one that somebody else has put into a directory like /tmp. */
static bool is_ours(int fd)
{
	struct stat own, other;

	return stat(OWN_PROGRAM, &own) == 0 && fstat(fd, &other) == 0 && own.st_uid == other.st_uid;
}

/* Beside our own program, as in the tree that it is built in. */
static int open_beside(const char *name)
{
	char path[PATH_MAX + 64];
	ssize_t length = readlink(OWN_PROGRAM, path, PATH_MAX);
	int fd;

	if (length <= 0)
		return -1;
	path[length] = '\0';
	snprintf(strrchr(path, '/') + 1, 64, "%s", name);
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd >= 0 && !is_ours(fd))
		fd_close(&fd);
	return fd;
}

static int open_program(const char *path)
{
	int fd = open_beside(strrchr(path, '/') + 1);

	return fd >= 0 ? fd : open(path, O_PATH | O_CLOEXEC);
}

int launch_find(struct launch_programs *programs_r)
{
	programs_r->worker_fd = open_program(LAUNCH_WORKER);
	programs_r->module_fd = open_program(LAUNCH_MODULE);
	return programs_r->worker_fd < 0 || programs_r->module_fd < 0 ? -1 : 0;
}

static void fill_order(struct order *order, struct service_pool *pool, unsigned n)
{
	const struct master *master = pool->generation->master;
	unsigned seat = 0;

	*order = (struct order){
		.version = PACKAGE_VERSION,
		.shape = ORDER_SHAPE,
		.service = (unsigned)(pool->service - conf_service(pool->generation->conf, 0)),
		.generation = pool->generation->id,
		.n_seats = n,
		.slots = pool->policy.capacity,
		.conf_fd = conf_fd(pool->generation->conf),
		.board_fd = board_fd(pool->board),
		.births_fd = -1,
		.ready_fd = pool->ready_fd,
		.bell_fd = pool->bell_fd,
		.detach = master->daemon_fd >= 0,
		.master = getpid(),
		.log = log_target(),
	};
	memcpy(order->notify_name, master->messages_name, sizeof(order->notify_name));
	for (unsigned i = 0; i < n; i++, seat++) {
		seat = spawn_find_unborn(pool, seat);
		if (pool->service->kind == CONF_PERSISTENT)
			listener_revive(&pool->listener->listener, seat);
		order->seats[i] = (struct order_seat){
			.index = seat,
			.listener = listener_fd(&pool->listener->listener, seat),
			.conns_max = pool->workers[seat].conns_max,
		};
	}
}

/* Where the leader writes the pids of the others. Returns 0, or -1 with errno. */
static int make_births(struct batch *batch, struct order *order)
{
	size_t size = order->n_seats * sizeof(*batch->births);

	if (order->n_seats == 1)
		return 0;
	order->births_fd = memfd_create("preforkd-births", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (order->births_fd < 0 || ftruncate(order->births_fd, (off_t)size) < 0 ||
	    fcntl(order->births_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -1;
	batch->births = mmap(NULL, size, PROT_READ, MAP_SHARED, order->births_fd, 0);
	if (batch->births != MAP_FAILED)
		return 0;
	batch->births = NULL;
	return -1;
}

/* A descriptor that is "duplicated" to itself is not closed by the exec. */
static int inherit(posix_spawn_file_actions_t *actions, const int *fds, size_t n)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		if (fds[i] > STDERR_FILENO)
			r = posix_spawn_file_actions_adddup2(actions, fds[i], fds[i]);
	}
	return r;
}

static int inherit_all(posix_spawn_file_actions_t *actions, const struct order *order, int order_fd)
{
	const int common[] = {
		order_fd,	 order->conf_fd, order->board_fd, order->births_fd,
		order->ready_fd, order->bell_fd, order->log.fd,
	};
	int r = inherit(actions, common, sizeof(common) / sizeof(*common));

	for (unsigned i = 0; r == 0 && i < order->n_seats; i++) {
		if (i == 0 || order->seats[i].listener != order->seats[i - 1].listener)
			r = inherit(actions, &order->seats[i].listener, 1);
	}
	return r;
}

/* Returns the pid of the leader, or -1 with errno. */
static pid_t start_program(const struct service_pool *pool, const struct order *order, int order_fd)
{
	const struct launch_programs *programs = &pool->generation->master->programs;
	bool module = pool->service->kind == CONF_MODULE;
	char program[32], title[64], number[16], *argv[] = { title, number, NULL };
	posix_spawn_file_actions_t actions;
	pid_t pid = -1;

	snprintf(program, sizeof(program), "/proc/self/fd/%d",
		 module ? programs->module_fd : programs->worker_fd);
	snprintf(title, sizeof(title), "preforkd: %s",
		 conf_string(pool->generation->conf, pool->service->name));
	snprintf(number, sizeof(number), "%d", order_fd);
	errno = posix_spawn_file_actions_init(&actions);
	if (errno != 0)
		return -1;
	errno = inherit_all(&actions, order, order_fd);
	if (errno == 0)
		errno = posix_spawn(&pid, program, &actions, NULL, argv, environ);
	if (errno != 0)
		pid = -1;
	posix_spawn_file_actions_destroy(&actions);
	return pid;
}

pid_t launch_batch(struct service_pool *pool, unsigned n)
{
	size_t size = sizeof(struct order) + n * sizeof(struct order_seat);
	struct order *order = malloc(size);
	pid_t pid = -1;
	int fd = -1;

	if (order == NULL)
		return -1;
	fill_order(order, pool, n);
	if (make_births(&pool->batch, order) == 0)
		fd = fd_sealed("preforkd-order", &(struct iovec){ order, size }, 1);
	if (fd >= 0)
		pid = start_program(pool, order, fd);
	fd_close(&fd);
	fd_close(&order->births_fd);
	free(order);
	return pid;
}
