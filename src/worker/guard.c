#include "worker/guard.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "conf/conf.h"
#include "net/address.h"

#define PORTS_MAX (CONF_SERVICES_MAX + 1)
#define SERVICE_PORTS 1024 /* below: where well-known services live */

static struct {
	unsigned ports[PORTS_MAX];
	unsigned n;
} own;

void guard_setup(const struct conf *conf, int listener)
{
	struct sockaddr_storage bound = { 0 };
	socklen_t length = sizeof(bound);

	own.n = 0;
	for (unsigned i = 0; i < conf->n_services; i++) {
		const struct conf_service *service = conf_service(conf, i);

		if (service->type == SOCK_DGRAM && service->port != 0)
			own.ports[own.n++] = (unsigned)service->port;
	}
	/* ours may be one the kernel chose */
	if (getsockname(listener, (struct sockaddr *)&bound, &length) == 0)
		own.ports[own.n++] = address_port(&bound);
}

static struct cmsghdr *find_info(const struct msghdr *message)
{
	struct cmsghdr *info = CMSG_FIRSTHDR(message);

	while (info != NULL && !(info->cmsg_level == IPPROTO_IP && info->cmsg_type == IP_PKTINFO) &&
	       !(info->cmsg_level == IPPROTO_IPV6 && info->cmsg_type == IPV6_PKTINFO))
		info = CMSG_NXTHDR((struct msghdr *)message, info);
	return info;
}

/* The address the datagram was sent to, port 0; false if it is not known. */
static bool destination(const struct msghdr *message, struct sockaddr_storage *addr_r)
{
	struct cmsghdr *cmsg = find_info(message);
	struct in_pktinfo info;
	struct in6_pktinfo info6;

	memset(addr_r, 0, sizeof(*addr_r));
	if (cmsg == NULL)
		return false;
	if (cmsg->cmsg_level == IPPROTO_IP) {
		memcpy(&info, CMSG_DATA(cmsg), sizeof(info));
		addr_r->ss_family = AF_INET;
		((struct sockaddr_in *)addr_r)->sin_addr = info.ipi_addr;
		/* where they differ, the header's address is a broadcast of some network */
		if (info.ipi_addr.s_addr != info.ipi_spec_dst.s_addr)
			((struct sockaddr_in *)addr_r)->sin_addr.s_addr = INADDR_BROADCAST;
	} else {
		memcpy(&info6, CMSG_DATA(cmsg), sizeof(info6));
		addr_r->ss_family = AF_INET6;
		((struct sockaddr_in6 *)addr_r)->sin6_addr = info6.ipi6_addr;
	}
	return true;
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

bool guard_allows(const struct msghdr *message)
{
	const struct sockaddr_storage *peer = message->msg_name;
	struct sockaddr_storage to;
	bool to_known;

	if (message->msg_namelen == 0 || peer->ss_family == AF_UNIX)
		return true;
	to_known = destination(message, &to);
	if (address_port(peer) < SERVICE_PORTS || is_many_or_none(peer) ||
	    (to_known && is_many_or_none(&to)))
		return false;
	if (!is_own_port(address_port(peer)))
		return true;
	return !address_is_loopback(peer) && !(to_known && address_same_host(peer, &to));
}

bool guard_answer_from(struct msghdr *message)
{
	struct cmsghdr *cmsg = find_info(message);
	struct in_pktinfo info;
	struct in6_pktinfo info6;

	if (cmsg == NULL)
		return false;
	if (cmsg->cmsg_level == IPPROTO_IP) {
		memcpy(&info, CMSG_DATA(cmsg), sizeof(info));
		/* the route is the kernel's choice, the source address is not */
		info.ipi_ifindex = 0;
		info.ipi_spec_dst = info.ipi_addr;
		memcpy(CMSG_DATA(cmsg), &info, sizeof(info));
	} else {
		memcpy(&info6, CMSG_DATA(cmsg), sizeof(info6));
		if (!IN6_IS_ADDR_LINKLOCAL(&info6.ipi6_addr))
			info6.ipi6_ifindex = 0;
		memcpy(CMSG_DATA(cmsg), &info6, sizeof(info6));
	}
	return true;
}
