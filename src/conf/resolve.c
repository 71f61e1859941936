#include "conf/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "conf/compile.h"
#include "conf/identity.h"
#include "conf/options.h"
#include "conf/value.h"
#include "handler/handlers.h"
#include "net/address.h"
#include "net/triple.h"

#define READY_MAX_MS 60000 /* then a start has failed anyway */

/* "*" and "localhost" have one meaning everywhere, whatever /etc/hosts says (RFC 6761). */
static bool well_known(const char *name, int family, struct listener_spec *spec)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&spec->address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&spec->address;
	bool any = strcmp(name, "*") == 0;

	if (!any && strcmp(name, "localhost") != 0)
		return false;
	spec->address.ss_family = (sa_family_t)family;
	if (family == AF_INET) {
		in->sin_addr.s_addr = htonl(any ? INADDR_ANY : INADDR_LOOPBACK);
		spec->length = sizeof(*in);
	} else {
		in6->sin6_addr = any ? in6addr_any : in6addr_loopback;
		spec->length = sizeof(*in6);
	}
	return true;
}

/* One socket has one address: a name with several is refused, with the choice. */
static void look_up(struct compile *compile, struct conf_service *service, const char *name)
{
	struct listener_spec *spec = &service->spec;
	struct addrinfo hints = { .ai_family = spec->family, .ai_socktype = spec->type };
	struct addrinfo *list, *info;
	int r = getaddrinfo(name, NULL, &hints, &list);

	if (r != 0) {
		compile_error(compile, service, "address", "\"%s\" is no address of family %s: %s",
			      name, triple_word(triple_families, spec->family),
			      r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r));
		return;
	}
	memcpy(&spec->address, list->ai_addr, list->ai_addrlen);
	spec->length = list->ai_addrlen;
	for (info = list->ai_next; info != NULL; info = info->ai_next) {
		struct sockaddr_storage other = { 0 };
		char first[ADDRESS_TEXT_MAX], second[ADDRESS_TEXT_MAX];

		memcpy(&other, info->ai_addr, info->ai_addrlen);
		if (address_same_host(&spec->address, &other))
			continue;
		compile_error(
			compile, service, "address",
			"\"%s\" has several addresses, among them %s and %s: write one of them",
			name, address_text(&spec->address, spec->length, first),
			address_text(&other, info->ai_addrlen, second));
		break;
	}
	freeaddrinfo(list);
}

static void resolve_name(struct compile *compile, struct conf_service *service, const char *name)
{
	struct listener_spec *spec = &service->spec;

	if (!well_known(name, spec->family, spec))
		look_up(compile, service, name);
	address_set_port(&spec->address, (unsigned)service->port);
}

static void resolve_address(struct compile *compile, struct conf_service *service)
{
	const char *name = conf_string(compile->conf, service->address);
	const char *path = conf_string(compile->conf, service->path);
	struct listener_spec *spec = &service->spec;

	if (address_is_inet(spec->family))
		resolve_name(compile, service, name);
	else if (spec->family == AF_UNIX &&
		 address_from_path(path, &spec->address, &spec->length) < 0)
		compile_error(compile, service, "path", "is longer than 107 bytes");
	else if (spec->family == AF_VSOCK &&
		 address_from_cid(name, (unsigned)service->port, &spec->address, &spec->length) < 0)
		compile_error(compile, service, "address",
			      "\"%s\" is none of any, localhost, host, and no CID", name);
	else if (spec->family == AF_TIPC &&
		 address_from_tipc(name, (int)service->scope, &spec->address, &spec->length) < 0)
		compile_error(
			compile, service, "address",
			"\"%s\" is not TYPE:LOWER-UPPER or TYPE:INSTANCE with TYPE from 64 on",
			name);
}

