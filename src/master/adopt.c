#include "master/adopt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "master/state.h"
#include "master/store.h"
#include "net/address.h"
#include "net/handed.h"

struct adopted {
	struct handed socket;
	char *name;		   /* as it was given, or "" */
	char for_name[64];	   /* the service that the name means; "": none, perhaps */
	bool ours;		   /* out of the store */
	struct unixpath_node node; /* of ours: of its path */
	char service[64];	   /* the one that gets it; "": none yet */
	struct adopted *next;
};

int adopt_add(struct master *master, int fd, const char *name)
{
	struct adopted **at = &master->adopted, *adopted = calloc(1, sizeof(*adopted));

	if (adopted == NULL || (adopted->name = strdup(name)) == NULL) {
		free(adopted);
		fd_close(&fd);
		return -1;
	}
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	adopted->socket = handed_look(fd);
	adopted->ours = store_read_name(name, adopted->for_name, &adopted->node);
	if (!adopted->ours)
		snprintf(adopted->for_name, sizeof(adopted->for_name), "%s", name);
	/* in their order */
	while (*at != NULL)
		at = &(*at)->next;
	*at = adopted;
	return 0;
}

void adopt_environment(struct master *master)
{
	char **names = NULL;
	int n = sd_listen_fds_with_names(1, &names);

	for (int i = 0; i < n; i++) {
		(void)adopt_add(master, SD_LISTEN_FDS_START + i, names[i]);
		free(names[i]);
	}
	free(names);
}

static void remove_adopted(struct adopted **at)
{
	struct adopted *adopted = *at;

	*at = adopted->next;
	fd_close(&adopted->socket.fd);
	free(adopted->name);
	free(adopted);
}

/* A path that leads to another socket, or nowhere, is of no use to ours. */
static bool has_its_path(const struct adopted *adopted)
{
	const char *path = address_path(&adopted->socket.address);
	struct stat st;

	return path == NULL || (lstat(path, &st) == 0 && st.st_dev == adopted->node.device &&
				st.st_ino == adopted->node.inode);
}

/* How many sockets the service has got already. */
static unsigned count_for(const struct master *master, const char *service)
{
	unsigned n = 0;

	for (const struct adopted *a = master->adopted; a != NULL; a = a->next)
		n += strcmp(a->service, service) == 0;
	return n;
}

/* NULL: the service can have it; else why not. */
static const char *refusal(const struct master *master, const struct adopted *adopted,
			   const struct conf_service *service, const char *name)
{
	const struct listener_spec *spec = &service->spec;

	if (!handed_fits(&adopted->socket, spec))
		return "no service has this address";
	if (listener_any_port(spec) && strcmp(adopted->for_name, name) != 0)
		return "a service with port 0 takes a socket by its name only";
	if (adopted->ours && !has_its_path(adopted))
		return "its path leads to another one";
	if (adopted->ours && handed_fixed_differs(&adopted->socket, spec) != NULL)
		return "an option that cannot change has changed";
	if (count_for(master, name) >= spec->sockets)
		return "the service has one already (socket.reuse_port = per-worker: as many as "
		       "workers)";
	return NULL;
}

static const char *assign(const struct master *master, const struct conf *conf,
			  struct adopted *adopted)
{
	const char *why = "no service has this address";

	for (unsigned i = 0; i < conf->n_services; i++) {
		const struct conf_service *service = conf_service(conf, i);
		const char *name = conf_string(conf, service->name);

		if (handed_fits(&adopted->socket, &service->spec)) {
			why = refusal(master, adopted, service, name);
			if (why == NULL) {
				snprintf(adopted->service, sizeof(adopted->service), "%s", name);
				return NULL;
			}
		}
	}
	return why;
}

