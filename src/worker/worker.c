/*
 * worker.c - the life of a worker: set up, say READY, serve, leave.
 */
#include "worker/seat.h"

#include <assert.h>
#include <unistd.h>

#include "base/log.h"
#include "conf/conf.h"
#include "handler/handler.h"
#include "net/triple.h"
#include "worker/persist.h"
#include "worker/serve.h"
#include "worker/setup.h"
#include "worker/worker.h"

const char *worker_exit_text(int status)
{
	switch (status) {
	case WORKER_EXIT_OK:
		return "left";
	case WORKER_EXIT_SETUP:
		return "setup_failed";
	case WORKER_EXIT_HANDLER:
		return "handler_init_failed";
	case WORKER_EXIT_LISTENER:
		return "listener_broken";
	case WORKER_EXIT_CALLED:
		return "handler_called_exit";
	case WORKER_EXIT_ORPHAN:
		return "master_gone";
	default:
		return NULL;
	}
}

/* Who started us with -D shall not wait for us to close its pipe or terminal. */
static void detach(void)
{
	if (log_is_stderr())
		(void)log_open("syslog");
	dup2(STDIN_FILENO, STDERR_FILENO);
}

static void say_ready(struct slot *slot, int ready_fd)
{
	atomic_store(&slot->state, SLOT_READY);
	bell_call(ready_fd);
	/* nobody who takes us over rings there */
	close(ready_fd);
}

_Noreturn void worker_run(const struct worker_seat *seat)
{
	struct serve serve = {
		.conf = seat->conf,
		.service = seat->service,
		.listener = seat->listener,
		.bell_fd = seat->bell_fd,
		.conns_max = seat->conns_max,
		.index = seat->index + 1,
		.generation = seat->generation,
		.handler = seat->handler,
	};
	const struct listener_spec *spec = &seat->service->spec;
	int status;

	assert(serve.handler != NULL || seat->service->kind == CONF_PERSISTENT);
	setup_worker(seat, &serve);
	if (seat->detach)
		detach();
	setup_sandbox(seat, &serve);
	if (seat->service->kind == CONF_PERSISTENT)
		persist_become(seat, serve.slot);
	say_ready(serve.slot, seat->ready_fd);
	if (triple_find(spec->family, spec->type, spec->protocol)->accepts)
		status = serve_connections(&serve);
	else
		status = serve_datagrams(&serve);
	if (serve.handler->fini != NULL)
		serve.handler->fini(serve.state);
	/* not exit(3): nothing of the master's is flushed or cleaned up by us */
	_exit(status);
}
