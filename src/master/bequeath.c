#include "master/bequeath.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/account.h"
#include "master/control.h"
#include "master/handover.h"
#include "master/postmortem.h"

/* An error of memory is found at the end, by ferror(3). */
static void put(FILE *out, const void *record, size_t size)
{
	(void)fwrite(record, size, 1, out);
}

static unsigned count_generations(const struct master *master)
{
	unsigned n = master->current != NULL;

	for (const struct generation *g = master->retired; g != NULL; g = g->next)
		n++;
	return n;
}

static void put_master(const struct master *master, int conf_fd, FILE *out)
{
	struct handover_master record = {
		.conf_fd = conf_fd,
		.lock_fd = master->lock_fd,
		.pidfile_fd = master->pidfile_fd,
		.messages_fd = master->messages_fd,
		.control = control_leave(master),
		.daemon_gone = master->daemon_gone,
		.reload_wanted = master->reload_wanted,
		.reopen_wanted = master->reopen_wanted,
		.respawn_wanted = master->respawn_wanted,
		.upgrade_wanted = master->upgrade_wanted,
		.last_id = master->last_id,
		.born_ms = master->born_ms,
		.n_generations = count_generations(master),
		.n_postmortems = master->n_postmortems,
	};

	snprintf(record.config_path, sizeof(record.config_path), "%s", master->config_path);
	for (const struct open_listener *l = master->listeners; l != NULL; l = l->next)
		record.n_listeners++;
	for (const struct account *a = master->accounts; a != NULL; a = a->next)
		record.n_accounts++;
	put(out, &record, sizeof(record));
}

static void put_listeners(const struct master *master, FILE *out)
{
	for (const struct open_listener *l = master->listeners; l != NULL; l = l->next) {
		struct handover_listener record = { .stored = l->stored, .listener = l->listener };

		memcpy(record.service, l->service, sizeof(record.service));
		memcpy(record.stored_as, l->stored_as, sizeof(record.stored_as));
		put(out, &record, sizeof(record));
		put(out, l->listener.fds, l->listener.n_fds * sizeof(int));
	}
}

static void put_history(const struct master *master, FILE *out)
{
	for (const struct account *a = master->accounts; a != NULL; a = a->next)
		put(out, a, sizeof(*a));
	for (unsigned back = POSTMORTEM_KEPT; back-- > 0;) {
		const struct postmortem *record = postmortem_get(master, back);

		if (record != NULL)
			put(out, record, sizeof(*record));
	}
}

static void put_workers(const struct service_pool *pool, FILE *out)
{
	for (unsigned i = 0; i < pool->policy.n_seats; i++) {
		struct handover_worker record = {
			.seat = pool->policy.seats[i],
			.worker = pool->workers[i],
		};
		const char *why = record.worker.told_why;

		if (record.worker.pid == 0)
			continue;
		snprintf(record.told_why, sizeof(record.told_why), "%s", why != NULL ? why : "");
		put(out, &record, sizeof(record));
	}
}

static unsigned number_of(const struct master *master, const struct open_listener *open)
{
	unsigned n = 1;

	if (open == NULL)
		return 0;
	for (const struct open_listener *l = master->listeners; l != open; l = l->next)
		n++;
	return n;
}

static void put_pool(const struct service_pool *pool, FILE *out)
{
	const struct generation *generation = pool->generation;
	struct handover_pool record = {
		.kind = pool->service->kind,
		.spec = pool->service->spec,
		.listener = number_of(generation->master, pool->listener),
		.board_fd = board_fd(pool->board),
		.bell_fd = pool->bell_fd,
		.ready_fd = pool->ready_fd,
		.drain_from = pool->drain_from,
		.n_workers = pool->policy.n_seats - pool->policy.count[SEAT_EMPTY],
		.policy = pool->policy,
	};

	snprintf(record.service, sizeof(record.service), "%s",
		 conf_string(generation->conf, pool->service->name));
	put(out, &record, sizeof(record));
	put_workers(pool, out);
}

/* Not one whose workers went on in a later generation. */
static bool is_left(const struct service_pool *pool)
{
	return pool->board != NULL;
}

static void put_generation(const struct generation *generation, bool current, FILE *out)
{
	struct handover_generation record = {
		.id = generation->id,
		.current = current,
		.born_ms = generation->born_ms,
	};

	for (unsigned i = 0; i < generation->n_pools; i++)
		record.n_pools += is_left(&generation->pools[i]);
	put(out, &record, sizeof(record));
	for (unsigned i = 0; i < generation->n_pools; i++) {
		if (is_left(&generation->pools[i]))
			put_pool(&generation->pools[i], out);
	}
}

int bequeath(const struct master *master, int conf_fd)
{
	char *content = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&content, &size);
	int fd = -1;
	bool failed;

	if (out == NULL)
		return -1;
	put_master(master, conf_fd, out);
	put_listeners(master, out);
	put_history(master, out);
	if (master->current != NULL)
		put_generation(master->current, true, out);
	for (const struct generation *g = master->retired; g != NULL; g = g->next)
		put_generation(g, false, out);
	failed = ferror(out) != 0;
	if (fclose(out) == 0 && !failed)
		fd = handover_seal(content, size);
	free(content);
	return fd;
}

/* A negative one is none. */
static int keep_fd(int fd, bool keep)
{
	return fd < 0 ? 0 : fcntl(fd, F_SETFD, keep ? 0 : FD_CLOEXEC);
}

static int keep_pool(const struct service_pool *pool, bool keep)
{
	return keep_fd(board_fd(pool->board), keep) | keep_fd(pool->bell_fd, keep) |
	       keep_fd(pool->ready_fd, keep);
}

static int keep_generation(const struct generation *generation, bool keep)
{
	int r = 0;

	for (unsigned i = 0; generation != NULL && i < generation->n_pools; i++) {
		if (is_left(&generation->pools[i]))
			r |= keep_pool(&generation->pools[i], keep);
	}
	return r;
}

int bequeath_keep(const struct master *master, bool keep)
{
	int r = keep_fd(master->lock_fd, keep) | keep_fd(master->pidfile_fd, keep) |
		keep_fd(master->messages_fd, keep) | keep_fd(control_leave(master).fd, keep) |
		keep_generation(master->current, keep);

	for (const struct generation *g = master->retired; g != NULL; g = g->next)
		r |= keep_generation(g, keep);
	for (const struct open_listener *l = master->listeners; l != NULL; l = l->next) {
		for (unsigned i = 0; i < l->listener.n_fds; i++)
			r |= keep_fd(l->listener.fds[i], keep);
	}
	return r;
}
