#include "worker/guard.h"

#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string.h>
#include <sys/socket.h>

#include "net/address.h"
#include "net/listener.h"
#include "net/triple.h"

#define SERVICE_PORTS 1024 /* below: where well-known services live */

#define ICMPV6_QUERIES 128 /* types below are errors (RFC 4443) */

static struct {
	int family;
	bool forgeable, has_ports, is_icmp;
	bool multicast, broadcast; /* asked for */
	size_t control_size;
} guard;

void guard_setup(const struct listener_spec *spec)
{
	const struct triple *triple = triple_find(spec->family, spec->type, spec->protocol);

	guard.family = spec->family;
	guard.forgeable = triple_is_forgeable(triple);
	guard.has_ports = spec->protocol == IPPROTO_UDP || spec->protocol == IPPROTO_UDPLITE;
	guard.is_icmp = guard.forgeable &&
			spec->protocol == (spec->family == AF_INET6 ? (int)IPPROTO_ICMPV6 :
								      (int)IPPROTO_ICMP);
	guard.multicast = spec->group.address.ss_family != AF_UNSPEC;
	guard.broadcast = spec->options.value[SOCKOPT_BROADCAST] != 0;
	if (guard.forgeable && address_is_any(&spec->address))
		guard.control_size = GUARD_CONTROL_MAX;
	else if (spec->options.value[SOCKOPT_PASSCRED] != 0)
		guard.control_size = CMSG_SPACE(sizeof(struct ucred));
	else
		guard.control_size = 0;
}

size_t guard_control_size(void)
{
	return guard.control_size;
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
		if (info.ipi_addr.s_addr != info.ipi_spec_dst.s_addr && !address_is_multicast(addr))
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

/* Nobody in particular: all ones, or "this network". */
static bool is_broadcast(const struct sockaddr_storage *addr)
{
	const struct sockaddr_in *in = (const void *)addr;
	in_addr_t host;

	if (addr->ss_family != AF_INET)
		return addr->ss_family == AF_INET6 && address_is_any(addr);
	host = ntohl(in->sin_addr.s_addr);
	return host == INADDR_BROADCAST || host >> 24 == 0;
}

bool guard_allows(struct msghdr *message)
{
	struct sockaddr_storage peer, to;

	if (!guard.forgeable || message->msg_namelen == 0)
		return true;
	peer = unmap(message->msg_name);
	if ((guard.has_ports && address_port(&peer) < SERVICE_PORTS) || is_broadcast(&peer) ||
	    address_is_multicast(&peer))
		return false;
	to = destination(message);
	return (guard.multicast || !address_is_multicast(&to)) &&
	       (guard.broadcast || !is_broadcast(&to));
}

static bool is_icmp_error(unsigned char type)
{
	if (guard.family == AF_INET6)
		return type < ICMPV6_QUERIES;
	return type == ICMP_DEST_UNREACH || type == ICMP_SOURCE_QUENCH || type == ICMP_REDIRECT ||
	       type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETERPROB;
}

size_t guard_answer_max(const char *request, size_t length, size_t max)
{
	if (!guard.forgeable)
		return max;
	if (guard.is_icmp && length > 0 && is_icmp_error((unsigned char)request[0]))
		return 0;
	return length;
}

static void answer_from(struct cmsghdr *cmsg)
{
	struct in_pktinfo info;
	struct in6_pktinfo info6;

	/* the route is the kernel's choice; the source address is not: ipi_spec_dst has it */
	if (cmsg->cmsg_level == IPPROTO_IP && cmsg->cmsg_type == IP_PKTINFO) {
		memcpy(&info, CMSG_DATA(cmsg), sizeof(info));
		info.ipi_ifindex = 0;
		memcpy(CMSG_DATA(cmsg), &info, sizeof(info));
	} else if (cmsg->cmsg_level == IPPROTO_IPV6 && cmsg->cmsg_type == IPV6_PKTINFO) {
		memcpy(&info6, CMSG_DATA(cmsg), sizeof(info6));
		/* which link a link-local address is of, only the index says */
		if (!IN6_IS_ADDR_LINKLOCAL(&info6.ipi6_addr))
			info6.ipi6_ifindex = 0;
		/* from a group nothing can come */
		if (IN6_IS_ADDR_MULTICAST(&info6.ipi6_addr))
			info6.ipi6_addr = in6addr_any;
		memcpy(CMSG_DATA(cmsg), &info6, sizeof(info6));
	}
}

void guard_answer_from(struct msghdr *message)
{
	if (!guard.forgeable)
		message->msg_controllen = 0;
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(message); cmsg != NULL;
	     cmsg = CMSG_NXTHDR(message, cmsg))
		answer_from(cmsg);
}
