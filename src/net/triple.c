#include "net/triple.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/text.h"
#include "net/address.h"

#define EXPERIMENTAL 253 /* a protocol nobody speaks, for trying out TRIPLE_OTHER (RFC 3692) */
#define PROTOCOL_MAX 254 /* of an IP header; 255 is a kind of socket that only sends */

const struct triple_word triple_families[] = {
	{ "inet", AF_INET },   { "inet6", AF_INET6 }, { "unix", AF_UNIX },
	{ "vsock", AF_VSOCK }, { "tipc", AF_TIPC },   { NULL, 0 },
};

const struct triple_word triple_types[] = {
	{ "stream", SOCK_STREAM }, { "dgram", SOCK_DGRAM }, { "seqpacket", SOCK_SEQPACKET },
	{ "raw", SOCK_RAW },	   { "rdm", SOCK_RDM },	    { NULL, 0 },
};

#define RECEIVES .listens = false
#define ACCEPTS .listens = true, .accepts = true
#define ONLY_LISTENS .listens = true /* SCTP one-to-many: associations come without accept(2) */

#define MPTCP .support = "sysctl net.mptcp.enabled=1, and a kernel with MPTCP"
#define SCTP .support = "modprobe sctp"
#define UDPLITE .support = "it takes a kernel that has UDP-Lite"
#define PING .permission = "a group of the master must be in sysctl net.ipv4.ping_group_range"
#define RAW .permission = "it takes CAP_NET_RAW: run as root"
#define VSOCK \
	.support = "modprobe vsock_loopback or another transport; RestrictAddressFamilies=AF_VSOCK"
#define TIPC .support = "modprobe tipc; in a unit RestrictAddressFamilies=AF_TIPC"

/* clang-format off */
const struct triple triples[] = {
	/* the first row of a family and type has its usual protocol */
	{ AF_INET, SOCK_STREAM, IPPROTO_TCP, "tcp", ACCEPTS },
	{ AF_INET, SOCK_STREAM, IPPROTO_MPTCP, "mptcp", ACCEPTS, MPTCP },
	{ AF_INET, SOCK_STREAM, IPPROTO_SCTP, "sctp", ACCEPTS, SCTP },
	{ AF_INET, SOCK_DGRAM, IPPROTO_UDP, "udp", RECEIVES },
	{ AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE, "udplite", UDPLITE },
	{ AF_INET, SOCK_DGRAM, IPPROTO_ICMP, "icmp", PING },
	{ AF_INET, SOCK_SEQPACKET, IPPROTO_SCTP, "sctp", ONLY_LISTENS, SCTP },
	{ AF_INET, SOCK_RAW, IPPROTO_ICMP, "icmp", RAW },
	{ AF_INET, SOCK_RAW, TRIPLE_OTHER, "other", RAW },
	{ AF_INET6, SOCK_STREAM, IPPROTO_TCP, "tcp", ACCEPTS },
	{ AF_INET6, SOCK_STREAM, IPPROTO_MPTCP, "mptcp", ACCEPTS, MPTCP },
	{ AF_INET6, SOCK_STREAM, IPPROTO_SCTP, "sctp", ACCEPTS, SCTP },
	{ AF_INET6, SOCK_DGRAM, IPPROTO_UDP, "udp", RECEIVES },
	{ AF_INET6, SOCK_DGRAM, IPPROTO_UDPLITE, "udplite", UDPLITE },
	{ AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6, "ipv6-icmp", PING },
	{ AF_INET6, SOCK_SEQPACKET, IPPROTO_SCTP, "sctp", ONLY_LISTENS, SCTP },
	{ AF_INET6, SOCK_RAW, IPPROTO_ICMPV6, "ipv6-icmp", RAW },
	{ AF_INET6, SOCK_RAW, TRIPLE_OTHER, "other", RAW },
	{ AF_UNIX, SOCK_STREAM, 0, "none", ACCEPTS },
	{ AF_UNIX, SOCK_DGRAM, 0, "none", RECEIVES },
	{ AF_UNIX, SOCK_SEQPACKET, 0, "none", ACCEPTS },
	{ AF_VSOCK, SOCK_STREAM, 0, "none", ACCEPTS, VSOCK },
	{ AF_VSOCK, SOCK_SEQPACKET, 0, "none", ACCEPTS, VSOCK },
	{ AF_VSOCK, SOCK_DGRAM, 0, "none", .support = "only VMware's transport has it" },
	{ AF_TIPC, SOCK_RDM, 0, "none", TIPC },
	{ AF_TIPC, SOCK_DGRAM, 0, "none", TIPC },
	{ AF_TIPC, SOCK_SEQPACKET, 0, "none", ACCEPTS, TIPC },
	{ AF_TIPC, SOCK_STREAM, 0, "none", ACCEPTS, TIPC },
	{ .family = AF_UNSPEC },
};

