/*
 * load.c - many clients of an echo server, in one process or several.
 *
 * Each client connects, sends a line that no other client sends, reads the echo
 * and compares every byte, closes its sending side, reads to the end and closes.
 * It never sends a reset, and TIME_WAIT stays on its side. What became of each
 * connection is counted once; counts and latencies are one line of key=value on
 * standard output.
 *
 * With --datagrams each client keeps so many datagrams on their way to a UDP
 * server instead, and each of those counts as a connection.
 *
 * This file holds the command line and the processes; the clients are in
 * clients.c and packets.c, the counts in tally.c.
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
#include <unistd.h>

#include "clients.h"

enum {
	MAX_LINE = 16 << 20,
	MAX_RECORD = 32768,
	MAX_DATAGRAM = 1000, /* 64 of them are sent in one call */
	MIN_DATAGRAM = 16,
	MAX_WINDOW = 1 << 16,
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
	.window = 1,
	.size = 32,
	.timeout_ms = 10000,
};
static unsigned long processes = 1;
static double seconds;
static const char *host, *port, *path, *beside;

static void usage(FILE *to)
{
	fputs("usage: load {-n N | -s S} {-p PORT | -u PATH} [option ...]\n"
	      "Clients of an echo server; counts what became of their connections.\n"
	      "\n"
	      "how much:\n"
	      "  -n, --connections N  so many connections in all\n"
	      "  -s, --seconds S      new connections for so long; the open ones are finished\n"
	      "      --until FILE     with -n: more of them until this file is there\n"
	      "      --rate N         opens at most so many a second, in each process\n"
	      "  -c, --clients N      connections at the same time, in all processes (1)\n"
	      "  -P, --processes N    processes that share the work (1)\n"
	      "whom:\n"
	      "  -p, --port PORT      port of TCP, or of UDP\n"
	      "      --beside WHERE   another port or path, asked by turns; it gets a line of its\n"
	      "                       own, with ratio=: its rate to the first one's, median of the\n"
	      "                       turns\n"
	      "      --slice MS       length of a turn (5)\n"
	      "  -a, --address A      numeric address (127.0.0.1, with -6 ::1)\n"
	      "  -6, --inet6          IPv6\n"
	      "      --spread         connections go to 127.0.0.1 ... 127.0.0.50 in turn\n"
	      "  -u, --unix PATH      a unix socket; @NAME is an abstract one\n"
	      "  -q, --seqpacket      the unix socket is of type seqpacket\n"
	      "  -d, --datagrams      UDP\n"
	      "what each does:\n"
	      "  -S, --size BYTES     length of the line with its newline (32)\n"
	      "      --think MS       waits between connect and send (0)\n"
	      "      --hold MS        waits between the echo and the end (0)\n"
	      "      --window N       datagrams of each client on their way at the same time (1)\n"
	      "      --timeout MS     gives up when nothing happens for so long (10000)\n"
	      "  -h, --help           this text\n"
	      "\n"
	      "ok: the echo was right, and the end came after ours. refused: no server.\n"
	      "reset: the server ended it before the client did, or by a reset.\n"
	      "wrong: not the bytes that were sent. timeout: silence.\n"
	      "Latency is from connect to end, of those that are ok.\n"
	      "With -d each datagram is a connection, and one that is lost a timeout.\n"
	      "Exit status: 0 all ok (datagrams may get lost), 1 some not, 64 usage, 71 this machine could not.\n",
	      to);
}

/* options without a letter */
enum { SPREAD = 256, THINK, HOLD, WINDOW, TIMEOUT_MS, BESIDE, SLICE, UNTIL, RATE };

static const struct option longopts[] = {
	{ "connections", required_argument, NULL, 'n' },
	{ "seconds", required_argument, NULL, 's' },
	{ "until", required_argument, NULL, UNTIL },
	{ "rate", required_argument, NULL, RATE },
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
	{ "datagrams", no_argument, NULL, 'd' },
	{ "size", required_argument, NULL, 'S' },
	{ "think", required_argument, NULL, THINK },
	{ "hold", required_argument, NULL, HOLD },
	{ "window", required_argument, NULL, WINDOW },
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
	{ SLICE, 1, MAX_MS, &load.slice_ms },
	{ 'S', 1, MAX_LINE, &load.size },
	{ THINK, 0, MAX_MS, &load.think_ms },
	{ HOLD, 0, MAX_MS, &load.hold_ms },
	{ WINDOW, 1, MAX_WINDOW, &load.window },
	{ TIMEOUT_MS, 1, MAX_MS, &load.timeout_ms },
};

