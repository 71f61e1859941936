/*
 * text.h - bounded text: build it, escape it, compare it.
 *
 * A struct text is a buffer of the caller's that is filled from the left and
 * is a terminated string at any moment. What does not fit is cut off; nothing
 * is allocated, so it may be used where malloc(3) may not.
 */
#ifndef PREFORKD_BASE_TEXT_H
#define PREFORKD_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct text {
	char *buf;
	size_t size;   /* of buf, in bytes, with the terminating NUL */
	size_t length; /* without it */
};

/* Start an empty text in buf; size must be at least 1. */
struct text text_start(char *buf, size_t size);

void text_add(struct text *text, const char *string);
void text_addf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Add a string with control and non-ASCII bytes as \xhh and a backslash before
 * each of the special characters. This is the only place where bytes of
 * strangers are made harmless for a log.
 */
void text_add_escaped(struct text *text, const char *string, const char *special);

/* Add a string as one word of a log line: as it is where it is plain, else escaped and quoted. */
void text_add_value(struct text *text, const char *string);

/*
 * The next line of a text that is not empty, cut off from *rest, or NULL. *rest may be
 * NULL: it has none.
 */
char *text_next_line(char **rest);

/* Edit distance (Levenshtein) of two short strings, for "did you mean". */
size_t text_distance(const char *a, const char *b);

/* True if all of string is one decimal number without sign or leading zeros in min..max. */
bool text_to_number(const char *string, long long min, long long max, long long *number_r);

#endif
