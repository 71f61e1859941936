/*
 * guard.h - which datagrams are answered, and from which address.
 *
 * The sender of a datagram may be forged. Two services that answer each
 * other would never end (CVE-1999-0103, CVE-2024-2169), and a forged address
 * makes us a weapon. So datagrams over inet and inet6 are refused that come
 * from port 0 or a port below 1024 (where services of others live), from one
 * of our own services, from or to a multicast or broadcast address.
 */
#ifndef PREFORKD_WORKER_GUARD_H
#define PREFORKD_WORKER_GUARD_H

#include <stdbool.h>
#include <stdint.h>

struct msghdr;

/* The ports of our own datagram services (host order), which are not copied. */
void guard_setup(const uint16_t *own_ports, unsigned n);

/* True if a received message may be answered. */
bool guard_allows(struct msghdr *message);

/*
 * Turn the packet info of a received message into one that makes the answer
 * leave from the address the request came to.
 * Source: ip(7) IP_PKTINFO, ipv6(7) IPV6_PKTINFO.
 */
void guard_answer_from(struct msghdr *message);

#endif
