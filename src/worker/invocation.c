#include "worker/invocation.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "board/board.h"
#include "conf/conf.h"
#include "conf/words.h"
#include "net/address.h"
#include "worker/serve.h"

#define OWN_MAX 32	    /* variables that we make for a conn */
#define OWN_SIZE 2048	    /* of their text */
#define ARGUMENT_SIZE 16384 /* of arguments with words in them; conf/check_program.c has less */

struct party {
	char addr[ADDRESS_TEXT_MAX], port[12];
};

struct state {
	struct invocation pub;
	size_t n_fixed; /* of envp; what follows is made for each conn */
	char own[OWN_SIZE], arguments[ARGUMENT_SIZE];
	struct text text;
	struct party remote, local;
	char worker[12], connection[24], generation[12];
};

/* Facts about the conn, which nothing in the config may forge. */
static bool is_ours(const char *variable)
{
	static const char *const ours[] = {
		"PREFORKD_", "PROTO=",	 "REMOTE_ADDR=", "REMOTE_PORT=", "TCPLOCAL",
		"TCPREMOTE", "UDPLOCAL", "UDPREMOTE",	 "SCTPLOCAL",	 "SCTPREMOTE",
		"IPLOCAL",   "IPREMOTE", "IPCLOCAL",	 "IPCREMOTE",
	};

	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++) {
		if (strncmp(variable, ours[i], strlen(ours[i])) == 0)
			return true;
	}
	return false;
}

/* setup_environment() has made our own environment: it is what every program gets. */
static int set_fixed(struct state *state)
{
	size_t n = 0;

	while (environ[n] != NULL)
		n++;
	state->pub.envp = calloc(n + OWN_MAX + 1, sizeof(char *));
	if (state->pub.envp == NULL)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (!is_ours(environ[i]))
			state->pub.envp[state->n_fixed++] = environ[i];
	}
	return 0;
}

struct invocation *invocation_new(const struct serve *serve)
{
	struct state *state = calloc(1, sizeof(*state));

	if (state == NULL)
		return NULL;
	state->pub.argv = (char **)conf_list_pointers(serve->conf, serve->service->command);
	if (set_fixed(state) < 0) {
		free(state);
		return NULL;
	}
	snprintf(state->worker, sizeof(state->worker), "%u", serve->index);
	snprintf(state->generation, sizeof(state->generation), "%u", serve->generation);
	return &state->pub;
}

/* Host and port apart; an IPv4 address that came over IPv6 as what it is. */
static void split(const struct sockaddr_storage *addr, socklen_t length, struct party *party)
{
	const struct sockaddr_in *in = (const void *)addr;
	const struct sockaddr_in6 *in6 = (const void *)addr;

	party->port[0] = '\0';
	if (addr->ss_family == AF_INET) {
		inet_ntop(AF_INET, &in->sin_addr, party->addr, sizeof(party->addr));
	} else if (addr->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], party->addr, sizeof(party->addr));
	} else if (addr->ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &in6->sin6_addr, party->addr, sizeof(party->addr));
	} else {
		address_text(addr, length, party->addr);
		return;
	}
	snprintf(party->port, sizeof(party->port), "%u", address_port(addr));
}

static void add(struct state *state, char ***at, const char *prefix, const char *name,
		const char *value)
{
	**at = state->text.buf + state->text.length;
	text_addf(&state->text, "%s%s=%s", prefix, name, value);
	/* each with its own NUL; of what does not fit any more the last one is cut */
	if (state->text.length + 1 < state->text.size)
		state->text.length++;
	(*at)++;
}

static void add_number(struct state *state, char ***at, const char *name, long long number)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", number);
	add(state, at, "", name, text);
}

static void add_ipc(struct state *state, char ***at, int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	add(state, at, "", "PROTO", "IPC");
	add(state, at, "", "IPCLOCALPATH", state->local.addr);
	add(state, at, "", "IPCREMOTEPATH", state->remote.addr);
	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return;
	add_number(state, at, "IPCREMOTEEUID", peer.uid);
	add_number(state, at, "IPCREMOTEEGID", peer.gid);
	add_number(state, at, "IPCREMOTEPID", peer.pid);
}

/* The words of UCSPI: TCPREMOTEIP and so on. */
static const char *ucspi_name(const struct listener_spec *spec)
{
	switch (spec->protocol) {
	case IPPROTO_TCP:
	case IPPROTO_MPTCP:
		return "TCP";
	case IPPROTO_SCTP:
		return "SCTP";
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
		return "UDP";
	default:
		return "IP";
	}
}

static void add_inet(struct state *state, char ***at, const struct listener_spec *spec)
{
	const char *name = ucspi_name(spec);

	add(state, at, "", "PROTO", name);
	add(state, at, name, "REMOTEIP", state->remote.addr);
	add(state, at, name, "REMOTEPORT", state->remote.port);
	add(state, at, name, "LOCALIP", state->local.addr);
	add(state, at, name, "LOCALPORT", state->local.port);
}

static void fill_envp(struct state *state, const struct serve *serve, int fd)
{
	const struct listener_spec *spec = &serve->service->spec;
	char **at = state->pub.envp + state->n_fixed;

	state->text = text_start(state->own, sizeof(state->own));
	if (spec->family == AF_UNIX)
		add_ipc(state, &at, fd);
	else if (address_is_inet(spec->family))
		add_inet(state, &at, spec);
	add(state, &at, "", "REMOTE_ADDR", state->remote.addr);
	if (state->remote.port[0] != '\0')
		add(state, &at, "", "REMOTE_PORT", state->remote.port);
	add(state, &at, "PREFORKD_", "SERVICE", conf_string(serve->conf, serve->service->name));
	add(state, &at, "PREFORKD_", "WORKER", state->worker);
	add(state, &at, "PREFORKD_", "GENERATION", state->generation);
	add(state, &at, "PREFORKD_", "CONNECTION", state->connection);
	*at = NULL;
}

static void fill_argv(struct state *state, const struct serve *serve)
{
	const char *const values[WORDS_N] = {
		[WORD_REMOTE_ADDR] = state->remote.addr,
		[WORD_REMOTE_PORT] = state->remote.port,
		[WORD_LOCAL_ADDR] = state->local.addr,
		[WORD_LOCAL_PORT] = state->local.port,
		[WORD_SERVICE] = conf_string(serve->conf, serve->service->name),
		[WORD_WORKER] = state->worker,
		[WORD_CONNECTION] = state->connection,
		[WORD_GENERATION] = state->generation,
	};
	struct conf_list command = serve->service->command;
	struct text text = text_start(state->arguments, sizeof(state->arguments));

	for (unsigned i = 1; i < command.count; i++) {
		const char *word = conf_list_string(serve->conf, command, i);

		if (strchr(word, '%') == NULL)
			continue;
		state->pub.argv[i] = text.buf + text.length;
		words_expand(word, values, &text);
		if (text.length + 1 < text.size)
			text.length++;
	}
}

void invocation_fill(struct invocation *invocation, const struct serve *serve, int fd)
{
	struct state *state = (struct state *)invocation;
	const struct slot *slot = serve->slot;
	struct sockaddr_storage local = serve->service->spec.address;
	socklen_t length = sizeof(local);

	if (getsockname(fd >= 0 ? fd : serve->listener, (void *)&local, &length) < 0)
		length = serve->service->spec.length;
	split(&slot->peer, slot->peer_length, &state->remote);
	split(&local, length, &state->local);
	snprintf(state->connection, sizeof(state->connection), "%llu",
		 (unsigned long long)slot->accepted);
	fill_envp(state, serve, fd);
	fill_argv(state, serve);
}
