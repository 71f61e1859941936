# network.bash - a network namespace of a test's own, for what would disturb others or be disturbed by them: ICMP,
# sysctls, counters, addresses. Loaded after lib/daemon; nothing of it outlives the test.
# shellcheck shell=bash disable=SC2034  # variables are for the tests

# Words before a command that shall run in the namespace; none as long as there is none.
NET=()
BEHIND=()

net() {
	"${NET[@]}" "$@"
}

# Also its sysctls have to be writable, which they are not in every container.
can_make_networks() {
	unshare -n sh -c 'echo 1 >/proc/sys/net/ipv4/icmp_echo_ignore_all' 2>"$BATS_TEST_TMPDIR/unshare"
}

need_networks() {
	can_make_networks || strict_skip "kernel: no network namespaces"
}

# own_network: from now on NET and PREFORKD are in a new one, whose loopback is up. It is fd00::2, too: a raw socket
# that sends to its own address gets that itself.
own_network() {
	new_network
	NET=("${NEW_NET[@]}")
	net ip link set lo up
	net ip addr add fd00::2/128 dev lo nodad
	behind "${NET[@]}"
}

# new_network: one more; NEW_NET is the words before a command there, NEW_PID a process that is in it.
new_network() {
	# a namespace lives as long as somebody is in it: this process dies with the test, however that ends
	beside "$BATS_TEST_TMPDIR/network" unshare -n setpriv --pdeathsig KILL sleep 600
	NEW_PID=$BESIDE
	wait_for 20 "a network namespace" is_elsewhere "$NEW_PID"
	NEW_NET=(nsenter -t "$NEW_PID" -n)
}

is_elsewhere() {
	[ "$(readlink "/proc/$1/ns/net")" != "$(readlink "/proc/$BASHPID/ns/net")" ]
}

# behind WORD...: PREFORKD is run by these words, too, from now on. They exec it, so it keeps the pid. PROGRAM is it
# without any of them.
behind() {
	PROGRAM=${PROGRAM:-$PREFORKD}
	BEHIND+=("$@")
	PREFORKD=$BATS_TEST_TMPDIR/behind.${#BEHIND[@]}
	printf '#!/bin/sh\nexec %s"$@"\n' "$(printf '%q ' "${BEHIND[@]}" "$PROGRAM")" >"$PREFORKD"
	chmod 755 "$PREFORKD"
}

# set_sysctl NAME VALUE: in the namespace; NAME with slashes
set_sysctl() {
	# shellcheck disable=SC2016  # $0 and $1 are that shell's
	net sh -c 'echo "$1" >"/proc/sys/$0"' "$1" "$2"
}

# ignore_pings [0]: the kernel of the namespace does not answer pings (or does), so that preforkd is who answers
ignore_pings() {
	set_sysctl net/ipv4/icmp_echo_ignore_all "${1:-1}"
	set_sysctl net/ipv6/icmp/echo_ignore_all "${1:-1}"
}

# counter NAME: what the kernel of the namespace has counted, by the name that nstat(8) gives it; 0 if there is none
counter() {
	# shellcheck disable=SC2016  # the fields are awk's
	net awk -v "name=$1" '
		FILENAME ~ /snmp6$/ { if ($1 == name) value = $2; next }
		# two lines with the same first word: names, then values
		$1 != last { last = $1; split($0, names); next }
		{ for (i = 2; i <= NF; i++) if (substr($1, 1, length($1) - 1) names[i] == name) value = $i; last = "" }
		END { print value + 0 }' /proc/net/netstat /proc/net/snmp /proc/net/snmp6
}
