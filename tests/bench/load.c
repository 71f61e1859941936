/*
 * load.c - many clients of an echo server, in one process or several.
 *
 * Each client connects, sends a line that no other client sends, reads the echo
 * and compares every byte, closes its sending side, reads to the end and closes.
 * It never sends a reset, and TIME_WAIT stays on its side. What became of each
 * connection is counted once; counts and latencies are one line of key=value on
 * standard output.
 *
 * This file holds the command line, the processes and the report; the clients
 * are in clients.c.
 */
#include <arpa/inet.h>
#include <err.h>
#include <getopt.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "clients.h"

enum {
	MAX_LINE = 16 << 20,
	MAX_RECORD = 32768,
	MAX_PROCESSES = 256,
	MAX_CLIENTS = 1 << 20,
	MAX_CONNECTIONS = 1 << 30,
	MAX_PORT = 65535,
	MAX_MS = 3600 * 1000,
};

static struct load load = {
	.family = AF_INET,
	.type = SOCK_STREAM,
	.clients = 1,
	.size = 32,
	.timeout_ms = 10000,
};
static unsigned long processes = 1, port, beside;
static double seconds;
static const char *host, *path;

static void usage(FILE *to)
{
	fputs("usage: load {-n N | -s S} {-p PORT | -u PATH} [option ...]\n"
	      "Clients of an echo server; counts what became of their connections.\n"
	      "\n"
	      "how much:\n"
	      "  -n, --connections N  so many connections in all\n"
	      "  -s, --seconds S      new connections for so long; the open ones are finished\n"
	      "  -c, --clients N      connections at the same time, in all processes (1)\n"
	      "  -P, --processes N    processes that share the work (1)\n"
	      "whom:\n"
	      "  -p, --port PORT      TCP port\n"
	      "      --beside PORT    another one, asked by turns; it gets a line of its own,\n"
	      "                       with ratio=: its rate to the first one's, median of the turns\n"
	      "      --slice MS       length of a turn (5)\n"
	      "  -a, --address A      numeric address (127.0.0.1, with -6 ::1)\n"
	      "  -6, --inet6          TCP over IPv6\n"
	      "      --spread         connections go to 127.0.0.1 ... 127.0.0.50 in turn\n"
	      "  -u, --unix PATH      a unix socket; @NAME is an abstract one\n"
	      "  -q, --seqpacket      the unix socket is of type seqpacket\n"
	      "what each does:\n"
	      "  -S, --size BYTES     length of the line with its newline (32)\n"
	      "      --think MS       waits between connect and send (0)\n"
	      "      --hold MS        waits between the echo and the end (0)\n"
	      "      --timeout MS     gives up when nothing happens for so long (10000)\n"
	      "  -h, --help           this text\n"
	      "\n"
	      "ok: the echo was right, and the end came after ours. refused: no server.\n"
	      "reset: the server ended it before the client did, or by a reset.\n"
	      "wrong: not the bytes that were sent. timeout: silence.\n"
	      "Latency is from connect to end, of those that are ok.\n"
	      "Exit status: 0 all ok, 1 some not, 64 usage, 71 this machine could not.\n",
	      to);
}

/* options without a letter */
enum { SPREAD = 256, THINK, HOLD, TIMEOUT_MS, BESIDE, SLICE };

