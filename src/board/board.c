#include "board/board.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "board/bell.h"

#define PAGE_SIZE 4096
#define SYS_MSEAL 462 /* the headers of Debian 12 do not have it; the same everywhere */

_Static_assert(sizeof(struct slot) <= PAGE_SIZE, "a slot is one page");
_Static_assert(sizeof(struct bell) <= PAGE_SIZE, "a bell is one page");

struct board {
	int memfd;
	char *pages; /* the master's mapping: the bell, then the slots */
	unsigned n;  /* slots */
};

static size_t size_of(const struct board *board)
{
	return ((size_t)board->n + 1) * PAGE_SIZE;
}

int board_map(struct board *board)
{
	size_t size = size_of(board);
	struct stat st;

	/* beyond the end of the file each access would be a SIGBUS */
	if (fstat(board->memfd, &st) < 0 || (size_t)st.st_size != size) {
		errno = EINVAL;
		return -1;
	}
	board->pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, board->memfd, 0);
	if (board->pages == MAP_FAILED)
		return -1;
	return madvise(board->pages, size, MADV_DONTFORK);
}

struct board *board_inherit(int fd, unsigned n)
{
	struct board *board = malloc(sizeof(*board));

	if (board == NULL)
		return NULL;
	*board = (struct board){ .memfd = fd, .pages = MAP_FAILED, .n = n };
	return board;
}

struct board *board_new(unsigned n)
{
	struct board *board = board_inherit(-1, n);

	if (board == NULL)
		return NULL;
	board->memfd = memfd_create("preforkd-board", MFD_CLOEXEC);
	if (board->memfd >= 0 && ftruncate(board->memfd, (off_t)size_of(board)) == 0 &&
	    board_map(board) == 0)
		return board;
	board_free(board);
	return NULL;
}

int board_fd(const struct board *board)
{
	return board->memfd;
}

void board_free(struct board *board)
{
	if (board == NULL)
		return;
	if (board->pages != MAP_FAILED)
		munmap(board->pages, size_of(board));
	fd_close(&board->memfd);
	free(board);
}

struct slot *board_slot(const struct board *board, unsigned index)
{
	assert(index < board->n);
	return (struct slot *)(board->pages + ((size_t)index + 1) * PAGE_SIZE);
}

void board_clear(struct board *board, unsigned index)
{
	memset(board_slot(board, index), 0, sizeof(struct slot));
}

static void *attach_page(const struct board *board, size_t page)
{
	void *start = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, board->memfd,
			   (off_t)(page * PAGE_SIZE));

	if (start == MAP_FAILED)
		return NULL;
	/* without it, mremap(2) could stretch the mapping over the neighbours' slots */
	(void)syscall(SYS_MSEAL, start, PAGE_SIZE, 0);
	return start;
}

struct slot *board_attach(const struct board *board, unsigned index)
{
	return attach_page(board, (size_t)index + 1);
}

struct bell *board_attach_bell(const struct board *board)
{
	return attach_page(board, 0);
}

struct bell *board_bell(const struct board *board)
{
	return (struct bell *)board->pages;
}

void board_note(struct slot *slot, const char *line)
{
	uint32_t end = atomic_load_explicit(&slot->notes_end, memory_order_relaxed);

	do {
		slot->notes[end++ % BOARD_NOTES] = *line != '\0' ? *line : '\n';
	} while (*line++ != '\0');
	atomic_store_explicit(&slot->notes_end, end, memory_order_release);
}

void board_notes(const struct slot *slot, char *buf, size_t size)
{
	uint32_t end = atomic_load_explicit(&slot->notes_end, memory_order_acquire);
	uint32_t n = end < BOARD_NOTES ? end : BOARD_NOTES;
	bool cut = n > size - 1 || end > BOARD_NOTES;
	size_t length = 0;

	n = n > size - 1 ? (uint32_t)size - 1 : n;
	for (uint32_t at = end - n; at != end; at++) {
		char c = slot->notes[at % BOARD_NOTES];

		/* a line whose beginning is gone */
		if (!cut)
			buf[length++] = c;
		cut = cut && c != '\n';
	}
	buf[length] = '\0';
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
	counts.programs_ms = atomic_load_explicit(&slot->programs_ms, memory_order_relaxed);
	counts.programs_cpu_ms = atomic_load_explicit(&slot->programs_cpu_ms, memory_order_relaxed);
	counts.by_signal = atomic_load_explicit(&slot->by_signal, memory_order_relaxed);
	counts.timed_out = atomic_load_explicit(&slot->timed_out, memory_order_relaxed);
	ended = counts.served + counts.failed + counts.refused;
	if (counts.accepted < ended)
		counts.accepted = ended;
	counts.in_flight = counts.accepted - ended;
	return counts;
}

long long board_age_ms(const struct slot *slot, long long born_ms, long long now_ms)
{
	long long since_ms = atomic_load(&slot->since_ms);

	return since_ms < born_ms || since_ms > now_ms ? 0 : now_ms - since_ms;
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
	a->programs_ms += b->programs_ms;
	a->programs_cpu_ms += b->programs_cpu_ms;
	a->by_signal += b->by_signal;
	a->timed_out += b->timed_out;
}
