/*
 * datagram.h - what a socket needs whose requests may come from anybody under
 * any name: UDP, UDP-Lite, ICMP and raw.
 *
 * Two services that answer each other never end (CVE-1999-0103,
 * CVE-2024-2169). So our answers are marked: they leave with a TTL that nobody
 * else begins with, and a filter in the kernel drops what arrives with such a
 * TTL. An answer of any preforkd, on whatever host and port, is never answered.
 */
#ifndef PREFORKD_NET_DATAGRAM_H
#define PREFORKD_NET_DATAGRAM_H

#include <net/if.h>
#include <stdbool.h>
#include <sys/socket.h>

struct text;

/* A multicast group to receive from; family AF_UNSPEC: none. */
struct datagram_group {
	struct sockaddr_storage address; /* without port */
	char interface[IFNAMSIZ];	 /* "": the kernel's choice */
};

/*
 * Prepare a socket before bind(2). any_address: it will be bound to all of
 * them, and must be told to which a request came. Returns 0, or -1 with errno.
 */
int datagram_setup(int fd, int family, bool any_address);

/* Join a group; nothing when it is none. Returns 0, or -1 with errno and *error. */
int datagram_join(int fd, const struct datagram_group *group, struct text *error);

/* Leave a group, if it was joined. */
void datagram_leave(int fd, const struct datagram_group *group);

/* True if what is sent to an address of inet goes to all hosts of a network. Sends nothing. */
bool datagram_is_broadcast(const struct sockaddr_storage *addr, socklen_t length);

/* How many datagrams the kernel dropped: the queue was full, or the filter said so. */
unsigned datagram_dropped(int fd);

#endif
