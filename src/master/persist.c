#include "master/persist.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/process.h"
#include "base/text.h"
#include "master/children.h"
#include "master/state.h"
#include "net/address.h"

#define STATUS_MAX 1000	    /* of it are logged */
#define MESSAGES_A_ROUND 16 /* then other events get their turn */
#define START_MS 60000	    /* to be ready by, as a generation has it */

static const char *name_of(const struct service_pool *pool)
{
	return conf_string(pool->generation->conf, pool->service->name);
}

/* NULL: none of ours, or of another pid namespace, or a worker that has no business here. */
static struct worker *find_program(const struct master *master, pid_t pid)
{
	struct worker *worker = children_worker(master, pid);

	return worker != NULL && worker->pool->service->kind == CONF_PERSISTENT ? worker : NULL;
}

static void set_ready(struct worker *worker, long long now_ms)
{
	worker->ready_at_ms = 0;
	worker->start_by_ms = 0;
	pool_ready(&worker->pool->policy, worker->seat, now_ms);
	worker->pool->look = true;
	if (worker->pool->service->watchdog_ms > 0)
		worker->watchdog_at_ms = now_ms + worker->pool->service->watchdog_ms;
}

static void obey(struct worker *worker, char *line)
{
	long long now_ms = clock_now_ms();
	const struct conf_service *service = worker->pool->service;

	if (strcmp(line, "READY=1") == 0 && service->ready_ms == CONF_READY_NOTIFY) {
		set_ready(worker, now_ms);
	} else if (strcmp(line, "WATCHDOG=1") == 0 && worker->watchdog_at_ms != 0) {
		worker->watchdog_at_ms = now_ms + service->watchdog_ms;
	} else if (strcmp(line, "STOPPING=1") == 0) {
		worker->stopping = true;
	} else if (strncmp(line, "STATUS=", 7) == 0) {
		line[strnlen(line, 7 + STATUS_MAX)] = '\0';
		log_info("program_status", KV("service", name_of(worker->pool)),
			 KV("worker", worker->seat + 1), KV("status", line + 7));
	}
}

/* Returns false when there is no message. */
static bool take_message(struct master *master)
{
	char text[4096];
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec part = { text, sizeof(text) - 1 };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(master->messages_fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *cmsg = n >= 0 ? CMSG_FIRSTHDR(&message) : NULL;
	struct worker *worker = NULL;
	struct ucred sender;
	char *rest = text, *line, *cut;

	if (n < 0)
		return false;
	text[n] = '\0';
	/* of a line that was cut nobody knows what it said */
	if ((message.msg_flags & MSG_TRUNC) != 0 && (cut = strrchr(text, '\n')) != NULL)
		*cut = '\0';
	if (cmsg != NULL && cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_CREDENTIALS) {
		memcpy(&sender, CMSG_DATA(cmsg), sizeof(sender));
		worker = find_program(master, sender.pid);
	}
	while (worker != NULL && (line = text_next_line(&rest)) != NULL)
		obey(worker, line);
	return true;
}

void persist_listen(struct master *master)
{
	for (int i = 0; i < MESSAGES_A_ROUND && take_message(master); i++)
		;
}

static int on_message(sd_event_source *source, int fd, uint32_t events, void *data)
{
	(void)source;
	(void)fd;
	(void)events;
	persist_listen(data);
	return 0;
}

int persist_inherit(struct master *master)
{
	struct sockaddr_storage bound = { 0 };
	socklen_t length = sizeof(bound);
	int r;

	if (getsockname(master->messages_fd, (void *)&bound, &length) < 0)
		return -1;
	address_text(&bound, length, master->messages_name);
	r = sd_event_add_io(master->event, &master->messages, master->messages_fd, EPOLLIN,
			    on_message, master);
	if (r >= 0)
		return 0;
	errno = -r;
	return -1;
}

/* An abstract name that the kernel chooses: nobody has it before, and no path is left. */
int persist_setup(struct master *master)
{
	const struct sockaddr name = { .sa_family = AF_UNIX };
	int on = 1;

	if (master->messages_fd >= 0)
		return 0;
	master->messages_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (master->messages_fd < 0 ||
	    setsockopt(master->messages_fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0 ||
	    bind(master->messages_fd, &name, sizeof(name.sa_family)) < 0 ||
	    persist_inherit(master) < 0) {
		persist_free(master);
		return -1;
	}
	return 0;
}

void persist_free(struct master *master)
{
	master->messages = sd_event_source_disable_unref(master->messages);
	fd_close(&master->messages_fd);
}

void persist_began(struct worker *worker)
{
	long long now_ms = clock_now_ms(), ready_ms = worker->pool->service->ready_ms;

	worker->began = true;
	worker->start_by_ms = now_ms + START_MS;
	if (ready_ms == 0)
		set_ready(worker, now_ms);
	else if (ready_ms > 0)
		worker->ready_at_ms = now_ms + ready_ms;
}

static void end_silent(struct worker *worker, const char *reason)
{
	log_warning("worker_killed", KV("service", name_of(worker->pool)),
		    KV("worker", worker->seat + 1), KV("worker_pid", worker->pid),
		    KV("reason", reason), KV("serving", "-"));
	worker->watchdog_at_ms = worker->start_by_ms = worker->ready_at_ms = 0;
	process_signal(worker->pid, SIGKILL);
}

static void check_worker(struct worker *worker, long long now_ms)
{
	enum seat_phase phase = worker->pool->policy.seats[worker->seat].phase;

	/* the drain time counts from here on, and nothing else */
	if (phase != SEAT_STARTING && phase != SEAT_READY)
		worker->watchdog_at_ms = worker->start_by_ms = worker->ready_at_ms = 0;
	if (worker->ready_at_ms != 0 && now_ms >= worker->ready_at_ms)
		set_ready(worker, now_ms);
	if (worker->start_by_ms != 0 && now_ms >= worker->start_by_ms)
		end_silent(worker, "never_ready");
	if (worker->watchdog_at_ms != 0 && now_ms >= worker->watchdog_at_ms)
		end_silent(worker, "watchdog");
}

long long persist_check(struct service_pool *pool, long long now_ms)
{
	long long wake_ms = 0;

	for (unsigned i = 0; pool->service->kind == CONF_PERSISTENT && i < pool->policy.n_seats;
	     i++) {
		struct worker *worker = &pool->workers[i];

		if (worker->pid == 0)
			continue;
		check_worker(worker, now_ms);
		clock_earlier(&wake_ms, worker->ready_at_ms);
		clock_earlier(&wake_ms, worker->start_by_ms);
		clock_earlier(&wake_ms, worker->watchdog_at_ms);
	}
	return wake_ms;
}
