#include "net/handed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "net/address.h"
#include "net/triple.h"

static int number_of(int fd, int option)
{
	int number = 0;
	socklen_t size = sizeof(number);

	return getsockopt(fd, SOL_SOCKET, option, &number, &size) < 0 ? 0 : number;
}

struct handed handed_look(int fd)
{
	struct handed handed = { .fd = fd, .length = sizeof(handed.address) };
	struct sockaddr_storage peer;
	socklen_t length = sizeof(peer);

	handed.family = number_of(fd, SO_DOMAIN);
	handed.type = number_of(fd, SO_TYPE);
	handed.protocol = number_of(fd, SO_PROTOCOL);
	handed.listens = number_of(fd, SO_ACCEPTCONN) != 0;
	handed.connected = getpeername(fd, (void *)&peer, &length) == 0;
	if (handed.family == AF_UNSPEC ||
	    getsockname(fd, (void *)&handed.address, &handed.length) < 0)
		handed.length = 0;
	return handed;
}

static bool same_address(const struct handed *handed, const struct listener_spec *spec)
{
	struct sockaddr_storage bound = handed->address;
	const char *path = address_path(&spec->address);

	/* who bound it may have counted the NUL at the end or not */
	if (path != NULL)
		return address_path(&bound) != NULL && strcmp(path, address_path(&bound)) == 0;
	/* of a raw socket the kernel tells the protocol for a port */
	if (listener_any_port(spec) || spec->type == SOCK_RAW)
		address_set_port(&bound, address_port(&spec->address));
	return handed->length == spec->length && memcmp(&bound, &spec->address, spec->length) == 0;
}

bool handed_fits(const struct handed *handed, const struct listener_spec *spec)
{
	const struct triple *triple = triple_find(spec->family, spec->type, spec->protocol);

	return handed->family == spec->family && handed->type == spec->type &&
	       handed->protocol == spec->protocol && spec->family != AF_TIPC &&
	       !handed->connected && handed->listens == triple->listens &&
	       same_address(handed, spec);
}

void handed_describe(const struct handed *handed, struct text *out)
{
	const struct triple *triple = triple_find(handed->family, handed->type, handed->protocol);
	char address[ADDRESS_TEXT_MAX];

	if (handed->family == AF_UNSPEC) {
		text_add(out, "no socket");
		return;
	}
	text_addf(out, "%s %s", triple_word(triple_families, handed->family),
		  triple_word(triple_types, handed->type));
	if (triple != NULL && triple->protocol > 0)
		text_addf(out, " %s", triple->name);
	text_addf(out, " %s", address_text(&handed->address, handed->length, address));
	if (handed->connected)
		text_add(out, ", a connection");
	else if (triple != NULL && triple->listens && !handed->listens)
		text_add(out, ", not listening");
}

static int fail(struct text *error, const char *step)
{
	int saved = errno;

	text_addf(error, "%s: %s (of a socket that was handed in)", step, strerror(saved));
	errno = saved;
	return -1;
}

/* Workers wait in accept(2); and no program inherits it but who shall. */
static int make_plain(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -1;
	return (flags & O_NONBLOCK) != 0 ? fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) : 0;
}

static int setup_datagrams(int fd, const struct listener_spec *spec)
{
	if (!triple_is_forgeable(triple_find(spec->family, spec->type, spec->protocol)))
		return 0;
	return datagram_setup(fd, spec->family, address_is_any(&spec->address));
}

static void read_options(const struct listener_spec *spec, int fd, int fresh,
			 struct sockopt_values *before_r, struct sockopt_state *state_r)
{
	sockopt_read(fd, fresh, &spec->options, before_r, state_r);
	/* on one address it makes no difference */
	if (!address_is_any(&spec->address))
		before_r->value[SOCKOPT_V6ONLY] = spec->options.value[SOCKOPT_V6ONLY];
}

const char *handed_fixed_differs(const struct handed *handed, const struct listener_spec *spec)
{
	struct sockopt_values now;
	struct sockopt_state state;

	read_options(spec, handed->fd, -1, &now, &state);
	return sockopt_fixed_differs(&now, &spec->options);
}

