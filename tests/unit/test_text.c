/*
 * test_text.c - src/base/text.c: bounded text, escaping, distance, numbers.
 */
#include <limits.h>
#include <stddef.h>

#include "base/text.h"
#include "unit.h"

#define GUARD 0x55

/* What lies behind the buffer must stay as it was, whatever is added. */
static void test_bounds(size_t size)
{
	char buf[16];
	struct text text;

	memset(buf, GUARD, sizeof(buf));
	text = text_start(buf, size);
	CHECK_TEXT(buf, "", "a new text is empty");
	text_add(&text, "abc");
	text_addf(&text, "%d", 456789);
	text_add_escaped(&text, "\x01\"\x02", "\"");
	text_add_value(&text, "a \"value\"");
	CHECK_NUMBER((long long)text.length, (long long)size - 1, "it is full");
	CHECK_NUMBER((long long)strlen(buf), (long long)size - 1, "and ends within its buffer");
	CHECK(strncmp(buf, "abc456789", size - 1) == 0 || size > 10);
	for (size_t i = size; i < sizeof(buf); i++)
		CHECK(buf[i] == GUARD);
}

static void test_addf_cuts(void)
{
	char buf[8];
	struct text text = text_start(buf, sizeof(buf));

	text_addf(&text, "%s", "1234567890");
	CHECK_TEXT(buf, "1234567", "what does not fit is cut off");
	CHECK_NUMBER((long long)text.length, 7, "the length is what is there");
	text_addf(&text, "%s", "more");
	text_add(&text, "more");
	CHECK_TEXT(buf, "1234567", "a full text stays as it is");
}

