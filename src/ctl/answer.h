/*
 * answer.h - the answer of the master: its first line, and its records.
 *
 * Whatever came is printable ASCII after answer_read(): a byte that is none
 * becomes a question mark, so that nobody who plays the master reaches the terminal.
 */
#ifndef PREFORKD_CTL_ANSWER_H
#define PREFORKD_CTL_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#define ANSWER_FIELDS_MAX 48

struct answer {
	char *buf;
	int status;	  /* 0: ok; else one of sysexits.h, or above 0 in any case */
	const char *text; /* of an error */
	char *records;	  /* where they begin */
};

/* A record; what it points to is in the answer. Texts are still escaped. */
struct record {
	const char *kind;
	unsigned n_fields;
	struct {
		const char *key, *value;
		bool is_text;
	} fields[ANSWER_FIELDS_MAX];
};

/*
 * Take apart what came, size bytes at buf, which is taken over (malloc). False when it
 * is no whole answer.
 */
bool answer_parse(char *buf, size_t size, struct answer *answer_r);

/*
 * The next record from *at on (answer.records at first), which is changed. False
 * behind the last one.
 */
bool answer_next(char **at, struct record *record_r);

/* A field by its key, "" where there is none. */
const char *answer_text(const struct record *record, const char *key);
long long answer_number(const struct record *record, const char *key);
bool answer_has(const struct record *record, const char *key);

/* Print a text with its quotes and tabs as they were; other bytes stay escaped. */
const char *answer_unescape(const char *text, char *buf, size_t size);

#endif
