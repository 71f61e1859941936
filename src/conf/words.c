#include "conf/words.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

/* The place of a name in WORDS_LIST; -1: it is not in there. */
static int find(const char *name, size_t length)
{
	const char *word = WORDS_LIST;

	for (int id = 0; id < WORDS_N; id++) {
		size_t n = strcspn(word, " ");

		if (n == length && strncmp(word, name, n) == 0)
			return id;
		word += n + (word[n] == ' ');
	}
	return -1;
}

/* Where a "%{name}" begins in the string, with the length of its name; NULL: nowhere. */
static const char *next(const char *string, size_t *length_r)
{
	for (; *string != '\0'; string++) {
		const char *end = strchr(string, '}');

		if (string[0] == '%' && string[1] == '%') {
			string++;
		} else if (string[0] == '%' && string[1] == '{' && end != NULL) {
			*length_r = (size_t)(end - string) - 2;
			return string;
		}
	}
	return NULL;
}

bool words_check(const char *string, char *unknown, size_t size)
{
	size_t length;

	while ((string = next(string, &length)) != NULL) {
		if (find(string + 2, length) < 0) {
			snprintf(unknown, size, "%.*s", (int)length, string + 2);
			return false;
		}
		string += length + 3;
	}
	return true;
}

/* %% once. */
static void add_plain(const char *string, size_t length, struct text *out)
{
	for (size_t i = 0; i < length; i++) {
		text_addf(out, "%c", string[i]);
		if (string[i] == '%' && i + 1 < length && string[i + 1] == '%')
			i++;
	}
}

void words_expand(const char *string, const char *const values[WORDS_N], struct text *out)
{
	const char *word;
	size_t length;

	while ((word = next(string, &length)) != NULL) {
		int id = find(word + 2, length);

		add_plain(string, (size_t)(word - string), out);
		text_add(out, id >= 0 ? values[id] : "");
		string = word + length + 3;
	}
	add_plain(string, strlen(string), out);
}
