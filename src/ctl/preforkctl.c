/*
 * preforkctl.c - the command line of preforkctl(1).
 */
#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/text.h"
#include "conf/conf.h"
#include "conf/load.h"
#include "ctl/probe.h"
#include "net/address.h"

#define DEFAULT_CONFIG SYSCONFDIR "/preforkd/preforkd.conf"
#define DEFAULT_WAIT_MS 5000
#define PORT_MAX_INET 65535
#define WAIT_MAX_S 86400

struct arguments {
	const char *config, *address;
	long long port; /* -1: that of the config */
	long long wait_ms;
};

static const char usage[] =
	"usage: preforkctl [-c FILE] [-p PORT] [-a ADDRESS] [-w SECONDS] COMMAND ...\n"
	"\n"
	"  -c, --config FILE     the config of preforkd\n"
	"                        (default: " DEFAULT_CONFIG ")\n"
	"  -p, --port PORT       where the service is, for one with port 0\n"
	"  -a, --address ADDRESS where the service is, if not where the config says\n"
	"  -w, --wait SECONDS    wait so long for connection and answer (default: 5)\n"
	"  -V, --version         print the version and exit\n"
	"  -h, --help            print this and exit\n"
	"\n"
	"Commands:\n"
	"  probe SERVICE [TEXT]  send TEXT to the service, print the answer\n"
	"\n"
	"See preforkctl(1).\n";

__attribute__((format(printf, 2, 3))) _Noreturn static void die(int status, const char *format, ...)
{
	va_list args;

	fputs("preforkctl: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	putc('\n', stderr);
	if (status == EX_USAGE)
		fputs(usage, stderr);
	exit(status);
}

static long long parse_number(const char *string, long long min, long long max, const char *what)
{
	long long number;

	if (!text_to_number(string, min, max, &number))
		die(EX_USAGE, "%s takes a number from %lld to %lld", what, min, max);
	return number;
}

static void parse_option(int option, struct arguments *arguments)
{
	switch (option) {
	case 'c':
		arguments->config = optarg;
		break;
	case 'p':
		arguments->port = parse_number(optarg, 1, UINT_MAX, "-p");
		break;
	case 'a':
		arguments->address = optarg;
		break;
	case 'w':
		arguments->wait_ms = parse_number(optarg, 1, WAIT_MAX_S, "-w") * 1000;
		break;
	case 'V':
		puts("preforkctl " PACKAGE_VERSION);
		exit(EX_OK);
	case 'h':
		fputs(usage, stdout);
		exit(EX_OK);
	default:
		/* getopt has said what is wrong */
		fputs(usage, stderr);
		exit(EX_USAGE);
	}
}

static const struct conf *load(const char *path)
{
	char absolute[PATH_MAX];
	struct conf_result result;

	if (realpath(path, absolute) == NULL)
		die(EX_CONFIG, "%s: %s", path, strerror(errno));
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
	die(EX_CONFIG, "there is no service \"%s\" in %s", name,
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
		die(EX_USAGE, "-a: \"%s\" is no such address", arguments->address);
	if (listener_has_port(spec) && arguments->port < 0 && service->port == 0)
		die(EX_USAGE,
		    "the service has any free port: the log says which; write it with -p");
	if (arguments->port > PORT_MAX_INET && spec->family != AF_VSOCK)
		die(EX_USAGE, "-p takes a number from 1 to %d", PORT_MAX_INET);
	if (arguments->port >= 0)
		address_set_port(&probe->address, (unsigned)arguments->port);
	probe->identifier = address_port(&probe->address);
}

static int run_probe(const struct arguments *arguments, int argc, char **argv)
{
	const struct conf *conf;
	struct probe probe = { .wait_ms = arguments->wait_ms, .text = "hello" };
	const struct conf_service *service;

	if (argc < 1 || argc > 2)
		die(EX_USAGE, "probe takes a service and perhaps a text");
	conf = load(arguments->config);
	service = find_service(conf, argv[0]);
	probe.name = argv[0];
	probe.spec = &service->spec;
	if (argc == 2)
		probe.text = argv[1];
	locate(&probe, arguments, service);
	return probe_run(&probe);
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "port", required_argument, NULL, 'p' },
		{ "address", required_argument, NULL, 'a' },
		{ "wait", required_argument, NULL, 'w' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct arguments arguments = {
		.config = DEFAULT_CONFIG,
		.port = -1,
		.wait_ms = DEFAULT_WAIT_MS,
	};
	int option;

	/* + : a text may begin with a dash */
	while ((option = getopt_long(argc, argv, "+c:p:a:w:Vh", long_options, NULL)) != -1)
		parse_option(option, &arguments);
	if (optind == argc)
		die(EX_USAGE, "there is no command");
	if (strcmp(argv[optind], "probe") == 0)
		return run_probe(&arguments, argc - optind - 1, argv + optind + 1);
	die(EX_USAGE, "there is no command \"%s\"", argv[optind]);
}
