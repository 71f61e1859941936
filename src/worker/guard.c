#include "worker/guard.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "net/address.h"

#define SERVICE_PORTS 1024 /* below: where well-known services live */

static struct {
	const uint16_t *ports;
	unsigned n;
} own;

void guard_setup(const uint16_t *own_ports, unsigned n)
{
	own.ports = own_ports;
	own.n = n;
}

/* An address as the family it really is: IPv4 comes v4-mapped to an inet6 socket. */
static struct sockaddr_storage unmap(const struct sockaddr_storage *addr)
{
	const struct sockaddr_in6 *in6 = (const void *)addr;
	struct sockaddr_storage plain = *addr;
	struct sockaddr_in *in = (struct sockaddr_in *)&plain;

	if (addr->ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
		return plain;
	memset(&plain, 0, sizeof(plain));
	in->sin_family = AF_INET;
	in->sin_port = in6->sin6_port;
	memcpy(&in->sin_addr, &in6->sin6_addr.s6_addr[12], sizeof(in->sin_addr));
	return plain;
}

static void note_info(const struct cmsghdr *cmsg, struct sockaddr_storage *addr)
{
	struct sockaddr_in *in = (struct sockaddr_in *)addr;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)addr;
	struct in_pktinfo info;
	struct in6_pktinfo info6;

	if (cmsg->cmsg_level == IPPROTO_IP && cmsg->cmsg_type == IP_PKTINFO) {
		memcpy(&info, CMSG_DATA(cmsg), sizeof(info));
		memset(addr, 0, sizeof(*addr));
		in->sin_family = AF_INET;
		in->sin_addr = info.ipi_addr;
		/* where they differ, the header's address is a broadcast of some network */
		if (info.ipi_addr.s_addr != info.ipi_spec_dst.s_addr)
			in->sin_addr.s_addr = htonl(INADDR_BROADCAST);
	} else if (cmsg->cmsg_level == IPPROTO_IPV6 && cmsg->cmsg_type == IPV6_PKTINFO &&
		   addr->ss_family == AF_UNSPEC) {
		memcpy(&info6, CMSG_DATA(cmsg), sizeof(info6));
		in6->sin6_family = AF_INET6;
		in6->sin6_addr = info6.ipi6_addr;
	}
}

/* The address a message was sent to, without port; AF_UNSPEC if it is not known. */
static struct sockaddr_storage destination(struct msghdr *message)
{
	struct sockaddr_storage addr;

	memset(&addr, 0, sizeof(addr));
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(message); cmsg != NULL;
	     cmsg = CMSG_NXTHDR(message, cmsg))
		note_info(cmsg, &addr);
	return unmap(&addr);
}

/* Multicast, broadcast, and what begins with 0. */
static bool is_many_or_none(const struct sockaddr_storage *addr)
{
	const struct sockaddr_in *in = (const void *)addr;
	const struct sockaddr_in6 *in6 = (const void *)addr;
	in_addr_t host;

	if (addr->ss_family == AF_INET6)
		return IN6_IS_ADDR_MULTICAST(&in6->sin6_addr) ||
		       IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
	if (addr->ss_family != AF_INET)
		return false;
	host = ntohl(in->sin_addr.s_addr);
	return IN_MULTICAST(host) || host == INADDR_BROADCAST || host >> 24 == 0;
}

static bool is_own_port(unsigned port)
{
	for (unsigned i = 0; i < own.n; i++) {
		if (own.ports[i] == port)
			return true;
	}
	return false;
}

bool guard_allows(struct msghdr *message)
{
	struct sockaddr_storage peer, to;

	if (message->msg_namelen == 0)
		return true;
	peer = unmap(message->msg_name);
	if (peer.ss_family == AF_UNIX)
		return true;
	to = destination(message);
	if (address_port(&peer) < SERVICE_PORTS || is_many_or_none(&peer) || is_many_or_none(&to))
		return false;
	if (!is_own_port(address_port(&peer)))
		return true;
	return !address_is_loopback(&peer) && !address_same_host(&peer, &to);
}

static void answer_from(struct cmsghdr *cmsg)
{
	struct in_pktinfo info;
	struct in6_pktinfo info6;

	/* the route is the kernel's choice, the source address is not */
	if (cmsg->cmsg_level == IPPROTO_IP && cmsg->cmsg_type == IP_PKTINFO) {
		memcpy(&info, CMSG_DATA(cmsg), sizeof(info));
		info.ipi_ifindex = 0;
		info.ipi_spec_dst = info.ipi_addr;
		memcpy(CMSG_DATA(cmsg), &info, sizeof(info));
	} else if (cmsg->cmsg_level == IPPROTO_IPV6 && cmsg->cmsg_type == IPV6_PKTINFO) {
		memcpy(&info6, CMSG_DATA(cmsg), sizeof(info6));
		/* which link a link-local address is of, only the index says */
		if (!IN6_IS_ADDR_LINKLOCAL(&info6.ipi6_addr))
			info6.ipi6_ifindex = 0;
		memcpy(CMSG_DATA(cmsg), &info6, sizeof(info6));
	}
}

void guard_answer_from(struct msghdr *message)
{
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(message); cmsg != NULL;
	     cmsg = CMSG_NXTHDR(message, cmsg))
		answer_from(cmsg);
}
