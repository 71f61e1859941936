#include "base/checksum.h"

/* With the checksum of the data in it the result is 0. */
static unsigned sum(const unsigned char *data, size_t size)
{
	uint64_t sum = 0;

	for (size_t i = 0; i + 1 < size; i += 2)
		sum += (unsigned)(data[i] << 8 | data[i + 1]);
	if (size % 2 != 0)
		sum += (unsigned)data[size - 1] << 8;
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return (unsigned)~sum & 0xffff;
}

void checksum_set(unsigned char *data, size_t size)
{
	unsigned value;

	data[2] = data[3] = 0;
	value = sum(data, size);
	data[2] = (unsigned char)(value >> 8);
	data[3] = (unsigned char)(value & 0xff);
}

bool checksum_is_right(const unsigned char *data, size_t size)
{
	return sum(data, size) == 0;
}

uint64_t checksum_of(const void *data, size_t size)
{
	const unsigned char *at = data;
	uint64_t h = 14695981039346656037u;

	while (size-- > 0)
		h = (h ^ *at++) * 1099511628211u;
	return h;
}
