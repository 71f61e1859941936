#include "worker/batch.h"

#include <config.h>

#include <errno.h>
#include <limits.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "base/process.h"
#include "base/text.h"
#include "board/bell.h"
#include "board/board.h"
#include "conf/share.h"
#include "handler/handlers.h"
#include "worker/exec.h"
#include "worker/order.h"
#include "worker/seat.h"
#include "worker/setup.h"
#include "worker/worker.h"

/* The flags, and that the child goes on with a copy of our stack. */
#ifdef __s390x__
#define CLONE_ARGUMENTS(flags) NULL, flags
#else
#define CLONE_ARGUMENTS(flags) flags, NULL
#endif

/* NULL: it is no order, or one of another build. */
static const struct order *read_order(int fd, size_t *size_r)
{
	const struct order *order;
	struct stat st;

	if (fstat(fd, &st) < 0 || (size_t)st.st_size < sizeof(*order))
		return NULL;
	order = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (order == MAP_FAILED || strcmp(order->version, PACKAGE_VERSION) != 0 ||
	    order->shape != ORDER_SHAPE)
		return NULL;
	close(fd);
	*size_r = (size_t)st.st_size;
	/* the others get what is theirs before they are forked */
	(void)madvise((void *)order, *size_r, MADV_DONTFORK);
	return order;
}

static struct worker_seat common_of(const struct order *order, const struct conf *conf)
{
	struct worker_seat seat = {
		.conf = conf,
		.service = conf_service(conf, order->service),
		.board = board_inherit(order->board_fd, order->slots),
		.generation = order->generation,
		.detach = order->detach,
		.ready_fd = order->ready_fd,
		.master = order->master,
		.bell_fd = order->bell_fd,
	};

	memcpy(seat.notify_name, order->notify_name, sizeof(seat.notify_name));
	return seat;
}

static void fill_seat(struct worker_seat *seat, const struct order_seat *ordered)
{
	seat->index = ordered->index;
	seat->listener = ordered->listener;
	seat->conns_max = ordered->conns_max;
}

/*
 * As fork(2), but the child is one of the master's, as we are, and its number stands in
 * *birth before it begins to run: so the master knows each of its children. What libc
 * remembers of a thread is put right as it does it itself. Nobody here has handlers of
 * pthread_atfork(3), other threads or locks yet. Not clone3(2), which a service manager
 * may not let us use. The last two arguments change places from machine to machine; one
 * of them means nothing here.
 */
static pid_t fork_sibling(_Atomic int *birth)
{
	unsigned long flags = CLONE_PARENT | CLONE_PARENT_SETTID;
	void *own_tid = NULL, *robust_list = NULL;
	size_t size = 0;
	pid_t pid;

	if (prctl(PR_GET_TID_ADDRESS, &own_tid) == 0)
		flags |= CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
	(void)syscall(SYS_get_robust_list, 0, &robust_list, &size);
	pid = (pid_t)syscall(SYS_clone, CLONE_ARGUMENTS(flags), birth, own_tid, own_tid);
	if (pid == 0)
		(void)syscall(SYS_set_robust_list, robust_list, size);
	return pid;
}

/* The master finds an error in the place of the first that is not born. */
static void fork_others(const struct order *order, struct worker_seat *seat)
{
	size_t size = order->n_seats * sizeof(_Atomic int);
	_Atomic int *births =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, order->births_fd, 0);

	close(order->births_fd);
	if (births == MAP_FAILED || madvise(births, size, MADV_DONTFORK) < 0)
		setup_failed(seat, "mapping of the births", WORKER_EXIT_SETUP);
	for (unsigned i = 1; i < order->n_seats; i++) {
		pid_t pid;

		fill_seat(seat, &order->seats[i]);
		pid = fork_sibling(&births[i]);
		if (pid == 0)
			worker_run(seat);
		if (pid > 0)
			continue;
		atomic_store(&births[i], -errno);
		break;
	}
	munmap(births, size);
	bell_call(order->ready_fd);
}

static const struct handler *
find_handler(const struct worker_seat *seat,
	     const struct handler *(*load_module)(const struct worker_seat *))
{
	if (seat->service->kind == CONF_EXEC)
		return &handler_exec;
	if (seat->service->kind == CONF_MODULE)
		return load_module(seat);
	return handlers_find(conf_string(seat->conf, seat->service->handler));
}

_Noreturn static void lead(const struct order *order, size_t size,
			   const struct handler *(*load_module)(const struct worker_seat *))
{
	const struct conf *conf = conf_map(order->conf_fd);
	struct worker_seat seat;

	if (conf == NULL) {
		log_error("worker_setup_failed", KV("step", "mapping of the conf"),
			  KV("error", strerror(errno)));
		_exit(WORKER_EXIT_SETUP);
	}
	seat = common_of(order, conf);
	/* they came through one exec to us, and go through no other one */
	if (seat.board == NULL || close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		setup_failed(&seat, "what was inherited", WORKER_EXIT_SETUP);
	seat.handler = find_handler(&seat, load_module);
	setup_batch(&seat);
	if (order->n_seats > 1)
		fork_others(order, &seat);
	fill_seat(&seat, &order->seats[0]);
	munmap((void *)order, size);
	worker_run(&seat);
}

int batch_main(int argc, char **argv,
	       const struct handler *(*load_module)(const struct worker_seat *))
{
	const struct order *order;
	long long fd;
	size_t size;

	if (argc != 2 || !text_to_number(argv[1], STDERR_FILENO + 1, INT_MAX, &fd)) {
		fputs("preforkd-worker: this is for preforkd(8) to start\n", stderr);
		return EX_USAGE;
	}
	order = read_order((int)fd, &size);
	if (order == NULL) {
		log_error("worker_setup_failed", KV("step", "order of the master"),
			  KV("error", "preforkd and its workers are not of the same version"));
		return WORKER_EXIT_SETUP;
	}
	process_title_init(argc, argv);
	/* posix_spawn(3) has left two ignored that libc keeps for itself */
	process_default_signals();
	signal(SIGPIPE, SIG_IGN);
	log_join(&order->log);
	lead(order, size, load_module);
}
