#include "ctl/target.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "conf/conf.h"
#include "conf/load.h"
#include "ctl/probe.h"
#include "ctl/usage.h"
#include "net/address.h"

#define DEFAULT_WAIT_MS 5000
#define PORT_MAX_INET 65535

static const struct conf *load(const char *path)
{
	char absolute[PATH_MAX];
	struct conf_result result;

	if (realpath(path, absolute) == NULL)
		usage_die(EX_CONFIG, "%s: %s", path, strerror(errno));
	result = conf_load(absolute, false);
	if (result.conf != NULL)
		return result.conf;
	fputs(result.errors != NULL ? result.errors : "preforkctl: out of memory\n", stderr);
	exit(EX_CONFIG);
}

static const struct conf_service *find_service(const struct conf *conf, const char *name)
{
	for (unsigned i = 0; i < conf->n_services; i++) {
		const struct conf_service *service = conf_service(conf, i);

		if (strcmp(conf_string(conf, service->name), name) == 0)
			return service;
	}
	usage_die(EX_CONFIG, "there is no service \"%s\" in %s", name,
		  conf_list_string(conf, conf->files, 0));
}

/* Numbers only: -a is for the address that the log says. */
static int parse_address(const char *text, const struct listener_spec *spec, struct probe *probe)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&probe->address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&probe->address;

	switch (spec->family) {
	case AF_INET:
		return inet_pton(AF_INET, text, &in->sin_addr) == 1 ? 0 : -1;
	case AF_INET6:
		return inet_pton(AF_INET6, text, &in6->sin6_addr) == 1 ? 0 : -1;
	case AF_UNIX:
		return address_from_path(text, &probe->address, &probe->length);
	case AF_VSOCK:
		return address_from_cid(text, address_port(&probe->address), &probe->address,
					&probe->length);
	default:
		return address_from_tipc(text, 0, &probe->address, &probe->length);
	}
}

static void locate(struct probe *probe, const struct arguments *arguments,
		   const struct conf_service *service)
{
	const struct listener_spec *spec = &service->spec;

	probe->address = spec->address;
	probe->length = spec->length;
	if (arguments->address != NULL && parse_address(arguments->address, spec, probe) < 0)
		usage_die(EX_USAGE, "-a: \"%s\" is no such address", arguments->address);
	if (listener_has_port(spec) && arguments->port < 0 && service->port == 0)
		usage_die(EX_USAGE,
			  "the service has any free port: the log says which; write it with -p");
	if (arguments->port > PORT_MAX_INET && spec->family != AF_VSOCK)
		usage_die(EX_USAGE, "-p takes a number from 1 to %d", PORT_MAX_INET);
	if (arguments->port >= 0)
		address_set_port(&probe->address, (unsigned)arguments->port);
	probe->identifier = address_port(&probe->address);
}

int target_probe(const struct arguments *arguments, int argc, char **argv)
{
	const struct conf *conf;
	struct probe probe = { .wait_ms = arguments->wait_ms >= 0 ? arguments->wait_ms :
								    DEFAULT_WAIT_MS,
			       .text = "hello" };
	const struct conf_service *service;

	if (argc < 1 || argc > 2)
		usage_die(EX_USAGE, "probe takes a service and perhaps a text");
	conf = load(arguments->config);
	service = find_service(conf, argv[0]);
	probe.name = argv[0];
	probe.spec = &service->spec;
	if (argc == 2)
		probe.text = argv[1];
	locate(&probe, arguments, service);
	return probe_run(&probe);
}
