#include "conf/check_socket.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/text.h"
#include "conf/compile.h"
#include "conf/options.h"
#include "conf/report.h"
#include "conf/value.h"
#include "net/address.h"
#include "net/triple.h"

#define PORT_MAX_INET 65535
#define TCP_FASTOPEN_FILE "/proc/sys/net/ipv4/tcp_fastopen"
#define FASTOPEN_SERVER 2 /* in net.ipv4.tcp_fastopen */
#define PRIORITY_MAX 6	  /* without CAP_NET_ADMIN */
#define ECN_BITS 3	  /* of tos: the kernel's */

/* Returns NULL after an error was reported. */
static const struct triple *check_triple(struct compile *compile,
					 const struct conf_service *service)
{
	const struct listener_spec *spec = &service->spec;
	const struct triple *triple = triple_find(spec->family, spec->type, spec->protocol);
	char buf[256];
	struct text why = text_start(buf, sizeof(buf));

	if (triple != NULL)
		return triple;
	triple_refusal(spec->family, spec->type, spec->protocol, &why);
	compile_error(compile, service,
		      compile_is_set(compile, service, "protocol") ? "protocol" : "type", "%s",
		      buf);
	return NULL;
}

static void check_use(struct compile *compile, const struct conf_service *service)
{
	char key[64];

	for (const struct option *row = options_service; row->name != NULL; row++) {
		const char *refusal = options_refusal(row, service);

		if (refusal != NULL &&
		    compile_is_set(compile, service, compile_key(row, key, sizeof(key))))
			compile_error(compile, service, key, "%s", refusal);
	}
}

/* A sentence about an option that begins with its key, as a finding of its line. */
static void pass_on(struct compile *compile, const struct conf_service *service, bool is_error,
		    char *sentence)
{
	char *colon = strstr(sentence, ": ");
	bool has_key =
		strncmp(sentence, "socket.", 7) == 0 || strncmp(sentence, "timeouts.", 9) == 0;
	const char *key = has_key ? sentence : "type", *text = has_key ? colon + 2 : sentence;

	if (has_key)
		*colon = '\0';
	if (is_error)
		compile_error(compile, service, key, "%s", text);
	else
		compile_warning(compile, service, key, "%s", text);
}

/* The options that a start sets, on a socket that is closed at once. */
static void check_options(struct compile *compile, const struct conf_service *service)
{
	char lines[1024], buf[512];
	struct text shortfall = text_start(lines, sizeof(lines));
	struct text error = text_start(buf, sizeof(buf));
	char *rest = lines, *line;

	if (listener_try(&service->spec, &shortfall, &error) < 0) {
		/* a device may come as an address may */
		if (errno != ENODEV || service->bind_retry_ms == 0)
			pass_on(compile, service, true, buf);
		return;
	}
	while ((line = text_next_line(&rest)) != NULL)
		pass_on(compile, service, false, line);
}

/* Does this system have such a socket, and may this user open it? */
static void check_system(struct compile *compile, const struct conf_service *service,
			 const struct triple *triple)
{
	if (triple_probe(triple, service->spec.protocol) == 0) {
		check_options(compile, service);
		return;
	}
	compile_error(compile, service,
		      compile_is_set(compile, service, "protocol") ? "protocol" :
		      compile_is_set(compile, service, "type")	   ? "type" :
								     "family",
		      "this system gives no socket of %s %s %s: %s (%s)",
		      triple_word(triple_families, triple->family),
		      triple_word(triple_types, triple->type), triple->name, strerror(errno),
		      triple_remedy(triple, errno));
}

static void check_path(struct compile *compile, const struct conf_service *service)
{
	const char *path = conf_string(compile->conf, service->path);

	if (service->family != AF_UNIX || service->spec.length == 0)
		return; /* too long was said already */
	if (path[0] == '\0')
		compile_error(compile, service, "path", "is required by family unix");
	else if (path[0] == '@' && path[1] == '\0')
		compile_error(compile, service, "path",
			      "an abstract name is @ and at least one character");
	else if (path[0] != '/' && path[0] != '@')
		compile_error(compile, service, "path",
			      "must begin with / or, for an abstract name, with @");
}

