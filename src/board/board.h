/*
 * board.h - the scoreboard: what workers say of themselves.
 *
 * One page of shared memory per worker, its slot. The worker writes its own
 * slot with plain stores; the master reads. Nobody else: the pages of the
 * others are not even mapped in a worker. What stands in a slot is gossip: the
 * master counts and shows it, and takes no pid, index or length from it.
 *
 * One memfd per board and one mapping in the master: a mapping per slot made
 * each fork() of a pool of 1000 four times as slow (measured).
 *
 * A worker's slot is consistent at every moment, because one store begins a
 * conn (accepted) and one store ends it (served, failed or refused):
 *
 *	in flight = accepted - served - failed - refused
 *
 * Before the slots lies one page for the whole pool, its bell; see bell.h.
 */
#ifndef PREFORKD_BOARD_BOARD_H
#define PREFORKD_BOARD_BOARD_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define BOARD_NOTES 2048 /* bytes of the last lines that a handler logged */

/* What a worker says of its start. Nobody but the code before the handler's has run by then. */
enum slot_state { SLOT_STARTS, SLOT_READY, SLOT_BECOMES /* a program, now */ };

/* Written by the worker only, each field by one plain store. */
struct slot {
	_Atomic uint32_t state; /* enum slot_state */
	_Atomic uint64_t accepted, served, failed, refused;
	_Atomic uint64_t bytes_in, bytes_out;
	_Atomic uint64_t programs_ms, programs_cpu_ms; /* of the handler exec */
	_Atomic uint64_t by_signal, timed_out;	       /* programs that ended so */
	_Atomic uint64_t conn_in, conn_out; /* bytes of the conn in flight, or of the last one */
	_Atomic long long since_ms;	    /* its start; clock_now_ms() */
	socklen_t peer_length;		    /* who it is with */
	_Atomic uint32_t refused_call; /* one more than the number of the one it died of; 0: none */
	struct sockaddr_storage peer;
	_Atomic uint32_t notes_end; /* where the next line goes; it only grows */
	char notes[BOARD_NOTES];    /* lines, each with its line feed; a ring */
};

struct bell;

/* The numbers of one slot, or the sum of many. */
struct counts {
	uint64_t accepted, served, failed, refused, lost, in_flight;
	uint64_t bytes_in, bytes_out;
	uint64_t programs_ms, programs_cpu_ms, by_signal, timed_out;
};

/* The worker's side: add to a counter of its slot, whose only writer it is. */
static inline void board_count(_Atomic uint64_t *counter, uint64_t n)
{
	uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, value + n, memory_order_release);
}

struct board;

/* A board of n slots, not mapped in children. NULL with errno when there is no memory. */
struct board *board_new(unsigned n);
void board_free(struct board *board);

/*
 * For an upgrade: the descriptor of a board, which is still the board's; and a board of
 * n slots on such a descriptor, which it owns from then on, mapped by board_map().
 * NULL without memory; board_map() returns 0, or -1 with errno.
 */
int board_fd(const struct board *board);
struct board *board_inherit(int fd, unsigned n);
int board_map(struct board *board);

/* The master's view of a slot. */
struct slot *board_slot(const struct board *board, unsigned index);

/* Zero a slot for a new worker. */
void board_clear(struct board *board, unsigned index);

/*
 * In a new worker: map its own slot, and nothing but this; the mapping cannot be
 * moved or stretched (mseal(2), from Linux 6.10 on). NULL with errno.
 */
struct slot *board_attach(const struct board *board, unsigned index);

/* In a new worker: the bell of its pool, mapped and sealed likewise. NULL with errno. */
struct bell *board_attach_bell(const struct board *board);

/* The master's view of it. */
struct bell *board_bell(const struct board *board);

/* The worker's side: keep a line that the handler logged, should it be its last. */
void board_note(struct slot *slot, const char *line);

/*
 * The last lines a worker kept, the newest that fit into buf (ended with NUL, each
 * line with its line feed). It is text of a stranger: escape it.
 */
void board_notes(const struct slot *slot, char *buf, size_t size);

/* Read a slot once, whatever a hostile worker wrote there: in_flight is never negative. */
struct counts board_read(const struct slot *slot);

/* How long a conn has lasted; 0 if the slot says what cannot be of a worker born at born_ms. */
long long board_age_ms(const struct slot *slot, long long born_ms, long long now_ms);

/* Add b to a. */
void board_add(struct counts *a, const struct counts *b);

#endif
