/*
 * main.c - the command line of preforkd.
 *
 * Says, checks, or prints something and exits; or reads the config and becomes
 * the master.
 */
#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "about.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/process.h"
#include "conf/conf.h"
#include "conf/load.h"
#include "conf/print.h"
#include "conf/share.h"
#include "master/daemon.h"
#include "master/master.h"
#include "master/takeover.h"

#define DEFAULT_CONFIG SYSCONFDIR "/preforkd/preforkd.conf"

enum mode { MODE_RUN, MODE_REHEARSE, MODE_TEST, MODE_DUMP, MODE_PROBE };

/* Options that have no letter. */
enum { OPTION_PROBE = 256, OPTION_JSON, OPTION_REHEARSE };

struct arguments {
	enum mode mode;
	bool daemon, json;
	const char *config;
	struct master_options options;
};

static const char usage[] =
	"usage: preforkd [-DtTmVh] [-c FILE] [-l LEVEL] [-p PIDFILE]\n"
	"       preforkd --probe [--json]\n"
	"\n"
	"  -c, --config FILE     read FILE, and services.d/*.conf beside it\n"
	"                        (default: " DEFAULT_CONFIG ")\n"
	"  -t, --test            check the config and exit\n"
	"  -T, --dump            print the effective config and exit\n"
	"  -m, --modules         list what is compiled in and exit\n"
	"      --probe [--json]  list which sockets this system has and exit\n"
	"  -D, --daemon          go into the background when the service is up\n"
	"  -p, --pidfile FILE    write the pid of the master to FILE\n"
	"  -l, --log-level LEVEL error, warning, notice, info or debug\n"
	"  -V, --version         print the version and exit\n"
	"  -h, --help            print this and exit\n"
	"\n"
	"Signals: HUP reload, TERM stop, INT or QUIT stop now, USR1 reopen the log,\n"
	"USR2 upgrade.\n"
	"See preforkd(8) and preforkd.conf(5).\n";

_Noreturn static void refuse(const char *message)
{
	fprintf(stderr, "preforkd: %s\n%s", message, usage);
	exit(EX_USAGE);
}

static int parse_level(const char *name)
{
	enum log_level level;

	if (!log_level_parse(name, &level))
		refuse("-l takes error, warning, notice, info or debug");
	return (int)level;
}

_Noreturn static void say(int option)
{
	if (option == 'h')
		fputs(usage, stdout);
	else if (option == 'V')
		puts("preforkd " PACKAGE_VERSION);
	else
		about_modules();
	exit(fflush(stdout) == 0 ? EX_OK : EX_IOERR);
}

static void parse_option(int option, struct arguments *arguments)
{
	switch (option) {
	case 'c':
		arguments->config = optarg;
		break;
	case 't':
		arguments->mode = MODE_TEST;
		break;
	case 'T':
		arguments->mode = MODE_DUMP;
		break;
	case OPTION_REHEARSE:
		arguments->mode = MODE_REHEARSE;
		break;
	case OPTION_PROBE:
		arguments->mode = MODE_PROBE;
		break;
	case OPTION_JSON:
		arguments->json = true;
		break;
	case 'D':
		arguments->daemon = true;
		break;
	case 'p':
		arguments->options.pidfile = optarg;
		break;
	case 'l':
		arguments->options.log_level = parse_level(optarg);
		break;
	case 'h':
	case 'V':
	case 'm':
		say(option);
	default:
		/* getopt has said what is wrong */
		fputs(usage, stderr);
		exit(EX_USAGE);
	}
}

static struct arguments parse_arguments(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "test", no_argument, NULL, 't' },
		{ "dump", no_argument, NULL, 'T' },
		{ "modules", no_argument, NULL, 'm' },
		{ "probe", no_argument, NULL, OPTION_PROBE },
		{ "rehearse", no_argument, NULL, OPTION_REHEARSE }, /* for upgrade.c only */
		{ "json", no_argument, NULL, OPTION_JSON },
		{ "daemon", no_argument, NULL, 'D' },
		{ "pidfile", required_argument, NULL, 'p' },
		{ "log-level", required_argument, NULL, 'l' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct arguments arguments = {
		.config = DEFAULT_CONFIG,
		.options = { .log_level = -1, .daemon_fd = -1, .argv = argv },
	};
	int option;

	while ((option = getopt_long(argc, argv, "c:tTmDp:l:Vh", long_options, NULL)) != -1)
		parse_option(option, &arguments);
	if (optind < argc)
		refuse("there are arguments that are no options");
	if (arguments.options.pidfile != NULL && arguments.options.pidfile[0] != '/')
		refuse("-p takes an absolute path");
	if (arguments.json && arguments.mode != MODE_PROBE)
		refuse("--json goes with --probe");
	return arguments;
}

/* Reload and lock need the same name whatever the working directory becomes. Static memory. */
static const char *absolute_path(const char *path)
{
	static char absolute[PATH_MAX];

	if (realpath(path, absolute) != NULL)
		return absolute;
	fprintf(stderr, "preforkd: %s: %s (-c names another file)\n", path, strerror(errno));
	exit(EX_NOINPUT);
}

static const struct conf *load_or_exit(const char *path, bool probe)
{
	struct conf_result result = conf_load(path, probe);

	if (result.conf != NULL)
		return result.conf;
	fputs(result.errors != NULL ? result.errors : "preforkd: out of memory\n", stderr);
	free(result.errors);
	exit(result.status);
}

static int answer(enum mode mode, const char *path, const struct conf *conf)
{
	int status = EX_OK;

	if (mode == MODE_REHEARSE) {
		status = takeover_rehearse(conf);
	} else if (mode == MODE_DUMP) {
		conf_print(conf, stdout);
	} else {
		fputs(conf_string(conf, conf->warnings), stderr);
		printf("%s: OK (%u service%s)\n", path, conf->n_services,
		       conf->n_services == 1 ? "" : "s");
	}
	conf_unref(conf);
	return fflush(stdout) == 0 ? status : EX_IOERR;
}

static int run(struct arguments *arguments, const struct conf *conf)
{
	if (arguments->daemon) {
		arguments->options.daemon_fd = daemon_start();
		if (arguments->options.daemon_fd < 0) {
			fprintf(stderr, "preforkd: -D: %s\n", strerror(errno));
			conf_unref(conf);
			return EX_OSERR;
		}
	}
	return master_run(&arguments->options, conf);
}

int main(int argc, char **argv)
{
	struct arguments arguments;
	const struct conf *conf;
	const char *path;

	/* who started us may have closed 0-2, set a strange umask, ignored signals */
	if (fd_fill_standard() < 0)
		return EX_OSERR;
	umask(0022);
	process_default_signals();
	arguments = parse_arguments(argc, argv);
	if (arguments.mode == MODE_PROBE) {
		about_probe(arguments.json);
		return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
	}
	process_title_init(argc, argv);
	arguments.options.handover_fd = takeover_fd();
	if (arguments.options.handover_fd >= 0)
		return master_run(&arguments.options, NULL);
	path = absolute_path(arguments.config);
	conf = load_or_exit(path, arguments.mode != MODE_DUMP);
	arguments.options.config_path = path;
	if (arguments.mode == MODE_RUN)
		return run(&arguments, conf);
	return answer(arguments.mode, path, conf);
}
