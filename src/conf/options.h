/*
 * options.h - every key of the config: one row each.
 *
 * The row says name, kind, default, limits, and the field of the compiled
 * conf. The reader, the checker, `preforkd -T`, and through it the tests that
 * compare man page and sample config, all follow these rows.
 */
#ifndef PREFORKD_CONF_OPTIONS_H
#define PREFORKD_CONF_OPTIONS_H

#include <confuse.h>
#include <stdbool.h>
#include <stddef.h>

#define OPTION_PER_WORKER 2 /* of reuse_port */

enum option_kind {
	OPTION_TEXT, /* any string without control characters */
	OPTION_LIST, /* of such strings */
	OPTION_WORD, /* one of a few words */
	OPTION_NUMBER,
	OPTION_SIZE,	 /* a number with K, M or G */
	OPTION_DURATION, /* a number with ms, s, m, h or d; kept in milliseconds */
	OPTION_OCTAL,	 /* permission bits */
	OPTION_BOOL,
	OPTION_BACKLOG, /* a number, or the word somaxconn */
	OPTION_PAIRS,	/* a block of any keys, each with a text: kept as a list of name=value */
};

/* To which services a key applies; where it does not, writing it is an error. */
enum option_use {
	USE_ALWAYS,
	USE_ADDRESS, /* all families but unix */
	USE_PORT,
	USE_INET,   /* inet and inet6 */
	USE_V6ONLY, /* inet6, but not raw */
	USE_TIPC,
	USE_UNIX,
	USE_PATH, /* unix with a path, not an abstract name */
	USE_UNIX_DGRAM,
	USE_LISTEN,	/* what listen(2) is called for */
	USE_REUSE_PORT, /* inet and inet6, but not raw */
	USE_TCP,	/* and MPTCP */
	USE_UDP,	/* and UDP-Lite */
	USE_BROADCAST,	/* UDP over inet */
	USE_RECEIVE_BUFFER,
	USE_SEND_BUFFER,
	USE_TTL,
	USE_PROGRAM,	/* handlers that are programs */
	USE_PERSISTENT, /* those that stay */
	USE_FOREIGN,	/* programs and modules */
};

struct option {
	const char *block; /* the block it stands in ("socket", "socket.keepalive"), or NULL */
	const char *name;
	enum option_kind kind;
	size_t field;	      /* offset in struct conf or struct conf_service */
	const char *fallback; /* the default, as one would write it; NULL: required */
	long long min, max;
	const struct triple_word *words;
	enum option_use use; /* what is left out in a row is 0: always, any value */
};

/* Keys of the top level and of a service, in the order of the man page; NULL name ends. */
extern const struct option options_global[];
extern const struct option options_service[];

/*
 * The libconfuse table of a file. Every value is taken as text through
 * `on_value`. Static memory; the table is the same at each call.
 */
cfg_opt_t *options_table(cfg_callback_t on_value);

struct conf_service;

/*
 * NULL if the option has a meaning for the (resolved) service; else the reason
 * why not. In conf/use.c.
 */
const char *options_refusal(const struct option *option, const struct conf_service *service);

/* The whole name of a service's block ("socket.keepalive") by its last word; else as it is. */
const char *options_block(const char *name);

/* True of a block that stands beside the services, not in one. */
bool options_is_global(const char *block);

/* Index of the row with this block and name (NULL: none) among rows; it must be there. */
size_t options_index(const struct option *rows, const char *block, const char *name);

#endif
