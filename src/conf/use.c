/*
 * use.c - which key of a service goes with which socket, and why not.
 */
#include <netinet/in.h>
#include <sys/socket.h>

#include "conf/conf.h"
#include "conf/options.h"
#include "net/address.h"
#include "net/triple.h"

static bool is_tcp(const struct listener_spec *spec)
{
	return address_is_inet(spec->family) && spec->type == SOCK_STREAM &&
	       (spec->protocol == IPPROTO_TCP || spec->protocol == IPPROTO_MPTCP);
}

static bool is_udp(const struct listener_spec *spec)
{
	return address_is_inet(spec->family) && spec->type == SOCK_DGRAM &&
	       (spec->protocol == IPPROTO_UDP || spec->protocol == IPPROTO_UDPLITE);
}

static const char *refuse_port(const struct listener_spec *spec)
{
	if (spec->family == AF_UNIX)
		return "family unix has a path instead";
	if (spec->family == AF_TIPC)
		return "family tipc has the number of the service in its address";
	return spec->type == SOCK_RAW ? "type raw has no ports" : NULL;
}

static const char *refuse_path(const struct listener_spec *spec)
{
	if (spec->family != AF_UNIX)
		return "only family unix has it";
	if (address_path(&spec->address) == NULL)
		return "an abstract name has no permissions";
	return NULL;
}

static const char *refuse_buffer(const struct listener_spec *spec, bool receive)
{
	if (address_is_inet(spec->family) || spec->family == AF_TIPC)
		return NULL;
	if (spec->family == AF_VSOCK)
		return "family vsock has no such buffer";
	if (receive)
		return "what a unix socket may hold counts in the sender's send_buffer";
	return spec->type == SOCK_DGRAM ? NULL : "connections that are accepted do not inherit it";
}

static const char *refuse_listen(const struct listener_spec *spec)
{
	const struct triple *triple = triple_find(spec->family, spec->type, spec->protocol);

	return triple == NULL || triple->listens ? NULL : "a socket that receives does not listen";
}

static const char *unless(bool allowed, const char *reason)
{
	return allowed ? NULL : reason;
}

const char *options_refusal(const struct option *option, const struct conf_service *service)
{
	const struct listener_spec *spec = &service->spec;
	bool unix_family = spec->family == AF_UNIX;

	switch (option->use) {
	case USE_ADDRESS:
		return unless(!unix_family, "family unix has a path instead");
	case USE_PORT:
		return refuse_port(spec);
	case USE_INET:
		return unless(address_is_inet(spec->family),
			      "only families inet and inet6 have it");
	case USE_V6ONLY:
		return spec->type == SOCK_RAW ?
			       "type raw takes packets of its own family only" :
			       unless(spec->family == AF_INET6, "only family inet6 has it");
	case USE_TIPC:
		return unless(spec->family == AF_TIPC, "only family tipc has it");
	case USE_UNIX:
		return unless(unix_family, "only family unix has it");
	case USE_PATH:
		return refuse_path(spec);
	case USE_UNIX_DGRAM:
		return unless(unix_family && spec->type == SOCK_DGRAM,
			      "only unix dgram has it; connections know their peer without");
	case USE_LISTEN:
		return refuse_listen(spec);
	case USE_REUSE_PORT:
		return unless(address_is_inet(spec->family) && spec->type != SOCK_RAW,
			      "only what has a port of inet or inet6 can share it");
	case USE_TCP:
		return unless(is_tcp(spec), "only protocols tcp and mptcp have it");
	case USE_UDP:
		return unless(is_udp(spec), "only protocols udp and udplite have it");
	case USE_BROADCAST:
		return unless(is_udp(spec) && spec->family == AF_INET,
			      "only udp and udplite over family inet have it");
	case USE_TTL:
		return spec->type == SOCK_RAW ? "a raw service knows its own answers by their ttl" :
						unless(address_is_inet(spec->family),
						       "only families inet and inet6 have it");
	case USE_PROGRAM:
		return unless(service->kind == CONF_EXEC || service->kind == CONF_PERSISTENT,
			      "only handlers exec and persistent have it");
	case USE_PERSISTENT:
		return unless(service->kind == CONF_PERSISTENT, "only handler persistent has it");
	case USE_FOREIGN:
		return unless(service->kind != CONF_BUILT_IN,
			      "a handler that is built in has no files");
	case USE_RECEIVE_BUFFER:
		return refuse_buffer(spec, true);
	case USE_SEND_BUFFER:
		return refuse_buffer(spec, false);
	default:
		return NULL;
	}
}
