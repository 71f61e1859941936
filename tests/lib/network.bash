# network.bash - a network namespace of a test's own, for what would disturb others or be disturbed: ICMP, sysctls,
# counters, addresses. Loaded after lib/daemon; nothing of it outlives the test.
# shellcheck shell=bash disable=SC2034  # variables are for the tests

# Words before a command that shall run there; none as long as own_network has made nothing.
NET=()

# own_network: NET and PREFORKD are of a new namespace, whose loopback is up; its lo is fd00::2, too. Fails where none can
# be made.
own_network() {
	new_network || return 1
	NET=("${NEW_NET[@]}")
	net sh -c 'ip link set lo up && ip addr add fd00::2/128 dev lo nodad'
	behind "${NET[@]}"
}

need_own_network() {
	own_network || strict_skip "kernel: no network namespaces"
}

# new_network: one more; NEW_NET is the words before a command there, NEW_PID a process that is in it.
new_network() {
	unshare -n true 2>"$BATS_TEST_TMPDIR/unshare" || return 1
	# a namespace lives as long as somebody is in it: this process dies with the test, however that ends
	beside "$BATS_TEST_TMPDIR/network" unshare -n setpriv --pdeathsig KILL sleep 600
	NEW_PID=$BESIDE
	wait_for 5 "a network namespace" is_elsewhere "$NEW_PID"
	NEW_NET=(nsenter -t "$NEW_PID" -n)
}

is_elsewhere() {
	[ "$(readlink "/proc/$1/ns/net")" != "$(readlink "/proc/$BASHPID/ns/net")" ]
}

net() {
	"${NET[@]}" "$@"
}

# behind WORD...: PREFORKD is run by these words from now on; it keeps the pid, as they have to exec it.
behind() {
	local script
	script=$(mktemp "$BATS_TEST_TMPDIR/behind.XXXXXX")
	printf '#!/bin/sh\nexec %s"$@"\n' "$(printf '%q ' "$@" "$PREFORKD")" >"$script"
	chmod 755 "$script"
	PREFORKD=$script
}

# set_sysctl NAME VALUE: in the namespace; NAME with slashes
set_sysctl() {
	# shellcheck disable=SC2016  # $0 and $1 are that shell's
	net sh -c 'echo "$1" >"/proc/sys/$0"' "$1" "$2"
}

# The kernel of the namespace leaves pings unanswered: who answers is preforkd.
ignore_pings() {
	set_sysctl net/ipv4/icmp_echo_ignore_all "${1:-1}"
	set_sysctl net/ipv6/icmp/echo_ignore_all "${1:-1}"
}
