#include "master/listeners.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/log.h"
#include "base/text.h"
#include "master/account.h"
#include "master/adopt.h"
#include "master/state.h"
#include "master/store.h"
#include "net/address.h"
#include "net/triple.h"

#define HEIR_MS 5000 /* for workers of a master that was killed to close its sockets */

static void log_listening(const struct open_listener *open)
{
	const struct listener *listener = &open->listener;
	const struct listener_spec *spec = &listener->spec;
	char address[ADDRESS_TEXT_MAX], options[512], protocol[24];
	struct text text = text_start(options, sizeof(options));
	const struct triple *triple = triple_find(spec->family, spec->type, spec->protocol);
	const char *name = triple->name;

	if (triple->protocol == TRIPLE_OTHER) {
		snprintf(protocol, sizeof(protocol), "%d", spec->protocol);
		name = protocol;
	}
	listener_describe(listener, &text);
	/* a field without a key is none */
	log_info("listening", KV("service", open->service),
		 KV("family", triple_word(triple_families, spec->family)),
		 KV("type", triple_word(triple_types, spec->type)), KV("protocol", name),
		 KV("address", address_text(&listener->bound, listener->bound_length, address)),
		 KV(text.length > 0 ? "options" : NULL, options));
}

static int exit_status(int error)
{
	switch (error) {
	case EADDRINUSE:
	case EADDRNOTAVAIL:
		return EX_UNAVAILABLE;
	case EACCES:
	case EPERM:
		return EX_NOPERM;
	case ENOENT:
	case ENOTDIR:
	case EEXIST:
	case EROFS:
		return EX_CANTCREAT;
	default:
		return EX_OSERR;
	}
}

/* A port 0 stays with the service that got it; other addresses with whoever asks. */
static bool is_for(const struct open_listener *open, const struct conf *conf,
		   const struct conf_service *service)
{
	if (!listener_same_address(&open->listener.spec, &service->spec))
		return false;
	return !listener_any_port(&service->spec) ||
	       strcmp(open->service, conf_string(conf, service->name)) == 0;
}

long long listeners_patience(const struct master *master, const struct conf_service *service,
			     int error)
{
	if (error == EADDRNOTAVAIL || error == ENODEV)
		return service->bind_retry_ms;
	return error == EADDRINUSE && master->heir && master->current == NULL ? HEIR_MS : 0;
}

static void log_failure(const char *service, const struct listener_spec *spec, const char *why)
{
	char address[ADDRESS_TEXT_MAX];

	log_error("listen_failed", KV("service", service),
		  KV("address", address_text(&spec->address, spec->length, address)),
		  KV("error", why));
}

/* One line each of the log for what may be several. */
static void log_not_adjusted(const char *service, char *lines)
{
	char *line;

	while ((line = text_next_line(&lines)) != NULL)
		log_warning("listener_not_adjusted", KV("service", service), KV("error", line));
}

static bool has_beside(const struct master *master, const struct listener_spec *spec)
{
	for (const struct open_listener *o = master->listeners; o != NULL; o = o->next) {
		if (listener_is_beside(&o->listener, spec))
			return true;
	}
	return false;
}

/* A unix path has one socket; which of ours is in the way, or NULL. */
static const struct open_listener *find_on_path(const struct master *master,
						const struct listener_spec *spec)
{
	const char *path = address_path(&spec->address), *other;

	for (const struct open_listener *o = master->listeners; o != NULL; o = o->next) {
		other = address_path(&o->listener.spec.address);
		if (path != NULL && other != NULL && strcmp(path, other) == 0)
			return o;
	}
	return NULL;
}

/* Not another program is in the way, and to stop this one is not needed. */
static void explain_path(const struct open_listener *other, struct text *why)
{
	*why = text_start(why->buf, why->size);
	text_addf(why,
		  "service %s serves this path with a socket of another type (reload once without "
		  "this service, or choose another path)",
		  other->service);
}

static void share_ports(const struct master *master, const struct listener_spec *spec, bool share)
{
	for (const struct open_listener *o = master->listeners; o != NULL; o = o->next) {
		if (listener_is_beside(&o->listener, spec))
			listener_share_port(&o->listener, share);
	}
}

/*
 * The port may be taken by a listener of our own at another address, which the new config
 * does not have any more ("*" instead of 127.0.0.1): both are bound for a moment.
 */
static int open_beside(struct master *master, struct open_listener *open,
		       const struct conf_service *service, struct text *why)
{
	struct listener_spec spec = service->spec;
	const struct open_listener *on_path = find_on_path(master, &spec);
	int r, error;

	if (listener_open(&spec, &open->listener, why) == 0)
		return 0;
	if (errno == EADDRINUSE && on_path != NULL) {
		explain_path(on_path, why);
		errno = EADDRINUSE;
	}
	if (errno != EADDRINUSE || master->current == NULL || !has_beside(master, &spec))
		return -1;
	*why = text_start(why->buf, why->size);
	spec.options.value[SOCKOPT_REUSE_PORT] = 1;
	share_ports(master, &spec, true);
	r = listener_open(&spec, &open->listener, why);
	error = errno;
	share_ports(master, &spec, false);
	if (r == 0) {
		open->listener.spec.options = service->spec.options;
		listener_share_port(&open->listener, false);
	}
	errno = error;
	return r;
}