static const struct option longopts[] = {
	{ "connections", required_argument, NULL, 'n' },
	{ "seconds", required_argument, NULL, 's' },
	{ "clients", required_argument, NULL, 'c' },
	{ "processes", required_argument, NULL, 'P' },
	{ "port", required_argument, NULL, 'p' },
	{ "beside", required_argument, NULL, BESIDE },
	{ "slice", required_argument, NULL, SLICE },
	{ "address", required_argument, NULL, 'a' },
	{ "inet6", no_argument, NULL, '6' },
	{ "spread", no_argument, NULL, SPREAD },
	{ "unix", required_argument, NULL, 'u' },
	{ "seqpacket", no_argument, NULL, 'q' },
	{ "size", required_argument, NULL, 'S' },
	{ "think", required_argument, NULL, THINK },
	{ "hold", required_argument, NULL, HOLD },
	{ "timeout", required_argument, NULL, TIMEOUT_MS },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static const struct {
	int option;
	unsigned long min, max, *value;
} numbers[] = {
	{ 'n', 1, MAX_CONNECTIONS, &load.connections },
	{ 'c', 1, MAX_CLIENTS, &load.clients },
	{ 'P', 1, MAX_PROCESSES, &processes },
	{ 'p', 1, MAX_PORT, &port },
	{ BESIDE, 1, MAX_PORT, &beside },
	{ SLICE, 1, MAX_MS, &load.slice_ms },
	{ 'S', 1, MAX_LINE, &load.size },
	{ THINK, 0, MAX_MS, &load.think_ms },
	{ HOLD, 0, MAX_MS, &load.hold_ms },
	{ TIMEOUT_MS, 1, MAX_MS, &load.timeout_ms },
};

/* Whether the option takes a number. Sets it, or ends the program when the text is none. */
static bool set_number(int option, const char *text)
{
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		unsigned long min = numbers[i].min, max = numbers[i].max;
		char *end;

		if (numbers[i].option != option)
			continue;
		*numbers[i].value = strtoul(text, &end, 10);
		if (*text < '0' || *text > '9' || *end || *numbers[i].value < min ||
		    *numbers[i].value > max)
			errx(EX_USAGE, "%s: a number from %lu to %lu is wanted", text, min, max);
		return true;
	}
	return false;
}

static double duration(const char *text)
{
	char *end;
	double s = strtod(text, &end);

	if (end == text || *end || !(s > 0 && s < 1e6))
		errx(EX_USAGE, "%s: seconds are wanted", text);
	return s;
}

static void options(int argc, char **argv)
{
	int c;

	while ((c = getopt_long(argc, argv, "n:s:c:P:p:a:6u:qS:h", longopts, NULL)) != -1) {
		if (set_number(c, optarg))
			continue;
		switch (c) {
		case 's':
			seconds = duration(optarg);
			break;
		case 'a':
			host = optarg;
			break;
		case '6':
			load.family = AF_INET6;
			break;
		case SPREAD:
			load.spread = true;
			break;
		case 'u':
			path = optarg;
			break;
		case 'q':
			load.type = SOCK_SEQPACKET;
			break;
		case 'h':
			usage(stdout);
			exit(EX_OK);
		default:
			usage(stderr);
			exit(EX_USAGE);
		}
	}
	if (optind < argc) {
		usage(stderr);
		exit(EX_USAGE);
	}
}

static void check_options(void)
{
	if ((load.connections > 0) == (seconds > 0))
		errx(EX_USAGE, "either --connections or --seconds is wanted");
	if (!port == !path)
		errx(EX_USAGE, "either --port or --unix is wanted");
	if (path && (host || load.spread || load.family == AF_INET6))
		errx(EX_USAGE, "--unix goes without --address, --inet6 and --spread");
	if (load.type == SOCK_SEQPACKET && (!path || load.size > MAX_RECORD))
		errx(EX_USAGE, "--seqpacket needs --unix, and lines up to %d bytes", MAX_RECORD);
	if (load.spread && (host || load.family != AF_INET))
		errx(EX_USAGE, "--spread goes without --address and --inet6");
	if (beside && (processes > 1 || load.connections || path))
		errx(EX_USAGE, "--beside goes with --port and --seconds, and in one process");
	if (load.slice_ms && !beside)
		errx(EX_USAGE, "--slice is for --beside");
	if (beside && !load.slice_ms)
		load.slice_ms = 5;
	if (processes > load.clients || (load.connections && processes > load.connections))
		errx(EX_USAGE, "more processes than clients or connections");
}

static void find_peer(void)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&load.peer;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&load.peer;
	struct sockaddr_un *un = (struct sockaddr_un *)&load.peer;
	size_t len = path ? strlen(path) : 0;
	int good = 1;

	if (path) {
		if (len >= sizeof(un->sun_path))
			errx(EX_USAGE, "%s: too long", path);
		load.family = AF_UNIX;
		memcpy(un->sun_path, path, len);
		if (*path == '@')
			un->sun_path[0] = '\0';
		/* an abstract name ends where the address ends, a path with its NUL */
		load.peer_len =
			(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (*path != '@'));
	} else if (load.family == AF_INET6) {
		good = inet_pton(AF_INET6, host ? host : "::1", &in6->sin6_addr);
		load.peer_len = sizeof(*in6);
	} else {
		good = inet_pton(AF_INET, host ? host : "127.0.0.1", &in->sin_addr);
		load.peer_len = sizeof(*in);
	}
	if (good != 1)
		errx(EX_USAGE, "%s: a numeric address is wanted", host);
	load.port[0] = htons((in_port_t)port);
	load.port[1] = htons((in_port_t)beside);
	load.peer.ss_family = (sa_family_t)load.family;
}

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

