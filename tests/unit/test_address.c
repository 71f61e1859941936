/*
 * test_address.c - src/net/address.c: addresses as text, and text as addresses.
 */
#include <arpa/inet.h>
#include <linux/tipc.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/un.h>

#include "net/address.h"
#include "unit.h"

#define UNIX_HEAD offsetof(struct sockaddr_un, sun_path)
#define PATH_SIZE sizeof(((struct sockaddr_un *)NULL)->sun_path)
#define FAMILIES 64
#define LENGTHS 300
#define GUARD 0x55

union address {
	struct sockaddr_storage any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
	struct sockaddr_vm vm;
	struct sockaddr_tipc tipc;
};

static union address inet(const char *host, unsigned port)
{
	union address a = { .any = { 0 } };

	if (strchr(host, ':') == NULL) {
		a.in.sin_family = AF_INET;
		a.in.sin_port = htons((unsigned short)port);
		CHECK(inet_pton(AF_INET, host, &a.in.sin_addr) == 1);
	} else {
		a.in6.sin6_family = AF_INET6;
		a.in6.sin6_port = htons((unsigned short)port);
		CHECK(inet_pton(AF_INET6, host, &a.in6.sin6_addr) == 1);
	}
	return a;
}

static socklen_t length_of(const union address *a)
{
	return a->any.ss_family == AF_INET ? sizeof(a->in) : sizeof(a->in6);
}

static void check_text(const union address *a, socklen_t length, const char *expected)
{
	char buf[ADDRESS_TEXT_MAX];

	CHECK(address_text(&a->any, length, buf) == buf);
	CHECK_TEXT(buf, expected, "address_text");
}

static void test_inet_text(void)
{
	static const struct {
		const char *host;
		unsigned port;
		const char *expected;
	} rows[] = {
		{ "127.0.0.1", 80, "127.0.0.1:80" },
		{ "127.0.0.1", 0, "127.0.0.1" },
		{ "0.0.0.0", 1, "0.0.0.0:1" },
		{ "255.255.255.255", 65535, "255.255.255.255:65535" },
		{ "::1", 80, "[::1]:80" },
		{ "::1", 0, "[::1]" },
		{ "::", 7, "[::]:7" },
		{ "::ffff:127.0.0.1", 80, "[::ffff:127.0.0.1]:80" },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535,
		  "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		union address a = inet(rows[i].host, rows[i].port);

		check_text(&a, length_of(&a), rows[i].expected);
	}
}

/* bytes: what stands in sun_path, n of them. */
static void check_unix(const char *bytes, size_t n, const char *expected)
{
	union address a = { .any = { 0 } };

	memset(&a, 'z', sizeof(a));
	a.un.sun_family = AF_UNIX;
	memcpy(a.un.sun_path, bytes, n);
	check_text(&a, (socklen_t)(UNIX_HEAD + n), expected);
}

static void test_unix_text(void)
{
	char path[PATH_SIZE + 1];

	check_unix("/run/x.sock", 12, "/run/x.sock");
	/* the kernel may give a length without the NUL */
	check_unix("/run/x.sock", 11, "/run/x.sock");
	check_unix("/run/x\0junk", 11, "/run/x");
	check_unix("\0name", 5, "@name");
	check_unix("\0na\0me", 6, "@na");
	check_unix("\0", 1, "@");
	check_unix("", 0, "unnamed");
	memset(path, 'p', sizeof(path));
	path[0] = '/';
	path[PATH_SIZE] = '\0';
	check_unix(path, PATH_SIZE, path);
	path[0] = '\0';
	check_unix(path, PATH_SIZE,
		   "@ppppppppppppppppppppppppppppppppppppppppppppppppppppp"
		   "pppppppppppppppppppppppppppppppppppppppppppppppppppppp");
}

