/*
 * test_checksum.c - src/base/checksum.c: the Internet checksum, and our own.
 */
#include <stddef.h>

#include "base/checksum.h"
#include "unit.h"

#define SIZE_MAX_TESTED 1600
#define GUARD 0x55

/* What the checksum is, by another way: arithmetic modulo 65535. */
static unsigned reference(const unsigned char *data, size_t size)
{
	unsigned sum = 0;
	bool all_zero = true;

	for (size_t i = 0; i < size; i++) {
		sum = (sum + data[i] * (i % 2 == 0 ? 256u : 1u)) % 65535;
		all_zero = all_zero && data[i] == 0;
	}
	/* of the two zeros a sum of something is the one that is all ones */
	return sum == 0 && !all_zero ? 0 : 65535 - sum;
}

static unsigned value_of(const unsigned char *data)
{
	return (unsigned)(data[2] << 8 | data[3]);
}

static void test_known(void)
{
	static const struct {
		const char *about;
		size_t size;
		unsigned expected;
		unsigned char data[16]; /* with anything where the checksum goes */
	} rows[] = {
		{ "RFC 1071, section 3: the sum is ddf2",
		  10,
		  0x220d,
		  { 0x00, 0x01, 0xaa, 0xbb, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 } },
		{ "an odd byte is the high one of its word",
		  9,
		  0x2304,
		  { 0x00, 0x01, 0xaa, 0xbb, 0xf2, 0x03, 0xf4, 0xf5, 0xf6 } },
		{ "a carry of a carry", 8, 0xfffe, { 0xff, 0xff, 1, 2, 0xff, 0xff, 0x00, 0x01 } },
		{ "the smallest", 4, 0xf7ff, { 0x08, 0x00, 0x12, 0x34 } },
		{ "an odd size of nothing", 5, 0xffff, { 0 } },
		{ "all zeros", 8, 0xffff, { 0 } },
		{ "all ones", 6, 0x0000, { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } },
		{ "an echo request of ping(8)",
		  12,
		  0x82ca,
		  { 0x08, 0x00, 0, 0, 0x12, 0x34, 0x00, 0x01, 'a', 'b', 0x01, 0x9e } },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		unsigned char data[16];

		memcpy(data, rows[i].data, sizeof(data));
		checksum_set(data, rows[i].size);
		CHECK_NUMBER(value_of(data), rows[i].expected, rows[i].about);
		CHECK(checksum_is_right(data, rows[i].size));
	}
}

/* The same numbers each time. */
static unsigned char next_byte(unsigned *state)
{
	*state = *state * 1103515245 + 12345;
	return (unsigned char)(*state >> 16);
}

static void test_every_size(void)
{
	static unsigned char data[SIZE_MAX_TESTED + 1], before[sizeof(data)];
	unsigned state = 1;

	for (size_t size = 4; size <= SIZE_MAX_TESTED; size++) {
		unsigned expected;

		for (size_t i = 0; i < size; i++)
			data[i] = next_byte(&state);
		data[size] = GUARD;
		memcpy(before, data, sizeof(data));
		before[2] = before[3] = 0;
		expected = reference(before, size);
		checksum_set(data, size);
		CHECK_NUMBER(value_of(data), expected, "another way gives the same");
		CHECK(checksum_is_right(data, size));
		CHECK_NUMBER(data[size], GUARD, "nothing behind the data is written");
		data[2] = data[3] = 0;
		CHECK(memcmp(data, before, size) == 0);
	}
}

static void test_every_bit(void)
{
	for (size_t size = 4; size <= 41; size++) {
		unsigned char data[41];
		unsigned state = (unsigned)size;

		for (size_t i = 0; i < size; i++)
			data[i] = next_byte(&state);
		checksum_set(data, size);
		for (size_t bit = 0; bit < size * 8; bit++) {
			data[bit / 8] ^= (unsigned char)(1 << bit % 8);
			CHECK(!checksum_is_right(data, size));
			data[bit / 8] ^= (unsigned char)(1 << bit % 8);
		}
		CHECK(checksum_is_right(data, size));
	}
}

/* Nothing overflows where all is as large as it can be. */
static void test_largest(void)
{
	static unsigned char data[65535];

	for (size_t size = 65534; size <= 65535; size++) {
		memset(data, 0xff, sizeof(data));
		checksum_set(data, size);
		CHECK_NUMBER(value_of(data), size % 2 == 0 ? 0 : 0x00ff, "all ones");
		CHECK(checksum_is_right(data, size));
	}
}

/* What has no checksum has no right one. */
static void test_too_short(void)
{
	unsigned char data[2] = { 0, 0 };

	CHECK(!checksum_is_right(data, 0));
	CHECK(!checksum_is_right(data, 1));
	CHECK(!checksum_is_right(data, 2));
	data[0] = 0xff;
	CHECK(!checksum_is_right(data, 1));
}

/* Values that are published with the algorithm (FNV test vectors, draft-eastlake-fnv). */
static void test_own(void)
{
	CHECK(checksum_of("", 0) == 0xcbf29ce484222325u);
	CHECK(checksum_of("a", 1) == 0xaf63dc4c8601ec8cu);
	CHECK(checksum_of("foobar", 6) == 0x85944171f73967e8u);
}

int main(void)
{
	test_known();
	test_every_size();
	test_every_bit();
	test_largest();
	test_too_short();
	test_own();
	return unit_end();
}
