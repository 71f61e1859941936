#include "master/control_status.h"

#include <config.h>

#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "master/control_command.h"
#include "master/control_view.h"
#include "master/state.h"
#include "net/address.h"

#define UNHEALTHY 1

typedef void (*visit_pool)(struct control_call *call, struct service_pool *pool, const char *state);

static const char *name_of(const struct service_pool *pool)
{
	return conf_string(pool->generation->conf, pool->service->name);
}

/* Pools of one generation, of the service that was named, if one was. */
static unsigned visit(struct control_call *call, struct generation *generation, const char *state,
		      const char *service, visit_pool function)
{
	unsigned n = 0;

	for (unsigned i = 0; generation != NULL && i < generation->n_pools; i++) {
		struct service_pool *pool = &generation->pools[i];

		if (service != NULL && strcmp(name_of(pool), service) != 0)
			continue;
		function(call, pool, state);
		n++;
	}
	return n;
}

/* The newest first. */
static unsigned visit_all(struct control_call *call, const char *service, visit_pool function)
{
	struct master *master = call->master;
	unsigned n = visit(call, master->starting, "starting", service, function);

	n += visit(call, master->current, "current", service, function);
	for (struct generation *g = master->retired; g != NULL; g = g->next)
		n += visit(call, g, "finishing", service, function);
	return n;
}

static const char *master_state(const struct master *master)
{
	if (master->stopping != STOP_NOT)
		return "stopping";
	if (master->current == NULL)
		return "starting";
	return master->reloading ? "reloading" : "serving";
}

static void tell_master(struct control_call *call)
{
	const struct master *master = call->master;
	const struct verdict *verdict = &master->verdict;
	struct control_reply *reply = &call->reply;
	long long now_ms = clock_now_ms();

	control_reply_record(reply, "master");
	control_reply_number(reply, "pid", (uint64_t)getpid());
	control_reply_text(reply, "version", PACKAGE_VERSION);
	control_reply_text(reply, "config", master->config_path);
	control_reply_text(reply, "state", master_state(master));
	control_reply_number(reply, "uptime_ms", (uint64_t)(now_ms - master->born_ms));
	control_reply_number(reply, "generation",
			     master->current != NULL ? master->current->id : 0);
	control_reply_text(reply, "log_level", log_level_name());
	control_reply_number(reply, "reloads", verdict->number);
	if (verdict->number == 0)
		return;
	control_reply_text(reply, "reload", verdict->status == 0 ? "done" : "refused");
	control_reply_text(reply, "reload_error", verdict->why);
	control_reply_number(reply, "reload_age_ms", (uint64_t)(now_ms - verdict->ended_ms));
}

static void tell_workers(struct control_reply *reply, const struct view *view)
{
	control_reply_number(reply, "workers", view->workers);
	control_reply_number(reply, "busy", view->busy);
	control_reply_number(reply, "idle", view->idle);
	control_reply_number(reply, "starting", view->starting);
	control_reply_number(reply, "leaving", view->leaving);
}

static void tell_counts(struct control_reply *reply, const struct counts *counts)
{
	control_reply_number(reply, "accepted", counts->accepted);
	control_reply_number(reply, "served", counts->served);
	control_reply_number(reply, "failed", counts->failed);
	control_reply_number(reply, "refused", counts->refused);
	control_reply_number(reply, "lost", counts->lost);
	control_reply_number(reply, "in_flight", counts->in_flight);
	control_reply_number(reply, "bytes_in", counts->bytes_in);
	control_reply_number(reply, "bytes_out", counts->bytes_out);
	control_reply_number(reply, "programs_ms", counts->programs_ms);
	control_reply_number(reply, "programs_cpu_ms", counts->programs_cpu_ms);
	control_reply_number(reply, "by_signal", counts->by_signal);
	control_reply_number(reply, "timed_out", counts->timed_out);
}

static const char *address_of(const struct service_pool *pool, char buf[ADDRESS_TEXT_MAX])
{
	const struct open_listener *open = pool->listener;

	if (open == NULL)
		return address_text(&pool->service->spec.address, pool->service->spec.length, buf);
	return address_text(&open->listener.bound, open->listener.bound_length, buf);
}

static void tell_service(struct control_call *call, struct service_pool *pool, const char *state)
{
	struct control_reply *reply = &call->reply;
	struct view view = control_view_pool(pool);
	struct counts counts = control_view_service(call->master, name_of(pool));
	char address[ADDRESS_TEXT_MAX];

	(void)state;
	control_reply_record(reply, "service");
	control_reply_text(reply, "name", name_of(pool));
	control_reply_text(reply, "state", control_view_state(pool, &view));
	control_reply_text(reply, "address", address_of(pool, address));
	control_reply_text(reply, "handler",
			   conf_string(pool->generation->conf, pool->service->handler));
	tell_workers(reply, &view);
	control_reply_number(reply, "min", view.min);
	control_reply_number(reply, "max", view.max);
	if (view.knows_waiting)
		control_reply_number(reply, "waiting", view.waiting);
	control_reply_number(reply, "times_all_busy", pool->full_count);
	tell_counts(reply, &counts);
	control_reply_number(reply, "failures", pool->policy.failures);
	control_reply_number(reply, "backoff_ms", view.backoff_ms);
	control_reply_number(reply, "generation", pool->generation->id);
	control_reply_number(reply, "age_ms",
			     (uint64_t)(clock_now_ms() - pool->generation->born_ms));
}