static void test_unnamed(void)
{
	union address a = { .any = { 0 } };

	/* the kernel says so little of a unix client without a name */
	a.un.sun_family = AF_UNIX;
	check_text(&a, UNIX_HEAD, "unnamed");
	check_text(&a, 0, "unnamed");
	a.any.ss_family = AF_INET;
	check_text(&a, 0, "unnamed");
}

static void check_vsock(unsigned cid, unsigned port, const char *expected)
{
	union address a = { .vm = { .svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port } };

	check_text(&a, sizeof(a.vm), expected);
	CHECK_NUMBER(address_port(&a.any), port, "address_port");
}

static void test_vsock_text(void)
{
	check_vsock(1, 80, "vsock:1:80");
	check_vsock(2, 0, "vsock:2:0");
	check_vsock(VMADDR_CID_ANY, 7, "vsock:any:7");
	check_vsock(VMADDR_CID_ANY, VMADDR_PORT_ANY, "vsock:any");
	check_vsock(4294967294u, 4294967294u, "vsock:4294967294:4294967294");
}

static void test_tipc_text(void)
{
	union address a = { .tipc = { .family = AF_TIPC, .addrtype = TIPC_SERVICE_RANGE } };

	a.tipc.addr.nameseq = (struct tipc_service_range){ 100, 0, 9 };
	check_text(&a, sizeof(a.tipc), "tipc:100:0-9");
	a.tipc.addr.nameseq = (struct tipc_service_range){ 4294967295u, 4294967294u, 4294967295u };
	check_text(&a, sizeof(a.tipc), "tipc:4294967295:4294967294-4294967295");
	a.tipc.addr.nameseq = (struct tipc_service_range){ 100, 7, 7 };
	check_text(&a, sizeof(a.tipc), "tipc:100:7");
	a.tipc.addrtype = TIPC_SERVICE_ADDR;
	a.tipc.addr.name.name = (struct tipc_service_addr){ 100, 8 };
	a.tipc.addr.name.domain = 77;
	check_text(&a, sizeof(a.tipc), "tipc:100:8");
	a.tipc.addrtype = TIPC_SOCKET_ADDR;
	a.tipc.addr.id = (struct tipc_socket_addr){ .ref = 12, .node = 0xabcdef12 };
	check_text(&a, sizeof(a.tipc), "tipc:#abcdef12:12");
	CHECK_NUMBER(address_port(&a.any), 0, "TIPC has no port");
}

/* What a length or a family that makes no sense gives. */
static void test_unknown(void)
{
	static const struct {
		int family;
		socklen_t length;
	} good[] = {
		{ AF_INET, sizeof(struct sockaddr_in) },
		{ AF_INET6, sizeof(struct sockaddr_in6) },
		{ AF_VSOCK, sizeof(struct sockaddr_vm) },
		{ AF_TIPC, sizeof(struct sockaddr_tipc) },
		{ AF_UNSPEC, 0 },
		{ AF_NETLINK, 0 },
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		union address a = { .any = { .ss_family = (sa_family_t)good[i].family } };

		for (socklen_t length = 1; length < LENGTHS; length++) {
			if (length != good[i].length)
				check_text(&a, length, "unknown");
		}
	}
}

/* Whatever is in the address: the text ends, in its buffer. */
static void test_hostile(void)
{
	static const unsigned char fills[] = { 0x00, 'A', 0xff };
	char buf[ADDRESS_TEXT_MAX + 1];
	union address a;

	for (size_t fill = 0; fill < sizeof(fills); fill++) {
		for (unsigned family = 0; family < FAMILIES; family++) {
			memset(&a, fills[fill], sizeof(a));
			a.any.ss_family = (sa_family_t)family;
			for (long long n = -2; n < LENGTHS; n++) {
				memset(buf, GUARD, sizeof(buf));
				address_text(&a.any, (socklen_t)n, buf);
				CHECK(memchr(buf, '\0', ADDRESS_TEXT_MAX) != NULL &&
				      buf[0] != '\0');
				CHECK(buf[ADDRESS_TEXT_MAX] == GUARD);
			}
			/* of a unix address no more is known than that it has no name */
			if (family != AF_UNIX)
				check_text(&a, (socklen_t)-1, "unknown");
		}
	}
}

