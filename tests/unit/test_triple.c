/*
 * test_triple.c - src/net/triple.c: which family, type and protocol go together.
 *
 * What is served is written down here once more, in another form, and every
 * combination is compared.
 */
#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/text.h"
#include "net/triple.h"
#include "unit.h"

#define PROTOCOLS 300 /* all numbers that mean something are below */
#define ERRORS 200
#define EXPERIMENTAL 253

#define HAS(list, number) has(list, sizeof(list) / sizeof(*(list)), number)

static bool has(const int *list, size_t n, int number)
{
	for (size_t i = 0; i < n; i++) {
		if (list[i] == number)
			return true;
	}
	return false;
}

/* The table of preforkd.conf(5), "Sockets", as rules. */
static bool is_served(int family, int type, int protocol)
{
	static const int streams[] = { 0, IPPROTO_TCP, IPPROTO_MPTCP, IPPROTO_SCTP };
	static const int vsock_types[] = { SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM };
	static const int tipc_types[] = { SOCK_RDM, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM };
	bool v6 = family == AF_INET6;
	int own_icmp = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	int other_icmp = v6 ? IPPROTO_ICMP : IPPROTO_ICMPV6;

	if (family == AF_UNIX || family == AF_VSOCK)
		return HAS(vsock_types, type) && protocol == 0;
	if (family == AF_TIPC)
		return HAS(tipc_types, type) && protocol == 0;
	if (family != AF_INET && !v6)
		return false;
	switch (type) {
	case SOCK_STREAM:
		return HAS(streams, protocol);
	case SOCK_DGRAM:
		return protocol == 0 || protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE ||
		       protocol == own_icmp;
	case SOCK_SEQPACKET:
		return protocol == 0 || protocol == IPPROTO_SCTP;
	case SOCK_RAW:
		return protocol > 0 && protocol < 255 && protocol != other_icmp;
	default:
		return false;
	}
}

/* A combination that is refused has a reason that names what was written and is no dump. */
static void check_refusal(int family, int type, int protocol)
{
	char buf[256], about[64];
	struct text why = text_start(buf, sizeof(buf));

	snprintf(about, sizeof(about), "family %d type %d protocol %d", family, type, protocol);
	triple_refusal(family, type, protocol, &why);
	if (!CHECK(why.length > 10 && why.length < sizeof(buf) - 1 && buf[0] != ' '))
		fprintf(stderr, "  %s: %s\n", about, buf);
	if (!CHECK(strstr(buf, "unknown") == NULL && strstr(buf, ": ,") == NULL &&
		   strstr(buf, ", ,") == NULL && buf[why.length - 1] != ' '))
		fprintf(stderr, "  %s: %s\n", about, buf);
}

static void check_one(int family, int type, int protocol)
{
	const struct triple *row = triple_find(family, type, protocol);
	char about[64];

	snprintf(about, sizeof(about), "family %d type %d protocol %d", family, type, protocol);
	CHECK_NUMBER(row != NULL, is_served(family, type, protocol), about);
	if (row == NULL) {
		check_refusal(family, type, protocol);
		return;
	}
	CHECK_NUMBER(row->family, family, about);
	CHECK_NUMBER(row->type, type, about);
	if (row->protocol == TRIPLE_OTHER)
		CHECK_NUMBER(type, SOCK_RAW, about);
	else
		CHECK(row->protocol == protocol || protocol == 0);
}

static void test_every_combination(void)
{
	for (const struct triple_word *family = triple_families; family->name != NULL; family++) {
		for (const struct triple_word *type = triple_types; type->name != NULL; type++) {
			for (int protocol = -2; protocol < PROTOCOLS; protocol++)
				check_one((int)family->number, (int)type->number, protocol);
			check_one((int)family->number, (int)type->number, 0xffff);
		}
	}
}

static void test_strange_numbers(void)
{
	CHECK(triple_find(AF_UNSPEC, 0, 0) == NULL);
	CHECK(triple_find(AF_UNSPEC, SOCK_STREAM, 0) == NULL);
	CHECK(triple_find(AF_INET, 0, 0) == NULL);
	CHECK(triple_find(AF_NETLINK, SOCK_RAW, 1) == NULL);
	CHECK(triple_find(AF_PACKET, SOCK_RAW, 3) == NULL);
	CHECK(triple_find(-1, -1, -1) == NULL);
}

