#include "worker/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ORPHAN_GRACE_S 5 /* for the handler exec, which ends its program at the drain time */

static struct {
	int listener, queue_max;
	long long drain_ms;
	pid_t master;
	timer_t timer;
	bool leaving;
	volatile sig_atomic_t retiring, draining, budget;
} stop;

static void retire(void)
{
	stop.retiring = 1;
	dup3(STDIN_FILENO, stop.listener, O_CLOEXEC);
}

void stop_leave(void)
{
	stop.leaving = true;
}

static void on_retire(int signal_number)
{
	int saved = errno;

	(void)signal_number;
	retire();
	errno = saved;
}

/* The master would kill us after the drain time; when it is gone, the kernel does. */
static void on_orphaned(int signal_number)
{
	const struct itimerspec limit = {
		.it_value = { .tv_sec = stop.drain_ms / 1000 + ORPHAN_GRACE_S,
			      .tv_nsec = stop.drain_ms % 1000 * 1000000 },
	};
	int saved = errno;

	(void)signal_number;
	/* or somebody else sent it */
	if (getppid() != stop.master) {
		timer_settime(stop.timer, 0, &limit, NULL);
		retire();
	}
	errno = saved;
}

/* How many wait: of TCP the kernel tells, elsewhere at most as many as fit. */
static int queue_length(void)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);

	if (getsockopt(stop.listener, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
		return stop.queue_max;
	return (int)info.tcpi_unacked;
}

static bool queue_is_empty(void)
{
	struct pollfd readable = { .fd = stop.listener, .events = POLLIN };

	return poll(&readable, 1, 0) == 0;
}

/* The master repeats the signal; what counts is what waited at the first one. */
static void on_drain(int signal_number)
{
	int saved = errno;

	(void)signal_number;
	if (stop.retiring == 0 && queue_is_empty()) {
		retire();
	} else if (stop.draining == 0) {
		/* one more: the call that we interrupt may have taken it already */
		stop.budget = queue_length() + 1;
		stop.draining = 1;
		fcntl(stop.listener, F_SETFL, O_RDWR | O_NONBLOCK);
	}
	errno = saved;
}

bool stop_may_take(void)
{
	if (stop.retiring != 0)
		return false;
	return stop.draining != 0 ? stop.budget > 0 : !stop.leaving;
}

void stop_took(int n)
{
	if (stop.draining != 0)
		stop.budget -= n;
}

/* Without SA_RESTART a waiting accept(2) returns. With it that begins again, and fails. */
static int handle(int signal_number, void (*handler)(int), int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags };

	sigfillset(&action.sa_mask);
	return sigaction(signal_number, &action, NULL);
}

int stop_setup(pid_t master, int listener, int queue_max, long long drain_ms)
{
	struct sigevent kill = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL };
	sigset_t none;

	stop.listener = listener;
	stop.queue_max = queue_max;
	stop.drain_ms = drain_ms;
	stop.master = master;
	if (timer_create(CLOCK_MONOTONIC, &kill, &stop.timer) < 0)
		return -1;
	/* a terminal's Ctrl-C and hang-up are the master's business */
	if (handle(SIGINT, SIG_IGN, 0) < 0 || handle(SIGQUIT, SIG_IGN, 0) < 0 ||
	    handle(SIGHUP, SIG_IGN, 0) < 0 || handle(SIGPIPE, SIG_IGN, 0) < 0 ||
	    handle(SIGTERM, on_retire, 0) < 0 || handle(SIGUSR1, on_drain, 0) < 0 ||
	    handle(STOP_ORPHANED, on_orphaned, SA_RESTART) < 0)
		return -1;
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL);
}

bool stop_retiring(void)
{
	return stop.retiring != 0;
}

bool stop_draining(void)
{
	return stop.draining != 0;
}
