#include "ctl/probe.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/checksum.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/text.h"
#include "ctl/client.h"
#include "net/address.h"
#include "net/listener.h"

#define NO_ANSWER 1
#define ICMP_HEADER 8

/* What goes out, and what is to come back for it. */
struct exchange {
	struct client client;
	bool is_icmp;
	unsigned char request[CLIENT_MESSAGE_MAX], answer[CLIENT_MESSAGE_MAX];
	size_t request_size, answer_size;
	long long began_us, took_us;
};

static bool is_icmp(const struct listener_spec *spec)
{
	return (spec->family == AF_INET && spec->protocol == IPPROTO_ICMP) ||
	       (spec->family == AF_INET6 && spec->protocol == IPPROTO_ICMPV6);
}

static void put16(unsigned char *at, unsigned value)
{
	at[0] = (unsigned char)(value >> 8);
	at[1] = (unsigned char)(value & 0xff);
}

static unsigned char icmp_type(const struct listener_spec *spec, bool reply)
{
	if (spec->family == AF_INET6)
		return reply ? ICMP6_ECHO_REPLY : ICMP6_ECHO_REQUEST;
	return reply ? ICMP_ECHOREPLY : ICMP_ECHO;
}

/* An echo request, or for a ping socket an unasked reply, around the text. */
static void make_icmp(struct exchange *exchange, const struct probe *probe)
{
	unsigned char *request = exchange->request;
	bool ping_socket = probe->spec->type == SOCK_DGRAM;
	unsigned identifier = ping_socket ? probe->identifier : (unsigned)getpid() & 0xffff;

	memmove(request + ICMP_HEADER, request, exchange->request_size);
	memset(request, 0, ICMP_HEADER);
	exchange->request_size += ICMP_HEADER;
	request[0] = icmp_type(probe->spec, ping_socket);
	put16(request + 4, identifier);
	put16(request + 6, 1);
	/* of ICMPv6 the kernel does it */
	if (probe->spec->family == AF_INET)
		checksum_set(request, exchange->request_size);
}

static int make_request(struct exchange *exchange, const struct probe *probe)
{
	size_t length = strlen(probe->text);

	if (length + 1 + ICMP_HEADER > sizeof(exchange->request)) {
		errno = EMSGSIZE;
		return -1;
	}
	memcpy(exchange->request, probe->text, length);
	exchange->request[length] = '\n';
	exchange->request_size = length + 1;
	if (exchange->is_icmp)
		make_icmp(exchange, probe);
	return 0;
}

/* Is this packet the reply to our request? All of the host's come to a raw socket. */
static bool is_reply(const struct exchange *exchange)
{
	const unsigned char *request = exchange->request, *answer = exchange->answer;
	size_t size = exchange->answer_size;

	if (size != exchange->request_size || answer[1] != 0 ||
	    answer[0] != icmp_type(exchange->client.spec, true))
		return false;
	if (exchange->client.spec->family == AF_INET && !checksum_is_right(answer, size))
		return false;
	return memcmp(answer + 4, request + 4, size - 4) == 0;
}

static bool is_own_copy(struct exchange *exchange)
{
	size_t size = exchange->request_size;

	/* the checksum of ICMPv6 is the kernel's */
	if (exchange->client.spec->protocol == IPPROTO_ICMPV6 && exchange->answer_size == size)
		memcpy(exchange->request + 2, exchange->answer + 2, 2);
	if (!exchange->client.own_copy || exchange->answer_size != size ||
	    memcmp(exchange->answer, exchange->request, size) != 0)
		return false;
	/* an echo is the same again */
	exchange->client.own_copy = false;
	return true;
}

static ssize_t receive(struct exchange *exchange)
{
	ssize_t n = client_receive(&exchange->client, exchange->answer + exchange->answer_size,
				   sizeof(exchange->answer) - exchange->answer_size);

	if (n > 0 && exchange->answer_size == 0)
		exchange->took_us = clock_now_us() - exchange->began_us;
	if (n > 0)
		exchange->answer_size += (size_t)n;
	return n;
}

/* Of a stream all that comes until it ends, of messages the one that is the answer. */
static int await_answer(struct exchange *exchange, long long until_ms)
{
	bool message = client_is_message(&exchange->client);

	while (exchange->answer_size < sizeof(exchange->answer) && clock_now_ms() < until_ms) {
		ssize_t n = receive(exchange);

		if (n < 0 && exchange->answer_size == 0)
			return -1;
		if (n <= 0)
			return 0;
		/* where nobody can end his half, the answer ends with its line */
		if (!message && !client_has_end(&exchange->client) &&
		    exchange->answer[exchange->answer_size - 1] == '\n')
			return 0;
		if (!message)
			continue;
		if (!is_own_copy(exchange) && (!exchange->is_icmp || is_reply(exchange)))
			return 0;
		exchange->answer_size = 0;
	}
	return 0;
}

static int no_answer(const struct probe *probe, int error)
{
	if (error == EAGAIN || error == 0) {
		fprintf(stderr, "preforkctl: %s: no answer%s\n", probe->name,
			error == 0 ? "" : " in time");
		return NO_ANSWER;
	}
	fprintf(stderr, "preforkctl: %s: %s\n", probe->name, strerror(error));
	/* the text is longer than any message, or than one of this protocol */
	return error == EMSGSIZE ? EX_USAGE : EX_UNAVAILABLE;
}

static int print_answer(const struct exchange *exchange)
{
	size_t skip = exchange->is_icmp ? ICMP_HEADER : 0;
	char from[ADDRESS_TEXT_MAX];

	if (fwrite(exchange->answer + skip, 1, exchange->answer_size - skip, stdout) == 0 ||
	    fflush(stdout) != 0)
		return EX_IOERR;
	fprintf(stderr, "%zu bytes from %s in %.3f ms\n", exchange->answer_size - skip,
		address_text(&exchange->client.to, exchange->client.to_length, from),
		(double)exchange->took_us / 1000);
	return EX_OK;
}

static int talk(struct exchange *exchange, const struct probe *probe)
{
	int r;

	if (make_request(exchange, probe) < 0)
		return no_answer(probe, errno);
	exchange->began_us = clock_now_us();
	if (client_send(&exchange->client, exchange->request, exchange->request_size) < 0)
		return no_answer(probe, errno);
	client_finish(&exchange->client);
	r = await_answer(exchange, clock_now_ms() + probe->wait_ms);
	if (exchange->answer_size == 0)
		return no_answer(probe, r < 0 ? errno : 0);
	return print_answer(exchange);
}

int probe_run(const struct probe *probe)
{
	static struct exchange exchange;
	char buf[256];
	struct text error = text_start(buf, sizeof(buf));
	int status;

	exchange.is_icmp = is_icmp(probe->spec);
	if (client_open(&exchange.client, probe->spec, &probe->address, probe->length,
			probe->wait_ms, &error) < 0) {
		fprintf(stderr, "preforkctl: %s: %s\n", probe->name, buf);
		return EX_UNAVAILABLE;
	}
	status = talk(&exchange, probe);
	client_close(&exchange.client);
	return status;
}
