#include "net/sockopt.h"

#include <errno.h>
#include <limits.h>
#include <linux/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "base/text.h"
#include "net/sockopt_table.h"

#define TOS_BIT 4 /* any that IP_TOS takes */

static int get(int fd, struct sockopt_place place, unsigned *value_r)
{
	socklen_t size = sizeof(*value_r);

	return getsockopt(fd, place.level, place.name, value_r, &size);
}

static int set(int fd, struct sockopt_place place, unsigned value)
{
	return setsockopt(fd, place.level, place.name, &value, sizeof(value));
}

/* An inet6 socket may serve IPv4, too, and has the options of both; some kernels lack one. */
static void set_mapped(int fd, const struct sockopt *option, int family, unsigned value)
{
	if (family == AF_INET6 && option->name6 != 0 && option->name != 0)
		(void)setsockopt(fd, option->level, option->name, &value, sizeof(value));
}

static int fail(struct text *error, const struct sockopt *option, unsigned value)
{
	int saved = errno;
	const char *remedy = option->remedy;

	if (remedy == NULL || (saved != EPERM && saved != EACCES))
		remedy = saved == ENOPROTOOPT || saved == EOPNOTSUPP ?
				 "this kernel does not have it for this protocol" :
				 "see socket(7), ip(7), tcp(7)";
	text_addf(error, "%s%s: %u: %s (%s)", option->key != NULL ? "socket." : "",
		  option->key != NULL ? option->key : "timeouts.idle", value, strerror(saved),
		  remedy);
	errno = saved;
	return -1;
}

/* What we asked for as the kernel says it. */
static unsigned said(const struct sockopt *option, unsigned value)
{
	return option->answer == DOUBLED ? value / 2 : value;
}

static int verify(int fd, struct sockopt_place place, const struct sockopt *option, unsigned value,
		  struct text *shortfall, struct text *error)
{
	unsigned now;

	if (get(fd, place, &now) < 0)
		return fail(error, option, value);
	now = said(option, now);
	if (now == value || (now > value && option->answer != SAME))
		return 0;
	if (option->answer == CAPPED || option->answer == DOUBLED) {
		if (shortfall != NULL)
			text_addf(shortfall, "socket.%s: %u asked, %u granted (%s)\n", option->key,
				  value, now, option->remedy);
		return 0;
	}
	text_addf(error, "socket.%s: %u was set, but the kernel has %u", option->key, value, now);
	errno = EINVAL;
	return -1;
}

/* The switch of keepalive has an option of its own. */
static int set_keepalive(int fd, unsigned value)
{
	int on = value != 0;

	return setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

static unsigned kernel_value(const struct sockopt *option, unsigned value)
{
	return option->seconds ? value / 1000 : value;
}

/* A buffer that was set does not follow the traffic any more (Linux 5.14; before, it stays so). */
static void unlock_buffer(int fd, enum sockopt_id id)
{
	unsigned lock = id == SOCKOPT_RECEIVE_BUFFER ? SOCK_RCVBUF_LOCK : SOCK_SNDBUF_LOCK;
	struct sockopt_place place = { SOL_SOCKET, SO_BUF_LOCK };
	unsigned now;

	if (get(fd, place, &now) == 0)
		(void)set(fd, place, now & ~lock);
}

/* What the kernel derives from tos, which it does only when that changes. */
static int derive_priority(int fd)
{
	struct sockopt_place tos = { IPPROTO_IP, IP_TOS }, priority = { SOL_SOCKET, SO_PRIORITY };
	unsigned now;

	if (set(fd, priority, 0) < 0)
		return -1;
	if (get(fd, tos, &now) == 0 && set(fd, tos, now ^ TOS_BIT) == 0)
		(void)set(fd, tos, now);
	return 0;
}

static int apply_one(int fd, enum sockopt_id id, const struct sockopt_values *values,
		     struct sockopt_state *state, struct text *shortfall, struct text *error)
{
	const struct sockopt *option = &sockopt_table[id];
	struct sockopt_place place = sockopt_place(option, values);
	unsigned value = values->value[id];
	unsigned wanted = kernel_value(option, value);

	/* 0 takes back what an earlier config set */
	if (value == 0 && !option->always)
		wanted = said(option, state->original[id]);
	if (id == SOCKOPT_PRIORITY && value == 0)
		return derive_priority(fd) < 0 ? fail(error, option, value) : 0;
	if (id == SOCKOPT_KEEPALIVE && set_keepalive(fd, value) < 0)
		return fail(error, option, wanted);
	if (set(fd, place, wanted) < 0)
		return fail(error, option, wanted);
	set_mapped(fd, option, values->family, wanted);
	if (value == 0 && option->answer == DOUBLED)
		unlock_buffer(fd, id);
	return verify(fd, place, option, wanted, shortfall, error);
}

static int fail_text(struct text *error, const char *key, const char *value, const char *remedy)
{
	/* ENOENT would be taken for a missing path */
	int saved = errno == ENOENT ? EINVAL : errno;

	text_addf(error, "socket.%s: \"%s\": %s (%s)", key, value, strerror(saved), remedy);
	errno = saved;
	return -1;
}

/* The empty string takes it back. */
static int apply_device(int fd, const char *device, struct text *error)
{
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device)) == 0)
		return 0;
	return fail_text(error, "bind_device", device,
			 errno == ENODEV ? "see ip link" : "changing it takes CAP_NET_RAW");
}