/* Returns 0, or -1 with errno and *why. */
static int adopt_or_open(struct master *master, struct open_listener *open,
			 const struct conf_service *service, struct text *why)
{
	char lines[512];
	struct text shortfall = text_start(lines, sizeof(lines));
	int r = adopt_take(master, open, service, &shortfall, why);

	log_not_adjusted(open->service, lines);
	if (r < 0)
		return -1;
	if (r > 0) {
		log_info("listener_adopted", KV("service", open->service),
			 KV("from", open->listener.foreign ? "manager" : "store"));
		return 0;
	}
	return open_beside(master, open, service, why);
}

/* Open a new one into open; as listeners_take(). */
static struct open_listener *open_new(struct master *master, struct open_listener *open,
				      const struct conf_service *service, long long waited_ms,
				      int *status_r)
{
	const struct listener_spec *spec = &service->spec;
	char buf[512];
	struct text why = text_start(buf, sizeof(buf));

	if (adopt_or_open(master, open, service, &why) < 0) {
		int error = errno;
		bool waits = waited_ms < listeners_patience(master, service, error);

		*status_r = waits ? EX_OK : exit_status(error);
		if (!waits)
			log_failure(open->service, spec, buf);
		free(open);
		errno = error;
		return NULL;
	}
	open->next = master->listeners;
	master->listeners = open;
	log_listening(open);
	return open;
}

struct open_listener *listeners_take(struct master *master, const struct conf *conf,
				     const struct conf_service *service, long long waited_ms,
				     int *status_r)
{
	struct open_listener *open;

	for (open = master->listeners; open != NULL; open = open->next) {
		if (is_for(open, conf, service))
			return open;
	}
	open = calloc(1, sizeof(*open));
	if (open == NULL) {
		*status_r = EX_OSERR;
		return NULL;
	}
	snprintf(open->service, sizeof(open->service), "%s", conf_string(conf, service->name));
	return open_new(master, open, service, waited_ms, status_r);
}

int listeners_grow(struct open_listener *open, const struct conf_service *service, int *status_r)
{
	char buf[512];
	struct text why = text_start(buf, sizeof(buf));

	if (listener_grow(&open->listener, &service->spec, &why) == 0)
		return 0;
	*status_r = exit_status(errno);
	log_failure(open->service, &service->spec, buf);
	return -1;
}

/* Their copies in the store would get clients, too. */
static void shrink(struct open_listener *open, unsigned keep)
{
	store_drop(open, keep);
	listener_shrink(&open->listener, keep);
}

void listeners_shrink(struct master *master)
{
	for (unsigned i = 0; i < master->current->n_pools; i++) {
		struct service_pool *pool = &master->current->pools[i];

		shrink(pool->listener, pool->service->spec.sockets);
	}
}

/* In the store it has the name of the service as well. */
static void take_name(struct open_listener *open, const char *service)
{
	if (strcmp(open->stored_as, service) != 0)
		store_drop(open, 0);
	snprintf(open->service, sizeof(open->service), "%s", service);
}

void listeners_adjust(struct master *master)
{
	for (unsigned i = 0; i < master->current->n_pools; i++) {
		struct service_pool *pool = &master->current->pools[i];
		char buf[512];
		struct text why = text_start(buf, sizeof(buf));
		struct open_listener *open = pool->listener;

		/* what was dropped before counts for who had the socket before */
		account_dropped(master, open->service, listener_take_dropped(&open->listener));
		take_name(open, conf_string(master->current->conf, pool->service->name));
		shrink(open, pool->service->spec.sockets);
		(void)listener_adjust(&open->listener, &pool->service->spec, &why);
		log_not_adjusted(open->service, buf);
	}
}

static bool has_listener(const struct generation *generation, const struct open_listener *open)
{
	for (unsigned i = 0; generation != NULL && i < generation->n_pools; i++) {
		if (generation->pools[i].listener == open)
			return true;
	}
	return false;
}

/*
 * Who leaves altogether lets the store have it, for the next one, with the path of a
 * unix socket; what a config has no more is gone for good.
 */
static void close_listener(const struct master *master, struct open_listener *open)
{
	if (master->current != NULL)
		store_drop(open, 0);
	if (open->stored > 0)
		open->listener.node.inode = 0;
	listener_close(&open->listener);
}

void listeners_sweep(struct master *master)
{
	struct open_listener **at = &master->listeners;

	while (*at != NULL) {
		struct open_listener *open = *at;

		if (has_listener(master->current, open) || has_listener(master->starting, open)) {
			at = &open->next;
			continue;
		}
		*at = open->next;
		log_info("listener_closed", KV("service", open->service));
		account_dropped(master, open->service, listener_take_dropped(&open->listener));
		close_listener(master, open);
		free(open);
	}
}
