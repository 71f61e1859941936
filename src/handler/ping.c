/*
 * ping.c - answer echo requests of ICMP and ICMPv6 (RFC 792, RFC 4443).
 *
 * On a raw socket, for where the kernel's own answer is switched off. Only
 * requests are answered, and the worker lets pass only those that came to an
 * address of our own; everything else that ICMP carries is read and forgotten.
 */
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>

#include "base/checksum.h"
#include "handler/handlers.h"

#define HEADER 8 /* type, code, checksum, identifier, sequence number */
#define PACKET_MAX 65536

static unsigned char packet[PACKET_MAX];

static int ping_serve(struct conn *conn, void *state)
{
	bool v6 = conn_family(conn) == AF_INET6;
	ssize_t n = conn_read(conn, packet, sizeof(packet));
	size_t size = n > 0 ? (size_t)n : 0;

	(void)state;
	if (size < HEADER || packet[0] != (v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO) || packet[1] != 0)
		return 0;
	/* of ICMPv6 the kernel looks at the checksum, and sets it */
	if (!v6 && !checksum_is_right(packet, size))
		return 0;
	packet[0] = v6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY;
	if (!v6)
		checksum_set(packet, size);
	return conn_write(conn, packet, size);
}

/* What the kernel does by itself: 0, it answers; 1, it does not; -1, nobody knows. */
static int kernel_ignores(bool v6)
{
	FILE *file = fopen(v6 ? "/proc/sys/net/ipv6/icmp/echo_ignore_all" :
				"/proc/sys/net/ipv4/icmp_echo_ignore_all",
			   "re");
	int c = file != NULL ? getc(file) : EOF;

	if (file != NULL)
		fclose(file);
	return c == '0' ? 0 : c == EOF ? -1 : 1;
}

static int ping_check(const struct handler_env *env, char *message, size_t size)
{
	const struct handler_socket socket = handler_socket(env);
	bool v6 = socket.family == AF_INET6;

	if (socket.type != SOCK_RAW ||
	    socket.protocol != (v6 ? (int)IPPROTO_ICMPV6 : (int)IPPROTO_ICMP)) {
		snprintf(message, size, "goes with type raw and protocol icmp or ipv6-icmp only%s",
			 socket.type == SOCK_DGRAM ? " (a ping socket is given no requests)" : "");
		return -1;
	}
	if (kernel_ignores(v6) != 0)
		return 0;
	snprintf(message, size, "the kernel answers, too: each ping gets two answers (sysctl %s=1)",
		 v6 ? "net.ipv6.icmp.echo_ignore_all" : "net.ipv4.icmp_echo_ignore_all");
	return 1;
}

const struct handler handler_ping = {
	.abi = HANDLER_ABI,
	.name = "ping",
	.summary = "answer echo requests of ICMP and ICMPv6 (RFC 792, RFC 4443)",
	.check = ping_check,
	.serve = ping_serve,
};
