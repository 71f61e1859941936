/*
 * test_words.c - src/conf/words.c: %{words} in the arguments of programs.
 */
#include <stddef.h>

#include "base/text.h"
#include "conf/words.h"
#include "unit.h"

/* Each word's value is its number in brackets; that of remote_port is empty, that of service has a word in it. */
static const char *const values[WORDS_N] = {
	[WORD_REMOTE_ADDR] = "[0]", [WORD_REMOTE_PORT] = "",	    [WORD_LOCAL_ADDR] = "[2]",
	[WORD_LOCAL_PORT] = "[3]",  [WORD_SERVICE] = "%{worker}%%", [WORD_WORKER] = "[5]",
	[WORD_CONNECTION] = "[6]",  [WORD_GENERATION] = "[7]",
};

static void test_expansion(void)
{
	static const struct {
		const char *string, *expected;
	} rows[] = {
		{ "", "" },
		{ "plain", "plain" },
		{ "%{remote_addr}", "[0]" },
		{ "%{remote_port}", "" },
		{ "a%{local_addr}b%{local_port}c", "a[2]b[3]c" },
		{ "%{worker}%{connection}%{generation}", "[5][6][7]" },
		{ "%{service}", "%{worker}%%" },
		{ "%%", "%" },
		{ "%%%%", "%%" },
		{ "%%%", "%%" },
		{ "100%", "100%" },
		{ "50% %d %s %", "50% %d %s %" },
		{ "%%{worker}", "%{worker}" },
		{ "%%%{worker}", "%[5]" },
		{ "%{worker", "%{worker" },
		{ "%worker}", "%worker}" },
		{ "{worker}", "{worker}" },
		{ "% {worker}", "% {worker}" },
		{ "}%{worker}{", "}[5]{" },
		{ "%{worker}%", "[5]%" },
		{ "%{worker}%%{worker}", "[5]%{worker}" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char buf[64], unknown[16] = "untouched";
		struct text text = text_start(buf, sizeof(buf));

		words_expand(rows[i].string, values, &text);
		CHECK_TEXT(buf, rows[i].expected, rows[i].string);
		CHECK(words_check(rows[i].string, unknown, sizeof(unknown)));
		CHECK_TEXT(unknown, "untouched", rows[i].string);
	}
}

static void test_unknown(void)
{
	static const struct {
		const char *string, *unknown;
	} rows[] = {
		{ "%{nothing}", "nothing" },
		{ "%{}", "" },
		{ "%{Worker}", "Worker" },
		{ "%{work}", "work" },
		{ "%{workers}", "workers" },
		{ "%{worker }", "worker " },
		{ "%{remote_addr remote_port}", "remote_addr rem" },
		{ "%{worker}%{no}%{never}", "no" },
		{ "%%%{no}", "no" },
		{ "%{%{worker}}", "%{worker" },
		{ "%{a word that is longer than the buffer}", "a word that is " },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char unknown[16] = "";

		CHECK(!words_check(rows[i].string, unknown, sizeof(unknown)));
		CHECK_TEXT(unknown, rows[i].unknown, rows[i].string);
	}
}

/* Every word of WORDS_LIST is known, in the order of the enum, and there are WORDS_N. */
static void test_list(void)
{
	char list[] = WORDS_LIST;
	int n = 0;

	for (char *word = strtok(list, " "); word != NULL; word = strtok(NULL, " ")) {
		const char *numbers[WORDS_N];
		char string[64], got[64], unknown[64];
		struct text text = text_start(got, sizeof(got));

		for (int id = 0; id < WORDS_N; id++)
			numbers[id] = id == n ? "yes" : "no";
		snprintf(string, sizeof(string), "%%{%s}", word);
		CHECK(words_check(string, unknown, sizeof(unknown)));
		words_expand(string, numbers, &text);
		CHECK_TEXT(got, "yes", word);
		n++;
	}
	CHECK_NUMBER(n, WORDS_N, "words");
}

static void test_bounds(void)
{
	char buf[8];
	struct text text = text_start(buf, sizeof(buf));

	words_expand("abc%{worker}%{local_addr}", values, &text);
	CHECK_TEXT(buf, "abc[5][", "what does not fit is cut off");
}

int main(void)
{
	test_expansion();
	test_unknown();
	test_list();
	test_bounds();
	return unit_end();
}
