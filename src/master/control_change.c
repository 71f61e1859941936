#include "master/control_change.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/text.h"
#include "master/control_command.h"
#include "master/state.h"

/* The pool that serves, of the service that is named, or NULL. */
static struct service_pool *find_pool(const struct control_call *call)
{
	struct generation *current = call->master->current;

	for (unsigned i = 0; current != NULL && i < current->n_pools; i++) {
		struct service_pool *pool = &current->pools[i];

		if (strcmp(conf_string(current->conf, pool->service->name), call->words[1]) == 0)
			return pool;
	}
	return NULL;
}

static struct service_pool *need_pool(struct control_call *call)
{
	struct service_pool *pool = find_pool(call);

	if (pool == NULL)
		control_reply_error(&call->reply, EX_USAGE, "no service \"%s\" is up",
				    call->words[1]);
	return pool;
}

static struct worker *find_in(const struct generation *generation, pid_t pid)
{
	for (unsigned i = 0; generation != NULL && i < generation->n_pools; i++) {
		struct service_pool *pool = &generation->pools[i];

		for (unsigned seat = 0; seat < pool->policy.n_seats; seat++) {
			if (pool->workers[seat].pid == pid)
				return &pool->workers[seat];
		}
	}
	return NULL;
}

/* The worker with the pid that is the second word, or NULL and the answer says so. */
static struct worker *need_worker(struct control_call *call)
{
	const struct master *master = call->master;
	struct worker *worker = NULL;
	long long pid;

	if (text_to_number(call->words[1], 1, INT_MAX, &pid)) {
		worker = find_in(master->current, (pid_t)pid);
		if (worker == NULL)
			worker = find_in(master->starting, (pid_t)pid);
		for (const struct generation *g = master->retired; g != NULL && worker == NULL;
		     g = g->next)
			worker = find_in(g, (pid_t)pid);
	}
	if (worker == NULL)
		control_reply_error(&call->reply, EX_USAGE, "there is no worker \"%s\"",
				    call->words[1]);
	return worker;
}

void control_scale(struct control_call *call)
{
	struct service_pool *pool = need_pool(call);
	long long min, max;
	const char *why = NULL;

	if (pool == NULL)
		return;
	if (!text_to_number(call->words[3], 1, CONF_WORKERS_MAX, &max) ||
	    !text_to_number(call->words[2], 0, max, &min)) {
		control_reply_error(&call->reply, EX_USAGE,
				    "MIN is from 0 to MAX, MAX from 1 to %d", CONF_WORKERS_MAX);
		return;
	}
	if (pool->service->spec.sockets > 1)
		why = "each of its workers has a socket: that takes a reload";
	else if (pool->service->kind == CONF_PERSISTENT && min != max)
		why = "programs that accept by themselves do not tell who is busy";
	if (why == NULL && !pool_scale(&pool->policy, (unsigned)min, (unsigned)max))
		why = "there is no room for so many";
	if (why != NULL)
		control_reply_error(&call->reply, EX_USAGE, "%s cannot be scaled so: %s",
				    call->words[1], why);
	pool->look = true;
}

void control_retire(struct control_call *call)
{
	struct service_pool *pool = find_pool(call);
	struct worker *worker;

	for (unsigned i = 0; pool != NULL && i < pool->policy.n_seats; i++)
		pool_retire(&pool->policy, i);
	if (pool != NULL) {
		pool->look = true;
		return;
	}
	worker = need_worker(call);
	if (worker == NULL)
		return;
	/* one that leaves already needs no telling */
	pool_retire(&worker->pool->policy, worker->seat);
	worker->pool->look = true;
}

static void set_paused(struct control_call *call, bool paused)
{
	struct service_pool *pool = need_pool(call);

	if (pool == NULL)
		return;
	pool_pause(&pool->policy, paused);
	pool->look = true;
}

void control_pause(struct control_call *call)
{
	set_paused(call, true);
}

void control_resume(struct control_call *call)
{
	set_paused(call, false);
}

void control_kill(struct control_call *call)
{
	struct worker *worker = need_worker(call);

	if (worker == NULL)
		return;
	if (worker->pool->policy.seats[worker->seat].phase == SEAT_KILLED)
		return;
	worker->kill_wanted = true;
	worker->pool->kills++;
}
