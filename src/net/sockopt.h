/*
 * sockopt.h - options of a socket: from the keys of the block socket { } to
 * setsockopt(2).
 *
 * Set before bind(2), read back, compared; and changed on the open socket at a
 * reload. The kernel says what became of each: it rounds some and caps others.
 */
#ifndef PREFORKD_NET_SOCKOPT_H
#define PREFORKD_NET_SOCKOPT_H

#include <net/if.h>
#include <stdbool.h>

#define SOCKOPT_CONGESTION_MAX 16 /* TCP_CA_NAME_MAX of the kernel */

struct text;

/* Places in sockopt_values; 0 always means: as the kernel has it. */
enum sockopt_id {
	SOCKOPT_V6ONLY, /* inet6: always set, to 0 or 1 */
	SOCKOPT_REUSE_PORT,
	SOCKOPT_FREEBIND,
	SOCKOPT_TRANSPARENT,
	SOCKOPT_NODELAY,
	SOCKOPT_DEFER_ACCEPT,
	SOCKOPT_FASTOPEN,
	SOCKOPT_USER_TIMEOUT,
	SOCKOPT_RECEIVE_BUFFER,
	SOCKOPT_SEND_BUFFER,
	SOCKOPT_MARK,
	SOCKOPT_TOS, /* sets the priority as well, so it goes before it */
	SOCKOPT_PRIORITY,
	SOCKOPT_TTL,
	SOCKOPT_BROADCAST,
	SOCKOPT_PASSCRED,
	SOCKOPT_KEEPALIVE, /* on, and after how long */
	SOCKOPT_KEEPALIVE_INTERVAL,
	SOCKOPT_KEEPALIVE_COUNT,
	SOCKOPT_AUTOCLOSE, /* no key: an SCTP association that is idle, from timeouts.idle */
	SOCKOPT_N,
};

struct sockopt_values {
	int family, type; /* of the socket */
	unsigned value[SOCKOPT_N];
	char bind_device[IFNAMSIZ];		 /* "": any */
	char congestion[SOCKOPT_CONGESTION_MAX]; /* "": the system's */
};

/* What a socket had before we changed it, to go back to. */
struct sockopt_state {
	unsigned original[SOCKOPT_N];
	char congestion[SOCKOPT_CONGESTION_MAX];
	bool changed[SOCKOPT_N];
};

/*
 * Set the options that differ from those of `before` (NULL: none was set),
 * and read them back. Returns 0; or -1 with errno and a sentence in *error, which
 * begins with the key, and then some may be set. What the kernel granted in part,
 * or a bound socket does not take, is a line in *shortfall and no error; NULL: it
 * was said before.
 */
int sockopt_apply(int fd, const struct sockopt_values *before, const struct sockopt_values *values,
		  struct sockopt_state *state, struct text *shortfall, struct text *error);

/* Add "key=value ..." of every option that is not the default, as the kernel has it now. */
void sockopt_describe(int fd, const struct sockopt_values *values, struct text *out);

/* Copy from `from` what a bound socket cannot change. */
void sockopt_keep_fixed(struct sockopt_values *values, const struct sockopt_values *from);

/*
 * What a bound socket that we did not make has, as the `before` of sockopt_apply(), and
 * its state. What cannot change is there as it is. fresh: another one
 * of the kind, as the kernel makes it; then what differs from it counts as set. Or -1:
 * that counts as never set, so it stays. like: for family and type.
 */
void sockopt_read(int fd, int fresh, const struct sockopt_values *like,
		  struct sockopt_values *before_r, struct sockopt_state *state_r);

/* The key of an option that a bound socket cannot change and that is not the same, or NULL. */
const char *sockopt_fixed_differs(const struct sockopt_values *a, const struct sockopt_values *b);

/* Milliseconds of the config for one unit of the kernel: 1000 where that is a second. */
unsigned sockopt_unit_ms(enum sockopt_id id);

#endif
