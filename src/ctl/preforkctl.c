/*
 * preforkctl.c - the command line of preforkctl(1).
 */
#include <config.h>

#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/text.h"
#include "ctl/ask.h"
#include "ctl/target.h"
#include "ctl/usage.h"

#define WAIT_MAX_S 86400

static long long parse_number(const char *string, long long min, long long max, const char *what)
{
	long long number;

	if (!text_to_number(string, min, max, &number))
		usage_die(EX_USAGE, "%s takes a number from %lld to %lld", what, min, max);
	return number;
}

static void parse_option(int option, struct arguments *arguments)
{
	switch (option) {
	case 'c':
		arguments->config = optarg;
		break;
	case 's':
		arguments->socket = optarg;
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
		fputs(usage_text, stdout);
		exit(EX_OK);
	default:
		/* getopt has said what is wrong */
		fputs(usage_text, stderr);
		exit(EX_USAGE);
	}
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "socket", required_argument, NULL, 's' },
		{ "port", required_argument, NULL, 'p' },
		{ "address", required_argument, NULL, 'a' },
		{ "wait", required_argument, NULL, 'w' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct arguments arguments = {
		.config = RUNTIME_CONFIG,
		.socket = getenv("PREFORKD_CONTROL"),
		.port = -1,
		.wait_ms = -1,
	};
	int option;

	/* + : a text may begin with a dash */
	while ((option = getopt_long(argc, argv, "+c:s:p:a:w:Vh", long_options, NULL)) != -1)
		parse_option(option, &arguments);
	if (optind == argc)
		usage_die(EX_USAGE, "there is no command");
	if (strcmp(argv[optind], "probe") == 0)
		return target_probe(&arguments, argc - optind - 1, argv + optind + 1);
	return ask_command(&arguments, argc - optind, argv + optind);
}
