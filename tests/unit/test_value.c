/*
 * test_value.c - src/conf/value.c: what the text of a value means, and back.
 */
#include <stddef.h>
#include <stdlib.h>

#include "base/text.h"
#include "conf/options.h"
#include "conf/value.h"
#include "net/triple.h"
#include "unit.h"

#define REFUSED (-1LL)
#define DAY_MS 86400000LL

struct row {
	const char *string;
	long long expected;
};

/* min == max: any value */
static const struct option duration = { .name = "duration", .kind = OPTION_DURATION };
static const struct option size = { .name = "size", .kind = OPTION_SIZE };
static const struct option number = { .name = "number", .kind = OPTION_NUMBER };
static const struct option octal = { .name = "octal", .kind = OPTION_OCTAL };
static const struct option boolean = { .name = "bool", .kind = OPTION_BOOL };
static const struct option backlog = { .name = "backlog", .kind = OPTION_BACKLOG };

static const struct triple_word colours[] = { { "red", 7 }, { "green", 0 }, { NULL, 0 } };
static const struct option word = { .name = "word", .kind = OPTION_WORD, .words = colours };

/* In each table the last row has no string. */
static void test_table(const struct option *option, const struct row *row)
{
	for (; row->string != NULL; row++) {
		char buf[256];
		struct text why = text_start(buf, sizeof(buf));
		long long value = REFUSED;
		bool good = value_parse(option, row->string, &value, &why);

		CHECK_NUMBER(good ? value : REFUSED, row->expected, row->string);
		CHECK_NUMBER(buf[0] == '\0', good, "a reason is given, and only for a refusal");
	}
}

static void test_durations(void)
{
	static const struct row rows[] = {
		{ "0", 0 },
		{ "0s", 0 },
		{ "0d", 0 },
		{ "1ms", 1 },
		{ "500ms", 500 },
		{ "30s", 30000 },
		{ "5m", 300000 },
		{ "1h", 3600000 },
		{ "1d", DAY_MS },
		{ "365d", 365 * DAY_MS },
		{ "106751991167d", 106751991167 * DAY_MS },
		{ "106751991168d", REFUSED },
		{ "213503982335d", REFUSED },
		{ "9223372036854775807ms", 9223372036854775807LL },
		{ "9223372036854775807s", REFUSED },
		{ "9223372036854775808ms", REFUSED },
		{ "99999999999999999999999999999999999999s", REFUSED },
		{ "1", REFUSED },
		{ "30", REFUSED },
		{ "00", REFUSED },
		{ "030s", REFUSED },
		{ "", REFUSED },
		{ "s", REFUSED },
		{ "-1s", REFUSED },
		{ "+1s", REFUSED },
		{ "1.5s", REFUSED },
		{ "1 s", REFUSED },
		{ " 1s", REFUSED },
		{ "1s ", REFUSED },
		{ "1S", REFUSED },
		{ "1sec", REFUSED },
		{ "1min", REFUSED },
		{ "1M", REFUSED },
		{ "1w", REFUSED },
		{ "1h30m", REFUSED },
		{ "0x1s", REFUSED },
		{ NULL, 0 },
	};

	test_table(&duration, rows);
}

static void test_sizes(void)
{
	static const struct row rows[] = {
		{ "0", 0 },
		{ "1", 1 },
		{ "1024", 1024 },
		{ "1K", 1024 },
		{ "3M", 3 << 20 },
		{ "2G", 2LL << 30 },
		{ "8589934591G", 8589934591LL << 30 },
		{ "8589934592G", REFUSED },
		{ "17179869184G", REFUSED },
		{ "9223372036854775807", 9223372036854775807LL },
		{ "9223372036854775807K", REFUSED },
		{ "9223372036854775808", REFUSED },
		{ "1k", REFUSED },
		{ "1KB", REFUSED },
		{ "1T", REFUSED },
		{ "K", REFUSED },
		{ "", REFUSED },
		{ "01K", REFUSED },
		{ "-1K", REFUSED },
		{ "1 K", REFUSED },
		{ NULL, 0 },
	};

	test_table(&size, rows);
}

static void test_octal(void)
{
	static const struct row rows[] = {
		{ "0", 0 },
		{ "0660", 0660 },
		{ "660", 0660 },
		{ "0022", 022 },
		{ "7777", 07777 },
		{ "888", REFUSED },
		{ "0o660", REFUSED },
		{ "0x1", REFUSED },
		{ "-1", REFUSED },
		{ "", REFUSED },
		{ "rw-", REFUSED },
		{ " 660", REFUSED },
		{ "1777777777777777777777777777", REFUSED },
		{ NULL, 0 },
	};

	test_table(&octal, rows);
}

