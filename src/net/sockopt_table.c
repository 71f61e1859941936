#include "net/sockopt_table.h"

#include <stdint.h>

/* uses what stdint.h has */
#include <linux/sctp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/socket.h>

#define ON(l, n) .level = (l), .name = (n)
#define ON6(l, n) .level6 = (l), .name6 = (n)

const struct sockopt sockopt_table[SOCKOPT_N] = {
	[SOCKOPT_V6ONLY] = { .key = "v6only",
			     .level6 = IPPROTO_IPV6,
			     .name6 = IPV6_V6ONLY,
			     .before_bind = true,
			     .is_bool = true,
			     .always = true },
	[SOCKOPT_REUSE_PORT] = { .key = "reuse_port",
				 ON(SOL_SOCKET, SO_REUSEPORT),
				 .before_bind = true,
				 .is_bool = true },
	[SOCKOPT_FREEBIND] = { .key = "freebind",
			       ON(IPPROTO_IP, IP_FREEBIND),
			       ON6(IPPROTO_IPV6, IPV6_FREEBIND),
			       .before_bind = true,
			       .is_bool = true },
	[SOCKOPT_TRANSPARENT] = { .key = "transparent",
				  ON(IPPROTO_IP, IP_TRANSPARENT),
				  ON6(IPPROTO_IPV6, IPV6_TRANSPARENT),
				  .before_bind = true,
				  .is_bool = true,
				  .remedy = "it takes CAP_NET_ADMIN or CAP_NET_RAW" },
	[SOCKOPT_NODELAY] = { .key = "nodelay", ON(IPPROTO_TCP, TCP_NODELAY), .is_bool = true },
	[SOCKOPT_DEFER_ACCEPT] = { .key = "defer_accept",
				   ON(IPPROTO_TCP, TCP_DEFER_ACCEPT),
				   .answer = ROUNDED,
				   .seconds = true },
	[SOCKOPT_FASTOPEN] = { .key = "fastopen",
			       ON(IPPROTO_TCP, TCP_FASTOPEN),
			       .answer = CAPPED,
			       .remedy = "raise sysctl net.core.somaxconn" },
	[SOCKOPT_USER_TIMEOUT] = { .key = "user_timeout", ON(IPPROTO_TCP, TCP_USER_TIMEOUT) },
	[SOCKOPT_RECEIVE_BUFFER] = { .key = "receive_buffer",
				     ON(SOL_SOCKET, SO_RCVBUF),
				     .answer = DOUBLED,
				     .remedy = "raise sysctl net.core.rmem_max" },
	[SOCKOPT_SEND_BUFFER] = { .key = "send_buffer",
				  ON(SOL_SOCKET, SO_SNDBUF),
				  .answer = DOUBLED,
				  .remedy = "raise sysctl net.core.wmem_max" },
	[SOCKOPT_MARK] = { .key = "mark",
			   ON(SOL_SOCKET, SO_MARK),
			   .remedy = "it takes CAP_NET_ADMIN or CAP_NET_RAW" },
	[SOCKOPT_PRIORITY] = { .key = "priority",
			       ON(SOL_SOCKET, SO_PRIORITY),
			       .remedy = "above 6 it takes CAP_NET_ADMIN" },
	[SOCKOPT_TOS] = { .key = "tos", ON(IPPROTO_IP, IP_TOS), ON6(IPPROTO_IPV6, IPV6_TCLASS) },
	[SOCKOPT_TTL] = { .key = "ttl",
			  ON(IPPROTO_IP, IP_TTL),
			  ON6(IPPROTO_IPV6, IPV6_UNICAST_HOPS) },
	[SOCKOPT_BROADCAST] = { .key = "broadcast", ON(SOL_SOCKET, SO_BROADCAST), .is_bool = true },
	[SOCKOPT_PASSCRED] = { .key = "passcred", ON(SOL_SOCKET, SO_PASSCRED), .is_bool = true },
	[SOCKOPT_KEEPALIVE] = { .key = "keepalive.idle",
				ON(IPPROTO_TCP, TCP_KEEPIDLE),
				.seconds = true },
	[SOCKOPT_KEEPALIVE_INTERVAL] = { .key = "keepalive.interval",
					 ON(IPPROTO_TCP, TCP_KEEPINTVL),
					 .seconds = true },
	[SOCKOPT_KEEPALIVE_COUNT] = { .key = "keepalive.count", ON(IPPROTO_TCP, TCP_KEEPCNT) },
	[SOCKOPT_AUTOCLOSE] = { ON(IPPROTO_SCTP, SCTP_AUTOCLOSE) },
};

struct sockopt_place sockopt_place(const struct sockopt *option,
				   const struct sockopt_values *socket)
{
	if (option == &sockopt_table[SOCKOPT_V6ONLY] && socket->type == SOCK_RAW)
		return (struct sockopt_place){ 0, 0 };
	if (socket->family == AF_INET6 && option->name6 != 0)
		return (struct sockopt_place){ option->level6, option->name6 };
	return (struct sockopt_place){ option->level, option->name };
}