/* What somebody else gave his socket besides does no harm. */
static void tolerate(struct sockopt_values *before, const struct sockopt_values *wanted)
{
	static const enum sockopt_id extras[] = { SOCKOPT_REUSE_PORT, SOCKOPT_FREEBIND,
						  SOCKOPT_TRANSPARENT };

	for (size_t i = 0; i < sizeof(extras) / sizeof(*extras); i++) {
		if (wanted->value[extras[i]] == 0)
			before->value[extras[i]] = 0;
	}
}

static int apply_options(struct listener *listener, int fd, bool ours, struct text *shortfall,
			 struct text *error)
{
	const struct listener_spec *spec = &listener->spec;
	struct sockopt_values before, wanted = spec->options;
	const char *differs;
	int fresh = -1;

	/* a new one knows what the kernel would give */
	if (ours)
		fresh = socket(spec->family, spec->type | SOCK_CLOEXEC, spec->protocol);
	if (fresh >= 0 && setup_datagrams(fresh, spec) < 0)
		fd_close(&fresh);
	read_options(spec, fd, fresh, &before, &listener->options);
	fd_close(&fresh);
	if (!ours)
		tolerate(&before, &wanted);
	differs = sockopt_fixed_differs(&before, &wanted);
	if (differs != NULL)
		text_addf(shortfall, "socket.%s: is as whoever opened the socket set it\n",
			  differs);
	sockopt_keep_fixed(&wanted, &before);
	if (sockopt_apply(fd, &before, &wanted, &listener->options, shortfall, error) < 0)
		return -1;
	listener->spec.options = wanted;
	return 0;
}

static int adopt_socket(struct listener *listener, int fd, bool ours, struct text *shortfall,
			struct text *error)
{
	const struct listener_spec *spec = &listener->spec;
	const struct triple *triple = triple_find(spec->family, spec->type, spec->protocol);

	if (make_plain(fd) < 0)
		return fail(error, "fcntl");
	if (setup_datagrams(fd, spec) < 0)
		return fail(error, "setsockopt");
	if (apply_options(listener, fd, ours, shortfall, error) < 0 ||
	    (datagram_join(fd, &spec->group, error) < 0 && errno != EADDRINUSE))
		return -1;
	if (triple->listens && listen(fd, spec->backlog) < 0)
		return fail(error, "listen");
	return 0;
}

/* As the config has it now, should that have changed while no master ran. */
static int adjust_path(const struct listener_spec *spec, const struct unixpath_node *node,
		       struct text *error)
{
	const char *path = address_path(&spec->address);
	struct unixpath_rights before = spec->rights;
	/* only root has given it to somebody, or takes it back */
	bool root = geteuid() == 0;
	struct stat st;

	if (path == NULL || lstat(path, &st) < 0)
		return 0;
	before.mode = st.st_mode & 07777;
	if (root || spec->rights.owner != (uid_t)-1)
		before.owner = st.st_uid;
	if (root || spec->rights.group != (gid_t)-1)
		before.group = st.st_gid;
	return unixpath_adjust(path, node, &before, &spec->rights, error);
}

int handed_adopt(const struct listener_spec *spec, const struct handed *sockets, unsigned n,
		 const struct unixpath_node *node, struct listener *listener_r,
		 struct text *shortfall, struct text *error)
{
	bool raw = spec->type == SOCK_RAW;

	*listener_r = (struct listener){
		.spec = *spec,
		.bound = raw ? spec->address : sockets[0].address,
		.bound_length = raw ? spec->length : sockets[0].length,
		.foreign = node == NULL,
	};
	if (node != NULL && adjust_path(spec, node, error) < 0)
		return -1;
	listener_r->fds = calloc(n, sizeof(int));
	if (listener_r->fds == NULL)
		return fail(error, "malloc");
	for (unsigned i = 0; i < n; i++) {
		/* what is short is so for all */
		shortfall->length = 0;
		if (adopt_socket(listener_r, sockets[i].fd, node != NULL, shortfall, error) < 0) {
			free(listener_r->fds);
			return -1;
		}
		listener_r->fds[i] = sockets[i].fd;
	}
	listener_r->n_fds = n;
	if (node != NULL)
		listener_r->node = *node;
	return 0;
}
