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

struct conf;
struct msghdr;

/* Learn the ports of our own services. */
void guard_setup(const struct conf *conf, int listener);

/* True if a received message may be answered. */
bool guard_allows(const struct msghdr *message);

/*
 * Turn the packet info of a received message into one that makes the answer
 * leave from the address the request came to. False: the message has none.
 * Source: ip(7) IP_PKTINFO, ipv6(7) IPV6_PKTINFO.
 */
bool guard_answer_from(struct msghdr *message);

#endif
