#include "ctl/usage.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

const char usage_text[] =
	"usage: preforkctl [-c FILE | -s SOCKET] [-w SECONDS] COMMAND ...\n"
	"       preforkctl [-c FILE] [-p PORT] [-a ADDRESS] [-w SECONDS] probe SERVICE [TEXT]\n"
	"\n"
	"  -c, --config FILE     the config of preforkd\n"
	"                        (default: " RUNTIME_CONFIG ")\n"
	"  -s, --socket SOCKET   the control socket of the master, if not that of the config\n"
	"  -p, --port PORT       where the service is, for one with port 0\n"
	"  -a, --address ADDRESS where the service is, if not where the config says\n"
	"  -w, --wait SECONDS    wait so long for connection and answer (default: 5)\n"
	"  -V, --version         print the version and exit\n"
	"  -h, --help            print this and exit\n"
	"\n"
	"Commands:\n"
	"  status [SERVICE]      what the services do; are all workers busy? (--json)\n"
	"  workers [SERVICE]     what each worker does (--json)\n"
	"  postmortem [SERVICE]  why workers died, the newest first (--json)\n"
	"  top                   both, again and again, until q\n"
	"  health                exit status 0: all is well; also --live, --ready\n"
	"  config                the config that is in use\n"
	"  reload                read the config; --wait: and say what came of it.\n"
	"                        With --plan: say what it would do, and do nothing\n"
	"  scale SERVICE MIN MAX how many workers, until the next reload\n"
	"  retire SERVICE|PID    replace workers by new ones\n"
	"  pause SERVICE         no workers; who comes waits\n"
	"  resume SERVICE        go on\n"
	"  kill PID              end a worker at once\n"
	"  log-level [LEVEL]     show or set what is logged, until the next reload\n"
	"  stop                  stop; --now: without waiting for the workers\n"
	"  upgrade               a new binary takes over in place; the log says what came of it\n"
	"  version               the version of the master that runs\n"
	"  probe SERVICE [TEXT]  send TEXT to the service, print the answer\n"
	"\n"
	"See preforkctl(1).\n";

void usage_die(int status, const char *format, ...)
{
	va_list args;

	fputs("preforkctl: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	putc('\n', stderr);
	if (status == EX_USAGE)
		fputs(usage_text, stderr);
	exit(status);
}
