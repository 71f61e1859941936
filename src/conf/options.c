#include "conf/options.h"

#include <assert.h>
#include <linux/tipc.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>

#include "base/log.h"
#include "conf/conf.h"
#include "net/triple.h"

#define BLOCKS_MAX 12

#define GLOBAL(field) offsetof(struct conf, field)
#define SERVICE(field) offsetof(struct conf_service, field)
#define LIMIT(id) offsetof(struct conf_service, limits[RLIMIT_##id])
#define SOCKET(id) offsetof(struct conf_service, socket[SOCKOPT_##id])
#define HOUR_MS (3600LL * 1000)
#define DAY_MS (24 * HOUR_MS)
#define KEEPALIVE_MAX_MS (32767 * 1000LL) /* as tcp(7) has it */
#define PORT_MAX (UINT32_MAX - 1LL)	  /* of vsock; see also conf/check.c */

static const struct triple_word log_levels[] = {
	{ "error", LOG_LEVEL_ERROR },	{ "warning", LOG_LEVEL_WARNING },
	{ "notice", LOG_LEVEL_NOTICE }, { "info", LOG_LEVEL_INFO },
	{ "debug", LOG_LEVEL_DEBUG },	{ NULL, 0 },
};

static const struct triple_word reuse_port_words[] = {
	{ "no", 0 },
	{ "yes", 1 },
	{ "per-worker", OPTION_PER_WORKER },
	{ NULL, 0 },
};

static const struct triple_word stdin_words[] = {
	{ "null", CONF_STDIN_NULL },
	{ "socket", CONF_STDIN_SOCKET },
	{ NULL, 0 },
};

static const struct triple_word stderr_words[] = {
	{ "log", CONF_STDERR_LOG },
	{ "connection", CONF_STDERR_CONNECTION },
	{ "null", CONF_STDERR_NULL },
	{ NULL, 0 },
};

static const struct triple_word crash_words[] = {
	{ "backoff", CONF_CRASH_BACKOFF },
	{ "stop", CONF_CRASH_STOP },
	{ "exit", CONF_CRASH_EXIT },
	{ NULL, 0 },
};

static const struct triple_word reload_words[] = {
	{ "changed", CONF_RELOAD_CHANGED },
	{ "all", CONF_RELOAD_ALL },
	{ NULL, 0 },
};

static const struct triple_word sandboxes[] = {
	{ "off", CONF_SANDBOX_OFF },
	{ "default", CONF_SANDBOX_DEFAULT },
	{ "strict", CONF_SANDBOX_STRICT },
	{ NULL, 0 },
};

static const struct triple_word scopes[] = {
	{ "node", TIPC_NODE_SCOPE },
	{ "cluster", TIPC_CLUSTER_SCOPE },
	{ NULL, 0 },
};

static const char control[] = "control";
static const char workers[] = "workers", timeouts[] = "timeouts", run[] = "run";
static const char limits[] = "run.limits";
static const char sock[] = "socket", keepalive[] = "socket.keepalive";
static const char multicast[] = "socket.multicast";

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
	KEY(NULL, "reload", OPTION_WORD, GLOBAL(reload), "changed", .words = reload_words),
	KEY(NULL, "reload_canary", OPTION_DURATION, GLOBAL(canary_ms), "0", .max = HOUR_MS),
	KEY(control, "path", OPTION_TEXT, GLOBAL(control_path), CONF_CONTROL_AUTO),
	KEY(control, "mode", OPTION_OCTAL, GLOBAL(control_mode), "0660", .max = 0777),
	KEY(control, "group", OPTION_TEXT, GLOBAL(control_group), ""),
	{ .name = NULL },
};