static void test_ports(void)
{
	static const char *const hosts[] = { "127.0.0.1", "::1" };
	union address a, before;

	for (size_t i = 0; i < 2; i++) {
		a = inet(hosts[i], 80);
		before = a;
		CHECK_NUMBER(address_port(&a.any), 80, hosts[i]);
		address_set_port(&a.any, 65535);
		CHECK_NUMBER(address_port(&a.any), 65535, hosts[i]);
		CHECK(address_same_host(&a.any, &before.any));
		address_set_port(&a.any, 80);
		CHECK(memcmp(&a, &before, sizeof(a)) == 0);
	}
	a = (union address){ .vm = { .svm_family = AF_VSOCK, .svm_cid = 3 } };
	address_set_port(&a.any, 4294967294u);
	CHECK_NUMBER(address_port(&a.any), 4294967294u, "vsock");
	CHECK_NUMBER(a.vm.svm_cid, 3, "vsock");
	/* where there is no port nothing changes */
	for (unsigned family = 0; family < FAMILIES; family++) {
		if (family == AF_INET || family == AF_INET6 || family == AF_VSOCK)
			continue;
		memset(&a, 0x11, sizeof(a));
		a.any.ss_family = (sa_family_t)family;
		before = a;
		address_set_port(&a.any, 80);
		CHECK(memcmp(&a, &before, sizeof(a)) == 0);
		CHECK_NUMBER(address_port(&a.any), 0, "no port");
	}
}

static void test_kinds(void)
{
	static const struct {
		const char *host;
		bool any, multicast;
	} rows[] = {
		{ "0.0.0.0", true, false },
		{ "0.0.0.1", false, false },
		{ "127.0.0.1", false, false },
		{ "223.255.255.255", false, false },
		{ "224.0.0.0", false, true },
		{ "239.255.255.255", false, true },
		{ "240.0.0.0", false, false },
		{ "255.255.255.255", false, false },
		{ "::", true, false },
		{ "::1", false, false },
		{ "::ffff:0.0.0.0", false, false },
		{ "feff::1", false, false },
		{ "ff00::", false, true },
		{ "ff02::1", false, true },
		{ "ffff::1", false, true },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		union address a = inet(rows[i].host, 7);

		CHECK_NUMBER(address_is_any(&a.any), rows[i].any, rows[i].host);
		CHECK_NUMBER(address_is_multicast(&a.any), rows[i].multicast, rows[i].host);
	}
}

/* Bytes that would be "any" or a group in another family. */
static void test_kinds_of_others(void)
{
	static const int families[] = { AF_UNSPEC, AF_UNIX, AF_VSOCK, AF_TIPC };

	for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++) {
		for (int fill = 0; fill < 256; fill += 15) {
			union address a;

			memset(&a, fill, sizeof(a));
			a.any.ss_family = (sa_family_t)families[i];
			CHECK(!address_is_any(&a.any));
			CHECK(!address_is_multicast(&a.any));
			CHECK(!address_same_host(&a.any, &a.any));
		}
	}
}

static void test_same_host(void)
{
	union address a = inet("127.0.0.1", 1), b = inet("127.0.0.1", 2);
	union address c = inet("127.0.0.2", 1), d = inet("::1", 1), e = inet("::1", 2);
	union address f = inet("::2", 1), g = inet("::ffff:127.0.0.1", 1);

	CHECK(address_same_host(&a.any, &b.any));
	CHECK(!address_same_host(&a.any, &c.any));
	CHECK(!address_same_host(&a.any, &d.any));
	CHECK(!address_same_host(&d.any, &a.any));
	CHECK(address_same_host(&d.any, &e.any));
	CHECK(!address_same_host(&d.any, &f.any));
	CHECK(!address_same_host(&a.any, &g.any));
}

