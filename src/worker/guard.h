/*
 * guard.h - which datagrams are answered, and from which address.
 *
 * The sender of a datagram may be forged. Against two services that answer
 * each other without end there is a mark on the socket (net/datagram.h); here
 * is refused what makes us a weapon against others: datagrams over inet and
 * inet6 that come from port 0 or a port below 1024 (where services of others
 * live), or from or to a multicast or broadcast address that nobody asked for.
 *
 * The name of a unix peer is a path that may lead elsewhere by now, so what has
 * the name of one of our own services is refused, too.
 */
#ifndef PREFORKD_WORKER_GUARD_H
#define PREFORKD_WORKER_GUARD_H

#include <stdbool.h>
#include <stddef.h>

struct conf;
struct conf_service;
struct msghdr;

#define GUARD_CONTROL_MAX 128

/* What is known of the service; before all others. The conf must stay. */
void guard_setup(const struct conf *conf, const struct conf_service *service);

/*
 * How much room for control messages recvmsg(2) shall have, at most
 * GUARD_CONTROL_MAX: no more than for what we asked for, so that nobody can pass
 * us descriptors.
 */
size_t guard_control_size(void);

/* True if a received message may be handled. Closes descriptors that came with it. */
bool guard_allows(struct msghdr *message);

/*
 * How long the answer to a request may be, of at most `max` bytes: no longer than
 * the request where the sender may be forged; none to an error of ICMP (RFC 1122,
 * 3.2.2).
 */
size_t guard_answer_max(const char *request, size_t length, size_t max);

/*
 * Turn the packet info of a received message into one that makes the answer
 * leave from the address the request came to; drop everything else of its control
 * messages. Source: ip(7) IP_PKTINFO, ipv6(7) IPV6_PKTINFO.
 */
void guard_answer_from(struct msghdr *message);

#endif
