/*
 * address.h - socket addresses as people write them.
 */
#ifndef PREFORKD_NET_ADDRESS_H
#define PREFORKD_NET_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

#define ADDRESS_TEXT_MAX 128 /* longest text of address_text(), with NUL */

/*
 * Write an address as text: 127.0.0.1:80, [::1]:80 (without port 0), /run/x.sock,
 * @abstract, "unnamed" (a unix peer without a name), vsock:1:80, tipc:100:0-9 (a
 * service), tipc:#NODE:PORT (a socket). Never fails and trusts nothing: a
 * length or family that makes no sense gives "unknown". A unix name is as it is:
 * who prints it must escape it. Returns buf.
 */
const char *address_text(const struct sockaddr_storage *addr, socklen_t length,
			 char buf[ADDRESS_TEXT_MAX]);

/* Port of an inet, inet6 or vsock address in host order; 0 for others. */
unsigned address_port(const struct sockaddr_storage *addr);

/* Set the port of an inet, inet6 or vsock address; nothing for others. */
void address_set_port(struct sockaddr_storage *addr, unsigned port);

/* True if both are the same host of the same family, whatever their ports. */
bool address_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b);

/* True for the two families that have hosts and ports: inet and inet6. */
bool address_is_inet(int family);

/* True for "every address of the host" of inet and inet6. */
bool address_is_any(const struct sockaddr_storage *addr);

/* True for multicast groups of inet and inet6. */
bool address_is_multicast(const struct sockaddr_storage *addr);

/* Make a unix address of an absolute path, or of @name (abstract). -1: too long. */
int address_from_path(const char *path, struct sockaddr_storage *addr_r, socklen_t *length_r);

/*
 * Make a vsock address of "any" (or "*"), "localhost", "host" or a number (the
 * CID). -1: none of these. Source: vsock(7).
 */
int address_from_cid(const char *cid, unsigned port, struct sockaddr_storage *addr_r,
		     socklen_t *length_r);

/*
 * Make a TIPC address of "TYPE:LOWER-UPPER" or "TYPE:INSTANCE": a range of
 * services to bind to. scope: TIPC_NODE_SCOPE or TIPC_CLUSTER_SCOPE. -1: not of
 * that form, or a type below 64, which TIPC keeps for itself. Source: tipc(7).
 */
int address_from_tipc(const char *text, int scope, struct sockaddr_storage *addr_r,
		      socklen_t *length_r);

/* The path of a unix address that has a node in the file system, else NULL. */
const char *address_path(const struct sockaddr_storage *addr);

#endif
