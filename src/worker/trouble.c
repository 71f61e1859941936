/*
 * trouble.c - what a worker does when accept(2) or recvmmsg(2) fails.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>

#include "base/log.h"
#include "conf/conf.h"
#include "worker/serve.h"
#include "worker/stop.h"
#include "worker/worker.h"

#define PATIENCE 16 /* transient errors in a row before we pause after each */
#define PAUSE_MIN_MS 50
#define PAUSE_MAX_MS 1000

/* Errors of one connection or of the network for a moment; accept(2) lists them. */
static bool is_transient(int error)
{
	switch (error) {
	case ECONNABORTED:
	case ECONNRESET:
	case ECONNREFUSED:
	case EPROTO:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENONET:
	case ENETDOWN:
	case ENETUNREACH:
	case EOPNOTSUPP:
	case EPERM:
	case ETIMEDOUT:
	case EINTR:
		return true;
	default:
		return false;
	}
}

static bool is_shortage(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* Doubles from 50 ms to 1 s; a signal of the master ends it. One line at its begin. */
static void pause_a_while(struct serve *serve, int error, unsigned times)
{
	int ms = times < 5 ? PAUSE_MIN_MS << times : PAUSE_MAX_MS;

	if (times == 0)
		log_warning("accept_paused",
			    KV("service", conf_string(serve->conf, serve->service->name)),
			    KV("worker", serve->index), KV("error", strerror(error)),
			    KV("retry", "after 50 ms, doubling to 1 s"));
	poll(NULL, 0, ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS);
}

bool serve_goes_on(struct serve *serve)
{
	int error = errno;
	struct pollfd readable = { .fd = serve->listener, .events = POLLIN };

	if (stop_retiring())
		return false;
	if (error == EINTR)
		return true;
	if (error == EAGAIN) {
		if (stop_draining())
			return false;
		/* somebody who shares the socket made it non-blocking */
		poll(&readable, 1, -1);
		return true;
	}
	if (is_transient(error)) {
		if (++serve->trouble > PATIENCE)
			pause_a_while(serve, error, serve->trouble - PATIENCE - 1);
		return true;
	}
	if (is_shortage(error)) {
		/* nothing waits that would be lost: no reason to stay for better times */
		if (stop_draining() && poll(&readable, 1, 0) == 0)
			return false;
		pause_a_while(serve, error, serve->trouble++);
		return true;
	}
	log_error("listener_broken", KV("service", conf_string(serve->conf, serve->service->name)),
		  KV("worker", serve->index), KV("error", strerror(error)));
	serve->status = WORKER_EXIT_LISTENER;
	return false;
}