/* What people may try, and what to say. */
static const struct {
	int family, type;
	const char *sentence;
} senseless[] = {
	{ AF_UNIX, SOCK_RAW,
	  "the kernel takes unix and raw for dgram without a word: write type = dgram" },
	{ AF_UNIX, SOCK_RDM,
	  "family unix has no rdm (its dgram is reliable); on Linux rdm lives in family tipc" },
	{ AF_INET, SOCK_RDM, "family inet has no rdm; on Linux rdm lives in family tipc" },
	{ AF_INET6, SOCK_RDM, "family inet6 has no rdm; on Linux rdm lives in family tipc" },
};
/* clang-format on */

#define N_SENSELESS (sizeof(senseless) / sizeof(*senseless))

const char *triple_word(const struct triple_word *words, long long number)
{
	for (; words->name != NULL; words++) {
		if (words->number == number)
			return words->name;
	}
	return "unknown";
}

/* The ICMP of the other family can be opened, but nobody speaks it. */
static bool is_other(int family, int protocol)
{
	int strange = family == AF_INET ? IPPROTO_ICMPV6 : IPPROTO_ICMP;

	return protocol > 0 && protocol <= PROTOCOL_MAX && protocol != strange;
}

static bool matches(const struct triple *row, int protocol)
{
	if (row->protocol == TRIPLE_OTHER)
		return is_other(row->family, protocol);
	return row->protocol == protocol || (protocol == 0 && row->type != SOCK_RAW);
}

const struct triple *triple_find(int family, int type, int protocol)
{
	for (const struct triple *row = triples; row->family != AF_UNSPEC; row++) {
		if (row->family == family && row->type == type && matches(row, protocol))
			return row;
	}
	return NULL;
}

static void add_once(struct text *why, const char *word)
{
	text_addf(why, "%s%s", why->length == 0 || why->buf[why->length - 1] == ' ' ? "" : ", ",
		  word);
}

/* The protocols of family and type; false if there is no such type. */
static bool add_protocols(struct text *why, int family, int type)
{
	bool found = false;

	for (const struct triple *row = triples; row->family != AF_UNSPEC; row++) {
		if (row->family == family && row->type == type) {
			add_once(why, row->name);
			found = true;
		}
	}
	return found;
}

static void add_types(struct text *why, int family)
{
	int last = 0;

	for (const struct triple *row = triples; row->family != AF_UNSPEC; row++) {
		if (row->family == family && row->type != last)
			add_once(why, triple_word(triple_types, row->type));
		last = row->type;
	}
}

static void refuse_protocol(int family, int type, int protocol, struct text *why)
{
	const char *family_name = triple_word(triple_families, family);

	if (!address_is_inet(family)) {
		text_addf(why, "family %s has no protocols; leave the key out or write 0",
			  family_name);
	} else if (type == SOCK_RAW && protocol == 0) {
		text_addf(why, "type raw needs a protocol: a name or a number from 1 to %d",
			  PROTOCOL_MAX);
	} else if (type == SOCK_RAW && protocol == IPPROTO_RAW) {
		text_add(why, "a socket of protocol raw (255) only sends");
	} else {
		text_addf(why, "protocol %d does not go with family %s and type %s; these do: ",
			  protocol, family_name, triple_word(triple_types, type));
		(void)add_protocols(why, family, type);
	}
}

void triple_refusal(int family, int type, int protocol, struct text *why)
{
	char unused[128];
	struct text list = text_start(unused, sizeof(unused));

	for (size_t i = 0; i < N_SENSELESS; i++) {
		if (senseless[i].family == family && senseless[i].type == type) {
			text_add(why, senseless[i].sentence);
			return;
		}
	}
	text_add(&list, " ");
	if (add_protocols(&list, family, type)) {
		refuse_protocol(family, type, protocol, why);
		return;
	}
	text_addf(why, "family %s has no type %s; it has: ", triple_word(triple_families, family),
		  triple_word(triple_types, type));
	add_types(why, family);
}

int triple_probe(const struct triple *triple, int protocol)
{
	int number = triple->protocol;
	int fd;

	if (number == TRIPLE_OTHER)
		number = protocol > 0 ? protocol : EXPERIMENTAL;
	fd = socket(triple->family, triple->type | SOCK_CLOEXEC, number);
	if (fd < 0)
		return -1;
	fd_close(&fd);
	return 0;
}

const char *triple_remedy(const struct triple *triple, int error)
{
	switch (error) {
	case EPERM:
	case EACCES:
		if (triple->permission != NULL)
			return triple->permission;
		break;
	case EAFNOSUPPORT:
	case EPROTONOSUPPORT:
	case ESOCKTNOSUPPORT:
	case ENOPROTOOPT:
	case ENODEV:
		if (triple->support != NULL)
			return triple->support;
		return "the kernel does not have it, or RestrictAddressFamilies= forbids it";
	case EMFILE:
	case ENFILE:
		return "too many open files: raise the limit (LimitNOFILE=)";
	default:
		break;
	}
	return "see socket(2)";
}

bool triple_is_forgeable(const struct triple *triple)
{
	return address_is_inet(triple->family) &&
	       (triple->type == SOCK_DGRAM || triple->type == SOCK_RAW);
}
