/*
 * words.h - %{word} in the arguments of a program: which there are, and putting
 * them in.
 */
#ifndef PREFORKD_CONF_WORDS_H
#define PREFORKD_CONF_WORDS_H

#include <stdbool.h>
#include <stddef.h>

struct text;

/* In the order of enum words_id. */
#define WORDS_LIST \
	"remote_addr remote_port local_addr local_port service worker connection generation"

enum words_id {
	WORD_REMOTE_ADDR,
	WORD_REMOTE_PORT,
	WORD_LOCAL_ADDR,
	WORD_LOCAL_PORT,
	WORD_SERVICE,
	WORD_WORKER,
	WORD_CONNECTION,
	WORD_GENERATION,
	WORDS_N,
};

/* True if all %{words} of the string are known; else the first one that is not is in unknown. */
bool words_check(const char *string, char *unknown, size_t size);

/* Add the string with its %{words} replaced by values; %% is a percent sign. */
void words_expand(const char *string, const char *const values[WORDS_N], struct text *out);

#endif