static void test_paths(void)
{
	union address a;
	socklen_t length = 0;
	char path[200];

	memset(&a, GUARD, sizeof(a));
	CHECK(address_from_path("/run/x", &a.any, &length) == 0);
	CHECK_NUMBER(length, UNIX_HEAD + 7, "a path has its NUL");
	CHECK_NUMBER(a.any.ss_family, AF_UNIX, "family");
	CHECK_TEXT(a.un.sun_path, "/run/x", "path");
	CHECK(address_path(&a.any) != NULL && strcmp(address_path(&a.any), "/run/x") == 0);
	check_text(&a, length, "/run/x");
	CHECK(address_from_path("@name", &a.any, &length) == 0);
	CHECK_NUMBER(length, UNIX_HEAD + 5, "an abstract name has none");
	CHECK(memcmp(a.un.sun_path, "\0name\0", 6) == 0);
	CHECK(address_path(&a.any) == NULL);
	check_text(&a, length, "@name");
	a = inet("127.0.0.1", 1);
	CHECK(address_path(&a.any) == NULL);
	/* 107 bytes are the most */
	for (int first = '/'; first == '/' || first == '@'; first += '@' - '/') {
		memset(path, 'p', sizeof(path));
		path[0] = (char)first;
		path[107] = '\0';
		CHECK(address_from_path(path, &a.any, &length) == 0);
		check_text(&a, length, path);
		path[107] = 'p';
		for (size_t n = 108; n < sizeof(path); n++) {
			path[n] = '\0';
			CHECK(address_from_path(path, &a.any, &length) == -1);
			path[n] = 'p';
		}
	}
}

