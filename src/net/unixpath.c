#include "net/unixpath.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "net/address.h"

struct where {
	const struct sockaddr_storage *addr;
	socklen_t length;
	const char *path;
	int type;
};

static const char *remedy(int error)
{
	switch (error) {
	case EACCES:
	case EPERM:
		return "no right to create the path: choose another directory or user";
	case ENOENT:
		return "the directory does not exist: create it first, or set directory_mode";
	case ENOTDIR:
		return "a part of the path is no directory";
	case EROFS:
		return "the file system is read-only: choose a directory under /run";
	default:
		return "see unix(7)";
	}
}

static int fail(struct text *error, const char *step)
{
	int saved = errno;

	text_addf(error, "%s: %s (%s)", step, strerror(saved), remedy(saved));
	errno = saved;
	return -1;
}

static int try_connect(const struct where *where)
{
	/* non-blocking, because a full queue would make us wait (and means yes) */
	int fd = socket(AF_UNIX, where->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r = fd < 0 ? -1 : connect(fd, (const void *)where->addr, where->length);

	fd_close(&fd);
	return r;
}

/*
 * Is a server behind this socket? EPROTOTYPE: one of another type is. A root
 * without CAP_DAC_OVERRIDE, as under our unit file, may not be allowed to
 * connect; then the owner is, or the group.
 */
static bool somebody_answers(const struct where *where, const struct stat *st)
{
	int r = try_connect(where);

	if (r < 0 && errno == EACCES) {
		setfsgid(st->st_gid);
		r = try_connect(where);
	}
	if (r < 0 && errno == EACCES) {
		setfsuid(st->st_uid);
		r = try_connect(where);
	}
	setfsuid(geteuid());
	setfsgid(getegid());
	return r == 0 || (errno != ECONNREFUSED && errno != ENOENT);
}

/* Remove a socket that nobody serves any more; leave anything else alone. */
static int clear_path(const struct where *where, struct text *error)
{
	struct stat st;

	if (lstat(where->path, &st) < 0)
		return 0; /* bind(2) will say what is wrong, if anything */
	if (!S_ISSOCK(st.st_mode)) {
		text_addf(error,
			  "%s exists and is not a socket (remove it, or choose another path)",
			  where->path);
		errno = EEXIST;
		return -1;
	}
	if (somebody_answers(where, &st)) {
		text_addf(error,
			  "another program serves %s (stop that one, or choose another path)",
			  where->path);
		errno = EADDRINUSE;
		return -1;
	}
	if (unlink(where->path) < 0 && errno != ENOENT)
		return fail(error, "unlink of a stale socket");
	return 0;
}

/* All the directories of the path; those that exist are left as they are. */
static int make_directories(const char *path, mode_t mode, struct text *error)
{
	char part[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	mode_t umask_before = umask(0);
	int r = 0;

	for (const char *slash = strchr(path + 1, '/'); slash != NULL && r == 0;
	     slash = strchr(slash + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
		if (mkdir(part, mode) < 0 && errno != EEXIST)
			r = fail(error, "mkdir");
	}
	umask(umask_before);
	return r;
}

/* The node itself, whoever puts another one in its place, or a link. */
static int open_node(const char *path, struct stat *st_r)
{
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0 && fstat(fd, st_r) < 0)
		fd_close(&fd);
	return fd;
}

static bool is_node(const struct stat *st, const struct unixpath_node *node)
{
	return st->st_dev == node->device && st->st_ino == node->inode;
}

static int give_away(int node_fd, uid_t owner, gid_t group, struct text *error)
{
	int saved;

	if (owner == (uid_t)-1 && group == (gid_t)-1)
		return 0;
	if (fchownat(node_fd, "", owner, group, AT_EMPTY_PATH) == 0)
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
static int bind_node(int fd, const struct where *where, const struct unixpath_rights *rights,
		     struct unixpath_node *node_r, struct text *error)
{
	mode_t umask_before;
	struct stat st;
	int r, node_fd;

	if (fchmod(fd, rights->mode) < 0)
		return fail(error, "fchmod");
	umask_before = umask(0);
	r = bind(fd, (const void *)where->addr, where->length);
	umask(umask_before);
	if (r < 0)
		return fail(error, "bind");
	node_fd = open_node(where->path, &st);
	if (node_fd < 0)
		return fail(error, "stat");
	*node_r = (struct unixpath_node){ st.st_dev, st.st_ino };
	r = give_away(node_fd, rights->owner, rights->group, error);
	fd_close(&node_fd);
	return r;
}

int unixpath_bind(int fd, int type, const struct sockaddr_storage *addr, socklen_t length,
		  const struct unixpath_rights *rights, struct unixpath_node *node_r,
		  struct text *error)
{
	struct where where = { addr, length, address_path(addr), type };

	if (rights->directory_mode != 0 &&
	    make_directories(where.path, rights->directory_mode, error) < 0)
		return -1;
	if (clear_path(&where, error) < 0)
		return -1;
	return bind_node(fd, &where, rights, node_r, error);
}

/* As the owner, like the connect above: without CAP_FOWNER root may not, either. */
static int change_mode(int node_fd, mode_t mode)
{
	char path[64];
	struct stat st;
	int r;

	if (fstat(node_fd, &st) < 0)
		return -1;
	/* fchmod(2) does not take such a descriptor */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", node_fd);
	setfsuid(st.st_uid);
	r = chmod(path, mode);
	setfsuid(geteuid());
	return r;
}

/* As bind(2) chooses it. */
static gid_t group_by_default(const char *path)
{
	char directory[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	struct stat st;

	snprintf(directory, sizeof(directory), "%.*s/", (int)(strrchr(path, '/') - path), path);
	return stat(directory, &st) == 0 && (st.st_mode & S_ISGID) != 0 ? st.st_gid : getegid();
}

/* Whom it shall be given to, -1 for what stays as it is. */
static void choose_owner(const char *path, const struct stat *now,
			 const struct unixpath_rights *before, const struct unixpath_rights *rights,
			 uid_t *owner_r, gid_t *group_r)
{
	uid_t owner = rights->owner != (uid_t)-1 ? rights->owner : geteuid();
	gid_t group = rights->group != (gid_t)-1 ? rights->group : group_by_default(path);

	*owner_r = before->owner != rights->owner && owner != now->st_uid ? owner : (uid_t)-1;
	*group_r = before->group != rights->group && group != now->st_gid ? group : (gid_t)-1;
}

/* While it changes hands nobody may more than both allow. */
static int change_rights(int node_fd, const struct stat *now, uid_t owner, gid_t group, mode_t mode,
			 struct text *error)
{
	bool moves = owner != (uid_t)-1 || group != (gid_t)-1;
	mode_t mode_now = now->st_mode & 07777;
	int saved;

	if (moves && (mode_now & mode) != mode_now && change_mode(node_fd, mode_now & mode) < 0)
		return fail(error, "chmod");
	if (give_away(node_fd, owner, group, error) < 0) {
		saved = errno;
		(void)change_mode(node_fd, mode_now);
		errno = saved;
		return -1;
	}
	return change_mode(node_fd, mode) < 0 ? fail(error, "chmod") : 0;
}

static bool same_rights(const struct unixpath_rights *a, const struct unixpath_rights *b)
{
	return a->mode == b->mode && a->owner == b->owner && a->group == b->group;
}

int unixpath_adjust(const char *path, const struct unixpath_node *node,
		    const struct unixpath_rights *before, const struct unixpath_rights *rights,
		    struct text *error)
{
	struct stat now;
	uid_t owner;
	gid_t group;
	int node_fd, r;

	if (same_rights(before, rights))
		return 0;
	node_fd = open_node(path, &now);
	if (node_fd < 0)
		return fail(error, "stat");
	if (is_node(&now, node)) {
		choose_owner(path, &now, before, rights, &owner, &group);
		r = change_rights(node_fd, &now, owner, group, rights->mode, error);
	} else {
		text_addf(error, "%s leads to something else by now (a restart makes it anew)",
			  path);
		errno = ESTALE;
		r = -1;
	}
	fd_close(&node_fd);
	return r;
}

void unixpath_remove(const char *path, const struct unixpath_node *node)
{
	struct stat st;

	if (node->inode != 0 && lstat(path, &st) == 0 && is_node(&st, node))
		unlink(path);
}
