/*
 * triple.h - the three arguments of socket(2): family, type, protocol.
 *
 * One table says which combinations preforkd serves and how; the config
 * checker, the worker (accept or receive?) and `preforkd -m` read it. The
 * kernel is not asked: it accepts some senseless ones and refuses others
 * with a bare errno.
 */
#ifndef PREFORKD_NET_TRIPLE_H
#define PREFORKD_NET_TRIPLE_H

#include <stdbool.h>
#include <stddef.h>

struct text;

/* A word of the config and its number; a NULL name ends a list. */
struct triple_word {
	const char *name;
	long long number;
};

extern const struct triple_word triple_families[]; /* inet inet6 unix */
extern const struct triple_word triple_types[];	   /* stream dgram seqpacket */

/* The word of a number, or "unknown". */
const char *triple_word(const struct triple_word *words, long long number);

/*
 * Find the number of a protocol: a number, a name of the table, or a name
 * known to getprotobyname(3). Returns 0, or -1 if there is none. May read
 * /etc/protocols.
 */
int triple_protocol(const char *text, int *protocol_r);

/* What protocol 0 means for family and type; 0 where there is nothing to choose. */
int triple_usual_protocol(int family, int type);

/*
 * The protocol to show for a socket: that of the table where `protocol` is 0,
 * as "tcp" for inet + stream; "none" for unix.
 */
const char *triple_protocol_name(int family, int type, int protocol);

/* True if preforkd serves the triple; otherwise `why` gets a sentence naming the right ones. */
bool triple_check(int family, int type, int protocol, struct text *why);

/* True if sockets of the type listen and accept; the others only receive. */
bool triple_accepts(int type);

/* Write all rows of the table as "family type protocol" lines through print. */
void triple_list(void (*print)(const char *family, const char *type, const char *protocol));

#endif
