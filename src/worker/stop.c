#include "worker/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static struct {
	int listener;
	volatile sig_atomic_t retiring, draining;
} stop;

static void on_retire(int signal_number)
{
	int saved = errno;

	(void)signal_number;
	stop.retiring = 1;
	dup3(STDIN_FILENO, stop.listener, O_CLOEXEC);
	errno = saved;
}

static void on_drain(int signal_number)
{
	int saved = errno;

	(void)signal_number;
	stop.draining = 1;
	fcntl(stop.listener, F_SETFL, O_RDWR | O_NONBLOCK);
	errno = saved;
}

static int handle(int signal_number, void (*handler)(int))
{
	/* no SA_RESTART: a waiting accept(2) must return */
	struct sigaction action = { .sa_handler = handler };

	sigfillset(&action.sa_mask);
	return sigaction(signal_number, &action, NULL);
}

int stop_setup(int listener)
{
	sigset_t none;

	stop.listener = listener;
	/* a terminal's Ctrl-C and hang-up are the master's business */
	if (handle(SIGINT, SIG_IGN) < 0 || handle(SIGQUIT, SIG_IGN) < 0 ||
	    handle(SIGHUP, SIG_IGN) < 0 || handle(SIGUSR2, SIG_IGN) < 0 ||
	    handle(SIGPIPE, SIG_IGN) < 0 || handle(SIGTERM, on_retire) < 0 ||
	    handle(SIGUSR1, on_drain) < 0)
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
