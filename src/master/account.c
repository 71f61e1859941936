#include "master/account.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "master/state.h"

void account_add(struct master *master, const char *service, const struct counts *counts)
{
	struct account *account = master->accounts;

	while (account != NULL && strcmp(account->service, service) != 0)
		account = account->next;
	if (account == NULL) {
		account = calloc(1, sizeof(*account));
		if (account == NULL) {
			log_error("out_of_memory", KV("service", service));
			return;
		}
		snprintf(account->service, sizeof(account->service), "%s", service);
		account->next = master->accounts;
		master->accounts = account;
	}
	board_add(&account->counts, counts);
}

/* Add the living workers of a generation; returns true if it has the service. */
static bool add_generation(const struct generation *generation, const char *service,
			   struct counts *sum)
{
	bool found = false;

	for (unsigned i = 0; generation != NULL && i < generation->n_pools; i++) {
		const struct service_pool *pool = &generation->pools[i];

		if (strcmp(conf_string(generation->conf, pool->service->name), service) != 0)
			continue;
		found = true;
		for (unsigned j = 0; j < pool->policy.n_seats; j++) {
			struct counts counts = board_read(board_slot(pool->board, j));

			if (pool->workers[j].pid != 0)
				board_add(sum, &counts);
		}
	}
	return found;
}

static bool add_living(const struct master *master, const char *service, struct counts *sum)
{
	bool found = add_generation(master->current, service, sum);

	found = add_generation(master->starting, service, sum) || found;
	for (const struct generation *g = master->retired; g != NULL; g = g->next)
		found = add_generation(g, service, sum) || found;
	return found;
}

struct counts account_sum(const struct master *master, const char *service)
{
	struct counts sum = { 0 };

	for (const struct account *account = master->accounts; account != NULL;
	     account = account->next) {
		if (strcmp(account->service, service) == 0)
			sum = account->counts;
	}
	add_living(master, service, &sum);
	return sum;
}

static void log_account(const struct account *account)
{
	const struct counts *c = &account->counts;

	log_info("account", KV("service", account->service), KV("accepted", c->accepted),
		 KV("served", c->served), KV("failed", c->failed), KV("refused", c->refused),
		 KV("lost", c->lost), KV("in_flight", c->in_flight), KV("bytes_in", c->bytes_in),
		 KV("bytes_out", c->bytes_out));
	if (c->accepted != c->served + c->failed + c->refused + c->lost + c->in_flight)
		log_bug("account_mismatch", KV("service", account->service));
}

void account_close(struct master *master, int all)
{
	struct account **at = &master->accounts;

	while (*at != NULL) {
		struct account *account = *at;
		struct counts unused = { 0 };

		if (!all && add_living(master, account->service, &unused)) {
			at = &account->next;
			continue;
		}
		log_account(account);
		*at = account->next;
		free(account);
	}
}
