# sockets.bash - for the .bats files about options of sockets, after lib/daemon and lib/network:
#
#	load lib/sockets
#
# Services with options, what the kernel has of their sockets, and networks of one's own.
# shellcheck shell=bash disable=SC2119,SC2120,SC2034  # variables and arguments are for the tests

# ---- services ----

# service NAME KEYS SOCKET [WORKERS] (a NAME of more than 5 letters is cut off where processes are listed)
service() {
	echo "service $1 { handler = echo workers { min = ${4:-1} } timeouts { drain = 30s } $2 socket { $3 } }"
}

reload_with() {
	printf '%s\n' "$@" | write_config
	reload_daemon
	[[ $(grep -E 'event=reload_(done|refused)' "$LOG" | tail -n 1) == *event=reload_done* ]]
}

# refused_start STATUS REGEX: the config in place does not start, and says why in one line
refused_start() {
	local status=0 log=$BATS_TEST_TMPDIR/refused
	timeout 60 "$PREFORKD" -c "$CONF" >"$log" 2>&1 3>&- || status=$?
	cat "$log"
	[[ $status =~ ^$1$ ]]
	grep 'level=error' "$log" | grep -Eq "event=listen_failed .*$2"
}

# options_of SERVICE: what its listening line says of them
options_of() {
	sed -n "s/.*event=listening service=$1 .* options=\"\([^\"]*\)\".*/\1/p" "$LOG" | tail -n 1
}

# ---- what the kernel has ----

need_sockopt() {
	local status=0
	"$TEST_BIN/sockopt" "$$" - inode >"$BATS_TEST_TMPDIR/probe" 2>&1 || status=$?
	[ "$status" -ne 77 ] || strict_skip "kernel: no right to look at sockets (pidfd_getfd)"
}

# has [-c] PID ADDRESS OPTION=VALUE...: the socket that the process has with that address (-c: a connection)
has() {
	local connected=() names=() values=() got
	[ "$1" != -c ] || { connected=(-c) && shift; }
	names=("${@:3}")
	values=("${names[@]#*=}")
	names=("${names[@]%%=*}")
	got=$("$TEST_BIN/sockopt" "${connected[@]}" "$1" "$2" "${names[@]}")
	[ "$got" = "${values[*]}" ] || {
		echo "$2: ${names[*]} should be ${values[*]}, the kernel has $got"
		return 1
	}
}

# inode_of SERVICE: of the master's sockets; sorted lines
inode_of() {
	"$TEST_BIN/sockopt" "$MASTER" "$(address_of "$1")" inode | sort
}

# has_rights: those of a master that sets whatever it likes
has_rights() {
	local caps
	caps=0x$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)
	(((caps >> 12 & 1) && (caps >> 13 & 1)))
}

need_rights() {
	has_rights || strict_skip "kernel: no CAP_NET_ADMIN and CAP_NET_RAW here"
}

# ---- networks ----

# two_networks: preforkd runs in NET, on v0 (10.9.0.1, 10.9.0.3, fd00:9::1, fd00:9::3); clients at the other end of the
# cable (10.9.0.2, fd00:9::2) have CLIENT before their command
two_networks() {
	local client
	need_networks
	new_network
	client=$NEW_PID
	CLIENT=("${NEW_NET[@]}")
	own_network
	# an address can be used at once
	set_sysctl net/ipv6/conf/default/accept_dad 0
	client sh -c 'echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad'
	net ip link add v0 type veth peer name v1 netns "$client" 2>"$BATS_TEST_TMPDIR/probe" ||
		strict_skip "kernel: no veth"
	net ip -batch - <<-END
	addr add 10.9.0.1/24 dev v0
	addr add 10.9.0.3/24 dev v0
	addr add fd00:9::1/64 dev v0
	addr add fd00:9::3/64 dev v0
	link set v0 up
	END
	client ip -batch - <<-END
	addr add 10.9.0.2/24 dev v1
	addr add fd00:9::2/64 dev v1
	link set v1 up
	route add default dev v1
	END
	wait_for 20 "the cable" cable_is_up
}

# both ends have a link-local address
cable_is_up() {
	[[ $(net ip -6 addr show dev v0 scope link) == *fe80* && $(client ip -6 addr show dev v1 scope link) == *fe80* ]]
}

# client COMMAND...: where the clients are
client() {
	"${CLIENT[@]}" "$@"
}

# asks ADDRESS: the echo service at this TCP address answers a client at the other end
asks() {
	[ "$(client socat -t 20 - "TCP:$1,connect-timeout=5" <<<hello 2>"$BATS_TEST_TMPDIR/socat")" = hello ]
}
