/*
 * checksum.h - the Internet checksum, as ICMP has it; and one for our own use.
 */
#ifndef PREFORKD_BASE_CHECKSUM_H
#define PREFORKD_BASE_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Set the two bytes at data + 2 so that the checksum of all size bytes (at least 4)
 * is right. Source: RFC 1071.
 */
void checksum_set(unsigned char *data, size_t size);

/* True if the checksum that is in the data is right. */
bool checksum_is_right(const unsigned char *data, size_t size);

/*
 * 64 bits of any data, against accidents and not against people. Source: FNV-1a, at
 * www.isthe.com/chongo/tech/comp/fnv.
 */
uint64_t checksum_of(const void *data, size_t size);

#endif
