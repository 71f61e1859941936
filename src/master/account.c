#include "master/account.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "master/state.h"

/* The account of a service, a new one if there is none; NULL without memory. */
static struct account *find(struct master *master, const char *service)
{
	struct account *account = master->accounts;

	while (account != NULL && strcmp(account->service, service) != 0)
		account = account->next;
	if (account != NULL)
		return account;
	account = calloc(1, sizeof(*account));
	if (account == NULL) {
		log_error("out_of_memory", KV("service", service));
		return NULL;
	}
	snprintf(account->service, sizeof(account->service), "%s", service);
	account->next = master->accounts;
	master->accounts = account;
	return account;
}

void account_add(struct master *master, const char *service, const struct counts *counts)
{
	struct account *account = find(master, service);

	if (account != NULL)
		board_add(&account->counts, counts);
}

void account_dropped(struct master *master, const char *service, unsigned n)
{
	struct account *account = n > 0 ? find(master, service) : NULL;

	if (account != NULL)
		account->dropped += n;
}

static bool has_service(const struct generation *generation, const char *service)
{
	for (unsigned i = 0; generation != NULL && i < generation->n_pools; i++) {
		const struct service_pool *pool = &generation->pools[i];

		if (strcmp(conf_string(generation->conf, pool->service->name), service) == 0)
			return true;
	}
	return false;
}

static bool is_alive(const struct master *master, const char *service)
{
	const struct generation *retired = master->retired;

	while (retired != NULL && !has_service(retired, service))
		retired = retired->next;
	return retired != NULL || has_service(master->current, service) ||
	       has_service(master->starting, service);
}

static void log_account(const struct account *account, enum log_level level)
{
	const struct counts *c = &account->counts;
	bool programs = c->programs_ms > 0 || c->by_signal > 0 || c->timed_out > 0;

	log_write(level, "account",
		  LOG_FIELDS(KV("service", account->service), KV("accepted", c->accepted),
			     KV("served", c->served), KV("failed", c->failed),
			     KV("refused", c->refused), KV("lost", c->lost),
			     KV("in_flight", c->in_flight), KV("bytes_in", c->bytes_in),
			     KV("bytes_out", c->bytes_out), KV("dropped", account->dropped),
			     /* a field without a key is none, and the last */
			     KV(programs ? "programs_ms" : NULL, c->programs_ms),
			     KV("programs_cpu_ms", c->programs_cpu_ms),
			     KV("by_signal", c->by_signal), KV("timed_out", c->timed_out)));
	if (c->accepted != c->served + c->failed + c->refused + c->lost + c->in_flight)
		log_bug("account_mismatch", KV("service", account->service));
}

void account_close(struct master *master, int all)
{
	struct account **at = &master->accounts;

	while (*at != NULL) {
		struct account *account = *at;
		bool quiet = state_start_failed(master) && account->counts.accepted == 0;

		if (!all && is_alive(master, account->service)) {
			at = &account->next;
			continue;
		}
		log_account(account, quiet ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
		if (master->stopping != STOP_NOT)
			master->accepted_after += (long long)account->counts.accepted;
		*at = account->next;
		free(account);
	}
}

/* Of the workers that live; the account has the others. */
static void forget_accepted(struct master *master, const struct generation *generation)
{
	for (unsigned i = 0; generation != NULL && i < generation->n_pools; i++) {
		const struct service_pool *pool = &generation->pools[i];

		for (unsigned seat = 0; seat < pool->policy.n_seats; seat++) {
			if (pool->workers[seat].pid != 0)
				master->accepted_after -=
					(long long)board_read(board_slot(pool->board, seat))
						.accepted;
		}
	}
}

void account_stop(struct master *master)
{
	master->accepted_after = 0;
	for (const struct account *a = master->accounts; a != NULL; a = a->next)
		master->accepted_after -= (long long)a->counts.accepted;
	forget_accepted(master, master->current);
	forget_accepted(master, master->starting);
	for (const struct generation *g = master->retired; g != NULL; g = g->next)
		forget_accepted(master, g);
}
