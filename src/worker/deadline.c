#include "worker/deadline.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "base/clock.h"

#define REPEAT_MS 50

/* Shared with the signal handler of the same thread: lock-free atomics only. */
static struct {
	timer_t timer;
	_Atomic long long at_ms;
	atomic_bool running;
} deadline;

static void run_for(long long ms)
{
	struct itimerspec when = {
		.it_value = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 },
	};

	timer_settime(deadline.timer, 0, &when, NULL);
}

static void on_alarm(int signal_number)
{
	int saved = errno;
	long long at_ms = atomic_load(&deadline.at_ms);
	long long left_ms = at_ms - clock_now_ms();

	(void)signal_number;
	if (at_ms == 0)
		atomic_store(&deadline.running, false);
	else
		run_for(left_ms > 0 ? left_ms : REPEAT_MS);
	errno = saved;
}

int deadline_setup(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
	struct sigaction action = { .sa_handler = on_alarm };

	sigfillset(&action.sa_mask);
	if (sigaction(SIGALRM, &action, NULL) < 0)
		return -1;
	return timer_create(CLOCK_MONOTONIC, &event, &deadline.timer);
}

void deadline_stop(void)
{
	const struct itimerspec never = { 0 };

	atomic_store(&deadline.at_ms, 0);
	if (!atomic_load(&deadline.running))
		return;
	timer_settime(deadline.timer, 0, &never, NULL);
	atomic_store(&deadline.running, false);
}

void deadline_set(long long at_ms)
{
	long long left_ms;

	/* first the time, then the timer: a signal in between finds the new time */
	atomic_store_explicit(&deadline.at_ms, at_ms, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	if (at_ms == 0 || atomic_load_explicit(&deadline.running, memory_order_relaxed))
		return;
	atomic_store_explicit(&deadline.running, true, memory_order_relaxed);
	left_ms = at_ms - clock_now_ms();
	run_for(left_ms > 0 ? left_ms : 1);
}
