/*
 * triple.h - the three arguments of socket(2): family, type, protocol.
 *
 * One table says which combinations preforkd serves, how, and what each needs
 * of the system. The config checker, the worker (accept or receive?), -m,
 * --probe and preforkctl read it. The kernel alone is not asked: it accepts
 * some senseless combinations and refuses others with a bare errno.
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

extern const struct triple_word triple_families[]; /* inet inet6 unix vsock tipc */
extern const struct triple_word triple_types[];	   /* stream dgram seqpacket raw rdm */

#define TRIPLE_OTHER (-1) /* a row for every protocol that has none of its own */

struct triple {
	int family, type, protocol;
	const char *name;      /* of the protocol: "none" where the family has none */
	bool listens, accepts; /* what does not accept receives whole messages */
	const char
		*permission; /* what to do when socket(2) is not permitted; NULL: nothing known */
	const char *support; /* what to do when the kernel does not have it */
};

/* All rows, in the order of the man page; family 0 ends. */
extern const struct triple triples[];

/* The word of a number, or "unknown". */
const char *triple_word(const struct triple_word *words, long long number);

/*
 * Find the number of a protocol: a number, a name of the table, or a name
 * known to getprotobyname(3). Returns 0, or -1 if there is none. May read
 * /etc/protocols.
 */
int triple_protocol(const char *text, int *protocol_r);

/*
 * The row of a combination, NULL if preforkd does not serve it. Protocol 0 is
 * the usual one of family and type, where there is one.
 */
const struct triple *triple_find(int family, int type, int protocol);

/* Say why triple_find() gives NULL, and what there is instead. */
void triple_refusal(int family, int type, int protocol, struct text *why);

/*
 * Create a socket of the row and close it: does this kernel have it, may this
 * process? protocol: which one for a row of TRIPLE_OTHER, else ignored. Returns
 * 0, or -1 with errno.
 */
int triple_probe(const struct triple *triple, int protocol);

/* What the user can do about an error of triple_probe() or socket(2); never NULL. */
const char *triple_remedy(const struct triple *triple, int error);

/* True for UDP, UDP-Lite, ICMP and raw: whoever sends can claim any address of inet or inet6. */
bool triple_is_forgeable(const struct triple *triple);

#endif
