#include "master/canary.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "master/generation.h"
#include "master/state.h"

void canary_prepare(struct generation *generation)
{
	for (unsigned i = 0; generation->conf->canary_ms > 0 && i < generation->n_pools; i++) {
		struct service_pool *pool = &generation->pools[i];

		/* each socket of its own needs its worker at once */
		if (pool->keeps != NULL || pool->service->spec.sockets > 1)
			continue;
		pool->policy.limits.min = pool->policy.limits.max = 1;
		generation->canary = CANARY_STARTS;
	}
}

bool canary_is_over(struct generation *generation, long long now_ms)
{
	if (generation->canary == CANARY_STARTS) {
		generation->canary = CANARY_SINGS;
		generation->canary_ms = now_ms + generation->conf->canary_ms;
		log_notice("canary_started", KV("for_ms", generation->conf->canary_ms));
	}
	return generation->canary == CANARY_NONE || now_ms >= generation->canary_ms;
}

/* Of all that has ended. */
static struct counts count(const struct service_pool *pool)
{
	struct counts sum = { 0 };

	for (unsigned i = 0; i < pool->policy.n_seats; i++) {
		struct counts counts = board_read(board_slot(pool->board, i));

		board_add(&sum, &counts);
	}
	return sum;
}

static const struct service_pool *find_old(const struct generation *current,
					   const struct service_pool *pool, const char *name)
{
	for (unsigned i = 0; i < current->n_pools; i++) {
		const struct service_pool *old = &current->pools[i];

		if (strcmp(conf_string(current->conf, old->service->name), name) == 0 &&
		    old->listener == pool->listener)
			return old;
	}
	return NULL;
}

/* More of its clients, as a part of all, than those who serve beside it. */
static bool fails_more(const struct service_pool *pool, char *buf, size_t size)
{
	const struct generation *generation = pool->generation;
	const char *name = conf_string(generation->conf, pool->service->name);
	const struct service_pool *old = find_old(generation->master->current, pool, name);
	struct counts now = count(pool), was = { 0 };

	if (old != NULL)
		was = count(old);
	if (now.failed == 0 ||
	    (double)now.failed * (double)was.accepted <= (double)was.failed * (double)now.accepted)
		return false;
	snprintf(buf, size,
		 "the canary of %s failed %llu of %llu clients, the old workers %llu of %llu", name,
		 (unsigned long long)now.failed, (unsigned long long)now.accepted,
		 (unsigned long long)was.failed, (unsigned long long)was.accepted);
	return true;
}

const char *canary_end(struct generation *generation, char *buf, size_t size)
{
	for (unsigned i = 0; i < generation->n_pools; i++) {
		struct service_pool *pool = &generation->pools[i];

		if (pool->keeps == NULL && fails_more(pool, buf, size))
			return buf;
	}
	log_notice("canary_done");
	generation->canary = CANARY_NONE;
	generation_resize(generation);
	return NULL;
}