static void test_escaping(void)
{
	static const struct {
		const char *string, *special, *expected;
	} rows[] = {
		{ "", "", "" },
		{ "plain text", "", "plain text" },
		{ "say \"x\"", "\"\\", "say \\\"x\\\"" },
		{ "say \"x\"", "", "say \"x\"" },
		{ "back\\slash", "\"\\", "back\\\\slash" },
		{ "\x01\x1f\x7f", "", "\\x01\\x1f\\x7f" },
		{ "\n\r\t\x1b[0m", "", "\\x0a\\x0d\\x09\\x1b[0m" },
		{ "\xc3\xa4\xff\x80", "", "\\xc3\\xa4\\xff\\x80" },
		{ " ~", "", " ~" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char buf[64];
		struct text text = text_start(buf, sizeof(buf));

		text_add_escaped(&text, rows[i].string, rows[i].special);
		CHECK_TEXT(buf, rows[i].expected, "text_add_escaped");
	}
}

static void test_values(void)
{
	static const struct {
		const char *string, *expected;
	} rows[] = {
		{ "", "\"\"" },
		{ "word", "word" },
		{ "127.0.0.1:80", "127.0.0.1:80" },
		{ "[::1]:80/~{}'", "[::1]:80/~{}'" },
		{ "two words", "\"two words\"" },
		{ "a=b", "\"a=b\"" },
		{ "a\"b", "\"a\\\"b\"" },
		{ "a\\b", "\"a\\\\b\"" },
		{ "line\nfeed", "\"line\\x0afeed\"" },
		{ "\xc3\xa4", "\"\\xc3\\xa4\"" },
		{ "x event=ready", "\"x event=ready\"" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char buf[64];
		struct text text = text_start(buf, sizeof(buf));

		text_add_value(&text, rows[i].string);
		CHECK_TEXT(buf, rows[i].expected, "text_add_value");
	}
}

/* Every byte in an escaped text is printable ASCII, so no stranger forges a line. */
static void test_every_byte(void)
{
	for (int c = 1; c <= UCHAR_MAX; c++) {
		char string[] = { (char)c, '\0' }, buf[16];
		struct text text = text_start(buf, sizeof(buf));

		text_add_value(&text, string);
		for (const char *p = buf; *p != '\0'; p++)
			CHECK(*p >= ' ' && *p < 0x7f);
		CHECK(buf[0] == '"' || (buf[0] == c && buf[1] == '\0'));
	}
}

static void test_distance(void)
{
	static const struct {
		const char *a, *b;
		long long expected;
	} rows[] = {
		{ "", "", 0 },
		{ "port", "port", 0 },
		{ "", "port", 4 },
		{ "prot", "port", 2 },
		{ "pot", "port", 1 },
		{ "portt", "port", 1 },
		{ "pork", "port", 1 },
		{ "addres", "address", 1 },
		{ "abc", "xyz", 3 },
		{ "kitten", "sitting", 3 },
		{ "handler", "hander", 1 },
		{ "ab", "ba", 2 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		CHECK_NUMBER((long long)text_distance(rows[i].a, rows[i].b), rows[i].expected,
			     rows[i].a);
		CHECK_NUMBER((long long)text_distance(rows[i].b, rows[i].a), rows[i].expected,
			     rows[i].b);
	}
}

static void test_distance_of_long(void)
{
	char a[4096], b[4096];

	memset(a, 'a', sizeof(a));
	memset(b, 'b', sizeof(b));
	a[sizeof(a) - 1] = b[sizeof(b) - 1] = '\0';
	CHECK(text_distance(a, a) == 0);
	CHECK(text_distance(a, b) > 2);
	CHECK(text_distance(a, "port") > 2);
}

static void test_numbers(void)
{
	static const struct {
		const char *string;
		bool good;
		long long expected;
	} rows[] = {
		{ "0", true, 0 },
		{ "1", true, 1 },
		{ "65535", true, 65535 },
		{ "9223372036854775807", true, LLONG_MAX },
		{ "9223372036854775808", false, 0 },
		{ "99999999999999999999999999", false, 0 },
		{ "", false, 0 },
		{ " 1", false, 0 },
		{ "1 ", false, 0 },
		{ "+1", false, 0 },
		{ "-1", false, 0 },
		{ "01", false, 0 },
		{ "010", false, 0 },
		{ "00", false, 0 },
		{ "0x1", false, 0 },
		{ "1.0", false, 0 },
		{ "1e1", false, 0 },
		{ "nan", false, 0 },
		{ "1\n", false, 0 },
		{ "\xd9\xa1", false, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		long long number = 0;

		CHECK_NUMBER(text_to_number(rows[i].string, 0, LLONG_MAX, &number), rows[i].good,
			     rows[i].string);
		CHECK_NUMBER(number, rows[i].expected, rows[i].string);
	}
}

static void test_range(void)
{
	long long number = -7;

	CHECK(!text_to_number("4", 5, 9, &number));
	CHECK(!text_to_number("10", 5, 9, &number));
	CHECK_NUMBER(number, -7, "what is refused is not written");
	CHECK(text_to_number("5", 5, 9, &number) && number == 5);
	CHECK(text_to_number("9", 5, 9, &number) && number == 9);
}

static void test_lines(void)
{
	char text[] = "\none\n\n two\n", last[] = "last", *rest = text, *none = NULL;

	CHECK(strcmp(text_next_line(&rest), "one") == 0);
	CHECK(strcmp(text_next_line(&rest), " two") == 0);
	CHECK(text_next_line(&rest) == NULL);
	CHECK(text_next_line(&rest) == NULL);
	CHECK(text_next_line(&none) == NULL);
	rest = last;
	CHECK(strcmp(text_next_line(&rest), "last") == 0);
	CHECK(text_next_line(&rest) == NULL);
}

int main(void)
{
	for (size_t size = 1; size < 16; size++)
		test_bounds(size);
	test_addf_cuts();
	test_escaping();
	test_values();
	test_every_byte();
	test_distance();
	test_distance_of_long();
	test_numbers();
	test_range();
	test_lines();
	return unit_end();
}