static int apply_congestion(int fd, const char *wanted, struct sockopt_state *state,
			    struct text *error)
{
	socklen_t size = sizeof(state->congestion);

	if (state->congestion[0] == '\0' &&
	    getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, state->congestion, &size) < 0)
		return fail_text(error, "congestion", wanted, "this kernel cannot change it");
	if (wanted[0] == '\0')
		wanted = state->congestion;
	if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, wanted, (socklen_t)strlen(wanted)) == 0)
		return 0;
	return fail_text(error, "congestion", wanted,
			 "see sysctl net.ipv4.tcp_allowed_congestion_control, modprobe tcp_NAME");
}

static int apply_texts(int fd, const struct sockopt_values *before,
		       const struct sockopt_values *values, struct sockopt_state *state,
		       struct text *error)
{
	if (strcmp(values->congestion, before->congestion) != 0 &&
	    apply_congestion(fd, values->congestion, state, error) < 0)
		return -1;
	if (strcmp(values->bind_device, before->bind_device) == 0)
		return 0;
	return apply_device(fd, values->bind_device, error);
}

static bool differs(const struct sockopt_values *a, const struct sockopt_values *b,
		    enum sockopt_id id)
{
	/* a change of tos changed the priority */
	if (id == SOCKOPT_PRIORITY && b->value[id] != 0 &&
	    a->value[SOCKOPT_TOS] != b->value[SOCKOPT_TOS])
		return true;
	return a->value[id] != b->value[id];
}

/* What is there before anything is set: some options change others. */
static int remember(int fd, const struct sockopt_values *before,
		    const struct sockopt_values *values, struct sockopt_state *state,
		    struct text *error)
{
	for (enum sockopt_id id = 0; id < SOCKOPT_N; id++) {
		struct sockopt_place place = sockopt_place(&sockopt_table[id], values);

		if (place.name == 0 || state->changed[id] || !differs(before, values, id))
			continue;
		if (get(fd, place, &state->original[id]) < 0)
			return fail(error, &sockopt_table[id], values->value[id]);
		state->changed[id] = true;
	}
	return 0;
}

int sockopt_apply(int fd, const struct sockopt_values *before, const struct sockopt_values *values,
		  struct sockopt_state *state, struct text *shortfall, struct text *error)
{
	static const struct sockopt_values none;
	bool bound = before != NULL;

	before = bound ? before : &none;
	if (remember(fd, before, values, state, error) < 0)
		return -1;
	for (enum sockopt_id id = 0; id < SOCKOPT_N; id++) {
		const struct sockopt *option = &sockopt_table[id];

		if (sockopt_place(option, values).name == 0 ||
		    (!differs(before, values, id) && (bound || !option->always)))
			continue;
		if (bound && option->before_bind)
			text_addf(shortfall, "socket.%s: cannot change (restart preforkd)\n",
				  option->key);
		else if (apply_one(fd, id, values, state, shortfall, error) < 0)
			return -1;
	}
	return apply_texts(fd, before, values, state, error);
}

