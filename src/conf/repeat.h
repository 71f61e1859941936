/*
 * repeat.h - find what is written twice in a config file.
 *
 * libconfuse takes the last of several equal keys, and a second block of a
 * name silently resets the first. The scanner tells the words and marks of a
 * file in their order; what comes twice in one block is reported.
 */
#ifndef PREFORKD_CONF_REPEAT_H
#define PREFORKD_CONF_REPEAT_H

#include <stdbool.h>
#include <stddef.h>

struct report;

#define REPEAT_DEPTH_MAX 16
#define REPEAT_KEYS_MAX 8192 /* in one file; what is beyond is not compared */

/* A word of the file; not terminated. */
struct repeat_word {
	const char *start;
	size_t length;
	unsigned line;
};

struct repeat {
	const char *file;
	struct report *report;
	struct repeat_word last, before; /* the last two words */
	bool after_equals, last_is_value, before_is_value;
	struct repeat_word title; /* of the service in hand; not in another block */
	unsigned depth, n_blocks;
	struct {
		unsigned block; /* its number; equal keys of one block are repeated */
		struct repeat_word name;
	} level[REPEAT_DEPTH_MAX];
	unsigned n_keys;
	struct {
		unsigned block;
		struct repeat_word word;
	} keys[REPEAT_KEYS_MAX];
};

/* Begin a file. */
void repeat_start(struct repeat *repeat, const char *file, struct report *report);

/* What the scanner meets, in its order. */
void repeat_word(struct repeat *repeat, const char *start, size_t length, unsigned line);
void repeat_equals(struct repeat *repeat);
bool repeat_open(struct repeat *repeat); /* true: a service begins */
void repeat_close(struct repeat *repeat);

#endif
