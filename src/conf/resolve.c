#include "conf/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "conf/compile.h"
#include "net/address.h"
#include "net/triple.h"

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

static void put_groups(struct compile *compile, struct conf_service *service,
		       const struct passwd *user)
{
	gid_t groups[GROUPS_MAX] = { service->gid };
	int n = GROUPS_MAX;

	if (user->pw_name == NULL)
		n = 1; /* a number without an entry: no name, no further groups */
	else if (getgrouplist(user->pw_name, service->gid, groups, &n) < 0)
		compile_error(compile, service, "run.user", "is in more than %d groups",
			      GROUPS_MAX);
	n = n > GROUPS_MAX ? GROUPS_MAX : n;
	service->groups = compile_alloc(compile, (size_t)n * sizeof(gid_t));
	service->n_groups = (uint32_t)n;
	memcpy((char *)compile->conf + service->groups, groups, (size_t)n * sizeof(gid_t));
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
	if (user_written && (find_user(id->user, &user) < 0 || user.pw_uid != service->uid))
		compile_error(
			compile, id->user_scope, id->user_key,
			"only root can run workers as user \"%s\" (leave the key out, or be root)",
			id->user);
	if (id->group[0] != '\0' && (find_group(id->group, &gid) < 0 || gid != service->gid))
		compile_error(compile, id->group_scope, id->group_key,
			      "only root can run workers as group \"%s\"", id->group);
}

static void resolve_identity(struct compile *compile, struct conf_service *service)
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
	put_groups(compile, service, &user);
}

static void resolve_owner(struct compile *compile, struct conf_service *service)
{
	const char *owner = conf_string(compile->conf, service->owner);
	const char *group = conf_string(compile->conf, service->owner_group);
	struct passwd user = { 0 };

	service->spec.owner = (uid_t)-1;
	service->spec.group = (gid_t)-1;
	if (owner[0] != '\0' && find_user(owner, &user) < 0)
		compile_error(compile, service, "owner", "there is no user \"%s\"", owner);
	else if (owner[0] != '\0')
		service->spec.owner = user.pw_uid;
	if (group[0] != '\0' && find_group(group, &service->spec.group) < 0)
		compile_error(compile, service, "group", "there is no group \"%s\"", group);
}

static void set_port(struct sockaddr_storage *addr, long long port)
{
	if (addr->ss_family == AF_INET)
		((struct sockaddr_in *)addr)->sin_port = htons((uint16_t)port);
	else
		((struct sockaddr_in6 *)addr)->sin6_port = htons((uint16_t)port);
}

/* "*" and "localhost" have one meaning everywhere, whatever /etc/hosts says (RFC 6761). */
static bool well_known(const char *name, int family, struct listener_spec *spec)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&spec->address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&spec->address;
	bool any = strcmp(name, "*") == 0;

	if (!any && strcmp(name, "localhost") != 0)
		return false;
	spec->address.ss_family = (sa_family_t)family;
	if (family == AF_INET) {
		in->sin_addr.s_addr = htonl(any ? INADDR_ANY : INADDR_LOOPBACK);
		spec->length = sizeof(*in);
	} else {
		in6->sin6_addr = any ? in6addr_any : in6addr_loopback;
		spec->length = sizeof(*in6);
	}
	return true;
}

/* One socket has one address: a name with several is refused, with the choice. */
static void look_up(struct compile *compile, struct conf_service *service, const char *name)
{
	struct listener_spec *spec = &service->spec;
	struct addrinfo hints = { .ai_family = spec->family, .ai_socktype = spec->type };
	struct addrinfo *list, *info;
	int r = getaddrinfo(name, NULL, &hints, &list);

	if (r != 0) {
		compile_error(compile, service, "address", "\"%s\" is no address of family %s: %s",
			      name, triple_word(triple_families, spec->family),
			      r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r));
		return;
	}
	memcpy(&spec->address, list->ai_addr, list->ai_addrlen);
	spec->length = list->ai_addrlen;
	for (info = list->ai_next; info != NULL; info = info->ai_next) {
		struct sockaddr_storage other = { 0 };
		char first[ADDRESS_TEXT_MAX], second[ADDRESS_TEXT_MAX];

		memcpy(&other, info->ai_addr, info->ai_addrlen);
		if (address_same_host(&spec->address, &other))
			continue;
		compile_error(
			compile, service, "address",
			"\"%s\" has several addresses, among them %s and %s: write one of them",
			name, address_text(&spec->address, spec->length, first),
			address_text(&other, info->ai_addrlen, second));
		break;
	}
	freeaddrinfo(list);
}

static void resolve_address(struct compile *compile, struct conf_service *service)
{
	const char *name = conf_string(compile->conf, service->address);
	const char *path = conf_string(compile->conf, service->path);
	struct listener_spec *spec = &service->spec;

	if (spec->family == AF_UNIX) {
		if (address_from_path(path, &spec->address, &spec->length) < 0)
			compile_error(compile, service, "path", "is longer than 107 bytes");
		return;
	}
	if (!well_known(name, spec->family, spec))
		look_up(compile, service, name);
	set_port(&spec->address, service->port);
}

void resolve_service(struct compile *compile, struct conf_service *service)
{
	const char *protocol = conf_string(compile->conf, service->protocol);
	struct listener_spec *spec = &service->spec;

	spec->family = (int)service->family;
	spec->type = (int)service->type;
	spec->backlog = (int)service->backlog;
	spec->v6only = service->v6only != 0;
	spec->mode = (mode_t)service->mode;
	if (triple_protocol(protocol, &spec->protocol) < 0)
		compile_error(compile, service, "protocol",
			      "\"%s\" is no name of /etc/protocols and no number", protocol);
	if (spec->protocol == 0)
		spec->protocol = triple_usual_protocol(spec->family, spec->type);
	resolve_owner(compile, service);
	resolve_address(compile, service);
	resolve_identity(compile, service);
}
