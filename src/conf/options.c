#include "conf/options.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "base/log.h"
#include "conf/conf.h"
#include "net/address.h"
#include "net/triple.h"

#define BLOCKS_MAX 8

#define GLOBAL(field) offsetof(struct conf, field)
#define SERVICE(field) offsetof(struct conf_service, field)
#define DAY_MS (24LL * 3600 * 1000)

static const struct triple_word log_levels[] = {
	{ "error", LOG_LEVEL_ERROR },	{ "warning", LOG_LEVEL_WARNING },
	{ "notice", LOG_LEVEL_NOTICE }, { "info", LOG_LEVEL_INFO },
	{ "debug", LOG_LEVEL_DEBUG },	{ NULL, 0 },
};

static const char workers[] = "workers", timeouts[] = "timeouts", run[] = "run";

#define KEY(b, n, k, f, d, ...)                                                        \
	{                                                                              \
		.block = (b), .name = (n), .kind = (k), .field = (f), .fallback = (d), \
		##__VA_ARGS__                                                          \
	}

/* clang-format off */
const struct option options_global[] = {
	KEY(NULL, "user", OPTION_TEXT, GLOBAL(user), "nobody"),
	KEY(NULL, "group", OPTION_TEXT, GLOBAL(group), ""),
	KEY(NULL, "log_level", OPTION_WORD, GLOBAL(log_level), "info", .words = log_levels),
	KEY(NULL, "log", OPTION_TEXT, GLOBAL(log), "stderr"),
	KEY(NULL, "pidfile", OPTION_TEXT, GLOBAL(pidfile), ""),
	{ .name = NULL },
};

const struct option options_service[] = {
	KEY(NULL, "family", OPTION_WORD, SERVICE(family), "inet", .words = triple_families),
	KEY(NULL, "type", OPTION_WORD, SERVICE(type), "stream", .words = triple_types),
	KEY(NULL, "protocol", OPTION_TEXT, SERVICE(protocol), "0"),
	KEY(NULL, "address", OPTION_TEXT, SERVICE(address), "localhost", .use = USE_INET),
	KEY(NULL, "port", OPTION_NUMBER, SERVICE(port), "0", .max = 65535, .use = USE_INET),
	KEY(NULL, "path", OPTION_TEXT, SERVICE(path), "", .use = USE_UNIX),
	KEY(NULL, "mode", OPTION_OCTAL, SERVICE(mode), "0660", .max = 0777, .use = USE_PATH),
	KEY(NULL, "owner", OPTION_TEXT, SERVICE(owner), "", .use = USE_PATH),
	KEY(NULL, "group", OPTION_TEXT, SERVICE(owner_group), "", .use = USE_PATH),
	KEY(NULL, "backlog", OPTION_BACKLOG, SERVICE(backlog), "somaxconn", .min = 1, .max = 65535,
	    .use = USE_LISTEN),
	KEY(NULL, "v6only", OPTION_BOOL, SERVICE(v6only), "true", .use = USE_INET6),
	KEY(NULL, "handler", OPTION_TEXT, SERVICE(handler), NULL),
	KEY(workers, "min", OPTION_NUMBER, SERVICE(workers_min), "4", .min = 1, .max = 4096),
	KEY(workers, "max", OPTION_NUMBER, SERVICE(workers_max), "4", .min = 1, .max = 4096),
	KEY(timeouts, "idle", OPTION_DURATION, SERVICE(idle_ms), "1m", .max = 365 * DAY_MS),
	KEY(timeouts, "total", OPTION_DURATION, SERVICE(total_ms), "0", .max = 365 * DAY_MS),
	KEY(timeouts, "drain", OPTION_DURATION, SERVICE(drain_ms), "30s", .min = 1, .max = DAY_MS),
	KEY(run, "user", OPTION_TEXT, SERVICE(user), ""),
	KEY(run, "group", OPTION_TEXT, SERVICE(group), ""),
	KEY(run, "directory", OPTION_TEXT, SERVICE(directory), "/"),
	KEY(run, "umask", OPTION_OCTAL, SERVICE(umask), "0022", .max = 0777),
	KEY(run, "nofile", OPTION_SIZE, SERVICE(nofile), "256", .min = 16, .max = 1 << 30),
	KEY(run, "environment", OPTION_LIST, SERVICE(environment), ""),
	{ .name = NULL },
};
/* clang-format on */