static void describe_one(int fd, const struct sockopt_values *values, const struct sockopt *option,
			 struct text *out)
{
	unsigned now;

	if (get(fd, sockopt_place(option, values), &now) < 0)
		return;
	text_addf(out, "%s%s=", out->length > 0 ? " " : "", option->key);
	if (option->is_bool)
		text_add(out, now != 0 ? "true" : "false");
	else
		text_addf(out, "%u%s", said(option, now), option->seconds ? "s" : "");
}

void sockopt_describe(int fd, const struct sockopt_values *values, struct text *out)
{
	for (enum sockopt_id id = 0; id < SOCKOPT_N; id++) {
		bool is_default = (values->value[id] != 0) == sockopt_table[id].always;

		if (!is_default && sockopt_table[id].key != NULL &&
		    sockopt_place(&sockopt_table[id], values).name != 0)
			describe_one(fd, values, &sockopt_table[id], out);
	}
	if (values->bind_device[0] != '\0')
		text_addf(out, "%sbind_device=%s", out->length > 0 ? " " : "", values->bind_device);
	if (values->congestion[0] != '\0')
		text_addf(out, "%scongestion=%s", out->length > 0 ? " " : "", values->congestion);
}

void sockopt_keep_fixed(struct sockopt_values *values, const struct sockopt_values *from)
{
	for (enum sockopt_id id = 0; id < SOCKOPT_N; id++) {
		if (sockopt_table[id].before_bind)
			values->value[id] = from->value[id];
	}
}

unsigned sockopt_unit_ms(enum sockopt_id id)
{
	return sockopt_table[id].seconds ? 1000 : 1;
}

/* What it has of texts, and what a new one has; "" of before_r: the same. */
static void read_texts(int fd, int fresh, struct sockopt_values *before,
		       struct sockopt_state *state)
{
	socklen_t size = sizeof(before->congestion), fresh_size = sizeof(state->congestion);
	socklen_t device_size = sizeof(before->bind_device);

	if (fresh >= 0)
		(void)getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, before->bind_device,
				 &device_size);
	if (fresh < 0 ||
	    getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, before->congestion, &size) < 0 ||
	    getsockopt(fresh, IPPROTO_TCP, TCP_CONGESTION, state->congestion, &fresh_size) < 0 ||
	    strcmp(before->congestion, state->congestion) == 0)
		before->congestion[0] = '\0';
}

void sockopt_read(int fd, int fresh, const struct sockopt_values *like,
		  struct sockopt_values *before_r, struct sockopt_state *state_r)
{
	*before_r = (struct sockopt_values){ .family = like->family, .type = like->type };
	*state_r = (struct sockopt_state){ 0 };
	for (enum sockopt_id id = 0; id < SOCKOPT_N; id++) {
		struct sockopt_place place = sockopt_place(&sockopt_table[id], like);
		unsigned now;

		if (place.name == 0 || get(fd, place, &now) < 0)
			continue;
		if (sockopt_table[id].before_bind)
			before_r->value[id] = now;
		else if (fresh >= 0 && get(fresh, place, &state_r->original[id]) == 0)
			state_r->changed[id] = true;
		/* it will be set, or back */
		if (state_r->changed[id] && now != state_r->original[id])
			before_r->value[id] = UINT_MAX;
	}
	read_texts(fd, fresh, before_r, state_r);
}

const char *sockopt_fixed_differs(const struct sockopt_values *a, const struct sockopt_values *b)
{
	for (enum sockopt_id id = 0; id < SOCKOPT_N; id++) {
		const struct sockopt *option = &sockopt_table[id];

		if (option->before_bind && sockopt_place(option, a).name != 0 &&
		    a->value[id] != b->value[id])
			return option->key;
	}
	return NULL;
}