static void tell_generation(struct control_call *call, struct service_pool *pool, const char *state)
{
	struct control_reply *reply = &call->reply;
	struct view view = control_view_pool(pool);

	if (pool->generation == call->master->current || view.workers == 0)
		return;
	control_reply_record(reply, "generation");
	control_reply_number(reply, "generation", pool->generation->id);
	control_reply_text(reply, "state", state);
	control_reply_text(reply, "service", name_of(pool));
	tell_workers(reply, &view);
	control_reply_number(reply, "age_ms",
			     (uint64_t)(clock_now_ms() - pool->generation->born_ms));
}

static void ignore(struct control_call *call, struct service_pool *pool, const char *state)
{
	(void)call;
	(void)pool;
	(void)state;
}

bool control_status_exists(struct control_call *call, const char *service)
{
	if (service == NULL || visit_all(call, service, ignore) > 0)
		return true;
	control_reply_error(&call->reply, EX_USAGE, "there is no service \"%s\"", service);
	return false;
}

void control_status(struct control_call *call)
{
	const char *service = control_argument(call);
	struct master *master = call->master;

	if (!control_status_exists(call, service))
		return;
	tell_master(call);
	/* at the start there is no other one yet */
	visit(call, master->current != NULL ? master->current : master->starting, "", service,
	      tell_service);
	visit_all(call, service, tell_generation);
}

static void tell_conn(struct control_reply *reply, const struct slot *slot, long long now_ms)
{
	struct sockaddr_storage peer = slot->peer;
	long long since_ms = atomic_load(&slot->since_ms);
	char text[ADDRESS_TEXT_MAX];

	control_reply_text(reply, "peer", address_text(&peer, slot->peer_length, text));
	if (since_ms > now_ms || since_ms < 0)
		since_ms = now_ms;
	control_reply_number(reply, "conn_age_ms", (uint64_t)(now_ms - since_ms));
}

static void tell_worker(struct control_reply *reply, const struct worker *worker)
{
	const struct service_pool *pool = worker->pool;
	const struct slot *slot = board_slot(pool->board, worker->seat);
	struct counts counts = board_read(slot);
	long long now_ms = clock_now_ms();

	control_reply_record(reply, "worker");
	control_reply_text(reply, "service", name_of(pool));
	control_reply_number(reply, "worker", worker->seat + 1);
	control_reply_number(reply, "pid", (uint64_t)worker->pid);
	control_reply_number(reply, "generation", pool->generation->id);
	control_reply_text(reply, "state", control_view_worker(worker, &counts));
	control_reply_number(reply, "age_ms", (uint64_t)(now_ms - worker->born_ms));
	tell_counts(reply, &counts);
	if (counts.in_flight > 0)
		tell_conn(reply, slot, now_ms);
}

static void tell_pool(struct control_call *call, struct service_pool *pool, const char *state)
{
	(void)state;
	for (unsigned i = 0; i < pool->policy.n_seats; i++) {
		if (pool->workers[i].pid != 0)
			tell_worker(&call->reply, &pool->workers[i]);
	}
}

void control_workers(struct control_call *call)
{
	if (control_status_exists(call, control_argument(call)))
		visit_all(call, control_argument(call), tell_pool);
}

static void complain(struct control_call *call, const char *text)
{
	/* the first one makes it an error */
	if (call->ticket++ == 0)
		control_reply_error(&call->reply, UNHEALTHY, "not healthy");
	control_reply_record(&call->reply, "line");
	control_reply_text(&call->reply, "text", text);
}

static void check_ready(struct control_call *call, struct service_pool *pool, const char *state)
{
	struct view view = control_view_pool(pool);
	char buf[128];
	struct text text = text_start(buf, sizeof(buf));

	(void)state;
	if (view.busy + view.idle > 0 || (view.min == 0 && !pool->policy.paused))
		return;
	text_addf(&text, "service %s has no worker that is ready", name_of(pool));
	complain(call, buf);
}

void control_health(struct control_call *call)
{
	const char *word = control_argument(call);
	struct master *master = call->master;

	if (word != NULL && strcmp(word, "--live") != 0 && strcmp(word, "--ready") != 0) {
		control_reply_error(&call->reply, EX_USAGE,
				    "health takes --live or --ready, not \"%s\"", word);
		return;
	}
	if (word != NULL && strcmp(word, "--live") == 0)
		return;
	if (master->stopping != STOP_NOT)
		complain(call, "the master is stopping");
	else if (master->current == NULL)
		complain(call, "the services are not up yet");
	visit(call, master->current, "", NULL, check_ready);
	if (word == NULL && master->verdict.status != 0)
		complain(call, "the last reload was refused");
	call->ticket = 0;
}
