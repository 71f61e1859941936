#include "master/inherit.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "conf/graft.h"
#include "conf/load.h"
#include "master/account.h"
#include "master/bequeath.h"
#include "master/look.h"
#include "master/persist.h"
#include "master/postmortem.h"
#include "master/reap.h"

int inherit_master(struct master *master, struct handover_cursor *cursor,
		   struct handover_master *record_r, struct text *error)
{
	if (!handover_next(cursor, record_r, sizeof(*record_r))) {
		text_addf(error, "what was handed over is empty");
		return -1;
	}
	master->lock_fd = record_r->lock_fd;
	master->pidfile_fd = record_r->pidfile_fd;
	master->messages_fd = record_r->messages_fd;
	master->daemon_gone = record_r->daemon_gone;
	master->reload_wanted = record_r->reload_wanted;
	master->reopen_wanted = record_r->reopen_wanted;
	master->respawn_wanted = record_r->respawn_wanted;
	master->upgrade_wanted = record_r->upgrade_wanted;
	master->last_id = record_r->last_id;
	master->born_ms = record_r->born_ms;
	return 0;
}

/* Appends: pools know them by their number. */
static bool read_listener(struct master *master, struct handover_cursor *cursor)
{
	struct open_listener *open = calloc(1, sizeof(*open)), **at = &master->listeners;
	struct handover_listener record;

	if (open == NULL)
		return false;
	while (*at != NULL)
		at = &(*at)->next;
	*at = open;
	if (!handover_next(cursor, &record, sizeof(record)) || record.listener.n_fds == 0)
		return false;
	memcpy(open->service, record.service, sizeof(open->service));
	memcpy(open->stored_as, record.stored_as, sizeof(open->stored_as));
	open->stored = record.stored;
	open->listener = record.listener;
	open->listener.fds = calloc(record.listener.n_fds, sizeof(int));
	if (open->listener.fds != NULL &&
	    handover_next(cursor, open->listener.fds, record.listener.n_fds * sizeof(int)))
		return true;
	open->listener.n_fds = 0;
	return false;
}

static bool read_account(struct master *master, struct handover_cursor *cursor)
{
	struct account *account = calloc(1, sizeof(*account)), **at = &master->accounts;

	if (account == NULL || !handover_next(cursor, account, sizeof(*account))) {
		free(account);
		return false;
	}
	while (*at != NULL)
		at = &(*at)->next;
	account->next = NULL;
	*at = account;
	return true;
}

static bool read_postmortems(struct master *master, struct handover_cursor *cursor, unsigned n)
{
	unsigned kept = n < POSTMORTEM_KEPT ? n : POSTMORTEM_KEPT;

	/* the place of each in the ring follows from how many there were before */
	master->n_postmortems = n - kept;
	while (kept-- > 0) {
		struct postmortem record;

		if (!handover_next(cursor, &record, sizeof(record)))
			return false;
		postmortem_add(master, &record);
	}
	return true;
}

/* The words of the old binary are not at the same place in this one. */
static const char *same_word(const char *word)
{
	static const char *const words[] = { "stuck" };

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (strcmp(words[i], word) == 0)
			return words[i];
	}
	return NULL;
}

static bool read_worker(struct service_pool *pool, struct handover_cursor *cursor)
{
	struct handover_worker record;
	unsigned seat;

	if (!handover_next(cursor, &record, sizeof(record)))
		return false;
	seat = record.worker.seat;
	if (seat >= pool->policy.n_seats)
		return false;
	pool->policy.seats[seat] = record.seat;
	pool->workers[seat] = record.worker;
	pool->workers[seat].pool = pool;
	pool->workers[seat].told_why = same_word(record.told_why);
	pool->kills += record.worker.kill_wanted;
	return true;
}

static struct open_listener *listener_of(const struct master *master, unsigned number)
{
	struct open_listener *open = master->listeners;

	if (number == 0)
		return NULL;
	while (open != NULL && --number > 0)
		open = open->next;
	return open;
}

/* All of a pool but its service. */
static bool read_pool(struct service_pool *pool, const struct handover_pool *record,
		      struct handover_cursor *cursor)
{
	const struct pool *policy = &record->policy;

