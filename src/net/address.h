/*
 * address.h - socket addresses as people write them.
 */
#ifndef PREFORKD_NET_ADDRESS_H
#define PREFORKD_NET_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

#define ADDRESS_TEXT_MAX 128 /* longest text of address_text(), with NUL */

/*
 * Write an address as text: 127.0.0.1:80, [::1]:80, /run/x.sock, @abstract, or
 * "unnamed" (a unix peer without a name). Never fails and trusts nothing: a
 * length or family that makes no sense gives "unknown". A unix name is as it is:
 * who prints it must escape it. Returns buf.
 */
const char *address_text(const struct sockaddr_storage *addr, socklen_t length,
			 char buf[ADDRESS_TEXT_MAX]);

/* Port of an inet or inet6 address in host order; 0 for others. */
unsigned address_port(const struct sockaddr_storage *addr);

/* True if both are the same host of the same family, whatever their ports. */
bool address_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b);

/* True for 127.0.0.0/8, ::1 and v4-mapped forms of the former. */
bool address_is_loopback(const struct sockaddr_storage *addr);

/* Make a unix address of an absolute path, or of @name (abstract). -1: too long. */
int address_from_path(const char *path, struct sockaddr_storage *addr_r, socklen_t *length_r);

/* The path of a unix address that has a node in the file system, else NULL. */
const char *address_path(const struct sockaddr_storage *addr);

#endif
