/*
 * wild.c - a module that does to its worker what only somebody would who has
 * taken it over: its client says what, one word and a number.
 *
 *	alloc MIB	memory that is used and kept
 *	spin MS		computes for so long
 *	scribble MS	all over the memory that is shared with the master
 *	lie MS		numbers in the slot that cannot be, one after the other
 *	flood MS	calls the master as fast as it can
 *	close		every descriptor, and then waits for ever
 *
 * The answer is the word again, when it is done; "no WORD" if that could not be done.
 */
#include <preforkd/handler.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096
#define PAGES_MAX 8
#define DESCRIPTORS 256

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void alloc(int mib)
{
	size_t size = (size_t)mib << 20;
	volatile char *memory = malloc(size);

	for (size_t i = 0; memory != NULL && i < size; i += PAGE)
		memory[i] = 1;
}

/* The pages that are shared with the master: the bell's and our slot's. */
static int find_pages(volatile uint64_t *pages[PAGES_MAX])
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	int n = 0;

	while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
		char *end;
		uintptr_t at = strtoull(line, &end, 16), last = strtoull(end + 1, NULL, 16);

		/* two of them may be one mapping */
		for (; strstr(line, "preforkd-board") != NULL && at < last && n < PAGES_MAX;
		     at += PAGE)
			pages[n++] = (void *)at;
	}
	if (maps != NULL)
		fclose(maps);
	return n;
}

/* The eventfd that the master sleeps on; -1: there is none. */
static int find_bell(void)
{
	for (int fd = 3; fd < DESCRIPTORS; fd++) {
		char path[64], target[64] = "";

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (readlink(path, target, sizeof(target) - 1) > 0 && strstr(target, "eventfd"))
			return fd;
	}
	return -1;
}

static bool flood(uint64_t until_ms)
{
	const uint64_t one = 1;
	int bell = find_bell();
	bool rung = true;

	while (rung && now_ms() < until_ms)
		rung = write(bell, &one, sizeof(one)) == sizeof(one);
	return rung;
}

static uint64_t strange(void)
{
	static const uint64_t values[] = { 0,	       1,
					   2,	       100,
					   INT32_MAX,  UINT32_MAX,
					   INT64_MAX,  (uint64_t)INT64_MAX + 1,
					   UINT64_MAX, UINT64_MAX - 100 };
	static uint64_t seed = 88172645463325252;

	/* xorshift */
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % 3 == 0 ? seed : values[seed % (sizeof(values) / sizeof(values[0]))];
}

/* words: how many of both pages, 64 bits each; and the master is called to see them. */
static bool scribble(uint64_t until_ms, size_t words)
{
	volatile uint64_t *pages[PAGES_MAX];
	int n = find_pages(pages);

	while (n > 0 && now_ms() < until_ms) {
		for (size_t i = 0; i < words; i++)
			pages[i % (size_t)n][i / (size_t)n] = strange();
		flood(now_ms() + 1);
	}
	return n == 2;
}

static void close_all(void)
{
	for (int fd = 0; fd < DESCRIPTORS; fd++)
		close(fd);
	for (;;)
		pause();
}

static int wild_serve(struct conn *conn, void *state)
{
	char line[64], word[32] = "";
	bool done = true;
	int number = 0;
	uint64_t until_ms;

	(void)state;
	if (conn_read_line(conn, line, sizeof(line)) <= 0)
		return -1;
	sscanf(line, "%31s %d", word, &number);
	until_ms = now_ms() + (uint64_t)number;
	if (strcmp(word, "alloc") == 0)
		alloc(number);
	while (strcmp(word, "spin") == 0 && now_ms() < until_ms)
		;
	if (strcmp(word, "scribble") == 0)
		done = scribble(until_ms, 2 * PAGE / sizeof(uint64_t));
	if (strcmp(word, "lie") == 0)
		done = scribble(until_ms, 20);
	if (strcmp(word, "flood") == 0)
		done = flood(until_ms);
	if (strcmp(word, "close") == 0)
		close_all();
	return conn_printf(conn, "%s%s\n", done ? "" : "no ", word);
}

const struct handler preforkd_handler = {
	.abi = HANDLER_ABI,
	.name = "wild",
	.summary = "do what no handler does",
	.serve = wild_serve,
};