	pool->listener = listener_of(pool->generation->master, record->listener);
	pool->bell_fd = record->bell_fd;
	pool->ready_fd = record->ready_fd;
	pool->drain_from = record->drain_from;
	pool->look = true;
	pool->policy = *policy;
	pool->policy.seats = calloc(policy->capacity, sizeof(*policy->seats));
	pool->workers = calloc(policy->capacity, sizeof(*pool->workers));
	pool->board = board_inherit(record->board_fd, policy->capacity);
	if (pool->policy.seats == NULL || pool->workers == NULL || pool->board == NULL ||
	    policy->n_seats > policy->capacity)
		return false;
	for (unsigned i = 0; i < record->n_workers; i++) {
		if (!read_worker(pool, cursor))
			return false;
	}
	return true;
}

static bool find_services(struct generation *generation, const struct conf *conf,
			  const struct handover_pool *records)
{
	struct conf_stub *stubs = calloc(generation->n_pools + 1, sizeof(*stubs));

	if (stubs == NULL)
		return false;
	for (unsigned i = 0; i < generation->n_pools; i++) {
		stubs[i].name = records[i].service;
		stubs[i].kind = records[i].kind;
		stubs[i].spec = &records[i].spec;
	}
	generation->conf = conf_graft(conf, stubs, generation->n_pools);
	for (unsigned i = 0; generation->conf != NULL && i < generation->n_pools; i++) {
		generation->pools[i].service = conf_service(generation->conf, i);
		generation->pools[i].outdated = !stubs[i].found;
	}
	free(stubs);
	return generation->conf != NULL;
}

static bool read_pools(struct generation *generation, struct handover_cursor *cursor, unsigned n,
		       const struct conf *conf)
{
	struct handover_pool *records = calloc(n + 1, sizeof(*records));
	bool good = records != NULL;

	generation->pools = calloc(n + 1, sizeof(*generation->pools));
	good = good && generation->pools != NULL;
	for (unsigned i = 0; good && i < n; i++) {
		generation->pools[i].generation = generation;
		generation->pools[i].bell_fd = generation->pools[i].ready_fd = -1;
		generation->n_pools++;
		good = handover_next(cursor, &records[i], sizeof(records[i])) &&
		       read_pool(&generation->pools[i], &records[i], cursor);
	}
	good = good && find_services(generation, conf, records);
	free(records);
	return good;
}

static bool read_generation(struct master *master, struct handover_cursor *cursor,
			    const struct conf *conf)
{
	struct generation *generation = calloc(1, sizeof(*generation)), **at = &master->retired;
	struct handover_generation record;

	if (generation == NULL || !handover_next(cursor, &record, sizeof(record))) {
		free(generation);
		return false;
	}
	generation->master = master;
	generation->id = record.id;
	generation->born_ms = record.born_ms;
	generation->bound = true;
	generation->inherited = true;
	while (*at != NULL)
		at = &(*at)->next;
	*(record.current ? &master->current : at) = generation;
	return read_pools(generation, cursor, record.n_pools, conf);
}

int inherit_all(struct master *master, struct handover_cursor *cursor,
		const struct handover_master *record, const struct conf *conf, struct text *error)
{
	bool good = true;

	for (unsigned i = 0; good && i < record->n_listeners; i++)
		good = read_listener(master, cursor);
	for (unsigned i = 0; good && i < record->n_accounts; i++)
		good = read_account(master, cursor);
	good = good && read_postmortems(master, cursor, record->n_postmortems);
	for (unsigned i = 0; good && i < record->n_generations; i++)
		good = read_generation(master, cursor, conf);
	if (good && cursor->left == 0 && master->current != NULL)
		return 0;
	text_addf(error, "what was handed over makes no sense, or there is no memory for it");
	return -1;
}

/* A pool that does not serve any more has no bell. */
static int attach_generation(struct generation *generation)
{
	for (unsigned i = 0; i < generation->n_pools; i++) {
		struct service_pool *pool = &generation->pools[i];

		if (board_map(pool->board) < 0 || (pool->bell_fd >= 0 && look_inherit(pool) < 0))
			return -1;
	}
	return 0;
}

int inherit_attach(struct master *master)
{
	if (bequeath_keep(master, false) < 0 || attach_generation(master->current) < 0)
		return -1;
	for (struct generation *g = master->retired; g != NULL; g = g->next) {
		if (attach_generation(g) < 0)
			return -1;
	}
	return master->messages_fd >= 0 ? persist_inherit(master) : 0;
}
