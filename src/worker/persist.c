#include "worker/persist.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/process.h"
#include "base/text.h"
#include "board/bell.h"
#include "board/board.h"
#include "conf/conf.h"
#include "net/address.h"
#include "worker/seat.h"
#include "worker/worker.h"

#define LISTEN_FD 3 /* SD_LISTEN_FDS_START */

static void set(const char *name, const char *value)
{
	if (setenv(name, value, 1) < 0)
		abort();
}

static void set_number(const char *name, long long number)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", number);
	set(name, text);
}

/* "host:port=3", "port=3" for every address, "/path=3": as Server::Starter has it. */
static void set_server_starter(const struct worker_seat *seat)
{
	struct sockaddr_storage bound = { 0 };
	socklen_t length = sizeof(bound);
	char address[ADDRESS_TEXT_MAX], buf[ADDRESS_TEXT_MAX + 16];
	struct text text = text_start(buf, sizeof(buf));

	if (getsockname(seat->listener, (void *)&bound, &length) < 0)
		return;
	if (address_is_any(&bound))
		text_addf(&text, "%u", address_port(&bound));
	else
		text_add(&text, address_text(&bound, length, address));
	text_addf(&text, "=%d", LISTEN_FD);
	set("SERVER_STARTER_PORT", buf);
	set_number("SERVER_STARTER_GENERATION", seat->generation);
}

static void set_environment(const struct worker_seat *seat)
{
	const char *service = conf_string(seat->conf, seat->service->name);

	set_number("LISTEN_PID", getpid());
	set("LISTEN_FDS", "1");
	set("LISTEN_FDNAMES", service);
	set_server_starter(seat);
	set("NOTIFY_SOCKET", seat->notify_name);
	if (seat->service->watchdog_ms > 0) {
		set_number("WATCHDOG_USEC", seat->service->watchdog_ms * 1000);
		set_number("WATCHDOG_PID", getpid());
	}
	set("PREFORKD_SERVICE", service);
	set_number("PREFORKD_WORKER", seat->index + 1);
	set_number("PREFORKD_GENERATION", seat->generation);
}

/* Nothing but the socket is inherited, and standard error if it is wanted. */
static int set_descriptors(const struct worker_seat *seat, int *ready_fd)
{
	if (seat->service->stderr_to == CONF_STDERR_NULL && dup2(STDOUT_FILENO, STDERR_FILENO) < 0)
		return -1;
	if (seat->service->stdin_from == CONF_STDIN_SOCKET &&
	    dup2(seat->listener, STDIN_FILENO) < 0)
		return -1;
	/* what stands where the socket has to be goes elsewhere, close-on-exec as it was */
	if (*ready_fd == LISTEN_FD)
		*ready_fd = fcntl(*ready_fd, F_DUPFD_CLOEXEC, LISTEN_FD + 1);
	if (seat->listener == LISTEN_FD)
		return fcntl(LISTEN_FD, F_SETFD, 0);
	return dup2(seat->listener, LISTEN_FD) < 0 ? -1 : 0;
}

/*
 * Signals were blocked since before the fork, and none has a handler: one that told
 * us to leave meanwhile ends us now, or the program before it has begun.
 */
static void set_signals(void)
{
	sigset_t none;

	process_default_signals();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

_Noreturn void persist_become(const struct worker_seat *seat, struct slot *slot)
{
	char **argv = (char **)conf_list_pointers(seat->conf, seat->service->command);
	int ready_fd = seat->ready_fd;
	int error;

	set_environment(seat);
	/* a session of its own: what it does to its group hits nobody else */
	setsid();
	/* and it keeps its orphans: when it ends, they come to the master together */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (set_descriptors(seat, &ready_fd) == 0) {
		atomic_store(&slot->state, SLOT_BECOMES);
		bell_call(ready_fd);
		set_signals();
		execv(argv[0], argv);
	}
	error = errno;
	log_error("program_failed", KV("service", conf_string(seat->conf, seat->service->name)),
		  KV("worker", seat->index + 1), KV("program", argv[0]),
		  KV("error", strerror(error)));
	_exit(WORKER_EXIT_HANDLER);
}