static void check_address(struct compile *compile, const struct conf_service *service,
			  const struct triple *triple)
{
	const struct listener_spec *spec = &service->spec;

	if (address_is_inet(spec->family) && service->port > PORT_MAX_INET)
		compile_error(compile, service, "port",
			      "%lld is out of range: must be from 0 to %d", service->port,
			      PORT_MAX_INET);
	if (address_is_multicast(&spec->address))
		compile_error(compile, service, "address",
			      "is a group: write it as socket { multicast { group } }");
	if (triple_is_forgeable(triple) && datagram_is_broadcast(&spec->address, spec->length))
		compile_error(
			compile, service, "address",
			"is a broadcast address: write \"*\" and socket { broadcast = true }");
}

static void check_multicast(struct compile *compile, const struct conf_service *service)
{
	const struct listener_spec *spec = &service->spec;
	const struct sockaddr_storage *group = &spec->group.address;

	if (spec->protocol != IPPROTO_UDP && spec->protocol != IPPROTO_UDPLITE)
		return; /* said already, as is what is no group */
	if (address_is_multicast(group) && !address_is_any(&spec->address))
		compile_error(compile, service, "socket.multicast.group",
			      "needs address \"*\": nothing for a group comes to another one");
	if (group->ss_family == AF_UNSPEC &&
	    conf_string(compile->conf, service->multicast_interface)[0] != '\0')
		compile_error(compile, service, "socket.multicast.interface", "needs a group");
}

static void check_length(struct compile *compile, const struct conf_service *service,
			 const char *key, struct conf_text text, size_t max)
{
	if (strlen(conf_string(compile->conf, text)) >= max)
		compile_error(compile, service, key, "is longer than %zu bytes", max - 1);
}

static void check_lengths(struct compile *compile, const struct conf_service *service)
{
	check_length(compile, service, "socket.bind_device", service->bind_device, IFNAMSIZ);
	check_length(compile, service, "socket.multicast.interface", service->multicast_interface,
		     IFNAMSIZ);
	check_length(compile, service, "socket.congestion", service->congestion,
		     SOCKOPT_CONGESTION_MAX);
}

