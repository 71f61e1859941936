#include "worker/guard.h"

#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf/conf.h"
#include "net/address.h"
#include "net/triple.h"

#define SERVICE_PORTS 1024 /* below: where well-known services live */

#define ICMPV6_QUERIES 128 /* types below are errors (RFC 4443) */

static struct {
	int family;
	bool forgeable, has_ports, is_icmp;
	bool multicast, broadcast; /* asked for */
	size_t control_size;
	unsigned n_names; /* of our own unix services: */
	const struct listener_spec *names[CONF_SERVICES_MAX];
} guard;

static void note_names(const struct conf *conf)
{
	for (unsigned i = 0; i < conf->n_services; i++) {
		const struct listener_spec *spec = &conf_service(conf, i)->spec;

		if (spec->family == AF_UNIX && spec->type == SOCK_DGRAM)
			guard.names[guard.n_names++] = spec;
	}
}

void guard_setup(const struct conf *conf, const struct conf_service *service)
{
	const struct listener_spec *spec = &service->spec;
	const struct triple *triple = triple_find(spec->family, spec->type, spec->protocol);

	guard.family = spec->family;
	guard.forgeable = triple_is_forgeable(triple);
	guard.has_ports = spec->type == SOCK_DGRAM &&
			  (spec->protocol == IPPROTO_UDP || spec->protocol == IPPROTO_UDPLITE);
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
	if (spec->family == AF_UNIX)
		note_names(conf);
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

static bool is_own_name(const struct msghdr *message)
{
	for (unsigned i = 0; i < guard.n_names; i++) {
		if (guard.names[i]->length == message->msg_namelen &&
		    memcmp(&guard.names[i]->address, message->msg_name, message->msg_namelen) == 0)
			return true;
	}
	return false;
}

/* Where credentials fit and have not been asked for yet, descriptors fit as well. */
static void close_descriptors(struct msghdr *message)
{
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(message); cmsg != NULL;
	     cmsg = CMSG_NXTHDR(message, cmsg)) {
		size_t n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		int fd;

		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(fd));
			close(fd);
		}
	}
}

static bool allows_inet(struct msghdr *message)
{
	struct sockaddr_storage peer = unmap(message->msg_name), to;

	if ((guard.has_ports && address_port(&peer) < SERVICE_PORTS) || is_broadcast(&peer) ||
	    address_is_multicast(&peer))
		return false;
	to = destination(message);
	return (guard.multicast || !address_is_multicast(&to)) &&
	       (guard.broadcast || !is_broadcast(&to));
}

bool guard_allows(struct msghdr *message)
{
	if (guard.family == AF_UNIX) {
		close_descriptors(message);
		return !is_own_name(message);
	}
	return !guard.forgeable || message->msg_namelen == 0 || allows_inet(message);
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