/* Returns the number in text; ends the program when it is none, or not within min..max. */
static unsigned long number(const char *text, unsigned long min, unsigned long max)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || n < min || n > max)
		errx(EX_USAGE, "%s: a number from %lu to %lu is wanted", text, min, max);
	return n;
}

/* Whether the option takes a number. Sets it. */
static bool set_number(int option, const char *text)
{
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		if (numbers[i].option != option)
			continue;
		*numbers[i].value = number(text, numbers[i].min, numbers[i].max);
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

	while ((c = getopt_long(argc, argv, "n:s:c:P:p:a:6u:qdS:h", longopts, NULL)) != -1) {
		if (set_number(c, optarg))
			continue;
		switch (c) {
		case 's':
			seconds = duration(optarg);
			break;
		case UNTIL:
			load.gate = optarg;
			break;
		case RATE:
			load.rate = number(optarg, 1, MAX_CONNECTIONS);
			break;
		case 'p':
			port = optarg;
			break;
		case BESIDE:
			beside = optarg;
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
			load.family = AF_UNIX;
			break;
		case 'q':
			load.type = SOCK_SEQPACKET;
			break;
		case 'd':
			load.type = SOCK_DGRAM;
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
	if ((load.gate && !load.connections) || (load.rate && load.type == SOCK_DGRAM))
		errx(EX_USAGE, "--until goes with --connections, --rate without --datagrams");
	if (!port == !path)
		errx(EX_USAGE, "either --port or --unix is wanted");
	if (path && (host || load.spread || load.family != AF_UNIX))
		errx(EX_USAGE, "--unix goes without --address, --inet6 and --spread");
	if (load.type == SOCK_SEQPACKET && (!path || load.size > MAX_RECORD))
		errx(EX_USAGE, "--seqpacket needs --unix, and lines up to %d bytes", MAX_RECORD);
	if (load.spread && (host || load.family != AF_INET))
		errx(EX_USAGE, "--spread goes without --address and --inet6");
	if (load.type == SOCK_DGRAM &&
	    (path || load.spread || load.size < MIN_DATAGRAM || load.size > MAX_DATAGRAM))
		errx(EX_USAGE,
		     "--datagrams goes with --port, without --spread, and from %d to %d bytes",
		     MIN_DATAGRAM, MAX_DATAGRAM);
	if (load.window > 1 && load.type != SOCK_DGRAM)
		errx(EX_USAGE, "--window is for --datagrams");
	if (beside && (processes > 1 || load.connections))
		errx(EX_USAGE, "--beside goes with --seconds, and in one process");
	if (load.slice_ms && !beside)
		errx(EX_USAGE, "--slice is for --beside");
	if (beside && !load.slice_ms)
		load.slice_ms = 5;
	if (processes > load.clients || (load.connections && processes > load.connections))
		errx(EX_USAGE, "more processes than clients or connections");
}

static socklen_t unix_peer(struct sockaddr_un *un, const char *name)
{
	size_t len = strlen(name);

	if (len >= sizeof(un->sun_path))
		errx(EX_USAGE, "%s: too long", name);
	memcpy(un->sun_path, name, len);
	if (*name == '@')
		un->sun_path[0] = '\0';
	/* an abstract name ends where the address ends, a path with its NUL */
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (*name != '@'));
}

/* The port or path of a server. */
static void find_peer(int server, const char *where)
{
	struct sockaddr_storage *peer = &load.peer[server];
	struct sockaddr_in *in = (struct sockaddr_in *)peer;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)peer;
	int good = 1;

	peer->ss_family = (sa_family_t)load.family;
	if (load.family == AF_UNIX) {
		load.peer_len[server] = unix_peer((struct sockaddr_un *)peer, where);
		return;
	}
	/* the port is at the same place in sockaddr_in6 */
	in->sin_port = htons((in_port_t)number(where, 1, MAX_PORT));
	if (load.family == AF_INET6) {
		good = inet_pton(AF_INET6, host ? host : "::1", &in6->sin6_addr);
		load.peer_len[server] = sizeof(*in6);
	} else {
		good = inet_pton(AF_INET, host ? host : "127.0.0.1", &in->sin_addr);
		load.peer_len[server] = sizeof(*in);
	}
	if (good != 1)
		errx(EX_USAGE, "%s: a numeric address is wanted", host);
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
		(load.type == SOCK_DGRAM ? packets_run : clients_run)(&load);
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
	find_peer(0, path ? path : port);
	if (beside)
		find_peer(1, beside);
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
		return tally_report(&load, 0, took_s);
	status = tally_report(&load, 0, (double)load.tally[0].took_ns / 1e9);
	return tally_report(&load, 1, (double)load.tally[1].took_ns / 1e9) | status;
}