/* The kernel counts these in seconds. */
static void check_seconds(struct compile *compile, const struct conf_service *service)
{
	static const struct {
		enum sockopt_id id;
		const char *key;
	} rows[] = {
		{ SOCKOPT_DEFER_ACCEPT, "socket.defer_accept" },
		{ SOCKOPT_KEEPALIVE, "socket.keepalive.idle" },
		{ SOCKOPT_KEEPALIVE_INTERVAL, "socket.keepalive.interval" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (service->socket[rows[i].id] % sockopt_unit_ms(rows[i].id) != 0)
			compile_error(compile, service, rows[i].key, "must be whole seconds");
	}
}

static void check_values(struct compile *compile, const struct conf_service *service,
			 const struct triple *triple)
{
	const struct listener_spec *spec = &service->spec;
	bool may_divide = spec->protocol == IPPROTO_TCP || spec->protocol == IPPROTO_UDP ||
			  spec->protocol == IPPROTO_UDPLITE;

	if ((service->socket[SOCKOPT_TOS] & ECN_BITS) != 0)
		compile_error(compile, service, "socket.tos",
			      "must be a multiple of 4: the last two bits are the kernel's (ECN)");
	if (triple->accepts && service->socket[SOCKOPT_PRIORITY] > PRIORITY_MAX)
		compile_error(
			compile, service, "socket.priority",
			"above %d it cannot be given to connections, by workers without rights",
			PRIORITY_MAX);
	if (service->socket[SOCKOPT_REUSE_PORT] == OPTION_PER_WORKER && !may_divide)
		compile_error(compile, service, "socket.reuse_port",
			      "per-worker is for protocols tcp, udp and udplite");
	if (service->socket[SOCKOPT_REUSE_PORT] == OPTION_PER_WORKER &&
	    (service->socket[SOCKOPT_BROADCAST] != 0 || spec->group.address.ss_family != AF_UNSPEC))
		compile_error(compile, service, "socket.reuse_port",
			      "per-worker does not go with broadcast or multicast: "
			      "each worker would answer");
	if (service->socket[SOCKOPT_KEEPALIVE] == 0 &&
	    (service->socket[SOCKOPT_KEEPALIVE_INTERVAL] != 0 ||
	     service->socket[SOCKOPT_KEEPALIVE_COUNT] != 0))
		compile_error(compile, service, "socket.keepalive.idle",
			      "is 0, which is no keepalive at all: write it, too");
}

static void warn(struct compile *compile, const struct conf_service *service,
		 const struct triple *triple)
{
	long long most = value_somaxconn(), fastopen = value_from_file(TCP_FASTOPEN_FILE, 1);

	if (triple->listens && service->backlog > most)
		compile_warning(compile, service, "socket.backlog",
				"%lld is more than the system allows: %lld (net.core.somaxconn)",
				service->backlog, most);
	if (service->socket[SOCKOPT_FASTOPEN] != 0 && (fastopen & FASTOPEN_SERVER) == 0)
		compile_warning(compile, service, "socket.fastopen",
				"is switched off for servers (sysctl net.ipv4.tcp_fastopen=3)");
	if (service->socket[SOCKOPT_TTL] != 0 && triple_is_forgeable(triple))
		compile_warning(compile, service, "socket.ttl",
				"answers with another TTL than preforkd's own can be answered: "
				"two such services could be set on each other");
}

/* The kernel takes nothing from a ping socket but echo requests. */
static void warn_ping(struct compile *compile, const struct conf_service *service)
{
	const struct listener_spec *spec = &service->spec;
	const char *handler = conf_string(compile->conf, service->handler);

	if (spec->type == SOCK_DGRAM &&
	    (spec->protocol == IPPROTO_ICMP || spec->protocol == IPPROTO_ICMPV6) &&
	    service->kind == CONF_BUILT_IN && strcmp(handler, "discard") != 0)
		compile_warning(compile, service, "handler",
				"%s: the kernel lets no ping socket send what this one answers",
				handler);
}

void check_socket(struct compile *compile, const struct conf_service *service)
{
	const struct triple *triple = check_triple(compile, service);

	check_use(compile, service);
	check_path(compile, service);
	if (triple == NULL)
		return;
	check_address(compile, service, triple);
	check_multicast(compile, service);
	check_lengths(compile, service);
	check_seconds(compile, service);
	check_values(compile, service, triple);
	/* what makes no sense is said before what is not possible here */
	if (compile->here && compile->report->errors == 0)
		check_system(compile, service, triple);
	warn(compile, service, triple);
	warn_ping(compile, service);
}

/* One path is one place in the file system, whatever the type of the socket. */
static bool is_one_address(const struct listener_spec *a, const struct listener_spec *b)
{
	const char *path_a = address_path(&a->address), *path_b = address_path(&b->address);

	/* one that is none was reported already */
	if (a->length == 0 || b->length == 0)
		return false;
	if (path_a != NULL && path_b != NULL)
		return strcmp(path_a, path_b) == 0;
	return listener_same_address(a, b);
}

void check_pair(struct compile *compile, const struct conf_service *service,
		const struct conf_service *earlier)
{
	const struct conf *conf = compile->conf;
	const char *file = conf_list_string(conf, conf->files, earlier->where.file);
	char text[ADDRESS_TEXT_MAX];
	const struct listener_spec *spec = &service->spec;

	if (strcmp(conf_string(conf, service->name), conf_string(conf, earlier->name)) == 0)
		report_add(compile->report,
			   conf_list_string(conf, conf->files, service->where.file),
			   service->where.line, "service \"%s\" is there already (%s:%u)",
			   conf_string(conf, service->name), file, earlier->where.line);
	else if (is_one_address(spec, &earlier->spec) && !listener_any_port(spec))
		compile_error(compile, service,
			      spec->family == AF_UNIX ? "path" :
			      listener_has_port(spec) ? "port" :
							"address",
			      "%s is taken by service \"%s\" (%s:%u)",
			      address_text(&spec->address, spec->length, text),
			      conf_string(conf, earlier->name), file, earlier->where.line);
}
