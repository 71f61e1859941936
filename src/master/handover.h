/*
 * handover.h - what a master leaves to the binary that takes its place: the layout.
 *
 *	header | master | listeners, each with its sockets | accounts | postmortems
 *	       | generations, each with its pools, each with its workers
 *
 * in a memfd that is sealed. The header never changes, so that any two binaries can
 * say of each other why they do not fit. The rest are the structures of the master,
 * copied; pointers in them mean nothing. HANDOVER_LAYOUT is raised when a field of
 * them gets another meaning; that it got another size or place is noticed by itself
 * ("shape"). The conf is not handed over: its layout may change freely.
 *
 * bequeath.c writes it, inherit.c reads it, upgrade.c decides when.
 */
#ifndef PREFORKD_MASTER_HANDOVER_H
#define PREFORKD_MASTER_HANDOVER_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "master/control.h"
#include "master/pool.h"
#include "master/state.h"
#include "net/listener.h"

#define HANDOVER_LAYOUT 1

struct text;

struct handover_header {
	char magic[8];
	uint32_t layout, shape;
	uint64_t size, checksum; /* of what follows */
};

struct handover_master {
	char config_path[PATH_MAX];
	int conf_fd; /* the config as the new binary has read it */
	int lock_fd, pidfile_fd, messages_fd;
	struct control_left control;
	bool daemon_gone;
	bool reload_wanted, reopen_wanted, respawn_wanted, upgrade_wanted;
	unsigned last_id;
	long long born_ms;
	unsigned n_listeners, n_accounts, n_generations;
	unsigned n_postmortems; /* that there ever were; the kept ones follow, oldest first */
};

/* listener.n_fds descriptors follow. */
struct handover_listener {
	char service[64];
	unsigned stored;
	char stored_as[64];
	struct listener listener;
};

struct handover_generation {
	unsigned id, n_pools;
	bool current;
	long long born_ms;
};

struct handover_pool {
	char service[64];
	enum conf_handler kind;
	struct listener_spec spec;
	unsigned listener; /* from 1, in the order above; 0: none */
	int board_fd, bell_fd, ready_fd;
	unsigned drain_from;
	unsigned n_workers; /* that follow */
	struct pool policy;
};

struct handover_worker {
	char told_why[32];
	struct seat seat;
	struct worker worker; /* watches have their descriptors */
};

/*
 * Put the content behind a header into a new memfd, and seal it. Returns the descriptor
 * (close-on-exec), or -1 with errno.
 */
int handover_seal(const void *content, size_t size);

/*
 * The content, checked as a whole, in memory that is the caller's to free. NULL with
 * a sentence in *error: no handover, cut off, changed, or of another layout.
 */
void *handover_open(int fd, size_t *size_r, struct text *error);

/* Where a reader is. */
struct handover_cursor {
	const char *at;
	size_t left;
};

/* Copy the next record. False, and an empty record, when there is no more. */
bool handover_next(struct handover_cursor *cursor, void *record_r, size_t size);

#endif