const struct option options_service[] = {
	KEY(NULL, "family", OPTION_WORD, SERVICE(family), "inet", .words = triple_families),
	KEY(NULL, "type", OPTION_WORD, SERVICE(type), "stream", .words = triple_types),
	KEY(NULL, "protocol", OPTION_TEXT, SERVICE(protocol), "0"),
	KEY(NULL, "address", OPTION_TEXT, SERVICE(address), "localhost", .use = USE_ADDRESS),
	KEY(NULL, "port", OPTION_NUMBER, SERVICE(port), "0", .max = PORT_MAX, .use = USE_PORT),
	KEY(NULL, "path", OPTION_TEXT, SERVICE(path), "", .use = USE_UNIX),
	KEY(NULL, "scope", OPTION_WORD, SERVICE(scope), "node", .words = scopes, .use = USE_TIPC),
	KEY(NULL, "handler", OPTION_TEXT, SERVICE(handler), NULL),
	KEY(NULL, "command", OPTION_LIST, SERVICE(command), "", .use = USE_PROGRAM),
	KEY(NULL, "stderr", OPTION_WORD, SERVICE(stderr_to), "log", .words = stderr_words,
	    .use = USE_PROGRAM),
	KEY(NULL, "stdin", OPTION_WORD, SERVICE(stdin_from), "null", .words = stdin_words,
	    .use = USE_PERSISTENT),
	KEY(NULL, "ready", OPTION_TEXT, SERVICE(ready), "now", .use = USE_PERSISTENT),
	KEY(NULL, "watchdog", OPTION_DURATION, SERVICE(watchdog_ms), "0", .max = DAY_MS,
	    .use = USE_PERSISTENT),
	KEY(sock, "backlog", OPTION_BACKLOG, SERVICE(backlog), "somaxconn", .min = 1, .max = 65535,
	    .use = USE_LISTEN),
	KEY(sock, "v6only", OPTION_BOOL, SOCKET(V6ONLY), "true", .use = USE_V6ONLY),
	KEY(sock, "reuse_port", OPTION_WORD, SOCKET(REUSE_PORT), "no", .words = reuse_port_words,
	    .use = USE_REUSE_PORT),
	KEY(sock, "freebind", OPTION_BOOL, SOCKET(FREEBIND), "false", .use = USE_INET),
	KEY(sock, "transparent", OPTION_BOOL, SOCKET(TRANSPARENT), "false", .use = USE_INET),
	KEY(sock, "bind_device", OPTION_TEXT, SERVICE(bind_device), "", .use = USE_INET),
	KEY(sock, "bind_retry", OPTION_DURATION, SERVICE(bind_retry_ms), "0", .max = HOUR_MS,
	    .use = USE_INET),
	KEY(sock, "nodelay", OPTION_BOOL, SOCKET(NODELAY), "false", .use = USE_TCP),
	KEY(sock, "defer_accept", OPTION_DURATION, SOCKET(DEFER_ACCEPT), "0", .max = HOUR_MS,
	    .use = USE_TCP),
	KEY(sock, "fastopen", OPTION_NUMBER, SOCKET(FASTOPEN), "0", .max = 65535, .use = USE_TCP),
	KEY(sock, "congestion", OPTION_TEXT, SERVICE(congestion), "", .use = USE_TCP),
	KEY(sock, "user_timeout", OPTION_DURATION, SOCKET(USER_TIMEOUT), "0", .max = DAY_MS,
	    .use = USE_TCP),
	KEY(sock, "receive_buffer", OPTION_SIZE, SOCKET(RECEIVE_BUFFER), "0", .max = 1 << 30,
	    .use = USE_RECEIVE_BUFFER),
	KEY(sock, "send_buffer", OPTION_SIZE, SOCKET(SEND_BUFFER), "0", .max = 1 << 30,
	    .use = USE_SEND_BUFFER),
	KEY(sock, "mark", OPTION_NUMBER, SOCKET(MARK), "0", .max = UINT32_MAX, .use = USE_INET),
	KEY(sock, "priority", OPTION_NUMBER, SOCKET(PRIORITY), "0", .max = INT32_MAX,
	    .use = USE_INET),
	KEY(sock, "tos", OPTION_NUMBER, SOCKET(TOS), "0", .max = 255, .use = USE_INET),
	KEY(sock, "ttl", OPTION_NUMBER, SOCKET(TTL), "0", .max = 255, .use = USE_TTL),
	KEY(sock, "broadcast", OPTION_BOOL, SOCKET(BROADCAST), "false", .use = USE_BROADCAST),
	KEY(sock, "passcred", OPTION_BOOL, SOCKET(PASSCRED), "false", .use = USE_UNIX_DGRAM),
	KEY(sock, "mode", OPTION_OCTAL, SERVICE(mode), "0660", .max = 0777, .use = USE_PATH),
	KEY(sock, "owner", OPTION_TEXT, SERVICE(owner), "", .use = USE_PATH),
	KEY(sock, "group", OPTION_TEXT, SERVICE(owner_group), "", .use = USE_PATH),
	KEY(sock, "directory_mode", OPTION_OCTAL, SERVICE(directory_mode), "0000", .max = 0777,
	    .use = USE_PATH),
	KEY(keepalive, "idle", OPTION_DURATION, SOCKET(KEEPALIVE), "0", .max = KEEPALIVE_MAX_MS,
	    .use = USE_TCP),
	KEY(keepalive, "interval", OPTION_DURATION, SOCKET(KEEPALIVE_INTERVAL), "0",
	    .max = KEEPALIVE_MAX_MS, .use = USE_TCP),
	KEY(keepalive, "count", OPTION_NUMBER, SOCKET(KEEPALIVE_COUNT), "0", .max = 127,
	    .use = USE_TCP),
	KEY(multicast, "group", OPTION_TEXT, SERVICE(multicast_group), "", .use = USE_UDP),
	KEY(multicast, "interface", OPTION_TEXT, SERVICE(multicast_interface), "", .use = USE_UDP),
	KEY(NULL, "options", OPTION_PAIRS, SERVICE(options), ""),
	KEY(workers, "min", OPTION_NUMBER, SERVICE(workers_min), "4", .max = CONF_WORKERS_MAX),
	KEY(workers, "max", OPTION_NUMBER, SERVICE(workers_max), "4", .min = 1,
	    .max = CONF_WORKERS_MAX),
	KEY(workers, "spare", OPTION_NUMBER, SERVICE(spare), "1", .max = CONF_WORKERS_MAX),
	KEY(workers, "idle_timeout", OPTION_DURATION, SERVICE(idle_timeout_ms), "1m", .min = 10,
	    .max = DAY_MS),
	KEY(workers, "spawn_rate", OPTION_NUMBER, SERVICE(spawn_rate), "0", .max = 1000000),
	KEY(workers, "max_connections", OPTION_NUMBER, SERVICE(max_connections), "0",
	    .max = UINT32_MAX / 2),
	KEY(workers, "max_age", OPTION_DURATION, SERVICE(max_age_ms), "0", .max = 365 * DAY_MS),
	KEY(workers, "max_rss", OPTION_SIZE, SERVICE(max_rss), "0", .max = 1LL << 50),
	KEY(workers, "min_age", OPTION_DURATION, SERVICE(min_age_ms), "0", .max = DAY_MS),
	KEY(workers, "on_crash_loop", OPTION_WORD, SERVICE(on_crash_loop), "backoff",
	    .words = crash_words),
	KEY(timeouts, "first_byte", OPTION_DURATION, SERVICE(first_byte_ms), "0",
	    .max = 365 * DAY_MS),
	KEY(timeouts, "idle", OPTION_DURATION, SERVICE(idle_ms), "1m", .max = 365 * DAY_MS),
	KEY(timeouts, "total", OPTION_DURATION, SERVICE(total_ms), "0", .max = 365 * DAY_MS),
	KEY(timeouts, "drain", OPTION_DURATION, SERVICE(drain_ms), "30s", .min = 1, .max = DAY_MS),
	KEY(timeouts, "stuck", OPTION_DURATION, SERVICE(stuck_ms), "10s", .max = DAY_MS),
	KEY(timeouts, "slow", OPTION_DURATION, SERVICE(slow_ms), "0", .max = DAY_MS),
	KEY(run, "user", OPTION_TEXT, SERVICE(user), ""),
	KEY(run, "group", OPTION_TEXT, SERVICE(group), ""),
	KEY(run, "groups", OPTION_LIST, SERVICE(groups), ""),
	KEY(run, "chroot", OPTION_TEXT, SERVICE(chroot), ""),
	KEY(run, "directory", OPTION_TEXT, SERVICE(directory), "/"),
	KEY(run, "umask", OPTION_OCTAL, SERVICE(umask), "0022", .max = 0777),
	KEY(run, "nice", OPTION_TEXT, SERVICE(nice), ""),
	KEY(run, "oom_score_adj", OPTION_TEXT, SERVICE(oom_score_adj), ""),
	KEY(run, "cpu_affinity", OPTION_TEXT, SERVICE(cpu_affinity), ""),
	KEY(run, "nofile", OPTION_SIZE, SERVICE(nofile), "256", .min = 16, .max = 1 << 30),
	KEY(run, "core", OPTION_TEXT, SERVICE(core), "false"),
	KEY(run, "no_new_privileges", OPTION_BOOL, SERVICE(no_new_privileges), "true",
	    .use = USE_PROGRAM),
	KEY(run, "capabilities", OPTION_LIST, SERVICE(capabilities), ""),
	KEY(run, "sandbox", OPTION_WORD, SERVICE(sandbox), "default", .words = sandboxes),
	KEY(run, "read", OPTION_LIST, SERVICE(read_paths), "", .use = USE_FOREIGN),
	KEY(run, "write", OPTION_LIST, SERVICE(write_paths), "", .use = USE_FOREIGN),
	KEY(run, "environment", OPTION_LIST, SERVICE(environment), ""),
	KEY(run, "pass_environment", OPTION_LIST, SERVICE(pass_environment), ""),
	KEY(limits, "as", OPTION_TEXT, LIMIT(AS), ""),
	KEY(limits, "cpu", OPTION_TEXT, LIMIT(CPU), ""),
	KEY(limits, "data", OPTION_TEXT, LIMIT(DATA), ""),
	KEY(limits, "fsize", OPTION_TEXT, LIMIT(FSIZE), ""),
	KEY(limits, "locks", OPTION_TEXT, LIMIT(LOCKS), ""),
	KEY(limits, "memlock", OPTION_TEXT, LIMIT(MEMLOCK), ""),
	KEY(limits, "msgqueue", OPTION_TEXT, LIMIT(MSGQUEUE), ""),
	KEY(limits, "nice", OPTION_TEXT, LIMIT(NICE), ""),
	KEY(limits, "nofile", OPTION_TEXT, LIMIT(NOFILE), ""),
	KEY(limits, "nproc", OPTION_TEXT, LIMIT(NPROC), ""),
	KEY(limits, "rss", OPTION_TEXT, LIMIT(RSS), ""),
	KEY(limits, "rtprio", OPTION_TEXT, LIMIT(RTPRIO), ""),
	KEY(limits, "rttime", OPTION_TEXT, LIMIT(RTTIME), ""),
	KEY(limits, "sigpending", OPTION_TEXT, LIMIT(SIGPENDING), ""),
	KEY(limits, "stack", OPTION_TEXT, LIMIT(STACK), ""),
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
static cfg_opt_t no_keys[] = { CFG_END() };

static cfg_opt_t value_opt(const struct option *row, cfg_callback_t on_value)
{
	cfg_opt_t one = CFG_STR_CB(row->name, NULL, CFGF_NODEFAULT, on_value);
	cfg_opt_t pairs = CFG_SEC(row->name, no_keys, CFGF_KEYSTRVAL);
	cfg_opt_t list = CFG_STR_LIST_CB(row->name, NULL, CFGF_NODEFAULT, on_value);

	if (row->kind == OPTION_PAIRS)
		return pairs;
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

/* Blocks are in the order of the rows: one that stands in another comes after it. */
static cfg_opt_t *block_table(const char *name)
{
	size_t i = 0;

	while (table.block_name[i] != NULL && strcmp(table.block_name[i], name) != 0)
		i++;
	assert(i + 1 < BLOCKS_MAX);
	table.block_name[i] = name;
	return table.block[i];
}

/* "socket" into its place, "socket.keepalive" into the table of "socket". */
static void append_block(const char *name, cfg_opt_t *opts, cfg_opt_t *place)
{
	const char *dot = strchr(name, '.');
	cfg_opt_t section = CFG_SEC(dot != NULL ? dot + 1 : name, opts, CFGF_NONE);
	cfg_opt_t *parent = place;

	for (size_t i = 0; dot != NULL && table.block_name[i] != NULL; i++) {
		size_t length = (size_t)(dot - name);

		if (strlen(table.block_name[i]) == length &&
		    strncmp(table.block_name[i], name, length) == 0)
			parent = table.block[i];
	}
	append(parent, section);
}

/* All rows, and then the blocks that are new with them, into the table of a place. */
static void append_rows(const struct option *rows, cfg_opt_t *place, cfg_callback_t on_value)
{
	size_t first = 0;

	while (table.block_name[first] != NULL)
		first++;
	for (const struct option *row = rows; row->name != NULL; row++)
		append(row->block != NULL ? block_table(row->block) : place,
		       value_opt(row, on_value));
	for (size_t i = first; table.block_name[i] != NULL; i++)
		append_block(table.block_name[i], table.block[i], place);
}

cfg_opt_t *options_table(cfg_callback_t on_value)
{
	cfg_opt_t service =
		CFG_SEC("service", table.service, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES);

	if (table.global[0].name != NULL)
		return table.global;
	append_rows(options_service, table.service, on_value);
	append_rows(options_global, table.global, on_value);
	append(table.global, service);
	return table.global;
}

static bool same_block(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

bool options_is_global(const char *block)
{
	for (const struct option *row = options_global; row->name != NULL; row++) {
		if (same_block(row->block, block))
			return true;
	}
	return false;
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

const char *options_block(const char *name)
{
	for (const struct option *row = options_service; row->name != NULL; row++) {
		const char *dot = row->block != NULL ? strrchr(row->block, '.') : NULL;

		if (dot != NULL && strcmp(dot + 1, name) == 0)
			return row->block;
	}
	return name;
}
