#include "net/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "net/address.h"
#include "net/triple.h"

/* What the user can do about an error of bind(2) or socket(2). */
static const char *remedy(int error, const struct listener_spec *spec)
{
	switch (error) {
	case EADDRINUSE:
		return "another program has it: see ss -lnp, or choose another";
	case EADDRNOTAVAIL:
		return "no interface has this address: see ip address, or write \"*\"";
	case EACCES:
	case EPERM:
		if (spec->family == AF_UNIX)
			return "no right to create the path: choose another directory or user";
		return "ports below 1024 need root or CAP_NET_BIND_SERVICE";
	case ENOENT:
	case ENOTDIR:
		return "the directory does not exist: create it first";
	case EROFS:
		return "the file system is read-only: choose a directory under /run";
	case EAFNOSUPPORT:
	case EPROTONOSUPPORT:
	case ESOCKTNOSUPPORT:
		return "the kernel does not have this kind of socket";
	case EMFILE:
	case ENFILE:
		return "too many open files: raise the limit (LimitNOFILE=)";
	default:
		return "see the system's manual";
	}
}

static int fail(struct text *error, const char *step, const struct listener_spec *spec)
{
	int saved = errno;

	text_addf(error, "%s: %s (%s)", step, strerror(saved), remedy(saved, spec));
	errno = saved;
	return -1;
}

static int set_options(int fd, const struct listener_spec *spec)
{
	int on = 1, v6only = spec->v6only;

	/* TCP: connections of a former run in TIME_WAIT are no obstacle. UDP: it
	   would let a second server take the port silently. */
	if (spec->family != AF_UNIX && spec->type != SOCK_DGRAM &&
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -1;
	if (spec->family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only)) < 0)
		return -1;
	/* answers leave from the address the request came to */
	if (spec->type != SOCK_DGRAM || spec->family == AF_UNIX)
		return 0;
	if (spec->family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on)) < 0)
		return -1;
	/* on an inet6 socket, too: for the IPv4 that comes to it when v6only is false */
	return setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
}

static int try_connect(const struct listener_spec *spec)
{
	/* non-blocking, because a full queue would make us wait (and means yes) */
	int fd = socket(AF_UNIX, spec->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r = fd < 0 ? -1 : connect(fd, (const void *)&spec->address, spec->length);

	fd_close(&fd);
	return r;
}

/*
 * Is a server behind this socket? EPROTOTYPE: one of another type is. A root
 * without CAP_DAC_OVERRIDE, as under our unit file, may not be allowed to
 * connect; then the owner is, or the group.
 */
static bool somebody_answers(const struct listener_spec *spec, const struct stat *st)
{
	int r = try_connect(spec);

	if (r < 0 && errno == EACCES) {
		setfsgid(st->st_gid);
		r = try_connect(spec);
	}
	if (r < 0 && errno == EACCES) {
		setfsuid(st->st_uid);
		r = try_connect(spec);
	}
	setfsuid(geteuid());
	setfsgid(getegid());
	return r == 0 || (errno != ECONNREFUSED && errno != ENOENT);
}

/* Remove a socket that nobody serves any more; leave anything else alone. */
static int clear_path(const struct listener_spec *spec, const char *path, struct text *error)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return 0; /* bind(2) will say what is wrong, if anything */
	if (!S_ISSOCK(st.st_mode)) {
		text_addf(error,
			  "%s exists and is not a socket (remove it, or choose another path)",
			  path);
		errno = EEXIST;
		return -1;
	}
	if (somebody_answers(spec, &st)) {
		text_addf(error,
			  "another program serves %s (stop that one, or choose another path)",
			  path);
		errno = EADDRINUSE;
		return -1;
	}
	if (unlink(path) < 0 && errno != ENOENT)
		return fail(error, "unlink of a stale socket", spec);
	return 0;
}

static int give_away(const char *path, const struct listener_spec *spec, struct text *error)
{
	int saved;

	if (spec->owner == (uid_t)-1 && spec->group == (gid_t)-1)
		return 0;
	if (lchown(path, spec->owner, spec->group) == 0)
		return 0;
	saved = errno;
	text_addf(error, "chown: %s (only root can give it to another user or group)",
		  strerror(saved));
	errno = saved;
	return -1;
}