static void test_cids(void)
{
	static const struct {
		const char *text;
		long long expected; /* -1: refused */
	} rows[] = {
		{ "any", VMADDR_CID_ANY },
		{ "*", VMADDR_CID_ANY },
		{ "localhost", 1 },
		{ "host", 2 },
		{ "0", 0 },
		{ "3", 3 },
		{ "4294967294", 4294967294 },
		{ "4294967295", VMADDR_CID_ANY },
		{ "4294967296", -1 },
		{ "99999999999999999999999", -1 },
		{ "-1", -1 },
		{ "+1", -1 },
		{ "01", -1 },
		{ "0x3", -1 },
		{ "3 ", -1 },
		{ " 3", -1 },
		{ "3:80", -1 },
		{ "", -1 },
		{ "Any", -1 },
		{ "anyone", -1 },
		{ "hos", -1 },
		{ "127.0.0.1", -1 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		union address a;
		socklen_t length = 0;
		int r;

		memset(&a, GUARD, sizeof(a));
		r = address_from_cid(rows[i].text, 80, &a.any, &length);
		CHECK_NUMBER(r == 0 ? (long long)a.vm.svm_cid : -1, rows[i].expected, rows[i].text);
		if (r == 0) {
			CHECK_NUMBER(length, sizeof(a.vm), rows[i].text);
			CHECK_NUMBER(a.vm.svm_family, AF_VSOCK, rows[i].text);
			CHECK_NUMBER(a.vm.svm_port, 80, rows[i].text);
			/* the kernel refuses an address with anything in the rest */
			CHECK_NUMBER(a.vm.svm_zero[0], 0, rows[i].text);
		}
	}
}

/* Any free port has another number there. */
static void test_cid_ports(void)
{
	union address a;
	socklen_t length;

	CHECK(address_from_cid("3", 0, &a.any, &length) == 0);
	CHECK_NUMBER(a.vm.svm_port, VMADDR_PORT_ANY, "port 0");
	check_text(&a, length, "vsock:3");
	CHECK(address_from_cid("3", 4294967294u, &a.any, &length) == 0);
	CHECK_NUMBER(a.vm.svm_port, 4294967294u, "the last port");
}

static void test_tipc_names(void)
{
	static const struct {
		const char *text, *expected; /* NULL: refused */
	} rows[] = {
		{ "100:5", "tipc:100:5" },
		{ "100:0", "tipc:100:0" },
		{ "100:0-9", "tipc:100:0-9" },
		{ "100:5-5", "tipc:100:5" },
		{ "64:0", "tipc:64:0" },
		{ "4294967295:0-4294967295", "tipc:4294967295:0-4294967295" },
		{ "63:0", NULL },
		{ "0:0", NULL },
		{ "100:9-5", NULL },
		{ "100:5-", NULL },
		{ "100:-5", NULL },
		{ "100:5-9-", NULL },
		{ "100:5-9-11", NULL },
		{ "100:5--9", NULL },
		{ "100:5:9", NULL },
		{ "100:5-9:", NULL },
		{ "100:", NULL },
		{ ":5", NULL },
		{ "100", NULL },
		{ "", NULL },
		{ ":", NULL },
		{ "-", NULL },
		{ "100 :5", NULL },
		{ "100: 5", NULL },
		{ " 100:5", NULL },
		{ "100:5 ", NULL },
		{ "100:5- 9", NULL },
		{ "100:5 -9", NULL },
		{ "100:5\n", NULL },
		{ "0100:5", NULL },
		{ "100:05", NULL },
		{ "100:5-09", NULL },
		{ "+100:5", NULL },
		{ "0x64:5", NULL },
		{ "100:5x", NULL },
		{ "100:5-9x", NULL },
		{ "4294967296:5", NULL },
		{ "100:4294967296", NULL },
		{ "100:5-4294967296", NULL },
		{ "18446744073709551716:5", NULL },
		{ "100:18446744073709551621", NULL },
		{ "100:5-18446744073709551625", NULL },
		{ "000000000000000100:5", NULL },
		{ "100:000000000000000005", NULL },
		{ "localhost", NULL },
		{ "100.5", NULL },
		{ "{100, 5}", NULL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		union address a;
		socklen_t length = 0;
		int r;

		memset(&a, GUARD, sizeof(a));
		r = address_from_tipc(rows[i].text, TIPC_NODE_SCOPE, &a.any, &length);
		CHECK_NUMBER(r == 0, rows[i].expected != NULL, rows[i].text);
		if (r == 0 && rows[i].expected != NULL)
			check_text(&a, length, rows[i].expected);
	}
}

static void test_tipc_address(void)
{
	union address a;
	socklen_t length = 0;

	memset(&a, GUARD, sizeof(a));
	CHECK(address_from_tipc("100:5-9", TIPC_CLUSTER_SCOPE, &a.any, &length) == 0);
	CHECK_NUMBER(length, sizeof(a.tipc), "length");
	CHECK_NUMBER(a.tipc.family, AF_TIPC, "family");
	CHECK_NUMBER(a.tipc.addrtype, TIPC_SERVICE_RANGE, "addrtype");
	CHECK_NUMBER(a.tipc.scope, TIPC_CLUSTER_SCOPE, "scope");
	CHECK_NUMBER(a.tipc.addr.nameseq.type, 100, "type");
	CHECK_NUMBER(a.tipc.addr.nameseq.lower, 5, "lower");
	CHECK_NUMBER(a.tipc.addr.nameseq.upper, 9, "upper");
	CHECK(address_from_tipc("100:5", TIPC_NODE_SCOPE, &a.any, &length) == 0);
	CHECK_NUMBER(a.tipc.scope, TIPC_NODE_SCOPE, "scope");
	CHECK_NUMBER(a.tipc.addr.nameseq.upper, 5, "one instance");
}

int main(void)
{
	test_inet_text();
	test_unix_text();
	test_unnamed();
	test_vsock_text();
	test_tipc_text();
	test_unknown();
	test_hostile();
	test_ports();
	test_kinds();
	test_kinds_of_others();
	test_same_host();
	test_paths();
	test_cids();
	test_cid_ports();
	test_tipc_names();
	test_tipc_address();
	return unit_end();
}