_Static_assert(sizeof(options_global) / sizeof(*options_global) <= CONF_KEYS_MAX, "");
_Static_assert(sizeof(options_service) / sizeof(*options_service) <= CONF_KEYS_MAX, "");

static struct {
	cfg_opt_t block[BLOCKS_MAX][CONF_KEYS_MAX];
	const char *block_name[BLOCKS_MAX];
	cfg_opt_t service[CONF_KEYS_MAX];
	cfg_opt_t global[CONF_KEYS_MAX];
} table;

/* libconfuse sees strings only: what a number is, preforkd decides (it reads 010 as 8). */
static cfg_opt_t value_opt(const struct option *row, cfg_callback_t on_value)
{
	cfg_opt_t one = CFG_STR_CB(row->name, NULL, CFGF_NODEFAULT, on_value);
	cfg_opt_t list = CFG_STR_LIST_CB(row->name, NULL, CFGF_NODEFAULT, on_value);

	return row->kind == OPTION_LIST ? list : one;
}

static void append(cfg_opt_t *opts, cfg_opt_t opt)
{
	const cfg_opt_t end = CFG_END();
	size_t n = 0;

	while (opts[n].name != NULL)
		n++;
	opts[n] = opt;
	opts[n + 1] = end;
}

static cfg_opt_t *block_table(const char *name)
{
	size_t i = 0;

	while (table.block_name[i] != NULL && strcmp(table.block_name[i], name) != 0)
		i++;
	assert(i + 1 < BLOCKS_MAX);
	table.block_name[i] = name;
	return table.block[i];
}

static void append_blocks(cfg_opt_t *opts)
{
	for (size_t i = 0; table.block_name[i] != NULL; i++) {
		cfg_opt_t section = CFG_SEC(table.block_name[i], table.block[i], CFGF_NONE);

		append(opts, section);
	}
}

cfg_opt_t *options_table(cfg_callback_t on_value)
{
	const struct option *row;
	cfg_opt_t service =
		CFG_SEC("service", table.service, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES);

	if (table.global[0].name != NULL)
		return table.global;
	for (row = options_service; row->name != NULL; row++) {
		cfg_opt_t *opts = row->block != NULL ? block_table(row->block) : table.service;

		append(opts, value_opt(row, on_value));
	}
	append_blocks(table.service);
	for (row = options_global; row->name != NULL; row++)
		append(table.global, value_opt(row, on_value));
	append(table.global, service);
	return table.global;
}

const char *options_refusal(const struct option *option, const struct conf_service *service)
{
	const struct listener_spec *spec = &service->spec;

	switch (option->use) {
	case USE_INET:
		return spec->family == AF_UNIX ? "family unix has a path instead" : NULL;
	case USE_INET6:
		return spec->family == AF_INET6 ? NULL : "only family inet6 has it";
	case USE_UNIX:
		return spec->family == AF_UNIX ? NULL : "only family unix has it";
	case USE_PATH:
		if (spec->family != AF_UNIX)
			return "only family unix has it";
		return address_path(&spec->address) != NULL ? NULL :
							      "an abstract name has no permissions";
	case USE_LISTEN:
		return triple_accepts(spec->type) ? NULL : "a dgram socket does not listen";
	default:
		return NULL;
	}
}

static bool same_block(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

size_t options_index(const struct option *rows, const char *block, const char *name)
{
	size_t i = 0;

	while (rows[i].name != NULL &&
	       !(same_block(rows[i].block, block) && strcmp(rows[i].name, name) == 0))
		i++;
	assert(rows[i].name != NULL);
	return i;
}