/* Latencies are counted in cells: 512 to each power of two. */
void tally_latency(struct tally *tally, uint64_t ns)
{
	unsigned int shift = 0;
	uint64_t cell;

	while (ns >> shift >= 2U << CELL_BITS)
		shift++;
	cell = ((uint64_t)shift << CELL_BITS) + (ns >> shift);
	tally->cell[cell < CELLS ? cell : CELLS - 1]++;
}

static double cell_us(unsigned int cell)
{
	unsigned int shift = cell >> CELL_BITS ? (cell >> CELL_BITS) - 1 : 0;

	return (double)((uint64_t)(cell - (shift << CELL_BITS)) << shift) / 1000;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/*
 * Rate of the server beside to that of the other one: the median of all pairs of
 * slices, so that what disturbs some of them does not count.
 */
static double slice_ratio(void)
{
	static double ratio[SLICES_MAX];
	const struct tally *a = load.tally, *b = load.tally + 1;

	for (unsigned int i = 0; i < b->slices; i++)
		ratio[i] = b->slice_rate[i] / a->slice_rate[i];
	qsort(ratio, b->slices, sizeof(*ratio), compare);
	return ratio[b->slices / 2];
}

/* Prints the one line. Returns the exit status. */
static int report(const struct tally *t, double took_s)
{
	static const struct {
		const char *name;
		double share;
	} quantiles[] = {
		{ "p50_us", 0.5 }, { "p99_us", 0.99 }, { "p999_us", 0.999 }, { "max_us", 1 }
	};
	unsigned long all = 0, seen = 0, ok = t->outcome[OK];
	unsigned int cell = 0;

	for (int i = 0; i < OUTCOMES; i++)
		all += t->outcome[i];
	printf("connections=%lu ok=%lu refused=%lu reset=%lu wrong=%lu timeout=%lu", all, ok,
	       t->outcome[REFUSED], t->outcome[RESET], t->outcome[WRONG], t->outcome[TIMEOUT]);
	printf(" seconds=%.3f rate=%.0f", took_s, (double)ok / took_s);
	for (int i = 0; i < 4; i++) {
		while (cell < CELLS &&
		       (double)(seen + t->cell[cell]) < quantiles[i].share * (double)ok)
			seen += t->cell[cell++];
		printf(" %s=%.1f", quantiles[i].name, cell_us(cell));
	}
	if (t > load.tally)
		printf(" ratio=%.4f", slice_ratio());
	if (putchar('\n') == EOF || fflush(stdout) == EOF)
		err(EX_IOERR, "standard output");
	return all > 0 && ok == all ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Process i of all takes its share: what does not divide goes to the first ones. */
static void take_share(unsigned long i)
{
	load.clients = load.clients / processes + (i < load.clients % processes);
	load.connections = load.connections / processes + (i < load.connections % processes);
}

static void start_processes(void)
{
	for (unsigned long i = 0; i < processes; i++) {
		pid_t pid = fork();

		if (pid < 0)
			err(EX_OSERR, "fork");
		if (pid > 0)
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a client never outlives the program */
		take_share(i);
		clients_run(&load);
		_exit(EX_OK);
	}
}

/* Every client needs a descriptor; the soft limit is for programs with select(2). */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int main(int argc, char **argv)
{
	uint64_t start_ns;
	double took_s;
	int status;

	options(argc, argv);
	check_options();
	find_peer();
	raise_limit();
	load.tally = mmap(NULL, 2 * sizeof(*load.tally), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (load.tally == MAP_FAILED)
		err(EX_OSERR, "memory");

	start_ns = now_ns();
	load.stop_ns = start_ns + (uint64_t)(seconds * 1e9);
	start_processes();
	while (wait(&status) > 0) {
		if (!WIFEXITED(status) || WEXITSTATUS(status) != EX_OK)
			return EX_OSERR;
	}
	took_s = (double)(now_ns() - start_ns) / 1e9;
	if (!beside)
		return report(load.tally, took_s);
	status = report(load.tally, (double)load.tally[0].took_ns / 1e9);
	return report(load.tally + 1, (double)load.tally[1].took_ns / 1e9) | status;
}