static void test_words(void)
{
	static const struct row bools[] = {
		{ "true", 1 },	     { "yes", 1 },    { "on", 1 },	  { "false", 0 },
		{ "no", 0 },	     { "off", 0 },    { "1", REFUSED },	  { "0", REFUSED },
		{ "True", REFUSED }, { "", REFUSED }, { "onn", REFUSED }, { "t", REFUSED },
		{ NULL, 0 },
	};
	static const struct row words[] = {
		{ "red", 7 },	 { "green", 0 },    { "blue", REFUSED }, { "Red", REFUSED },
		{ "", REFUSED }, { "re", REFUSED }, { NULL, 0 },
	};

	test_table(&boolean, bools);
	test_table(&word, words);
}

static void test_numbers(void)
{
	static const struct row rows[] = {
		{ "0", 0 },
		{ "65535", 65535 },
		{ "9223372036854775807", 9223372036854775807LL },
		{ "010", REFUSED },
		{ "-1", REFUSED },
		{ "1K", REFUSED },
		{ "1.5", REFUSED },
		{ "", REFUSED },
		{ "9223372036854775808", REFUSED },
		{ "0x10", REFUSED },
		{ NULL, 0 },
	};

	test_table(&number, rows);
}

static void test_backlog(void)
{
	static const struct row rows[] = {
		{ "1", 1 },
		{ "65535", 65535 },
		{ "SOMAXCONN", REFUSED },
		{ "somaxcon", REFUSED },
		{ "01", REFUSED },
		{ "", REFUSED },
		{ NULL, 0 },
	};
	char buf[64];
	struct text why = text_start(buf, sizeof(buf));
	long long value = 0;

	test_table(&backlog, rows);
	CHECK(value_parse(&backlog, "somaxconn", &value, &why));
	CHECK(value >= 1 && value <= 65535);
}

static void test_range(void)
{
	static const struct option limited = {
		.name = "limited", .kind = OPTION_DURATION, .min = 1, .max = DAY_MS
	};
	static const struct row rows[] = {
		{ "0", REFUSED },	   { "1ms", 1 },      { "24h", DAY_MS }, { "1d", DAY_MS },
		{ "86400001ms", REFUSED }, { "2d", REFUSED }, { NULL, 0 },
	};
	char buf[256];
	struct text why = text_start(buf, sizeof(buf));
	long long value;

	test_table(&limited, rows);
	CHECK(!value_parse(&limited, "2d", &value, &why));
	CHECK_TEXT(buf, "2d is out of range: must be from 1ms to 1d", "the limits are named");
}

/* What value_print() prints is the shortest, and means the same. */
static void test_print(const struct option *option, long long value, const char *expected)
{
	char printed[64] = "", buf[256];
	struct text why = text_start(buf, sizeof(buf));
	FILE *out = fmemopen(printed, sizeof(printed), "w");
	long long again = REFUSED;

	if (!CHECK(out != NULL))
		return;
	value_print(option, value, out);
	fclose(out);
	CHECK_TEXT(printed, expected, option->name);
	CHECK(value_parse(option, printed, &again, &why));
	CHECK_NUMBER(again, value, expected);
}

static void test_printing(void)
{
	test_print(&duration, 0, "0");
	test_print(&duration, 1, "1ms");
	test_print(&duration, 1500, "1500ms");
	test_print(&duration, 60000, "1m");
	test_print(&duration, 90000, "90s");
	test_print(&duration, DAY_MS, "1d");
	test_print(&duration, DAY_MS + 3600000, "25h");
	test_print(&size, 1000, "1000");
	test_print(&size, 1024, "1K");
	test_print(&size, 1 << 30, "1G");
	test_print(&size, (1 << 30) + 1024, "1048577K");
	test_print(&octal, 0, "0000");
	test_print(&octal, 022, "0022");
	test_print(&boolean, 1, "true");
	test_print(&boolean, 0, "false");
	test_print(&word, 7, "red");
	test_print(&number, 65535, "65535");
	test_print(&backlog, 128, "128");
}

static void test_string(const char *string, const char *expected)
{
	char printed[64] = "";
	FILE *out = fmemopen(printed, sizeof(printed), "w");

	if (!CHECK(out != NULL))
		return;
	value_print_string(string, out);
	fclose(out);
	CHECK_TEXT(printed, expected, "value_print_string");
}

int main(void)
{
	test_durations();
	test_sizes();
	test_octal();
	test_words();
	test_numbers();
	test_backlog();
	test_range();
	test_printing();
	test_string("", "\"\"");
	test_string("plain /path", "\"plain /path\"");
	test_string("a\"b\\c${d}", "\"a\\\"b\\\\c\\${d}\"");
	return unit_end();
}
