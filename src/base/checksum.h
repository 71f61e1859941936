/*
 * checksum.h - the Internet checksum, as ICMP has it.
 */
#ifndef PREFORKD_BASE_CHECKSUM_H
#define PREFORKD_BASE_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Set the two bytes at data + 2 so that the checksum of all size bytes (at least 4)
 * is right. Source: RFC 1071.
 */
void checksum_set(unsigned char *data, size_t size);

/* True if the checksum that is in the data is right. */
bool checksum_is_right(const unsigned char *data, size_t size);

#endif
