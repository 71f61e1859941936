#include "conf/identity.h"

#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "conf/compile.h"

#define GROUPS_MAX 256
#define ID_MAX 0xfffffffeLL /* -1 means "leave as it is" to setresuid(2) and chown(2) */

/* A user by name or number; 0, or -1 when there is none. */
static int find_user(const char *name, struct passwd *user_r)
{
	const struct passwd *entry;
	long long number;

	if (text_to_number(name, 0, ID_MAX, &number)) {
		entry = getpwuid((uid_t)number);
		if (entry == NULL) {
			*user_r = (struct passwd){ .pw_uid = (uid_t)number, .pw_gid = (gid_t)-1 };
			return 0;
		}
	} else {
		entry = getpwnam(name);
	}
	if (entry == NULL)
		return -1;
	*user_r = *entry;
	return 0;
}

static int find_group(const char *name, gid_t *gid_r)
{
	const struct group *entry;
	long long number;

	if (text_to_number(name, 0, ID_MAX, &number)) {
		*gid_r = (gid_t)number;
		return 0;
	}
	entry = getgrnam(name);
	if (entry == NULL)
		return -1;
	*gid_r = entry->gr_gid;
	return 0;
}

static void store_groups(struct compile *compile, struct conf_service *service, const gid_t *groups,
			 unsigned n)
{
	service->gids = compile_alloc(compile, n * sizeof(gid_t));
	service->n_gids = n;
	memcpy((char *)compile->conf + service->gids, groups, n * sizeof(gid_t));
}

/* Those of the user database. */
static void put_own_groups(struct compile *compile, struct conf_service *service,
			   const struct passwd *user)
{
	gid_t groups[GROUPS_MAX] = { service->gid };
	int n = GROUPS_MAX;

	if (user->pw_name == NULL)
		n = 1; /* a number without an entry: no name, no further groups */
	else if (getgrouplist(user->pw_name, service->gid, groups, &n) < 0)
		compile_error(compile, service, "run.user", "is in more than %d groups",
			      GROUPS_MAX);
	store_groups(compile, service, groups, (unsigned)(n > GROUPS_MAX ? GROUPS_MAX : n));
}

/* Those of run.groups instead, each once. */
static void put_groups(struct compile *compile, struct conf_service *service)
{
	gid_t groups[GROUPS_MAX] = { service->gid };
	unsigned n = 1;

	if (service->groups.count >= GROUPS_MAX)
		compile_error(compile, service, "run.groups", "are more than %d", GROUPS_MAX - 1);
	for (unsigned i = 0; i < service->groups.count && n < GROUPS_MAX; i++) {
		const char *name = conf_list_string(compile->conf, service->groups, i);
		unsigned same = 0;
		gid_t gid = 0;

		if (find_group(name, &gid) < 0)
			compile_error(compile, service, "run.groups", "\"%s\" is no group", name);
		while (same < n && groups[same] != gid)
			same++;
		if (same == n)
			groups[n++] = gid;
	}
	store_groups(compile, service, groups, n);
}

/* Where the identity of a service was written: in its own block or at the top. */
struct identity {
	const struct conf_service *user_scope, *group_scope; /* NULL: the top level */
	const char *user_key, *group_key;
	const char *user, *group; /* group "": the user's own */
};

static struct identity choose_identity(const struct conf *conf, const struct conf_service *service)
{
	const char *user = conf_string(conf, service->user);
	const char *group = conf_string(conf, service->group);
	struct identity id = { NULL, NULL, "user", "group", user, group };

	if (user[0] != '\0') {
		id.user_scope = service;
		id.user_key = "run.user";
	} else {
		id.user = conf_string(conf, conf->user);
	}
	if (group[0] != '\0') {
		id.group_scope = service;
		id.group_key = "run.group";
	} else if (user[0] == '\0') {
		id.group = conf_string(conf, conf->group);
	}
	return id;
}

/* Only root can become somebody else; the default of `user` is meant for root. */
static void resolve_unprivileged(struct compile *compile, struct conf_service *service,
				 const struct identity *id)
{
	bool user_written = id->user_scope != NULL || compile_is_set(compile, NULL, "user");
	struct passwd user;
	gid_t gid = getegid();

	service->uid = geteuid();
	service->gid = getegid();
	if (!compile->here)
		return;
	if (user_written && (find_user(id->user, &user) < 0 || user.pw_uid != service->uid))
		compile_error(
			compile, id->user_scope, id->user_key,
			"only root can run workers as user \"%s\" (leave the key out, or be root)",
			id->user);
	if (id->group[0] != '\0' && (find_group(id->group, &gid) < 0 || gid != service->gid))
		compile_error(compile, id->group_scope, id->group_key,
			      "only root can run workers as group \"%s\"", id->group);
	if (service->groups.count > 0)
		compile_error(compile, service, "run.groups", "only root can choose them");
}

void identity_workers(struct compile *compile, struct conf_service *service)
{
	struct identity id = choose_identity(compile->conf, service);
	struct passwd user;

	if (geteuid() != 0) {
		resolve_unprivileged(compile, service, &id);
		return;
	}
	if (find_user(id.user, &user) < 0) {
		compile_error(compile, id.user_scope, id.user_key,
			      "there is no user \"%s\" (useradd --system makes one)", id.user);
		return;
	}
	service->uid = user.pw_uid;
	service->gid = user.pw_gid;
	if (id.group[0] != '\0' && find_group(id.group, &service->gid) < 0)
		compile_error(compile, id.group_scope, id.group_key, "there is no group \"%s\"",
			      id.group);
	else if (service->gid == (gid_t)-1)
		compile_error(compile, id.user_scope, id.user_key,
			      "user %s has no entry and so no group: write group as well", id.user);
	if (compile_is_set(compile, service, "run.groups"))
		put_groups(compile, service);
	else
		put_own_groups(compile, service, &user);
}

void identity_owner(struct compile *compile, struct conf_service *service)
{
	const char *owner = conf_string(compile->conf, service->owner);
	const char *group = conf_string(compile->conf, service->owner_group);
	struct passwd user = { 0 };

	service->spec.rights.owner = (uid_t)-1;
	service->spec.rights.group = (gid_t)-1;
	if (owner[0] != '\0' && find_user(owner, &user) < 0)
		compile_error(compile, service, "socket.owner", "there is no user \"%s\"", owner);
	else if (owner[0] != '\0')
		service->spec.rights.owner = user.pw_uid;
	if (group[0] != '\0' && find_group(group, &service->spec.rights.group) < 0)
		compile_error(compile, service, "socket.group", "there is no group \"%s\"", group);
}

void identity_control(struct compile *compile)
{
	struct conf *conf = compile->conf;
	const char *group = conf_string(conf, conf->control_group);

	conf->control_gid = (gid_t)-1;
	if (group[0] != '\0' && find_group(group, &conf->control_gid) < 0)
		compile_error(compile, NULL, "control.group", "there is no group \"%s\"", group);
}