static void refuse(struct master *master, struct adopted **at, const char *why)
{
	struct adopted *adopted = *at;
	char what[256];
	struct text text = text_start(what, sizeof(what));

	handed_describe(&adopted->socket, &text);
	if (adopted->ours) {
		/* its address may be wanted: it is free as soon as the manager has let go, too */
		master->heir = true;
		store_drop_name(adopted->name);
		log_info("listener_closed", KV("service", adopted->for_name));
	} else {
		log_warning("socket_refused", KV("name", adopted->name), KV("socket", what),
			    KV("error", why),
			    KV("remedy", "make the socket unit (Accept=no) and the config agree"));
	}
	remove_adopted(at);
}

/* Was one given by this name, and none that fits? */
static const struct adopted *find_wrong(const struct master *master, const char *service)
{
	for (const struct adopted *a = master->adopted; a != NULL; a = a->next) {
		if (!a->ours && a->service[0] == '\0' && strcmp(a->for_name, service) == 0 &&
		    count_for(master, service) == 0)
			return a;
	}
	return NULL;
}

static int check_names(const struct master *master, const struct conf *conf)
{
	int r = 0;

	for (unsigned i = 0; i < conf->n_services; i++) {
		const char *name = conf_string(conf, conf_service(conf, i)->name);
		const struct adopted *wrong = find_wrong(master, name);
		const struct listener_spec *spec = &conf_service(conf, i)->spec;
		char address[ADDRESS_TEXT_MAX], what[512];
		struct text text = text_start(what, sizeof(what));

		if (wrong == NULL)
			continue;
		text_add(&text, "the socket that was handed in by its name is ");
		handed_describe(&wrong->socket, &text);
		text_add(&text, " (make the socket unit and the config agree)");
		log_error("listen_failed", KV("service", name),
			  KV("address", address_text(&spec->address, spec->length, address)),
			  KV("error", what));
		r = -1;
	}
	return r;
}

int adopt_assign(struct master *master, const struct conf *conf, int *status_r)
{
	for (struct adopted *adopted = master->adopted; adopted != NULL; adopted = adopted->next)
		(void)assign(master, conf, adopted);
	if (check_names(master, conf) < 0) {
		*status_r = EX_CONFIG;
		return -1;
	}
	for (struct adopted **at = &master->adopted; *at != NULL;) {
		const char *why = NULL;

		if ((*at)->service[0] == '\0')
			why = assign(master, conf, *at);
		if (why != NULL)
			refuse(master, at, why);
		else
			at = &(*at)->next;
	}
	return 0;
}

static bool is_for(const struct adopted *adopted, const struct open_listener *open)
{
	return strcmp(adopted->service, open->service) == 0;
}

/* The listener has the descriptors now. */
static void forget(struct master *master, const struct open_listener *open)
{
	for (struct adopted **at = &master->adopted; *at != NULL;) {
		if (is_for(*at, open)) {
			(*at)->socket.fd = -1;
			remove_adopted(at);
		} else {
			at = &(*at)->next;
		}
	}
}

int adopt_take(struct master *master, struct open_listener *open,
	       const struct conf_service *service, struct text *shortfall, struct text *error)
{
	unsigned n = count_for(master, open->service), i = 0;
	struct handed *sockets = n > 0 ? calloc(n, sizeof(*sockets)) : NULL;
	const struct adopted *ours = NULL;
	int r;

	if (sockets == NULL)
		return 0;
	for (const struct adopted *a = master->adopted; a != NULL; a = a->next) {
		if (!is_for(a, open))
			continue;
		sockets[i++] = a->socket;
		if (a->ours)
			ours = a;
	}
	r = handed_adopt(&service->spec, sockets, n, ours != NULL ? &ours->node : NULL,
			 &open->listener, shortfall, error);
	free(sockets);
	if (r < 0)
		return -1;
	if (ours != NULL) {
		open->stored = n;
		memcpy(open->stored_as, ours->for_name, sizeof(open->stored_as));
	}
	forget(master, open);
	return 1;
}

void adopt_free(struct master *master)
{
	while (master->adopted != NULL)
		remove_adopted(&master->adopted);
}