static void resolve_group(struct compile *compile, struct conf_service *service)
{
	const char *group = conf_string(compile->conf, service->multicast_group);
	const char *interface = conf_string(compile->conf, service->multicast_interface);
	struct sockaddr_storage *addr = &service->spec.group.address;
	void *where = service->family == AF_INET6 ?
			      (void *)&((struct sockaddr_in6 *)addr)->sin6_addr :
			      (void *)&((struct sockaddr_in *)addr)->sin_addr;

	/* of other families conf/use.c says what there is to say */
	if (group[0] == '\0' || !address_is_inet((int)service->family))
		return;
	addr->ss_family = (sa_family_t)service->family;
	if (inet_pton((int)service->family, group, where) != 1 || !address_is_multicast(addr))
		compile_error(compile, service, "socket.multicast.group",
			      "\"%s\" is no multicast address of family %s", group,
			      triple_word(triple_families, service->family));
	snprintf(service->spec.group.interface, sizeof(service->spec.group.interface), "%s",
		 interface);
}

static void resolve_protocol(struct compile *compile, struct conf_service *service)
{
	const char *protocol = conf_string(compile->conf, service->protocol);
	struct listener_spec *spec = &service->spec;
	const struct triple *triple;

	if (triple_protocol(protocol, &spec->protocol) < 0)
		compile_error(compile, service, "protocol",
			      "\"%s\" is no name of /etc/protocols and no number", protocol);
	triple = triple_find(spec->family, spec->type, spec->protocol);
	if (spec->protocol == 0 && triple != NULL)
		spec->protocol = triple->protocol;
}

static void resolve_options(struct compile *compile, struct conf_service *service)
{
	struct listener_spec *spec = &service->spec;

	spec->options.family = spec->family;
	spec->options.type = spec->type;
	for (enum sockopt_id id = 0; id < SOCKOPT_N; id++)
		spec->options.value[id] = (unsigned)service->socket[id];
	spec->options.value[SOCKOPT_REUSE_PORT] = service->socket[SOCKOPT_REUSE_PORT] != 0;
	if (service->socket[SOCKOPT_REUSE_PORT] == OPTION_PER_WORKER)
		spec->sockets = (unsigned)service->workers_max;
	else
		spec->sockets = 1;
	/* nobody else ends an association that has gone quiet */
	if (spec->type == SOCK_SEQPACKET && spec->protocol == IPPROTO_SCTP)
		spec->options.value[SOCKOPT_AUTOCLOSE] =
			(unsigned)((service->idle_ms + 999) / 1000);
	snprintf(spec->options.bind_device, sizeof(spec->options.bind_device), "%s",
		 conf_string(compile->conf, service->bind_device));
	snprintf(spec->options.congestion, sizeof(spec->options.congestion), "%s",
		 conf_string(compile->conf, service->congestion));
}

/* now, notify, or a duration. */
static void resolve_ready(struct compile *compile, struct conf_service *service)
{
	static const struct option duration = { .kind = OPTION_DURATION, .max = READY_MAX_MS };
	const char *ready = conf_string(compile->conf, service->ready);
	char buf[256];
	struct text why = text_start(buf, sizeof(buf));

	if (strcmp(ready, "now") == 0)
		service->ready_ms = 0;
	else if (strcmp(ready, "notify") == 0)
		service->ready_ms = CONF_READY_NOTIFY;
	else if (!value_parse(&duration, ready, &service->ready_ms, &why))
		compile_error(compile, service, "ready", "must be now, notify, or a duration: %s",
			      buf);
}

static void resolve_handler(const struct compile *compile, struct conf_service *service)
{
	const char *name = conf_string(compile->conf, service->handler);

	if (strcmp(name, "exec") == 0)
		service->kind = CONF_EXEC;
	else if (strcmp(name, "persistent") == 0)
		service->kind = CONF_PERSISTENT;
	else
		service->kind = handlers_find(name) != NULL ? CONF_BUILT_IN : CONF_MODULE;
}

void resolve_service(struct compile *compile, struct conf_service *service)
{
	struct listener_spec *spec = &service->spec;

	resolve_handler(compile, service);
	resolve_ready(compile, service);
	spec->family = (int)service->family;
	spec->type = (int)service->type;
	spec->backlog = (int)service->backlog;
	spec->rights.mode = (mode_t)service->mode;
	spec->rights.directory_mode = (mode_t)service->directory_mode;
	resolve_protocol(compile, service);
	identity_owner(compile, service);
	resolve_address(compile, service);
	resolve_group(compile, service);
	resolve_options(compile, service);
	identity_workers(compile, service);
}
