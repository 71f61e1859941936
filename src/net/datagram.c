#include "net/datagram.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <string.h>

#include "base/fd.h"
#include "base/text.h"

/*
 * Systems begin with 32, 60, 64, 128 or 255; a packet passes some thirty hosts
 * at most. So what has 161 to 200 left began with our 200.
 */
#define MARK_TTL 200
#define MARK_HOPS 40

#define IPV4_TTL 8 /* offsets in the headers */
#define IPV6_HOP_LIMIT 7

static int attach_filter(int fd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (unsigned)SKF_NET_OFF),
		BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 6, 2, 0),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (unsigned)SKF_NET_OFF + IPV4_TTL),
		BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (unsigned)SKF_NET_OFF + IPV6_HOP_LIMIT),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, MARK_TTL, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, MARK_TTL - MARK_HOPS, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, 0xffffffff), /* the whole packet */
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(*code), code };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

static int set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

/* An inet6 socket may serve IPv4, too, so it gets the options of both. */
static int set_both(int fd, int family, int name, int name6, int value)
{
	if (family == AF_INET6 && set(fd, IPPROTO_IPV6, name6, value) < 0)
		return -1;
	if (set(fd, IPPROTO_IP, name, value) == 0)
		return 0;
	return family == AF_INET6 && errno == ENOPROTOOPT ? 0 : -1;
}

int datagram_setup(int fd, int family, bool any_address)
{
	if (any_address && set_both(fd, family, IP_PKTINFO, IPV6_RECVPKTINFO, 1) < 0)
		return -1;
	/* groups that another program joined are not ours */
	if (set_both(fd, family, IP_MULTICAST_ALL, IPV6_MULTICAST_ALL, 0) < 0)
		return -1;
	if (set_both(fd, family, IP_TTL, IPV6_UNICAST_HOPS, MARK_TTL) < 0)
		return -1;
	return attach_filter(fd);
}

static int change_group(int fd, const struct datagram_group *group, int option)
{
	struct group_req request = { .gr_group = group->address };
	int level = group->address.ss_family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;

	if (group->interface[0] != '\0') {
		request.gr_interface = if_nametoindex(group->interface);
		if (request.gr_interface == 0)
			return -1;
	}
	return setsockopt(fd, level, option, &request, sizeof(request));
}

int datagram_join(int fd, const struct datagram_group *group, struct text *error)
{
	int saved;

	if (group->address.ss_family == AF_UNSPEC || change_group(fd, group, MCAST_JOIN_GROUP) == 0)
		return 0;
	saved = errno;
	text_addf(error, "socket.multicast.group: %s (%s)", strerror(saved),
		  saved == ENODEV ? "no such interface, or no route: see ip link, ip route" :
				    "see sysctl net.ipv4.igmp_max_memberships");
	errno = saved;
	return -1;
}

void datagram_leave(int fd, const struct datagram_group *group)
{
	if (group->address.ss_family != AF_UNSPEC)
		(void)change_group(fd, group, MCAST_LEAVE_GROUP);
}

bool datagram_is_broadcast(const struct sockaddr_storage *addr, socklen_t length)
{
	int fd = addr->ss_family == AF_INET ? socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
	bool found;

	/* the kernel, which knows, refuses who has not asked for it; a route may refuse anybody */
	found = fd >= 0 && connect(fd, (const void *)addr, length) < 0 && errno == EACCES &&
		set(fd, SOL_SOCKET, SO_BROADCAST, 1) == 0 &&
		connect(fd, (const void *)addr, length) == 0;
	fd_close(&fd);
	return found;
}

unsigned datagram_dropped(int fd)
{
	unsigned info[SK_MEMINFO_VARS] = { 0 };
	socklen_t size = sizeof(info);

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &size) < 0)
		return 0;
	return info[SK_MEMINFO_DROPS];
}
