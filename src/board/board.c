#include "board/board.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SLOT_SIZE 4096

_Static_assert(sizeof(struct slot) <= SLOT_SIZE, "a slot is one page");

struct board {
	char *pages;
	unsigned n;
};

/*
 * Each page is a shared object of its own, so that mremap(2) in a worker
 * cannot stretch its mapping over the neighbours' pages.
 */
static int map_slot(char *at)
{
	if (mmap(at, SLOT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1,
		 0) == MAP_FAILED)
		return -1;
	return madvise(at, SLOT_SIZE, MADV_DONTFORK);
}

struct board *board_new(unsigned n)
{
	struct board *board = malloc(sizeof(*board));
	size_t size = (size_t)n * SLOT_SIZE;

	if (board == NULL)
		return NULL;
	board->n = n;
	board->pages =
		mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (board->pages == MAP_FAILED) {
		free(board);
		return NULL;
	}
	for (unsigned i = 0; i < n; i++) {
		if (map_slot(board->pages + (size_t)i * SLOT_SIZE) < 0) {
			board_free(board);
			return NULL;
		}
	}
	return board;
}

void board_free(struct board *board)
{
	if (board == NULL)
		return;
	munmap(board->pages, (size_t)board->n * SLOT_SIZE);
	free(board);
}

struct slot *board_slot(const struct board *board, unsigned index)
{
	assert(index < board->n);
	return (struct slot *)(board->pages + (size_t)index * SLOT_SIZE);
}

void board_show(struct board *board, unsigned index)
{
	struct slot *slot = board_slot(board, index);

	memset(slot, 0, sizeof(*slot));
	madvise(slot, SLOT_SIZE, MADV_DOFORK);
}

void board_hide(struct board *board, unsigned index)
{
	madvise(board_slot(board, index), SLOT_SIZE, MADV_DONTFORK);
}

struct counts board_read(const struct slot *slot)
{
	struct counts counts = { 0 };
	uint64_t ended;

	/* the ends first: a conn that begins meanwhile is in flight, not negative */
	counts.served = atomic_load_explicit(&slot->served, memory_order_acquire);
	counts.failed = atomic_load_explicit(&slot->failed, memory_order_acquire);
	counts.refused = atomic_load_explicit(&slot->refused, memory_order_acquire);
	counts.accepted = atomic_load_explicit(&slot->accepted, memory_order_acquire);
	counts.bytes_in = atomic_load_explicit(&slot->bytes_in, memory_order_relaxed);
	counts.bytes_out = atomic_load_explicit(&slot->bytes_out, memory_order_relaxed);
	ended = counts.served + counts.failed + counts.refused;
	if (counts.accepted < ended)
		counts.accepted = ended;
	counts.in_flight = counts.accepted - ended;
	return counts;
}

void board_add(struct counts *a, const struct counts *b)
{
	a->accepted += b->accepted;
	a->served += b->served;
	a->failed += b->failed;
	a->refused += b->refused;
	a->lost += b->lost;
	a->in_flight += b->in_flight;
	a->bytes_in += b->bytes_in;
	a->bytes_out += b->bytes_out;
}
