#include "conf/compare.h"

#include <stdbool.h>
#include <string.h>

#include "base/text.h"
#include "conf/compile.h"
#include "conf/options.h"

/* All other keys are for the workers. */
static const char *const pool_keys[] = {
	"workers.min",
	"workers.max",
	"workers.spare",
	"workers.idle_timeout",
	"workers.spawn_rate",
	"workers.max_rss",
	"workers.min_age",
	"workers.on_crash_loop",
	"timeouts.stuck",
	"timeouts.slow",
	NULL,
};

static const char *const listener_keys[] = {
	"socket.backlog",
	"socket.bind_retry",
	"socket.nodelay",
	"socket.defer_accept",
	"socket.fastopen",
	"socket.congestion",
	"socket.user_timeout",
	"socket.receive_buffer",
	"socket.send_buffer",
	"socket.mark",
	"socket.tos",
	"socket.mode",
	"socket.owner",
	"socket.group",
	"socket.directory_mode",
	"socket.keepalive.idle",
	"socket.keepalive.interval",
	"socket.keepalive.count",
	NULL,
};

static const char *const socket_keys[] = {
	"family", "type", "protocol", "address", "port", "path", "scope", NULL,
};

static const char *const restart_keys[] = {
	"pidfile", "control.path", "control.mode", "control.group", NULL,
};

static bool is_among(const char *const *keys, const char *key)
{
	while (*keys != NULL && strcmp(*keys, key) != 0)
		keys++;
	return *keys != NULL;
}

static enum conf_change change_of(const char *key)
{
	if (is_among(pool_keys, key))
		return CONF_POOL;
	if (is_among(listener_keys, key))
		return CONF_LISTENER;
	return is_among(socket_keys, key) ? CONF_SOCKET : CONF_WORKERS;
}

static bool same_list(const struct conf *a_conf, const struct conf_list *a,
		      const struct conf *b_conf, const struct conf_list *b)
{
	if (a->count != b->count)
		return false;
	for (unsigned i = 0; i < a->count; i++) {
		if (strcmp(conf_list_string(a_conf, *a, i), conf_list_string(b_conf, *b, i)) != 0)
			return false;
	}
	return true;
}

static bool same_value(const struct option *option, const struct conf *a_conf, const void *a,
		       const struct conf *b_conf, const void *b)
{
	switch (option->kind) {
	case OPTION_TEXT:
		return strcmp(conf_string(a_conf, *(const struct conf_text *)a),
			      conf_string(b_conf, *(const struct conf_text *)b)) == 0;
	case OPTION_LIST:
	case OPTION_PAIRS:
		return same_list(a_conf, a, b_conf, b);
	default:
		return *(const long long *)a == *(const long long *)b;
	}
}

/* Whom the workers are, whatever the names are that stand in the file; root is two kinds. */
static bool same_identity(const struct conf *a_conf, const struct conf_service *a,
			  const struct conf *b_conf, const struct conf_service *b)
{
	return a->uid == b->uid && a->gid == b->gid && a->n_gids == b->n_gids &&
	       a->run.all_capabilities == b->run.all_capabilities &&
	       memcmp(conf_groups(a_conf, a), conf_groups(b_conf, b), a->n_gids * sizeof(gid_t)) ==
		       0;
}

static void note(struct text *changed, const char *key)
{
	if (changed->size > 0)
		text_addf(changed, "%s%s", changed->length > 0 ? ", " : "", key);
}

static enum conf_change more(enum conf_change a, enum conf_change b)
{
	return a > b ? a : b;
}

enum conf_change conf_compare(const struct conf *a_conf, const struct conf_service *a,
			      const struct conf *b_conf, const struct conf_service *b,
			      char *changed, size_t size)
{
	struct text list = { 0 };
	enum conf_change change = CONF_SAME;

	if (changed != NULL)
		list = text_start(changed, size);
	for (const struct option *row = options_service; row->name != NULL; row++) {
		char key[64];

		if (same_value(row, a_conf, (const char *)a + row->field, b_conf,
			       (const char *)b + row->field))
			continue;
		compile_key(row, key, sizeof(key));
		change = more(change, change_of(key));
		note(&list, key);
	}
	if (!listener_same_address(&a->spec, &b->spec))
		change = more(change, CONF_SOCKET);
	if (a->spec.sockets != b->spec.sockets)
		change = more(change, CONF_WORKERS);
	if (!same_identity(a_conf, a, b_conf, b)) {
		change = more(change, CONF_WORKERS);
		note(&list, "user and groups");
	}
	return change;
}

void conf_compare_global(const struct conf *was, const struct conf *conf, char *lines, size_t size)
{
	struct text text = text_start(lines, size);

	for (const struct option *row = options_global; row->name != NULL; row++) {
		struct conf_origin origin = conf->origin[row - options_global];
		char key[64];

		compile_key(row, key, sizeof(key));
		if (!is_among(restart_keys, key) ||
		    same_value(row, was, (const char *)was + row->field, conf,
			       (const char *)conf + row->field))
			continue;
		text_add(&text, conf_list_string(conf, conf->files, origin.file));
		/* a key that stands there no more has no line */
		if (origin.line > 0)
			text_addf(&text, ":%u", origin.line);
		text_addf(&text, ": warning: %s: a reload does not change it, a restart does\n",
			  key);
	}
}

const struct conf_service *conf_find(const struct conf *conf, const char *name)
{
	for (unsigned i = 0; i < conf->n_services; i++) {
		const struct conf_service *service = conf_service(conf, i);

		if (strcmp(conf_string(conf, service->name), name) == 0)
			return service;
	}
	return NULL;
}