/* Each row is found by what it says, and no two say the same. */
static void test_rows(void)
{
	unsigned n = 0;

	for (const struct triple *row = triples; row->family != AF_UNSPEC; row++, n++) {
		bool other = row->protocol == TRIPLE_OTHER;

		CHECK(triple_find(row->family, row->type, other ? EXPERIMENTAL : row->protocol) ==
		      row);
		CHECK(row->listens || !row->accepts);
		CHECK_NUMBER(row->listens, row->type == SOCK_STREAM || row->type == SOCK_SEQPACKET,
			     row->name);
		CHECK_NUMBER(row->accepts,
			     row->listens &&
				     (row->type == SOCK_STREAM || row->protocol != IPPROTO_SCTP),
			     row->name);
		for (const struct triple *next = row + 1; next->family != AF_UNSPEC; next++) {
			bool kin = row->family == next->family && row->type == next->type;

			CHECK(!kin || (row->protocol != next->protocol &&
				       strcmp(row->name, next->name) != 0));
		}
	}
	CHECK_NUMBER(n, 28, "rows");
}

static void test_usual_protocol(void)
{
	static const struct {
		int family, type, protocol;
	} rows[] = {
		{ AF_INET, SOCK_STREAM, IPPROTO_TCP },
		{ AF_INET6, SOCK_STREAM, IPPROTO_TCP },
		{ AF_INET, SOCK_DGRAM, IPPROTO_UDP },
		{ AF_INET6, SOCK_DGRAM, IPPROTO_UDP },
		{ AF_INET, SOCK_SEQPACKET, IPPROTO_SCTP },
		{ AF_INET6, SOCK_SEQPACKET, IPPROTO_SCTP },
		{ AF_UNIX, SOCK_DGRAM, 0 },
		{ AF_TIPC, SOCK_RDM, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct triple *row = triple_find(rows[i].family, rows[i].type, 0);

		if (CHECK(row != NULL))
			CHECK_NUMBER(row->protocol, rows[i].protocol, row->name);
	}
}

static void test_sentences(void)
{
	static const struct {
		int family, type, protocol;
		const char *expected;
	} rows[] = {
		{ AF_UNIX, SOCK_RAW, 0,
		  "the kernel takes unix and raw for dgram without a word: write type = dgram" },
		{ AF_UNIX, SOCK_RDM, 0,
		  "family unix has no rdm (its dgram is reliable); on Linux rdm lives in family tipc" },
		{ AF_INET, SOCK_RDM, 0,
		  "family inet has no rdm; on Linux rdm lives in family tipc" },
		{ AF_INET6, SOCK_RDM, IPPROTO_UDP,
		  "family inet6 has no rdm; on Linux rdm lives in family tipc" },
		{ AF_UNIX, SOCK_DGRAM, IPPROTO_ICMP,
		  "family unix has no protocols; leave the key out or write 0" },
		{ AF_VSOCK, SOCK_STREAM, IPPROTO_TCP,
		  "family vsock has no protocols; leave the key out or write 0" },
		{ AF_TIPC, SOCK_RDM, 1,
		  "family tipc has no protocols; leave the key out or write 0" },
		{ AF_VSOCK, SOCK_RDM, 0,
		  "family vsock has no type rdm; it has: stream, seqpacket, dgram" },
		{ AF_VSOCK, SOCK_RAW, 1,
		  "family vsock has no type raw; it has: stream, seqpacket, dgram" },
		{ AF_TIPC, SOCK_RAW, 0,
		  "family tipc has no type raw; it has: rdm, dgram, seqpacket, stream" },
		{ AF_INET, SOCK_RAW, 0,
		  "type raw needs a protocol: a name or a number from 1 to 254" },
		{ AF_INET6, SOCK_RAW, 0,
		  "type raw needs a protocol: a name or a number from 1 to 254" },
		{ AF_INET, SOCK_RAW, 255, "a socket of protocol raw (255) only sends" },
		{ AF_INET, SOCK_RAW, IPPROTO_ICMPV6,
		  "protocol 58 does not go with family inet and type raw; these do: icmp, other" },
		{ AF_INET6, SOCK_RAW, IPPROTO_ICMP,
		  "protocol 1 does not go with family inet6 and type raw; these do: ipv6-icmp, other" },
		{ AF_INET, SOCK_RAW, 256,
		  "protocol 256 does not go with family inet and type raw; these do: icmp, other" },
		{ AF_INET, SOCK_STREAM, IPPROTO_UDP,
		  "protocol 17 does not go with family inet and type stream; these do: tcp, mptcp, sctp" },
		{ AF_INET6, SOCK_DGRAM, IPPROTO_TCP,
		  "protocol 6 does not go with family inet6 and type dgram; these do: udp, udplite, ipv6-icmp" },
		{ AF_INET, SOCK_DGRAM, IPPROTO_ICMPV6,
		  "protocol 58 does not go with family inet and type dgram; these do: udp, udplite, icmp" },
		/* no type of the table */
		{ AF_INET, SOCK_PACKET, 0,
		  "family inet has no type unknown; it has: stream, dgram, seqpacket, raw" },
		{ AF_INET, SOCK_SEQPACKET, IPPROTO_TCP,
		  "protocol 6 does not go with family inet and type seqpacket; these do: sctp" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char buf[256];
		struct text why = text_start(buf, sizeof(buf));

		CHECK(triple_find(rows[i].family, rows[i].type, rows[i].protocol) == NULL);
		triple_refusal(rows[i].family, rows[i].type, rows[i].protocol, &why);
		CHECK_TEXT(buf, rows[i].expected, "triple_refusal");
	}
}

/* A reason that does not fit is cut off. */
static void test_short_buffer(void)
{
	for (size_t size = 2; size < 90; size++) {
		char buf[101];
		struct text why = text_start(buf, size);

		memset(buf + size, 0x55, sizeof(buf) - size);
		triple_refusal(AF_INET6, SOCK_DGRAM, IPPROTO_TCP, &why);
		CHECK_NUMBER((long long)strlen(buf), (long long)size - 1, "it ends in its buffer");
		CHECK(buf[size] == 0x55);
	}
}

static void test_words(void)
{
	CHECK_TEXT(triple_word(triple_families, AF_INET), "inet", "");
	CHECK_TEXT(triple_word(triple_families, AF_INET6), "inet6", "");
	CHECK_TEXT(triple_word(triple_families, AF_UNIX), "unix", "");
	CHECK_TEXT(triple_word(triple_families, AF_VSOCK), "vsock", "");
	CHECK_TEXT(triple_word(triple_families, AF_TIPC), "tipc", "");
	CHECK_TEXT(triple_word(triple_families, AF_UNSPEC), "unknown", "");
	CHECK_TEXT(triple_word(triple_families, AF_NETLINK), "unknown", "");
	CHECK_TEXT(triple_word(triple_families, -1), "unknown", "");
	CHECK_TEXT(triple_word(triple_types, SOCK_STREAM), "stream", "");
	CHECK_TEXT(triple_word(triple_types, SOCK_DGRAM), "dgram", "");
	CHECK_TEXT(triple_word(triple_types, SOCK_SEQPACKET), "seqpacket", "");
	CHECK_TEXT(triple_word(triple_types, SOCK_RAW), "raw", "");
	CHECK_TEXT(triple_word(triple_types, SOCK_RDM), "rdm", "");
	CHECK_TEXT(triple_word(triple_types, 0), "unknown", "");
}

static int protocol_of(const char *text)
{
	int protocol = -7;

	if (triple_protocol(text, &protocol) == 0)
		return protocol;
	CHECK_NUMBER(protocol, -7, "what is refused is not written");
	return -1;
}

static void test_protocols(void)
{
	static const struct {
		const char *text;
		int expected;
	} rows[] = {
		{ "0", 0 },
		{ "6", 6 },
		{ "253", 253 },
		{ "255", 255 },
		{ "262", IPPROTO_MPTCP },
		{ "65535", 65535 },
		{ "65536", -1 },
		{ "-1", -1 },
		{ "+6", -1 },
		{ "06", -1 },
		{ "6 ", -1 },
		{ " 6", -1 },
		{ "0x6", -1 },
		{ "6.0", -1 },
		{ "99999999999999999999", -1 },
		{ "", -1 },
		{ "tcp", IPPROTO_TCP },
		{ "udp", IPPROTO_UDP },
		{ "udplite", IPPROTO_UDPLITE },
		{ "sctp", IPPROTO_SCTP },
		{ "mptcp", IPPROTO_MPTCP },
		{ "icmp", IPPROTO_ICMP },
		{ "ipv6-icmp", IPPROTO_ICMPV6 },
		/* words of the table that are no protocols */
		{ "none", -1 },
		{ "other", -1 },
		{ "tcp ", -1 },
		{ "tcpudp", -1 },
		{ "no-such-protocol", -1 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		CHECK_NUMBER(protocol_of(rows[i].text), rows[i].expected, rows[i].text);
}

/* Every name and alias that the system knows, if it has a list at all. */
static void test_protocols_of_the_system(void)
{
	const struct protoent *entry;
	unsigned n = 0;

	setprotoent(1);
	while ((entry = getprotoent()) != NULL && n < PROTOCOLS) {
		char name[64];
		int expected = entry->p_proto;

		n++;
		snprintf(name, sizeof(name), "%s", entry->p_name);
		CHECK_NUMBER(protocol_of(name), expected, name);
	}
	endprotoent();
	if (getprotobyname("ESP") != NULL)
		CHECK_NUMBER(protocol_of("ESP"), IPPROTO_ESP, "an alias");
	if (n == 0)
		puts("/etc/protocols is not there");
}

static void test_remedies(void)
{
	static const struct {
		int family, type, protocol, error;
		const char *part;
	} rows[] = {
		{ AF_INET, SOCK_RAW, IPPROTO_ICMP, EPERM, "CAP_NET_RAW" },
		{ AF_INET6, SOCK_RAW, EXPERIMENTAL, EPERM, "CAP_NET_RAW" },
		{ AF_INET, SOCK_DGRAM, IPPROTO_ICMP, EACCES, "ping_group_range" },
		{ AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6, EACCES, "ping_group_range" },
		{ AF_INET, SOCK_STREAM, IPPROTO_SCTP, EPROTONOSUPPORT, "modprobe sctp" },
		{ AF_INET, SOCK_SEQPACKET, IPPROTO_SCTP, ESOCKTNOSUPPORT, "modprobe sctp" },
		{ AF_INET, SOCK_STREAM, IPPROTO_MPTCP, ENOPROTOOPT, "net.mptcp.enabled" },
		{ AF_INET6, SOCK_DGRAM, IPPROTO_UDPLITE, EPROTONOSUPPORT, "UDP-Lite" },
		{ AF_TIPC, SOCK_RDM, 0, EAFNOSUPPORT, "modprobe tipc" },
		{ AF_VSOCK, SOCK_STREAM, 0, EAFNOSUPPORT, "vsock_loopback" },
		{ AF_VSOCK, SOCK_DGRAM, 0, ENODEV, "VMware" },
		{ AF_INET, SOCK_STREAM, IPPROTO_TCP, EAFNOSUPPORT, "RestrictAddressFamilies" },
		{ AF_UNIX, SOCK_STREAM, 0, EMFILE, "LimitNOFILE" },
		{ AF_UNIX, SOCK_STREAM, 0, ENFILE, "LimitNOFILE" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct triple *row =
			triple_find(rows[i].family, rows[i].type, rows[i].protocol);
		const char *remedy = row != NULL ? triple_remedy(row, rows[i].error) : "no row";

		if (!CHECK(strstr(remedy, rows[i].part) != NULL))
			fprintf(stderr, "  expected %s\n  got      %s\n", rows[i].part, remedy);
	}
}

static void test_remedy_of_every_error(void)
{
	for (const struct triple *row = triples; row->family != AF_UNSPEC; row++) {
		for (int error = -1; error < ERRORS; error++) {
			const char *remedy = triple_remedy(row, error);

			CHECK(remedy != NULL && remedy[0] != '\0');
		}
	}
}

static void test_forgeable(void)
{
	for (const struct triple *row = triples; row->family != AF_UNSPEC; row++) {
		bool inet = row->family == AF_INET || row->family == AF_INET6;
		bool connected = row->type == SOCK_STREAM || row->type == SOCK_SEQPACKET;

		CHECK_NUMBER(triple_is_forgeable(row), inet && !connected, row->name);
	}
}

static unsigned open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	if (!CHECK(dir != NULL))
		return 0;
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

/* What works depends on the kernel; that it says why, and leaves nothing open, does not. */
static void test_probe(void)
{
	const struct triple nowhere = { .family = 9999, .type = SOCK_STREAM, .name = "none" };
	const struct triple *unix_row = triple_find(AF_UNIX, SOCK_STREAM, 0);
	unsigned before = open_files();

	for (const struct triple *row = triples; row->family != AF_UNSPEC; row++) {
		errno = 0;
		CHECK(triple_probe(row, 0) == 0 || errno != 0);
		errno = 0;
		CHECK(triple_probe(row, EXPERIMENTAL) == 0 || errno != 0);
	}
	CHECK(unix_row != NULL && triple_probe(unix_row, 0) == 0);
	CHECK(triple_probe(&nowhere, 0) == -1 && errno == EAFNOSUPPORT);
	CHECK_NUMBER(open_files(), before, "open files");
}

int main(void)
{
	test_every_combination();
	test_strange_numbers();
	test_rows();
	test_usual_protocol();
	test_sentences();
	test_short_buffer();
	test_words();
	test_protocols();
	test_protocols_of_the_system();
	test_remedies();
	test_remedy_of_every_error();
	test_forgeable();
	test_probe();
	return unit_end();
}