/*
 * The mode is right from the first moment: fchmod(2) before bind(2) sets what
 * bind gives the path, less the umask. Nobody can connect before listen(2), so
 * owner and group are in time as well; for datagrams the mode protects.
 */
static int bind_path(int fd, const struct listener_spec *spec, const char *path,
		     struct listener *listener, struct text *error)
{
	mode_t umask_before;
	struct stat st;
	int r;

	if (fchmod(fd, spec->mode) < 0)
		return fail(error, "fchmod", spec);
	umask_before = umask(0);
	r = bind(fd, (const void *)&spec->address, spec->length);
	umask(umask_before);
	if (r < 0)
		return fail(error, "bind", spec);
	if (lstat(path, &st) < 0)
		return fail(error, "stat", spec);
	listener->device = st.st_dev;
	listener->inode = st.st_ino;
	return give_away(path, spec, error);
}

static int bind_and_listen(const struct listener_spec *spec, struct listener *listener,
			   struct text *error)
{
	const char *path = address_path(&spec->address);
	int r = 0;

	if (path != NULL && clear_path(spec, path, error) < 0)
		return -1;
	if (set_options(listener->fd, spec) < 0)
		return fail(error, "setsockopt", spec);
	if (path != NULL)
		r = bind_path(listener->fd, spec, path, listener, error);
	else if (bind(listener->fd, (const void *)&spec->address, spec->length) < 0)
		r = fail(error, "bind", spec);
	if (r < 0)
		return -1;
	if (triple_accepts(spec->type) && listen(listener->fd, spec->backlog) < 0)
		return fail(error, "listen", spec);
	listener->bound_length = sizeof(listener->bound);
	if (getsockname(listener->fd, (void *)&listener->bound, &listener->bound_length) < 0)
		return fail(error, "getsockname", spec);
	return 0;
}

int listener_open(const struct listener_spec *spec, struct listener *listener_r, struct text *error)
{
	*listener_r = (struct listener){ .spec = *spec };
	listener_r->fd = socket(spec->family, spec->type | SOCK_CLOEXEC, spec->protocol);
	if (listener_r->fd < 0)
		return fail(error, "socket", spec);
	if (bind_and_listen(spec, listener_r, error) < 0) {
		int saved = errno;

		listener_close(listener_r);
		errno = saved;
		return -1;
	}
	return 0;
}

/* As the owner, like the connect above: without CAP_FOWNER root may not, either. */
static int change_mode(const char *path, mode_t mode)
{
	struct stat st;
	int r;

	if (lstat(path, &st) < 0)
		return -1;
	setfsuid(st.st_uid);
	r = chmod(path, mode);
	setfsuid(geteuid());
	return r;
}

int listener_adjust(struct listener *listener, const struct listener_spec *spec, struct text *error)
{
	const struct listener_spec *now = &listener->spec;
	const char *path = address_path(&spec->address);

	if (now->v6only != spec->v6only) {
		text_add(error, "v6only of a bound socket cannot change (restart preforkd)");
		errno = EINVAL;
		return -1;
	}
	if (path != NULL && now->mode != spec->mode && change_mode(path, spec->mode) < 0)
		return fail(error, "chmod", spec);
	if (path != NULL && (now->owner != spec->owner || now->group != spec->group) &&
	    give_away(path, spec, error) < 0)
		return -1;
	if (triple_accepts(spec->type) && now->backlog != spec->backlog &&
	    listen(listener->fd, spec->backlog) < 0)
		return fail(error, "listen", spec);
	listener->spec = *spec;
	return 0;
}

void listener_close(struct listener *listener)
{
	const char *path = address_path(&listener->spec.address);
	struct stat st;

	if (path != NULL && listener->inode != 0 && lstat(path, &st) == 0 &&
	    st.st_dev == listener->device && st.st_ino == listener->inode)
		unlink(path);
	fd_close(&listener->fd);
}

bool listener_same_address(const struct listener_spec *a, const struct listener_spec *b)
{
	return a->family == b->family && a->type == b->type && a->protocol == b->protocol &&
	       a->length == b->length && memcmp(&a->address, &b->address, a->length) == 0;
}
