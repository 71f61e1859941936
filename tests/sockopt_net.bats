#!/usr/bin/env bats
# sockopt_net.bats - options of sockets that depend on interfaces and addresses: to what, to whom, from where, and from
# when on. Each test has its own network, with a client behind a cable.
# shellcheck disable=SC2030,SC2031  # each test is a subshell, and sets its own variables

bats_require_minimum_version 1.5.0
load lib/daemon
load lib/network
load lib/sockets

setup() {
	daemon_setup
	HEARD=$BATS_TEST_TMPDIR/heard
}

teardown() {
	daemon_teardown
}

@test "bind_device lets in who comes through the interface, and a reload takes another one" {
	local out all
	two_networks
	all=$(service tcp 'address = "*" port = 4001' "DEVICE"; service udp 'type = dgram address = "*" port = 4002' "DEVICE"
		service six 'family = inet6 address = "*" port = 4003' "DEVICE")
	start_with "${all//DEVICE/bind_device = v0}"
	asks 10.9.0.1:4001
	asks '[fd00:9::1]:4003'
	[ "$(client "$TEST_BIN/dgram" 10.9.0.1:4002 hello)" = "from=10.9.0.1:4002 length=5" ]
	out=$(net socat -t 20 - TCP:127.0.0.1:4001 <<<hello 2>&1) || :
	[[ $out == *'Connection refused'* ]]
	run -1 net "$TEST_BIN/dgram" -w 300 127.0.0.1:4002 hello
	# the connection as well is bound to it
	need_sockopt
	beside "$BATS_TEST_TMPDIR/held" "${CLIENT[@]}" socat TCP:10.9.0.1:4001 \
		"SYSTEM:echo hello && exec cat >$BATS_TEST_TMPDIR/answer"
	wait_for 20 "an answer" grep -q hello "$BATS_TEST_TMPDIR/answer"
	has -c "$(busy_worker tcp)" 10.9.0.1:4001 'SO_BINDTODEVICE="v0"'
	end_beside "$BESIDE"

	reload_with "${all//DEVICE/bind_device = lo}"
	[ "$(net socat -t 20 - TCP:127.0.0.1:4001 <<<hello)" = hello ]
	net "$TEST_BIN/dgram" 127.0.0.1:4002 hello
	run ! asks 10.9.0.1:4001
	run -1 client "$TEST_BIN/dgram" -w 300 10.9.0.1:4002 hello
	reload_with "${all//DEVICE/}"
	[ "$(net socat -t 20 - TCP:127.0.0.1:4001 <<<hello)" = hello ]
	asks 10.9.0.1:4001
	asks '[fd00:9::1]:4003'
	client "$TEST_BIN/dgram" 10.9.0.1:4002 hello
	stop_daemon
	account_is udp failed=0
}

@test "freebind and transparent serve an address that is not there yet, and without them the start is refused" {
	local key
	two_networks
	service a 'address = 10.77.0.1 port = 4001' '' | write_config
	refused_start 69 'service=a .*Cannot assign requested address'
	service a 'family = inet6 address = "fd00:77::1" port = 4001' '' | write_config
	refused_start 69 'service=a .*Cannot assign requested address'
	client ip route add 10.77.0.0/16 via 10.9.0.1
	client ip route add fd00:77::/64 via fd00:9::1
	for key in freebind transparent; do
		: >"$LOG"
		start_with "$(service a 'address = 10.77.0.1 port = 4001' "$key = true")" \
			"$(service b 'family = inet6 address = "fd00:77::1" port = 4002' "$key = true")"
		net ip addr add 10.77.0.1/32 dev lo
		net ip addr add fd00:77::1/128 dev lo nodad
		asks 10.77.0.1:4001
		asks '[fd00:77::1]:4002'
		net ip addr del 10.77.0.1/32 dev lo
		net ip addr del fd00:77::1/128 dev lo
		stop_daemon
	done
}

@test "transparent serves connections to whatever address the host is led to" {
	two_networks
	# all of a network is here, though no interface has an address of it
	net ip route add local 10.77.0.0/16 dev lo
	client ip route add 10.77.0.0/16 via 10.9.0.1
	start_with "$(service all 'address = "*" port = 4001' 'transparent = true')"
	asks 10.77.1.2:4001
	asks 10.77.3.4:4001
}

# from TO: who answers a datagram to it
from() {
	client "$TEST_BIN/dgram" "$1" hello | sed 's/^from=\(.*\):[0-9]* length=5$/\1/'
}

@test "requests to a multicast group are served from a unicast address, and without the key they are not" {
	two_networks
	net ip route add 224.0.0.0/4 dev v0
	local four='type = dgram address = "*" port = 4001' six='family = inet6 type = dgram address = "*" port = 4002'
	start_with "$(service four "$four" 'multicast { group = "239.1.2.3" interface = v0 }')" \
		"$(service six "$six" 'multicast { group = "ff05::4242" interface = v0 }')" \
		"$(service auto 'type = dgram address = "*" port = 4003' 'multicast { group = "239.1.2.4" }')" \
		"$(service lo "${four/4001/4006}" 'multicast { group = "239.1.2.6" interface = lo }')" \
		"$(service none "${four/4001/4004}" '')" "$(service none6 "${six/4002/4005}" '')"
	net ip maddr show dev v0 | grep -Eq 'inet +239\.1\.2\.3$'
	net ip maddr show dev v0 | grep -Eq 'inet6 ff05::4242$'
	net ip maddr show dev lo | grep -Eq 'inet +239\.1\.2\.6$'
	[ "$(from 239.1.2.3:4001)" = 10.9.0.1 ]
	[[ $(from '[ff05::4242]:4002') =~ ^\[fd00:9::[13]\]$ ]]
	[ "$(from 10.9.0.3:4001)" = 10.9.0.3 ]
	# others' groups are not ours, though the host receives them
	no_answer_to 239.1.2.3:4004 '[ff05::4242]:4005' 239.1.2.3:4003 239.1.2.4:4001 239.1.2.6:4006
	from 10.9.0.1:4004
	from '[fd00:9::1]:4005'

	# another group, and none
	reload_with "$(service four "$four" 'multicast { group = "239.1.2.5" interface = v0 }')" \
		"$(service six "$six" '')" "$(service none "${four/4001/4004}" '')" "$(service none6 "${six/4002/4005}" '')"
	log_lacks 'event=listener_not_adjusted'
	wait_for 20 "the group that was left to be gone" run ! net sh -c 'ip maddr show | grep -E "239.1.2.3|4242"'
	net ip maddr show dev v0 | grep -Eq 'inet +239\.1\.2\.5$'
	[ "$(from 239.1.2.5:4001)" = 10.9.0.1 ]
	no_answer_to 239.1.2.3:4001 '[ff05::4242]:4002'
	from 10.9.0.1:4001
	from '[fd00:9::3]:4002'
	reload_with "$(service four "$four" '')" "$(service six "$six" 'multicast { group = "ff05::4242" interface = v0 }')" \
		"$(service none "${four/4001/4004}" '')" "$(service none6 "${six/4002/4005}" '')"
	[[ $(from '[ff05::4242]:4002') =~ ^\[fd00:9::[13]\]$ ]]
	no_answer_to 239.1.2.5:4001
	stop_daemon
	account_is none accepted=1 served=1
	account_is none6 accepted=1 served=1
}

# no_answer_to ADDRESS...: from nobody, at the same time
no_answer_to() {
	local to pids=() pid
	for to in "$@"; do
		client "$TEST_BIN/dgram" -w 500 "$to" hello 3>&- >"$BATS_TEST_TMPDIR/answer.${#pids[@]}" &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		! wait "$pid" || { echo "an answer" && cat "$BATS_TEST_TMPDIR"/answer.? && return 1; }
	done
}

@test "a multicast group whose interface is written out at a reload stays joined" {
	two_networks
	local keys='type = dgram address = "*" port = 4001'
	net ip route add 224.0.0.0/4 dev v0
	start_with "$(service a "$keys" 'multicast { group = "239.1.2.3" }')"
	reload_with "$(service a "$keys" 'multicast { group = "239.1.2.3" interface = v0 }')"
	log_lacks 'event=listener_not_adjusted'
	[ "$(from 239.1.2.3:4001)" = 10.9.0.1 ]
	reload_with "$(service a "$keys" 'multicast { group = "239.1.2.4" interface = v0 }')"
	log_lacks 'event=listener_not_adjusted'
	[ "$(from 239.1.2.4:4001)" = 10.9.0.1 ]
	no_answer_to 239.1.2.3:4001
}

@test "requests to a broadcast address are served with broadcast = true only, also after a reload" {
	local keys='type = dgram address = "*" port = '
	two_networks
	start_with "$(service yes "$keys 4001" 'broadcast = true')" "$(service no "$keys 4002" '')"
	[ "$(from 10.9.0.255:4001)" = 10.9.0.1 ]
	[ "$(from 255.255.255.255:4001)" = 10.9.0.1 ]
	no_answer_to 10.9.0.255:4002 255.255.255.255:4002
	reload_with "$(service yes "$keys 4001" '')" "$(service no "$keys 4002" 'broadcast = true')"
	[ "$(from 10.9.0.255:4002)" = 10.9.0.1 ]
	no_answer_to 10.9.0.255:4001 255.255.255.255:4001
	from 10.9.0.3:4001
	stop_daemon
	account_is no accepted=3 refused=2 served=1
	account_is yes accepted=5 refused=2 served=3
}

@test "who listens at a broadcast address needs broadcast = true as well" {
	two_networks
	service a 'type = dgram address = 10.9.0.255 port = 4001' '' | write_config
	start_daemon_nowait
	wait_for 20 "event=ready" daemon_is_ready_or_gone
	# refused by the start, or not served
	if log_has 'event=ready'; then
		no_answer_to 10.9.0.255:4001
	else
		wait_daemon
	fi
}

@test "an address behind a route that prohibits it is no broadcast address" {
	two_networks
	net ip route add prohibit 10.77.0.0/16
	service a 'type = dgram address = 10.77.0.1 port = 4001' 'freebind = true' | write_config
	net "$PREFORKD" -c "$CONF" -t
	service a 'type = dgram address = 10.9.0.255 port = 4001' '' | write_config
	run net "$PREFORKD" -c "$CONF" -t
	[ "$status" -eq 78 ]
	[[ $output == *'address: is a broadcast address'* ]]
}

@test "a datagram is answered from the address that it came to, on every kind of wildcard" {
	local name to
	two_networks
	start_with "$(service four 'type = dgram address = "*"' '')" \
		"$(service six 'family = inet6 type = dgram address = "*"' '')" \
		"$(service both 'family = inet6 type = dgram address = "*"' 'v6only = false')" \
		"$(service each 'family = inet6 type = dgram address = "*"' 'v6only = false reuse_port = per-worker' 3)"
	for name in four both each; do
		for to in 10.9.0.1 10.9.0.3; do
			[ "$(from "$to:$(port_of $name)")" = "$to" ]
		done
	done
	for name in six both each; do
		for to in '[fd00:9::1]' '[fd00:9::3]'; do
			[ "$(from "$to:$(port_of $name)")" = "$to" ]
		done
	done
	# also one that is on another interface
	net ip addr add 10.77.0.1/32 dev lo
	net ip addr add fd00:77::1/128 dev lo nodad
	client ip route add fd00:77::/64 via fd00:9::1
	[ "$(from "10.77.0.1:$(port_of four)")" = 10.77.0.1 ]
	[ "$(from "[fd00:77::1]:$(port_of six)")" = '[fd00:77::1]' ]
	[ "$(from "[fd00:77::1]:$(port_of both)")" = '[fd00:77::1]' ]
}

# ---- bind_retry ----

# start_manager: play the service manager; what it hears is in $HEARD
start_manager() {
	export NOTIFY_SOCKET=$BATS_TEST_TMPDIR/notify
	beside "$HEARD" "$TEST_BIN/recorder" "$NOTIFY_SOCKET"
	wait_for 20 "the manager" grep -q bound "$HEARD"
}

# n_heard REGEX
n_heard() {
	grep -Ec -- "^pid=$MASTER now_us=[0-9]+ $1" "$HEARD" || :
}

n_heard_at_least() {
	[ "$(n_heard "$2")" -ge "$1" ]
}

# it is waiting, for the second time since this was called
still_waits() {
	local more
	more=$(($(n_heard 'EXTEND_TIMEOUT_USEC=[0-9]+$') + 2))
	wait_for 20 "a word to the manager" n_heard_at_least "$more" 'EXTEND_TIMEOUT_USEC=[0-9]+$'
	log_lacks 'event=(listen_failed|start_failed|reload_done|reload_refused)'
}

late_service() {
	service "${2:-late}" "address = 10.77.0.1 port = 4001" "bind_retry = $1"
}

# extends_enough: each time the manager is told to wait much longer than it lasts until the next time, by the shortest
# of the pauses: who has not run for a while makes them longer
extends_enough() {
	grep -E "^pid=$MASTER .*EXTEND_TIMEOUT_USEC=" "$HEARD" | sed 's/.*now_us=\([0-9]*\) .*USEC=\([0-9]*\)$/\1 \2/' | awk '
		NR > 1 && (NR == 2 || $1 - last < pause) { pause = $1 - last }
		NR == 1 || $2 < least { least = $2 }
		{ last = $1 }
		END { print "told " least " us, said after " pause " us"; exit NR < 2 || least < 1.5 * pause }'
}

@test "bind_retry: a start waits for an address, tells the manager, and serves when the address comes" {
	need_networks
	own_network
	start_manager
	{
		service first '' ''
		late_service 1m
		service six 'family = inet6 address = "fd00:77::1" port = 4002' 'bind_retry = 1m'
	} | write_config
	start_daemon_nowait
	wait_for 20 "the first service" log_has 'event=listening service=first'
	still_waits
	log_has 'level=warning .*event=listen_waiting service=late address=10.77.0.1:4001 for_ms=60000 reason='
	log_has 'event=listen_waiting service=six address=\[fd00:77::1\]:4002 for_ms=60000 '
	[ "$(n_heard 'READY=1')" -eq 0 ]
	log_lacks 'event=ready'
	# who has its address serves
	[ "$(net socat -t 20 - "TCP:$(address_of first)" <<<hello)" = hello ]
	net ip addr add 10.77.0.1/32 dev lo
	wait_for 20 "one of the two" log_has 'event=listening service=late .*address=10.77.0.1:4001'
	still_waits
	net ip addr add fd00:77::1/128 dev lo
	wait_for 20 "the other" log_has 'event=ready services=3 workers=3 generation=1'
	wait_for 20 "READY=1" n_heard_at_least 1 'READY=1$'
	extends_enough
	[ "$(net socat -t 20 - TCP:10.77.0.1:4001 <<<hello)" = hello ]
	[ "$(net socat -t 20 - 'TCP:[fd00:77::1]:4002' <<<hello)" = hello ]
	[ "$(log_count 'event=listening')" -eq 3 ]
	[ "$(log_count 'event=listen_waiting')" -eq 2 ]
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "bind_retry: a start that waits ends at once when it is told to" {
	local signal
	need_networks
	own_network
	start_manager
	{ service first '' '' && late_service 1m; } | write_config
	for signal in TERM INT; do
		: >"$LOG"
		start_daemon_nowait
		wait_for 20 "the first service" log_has 'event=listening service=first'
		still_waits
		kill -s HUP "$MASTER"
		still_waits
		began=$(now_ms)
		kill -s "$signal" "$MASTER"
		wait_daemon
		[ $(($(now_ms) - began)) -le 30000 ]
		[ "$DAEMON_STATUS" -eq 0 ]
		log_has 'event=stopped status=0'
		log_lacks 'event=ready'
	done
}

@test "bind_retry: a start gives up after the time, with status 69" {
	local began
	need_networks
	own_network
	{ service first '' '' && late_service 1s; } | write_config
	began=$(now_ms)
	start_daemon_nowait
	wait_daemon
	[ "$DAEMON_STATUS" -eq 69 ]
	[ $(($(now_ms) - began)) -ge 1000 ]
	log_has 'level=error .*event=listen_failed service=late address=10.77.0.1:4001 error="bind: Cannot assign requested'
	[ "$(log_count 'event=listen_failed')" -eq 1 ]
	log_has 'event=stopped status=69'
	log_lacks 'event=ready'
}

@test "bind_retry: a start waits for an interface as well, and for nothing else" {
	need_networks
	own_network
	service a 'address = "*" port = 4001' 'bind_device = v0 bind_retry = 1m' | write_config
	start_manager
	start_daemon_nowait
	still_waits
	log_lacks 'event=ready'
	net ip link add v0 type veth peer name v1 2>"$BATS_TEST_TMPDIR/probe" || strict_skip "kernel: no veth"
	wait_for 20 "event=ready" log_has 'event=ready'
	# an address that somebody has is no reason to wait
	service b 'port = 4001' 'bind_retry = 1m' >"$BATS_TEST_TMPDIR/two.conf"
	began=$(now_ms)
	run -69 "$PREFORKD" -c "$BATS_TEST_TMPDIR/two.conf"
	[ $(($(now_ms) - began)) -le 30000 ]
	[[ $output == *'event=listen_failed service=b '*'Address already in use'* ]]
}

@test "bind_retry: a reload waits, the old generation serves, and the new one when the address comes" {
	local old
	need_networks
	own_network
	start_manager
	start_with "$(service first '' '' 2)"
	old=$(workers_of "$MASTER")
	printf '%s\n' "$(service first '' '' 3)" "$(late_service 1m)" | write_config
	kill -HUP "$MASTER"
	wait_for 20 "the reload" log_has 'event=reload_started'
	still_waits
	[ "$(net socat -t 20 - "TCP:$(address_of first)" <<<hello)" = hello ]
	# who dies meanwhile is replaced
	kill -KILL "${old%%$'\n'*}"
	wait_for 20 "its end" log_has 'event=worker_exit service=first .*reason=SIGKILL'
	wait_for 20 "2 workers" n_workers_is 2
	net ip addr add 10.77.0.1/32 dev lo
	wait_for 20 "the end of the reload" log_has 'event=reload_done generation=2'
	extends_enough
	[ "$(net socat -t 20 - TCP:10.77.0.1:4001 <<<hello)" = hello ]
	wait_for 20 "4 workers" n_workers_is 4
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "bind_retry: a reload is refused after the time, and what was there goes on" {
	local old began
	need_networks
	own_network
	start_with "$(service first '' '' 2)"
	old=$(workers_of "$MASTER")
	printf '%s\n' "$(service first '' '' 3)" "$(service new '' '')" "$(late_service 1s)" | write_config
	began=$(now_ms)
	reload_daemon
	[ $(($(now_ms) - began)) -ge 1000 ]
	log_has 'event=reload_refused error="a service cannot be started" generation=1'
	log_has 'event=listen_failed service=late .*Cannot assign requested address'
	log_has 'event=listener_closed service=new'
	[ "$(workers_of "$MASTER")" = "$old" ]
	[ "$(net socat -t 20 - "TCP:$(address_of first)" <<<hello)" = hello ]
	# and the next one is as good as ever
	reload_with "$(service first '' '' 3)"
	wait_for 20 "3 workers" n_workers_is 3
}

@test "bind_retry: TERM while a reload waits serves the old connections to the end" {
	need_networks
	own_network
	start_manager
	start_with "$(service first '' '')"
	beside "$BATS_TEST_TMPDIR/held" "${NET[@]}" socat "TCP:$(address_of first)" \
		"SYSTEM:echo hello && exec cat >$BATS_TEST_TMPDIR/answer"
	wait_for 20 "an answer" grep -q hello "$BATS_TEST_TMPDIR/answer"
	printf '%s\n' "$(service first '' '')" "$(late_service 1m)" | write_config
	kill -HUP "$MASTER"
	wait_for 20 "the reload" log_has 'event=reload_started'
	still_waits
	kill -TERM "$MASTER"
	wait_for 20 "the stop" log_has 'event=stopping how=graceful'
	wait_for 20 "one that is busy" n_workers_is 1
	end_beside "$BESIDE"
	wait_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	log_lacks 'event=reload_(done|refused)'
	[ "$(account_of first lost)" -eq 0 ]
}

@test "bind_retry: a reload that waits gives way to a better config" {
	need_networks
	own_network
	start_with "$(service first '' '' 2)"
	printf '%s\n' "$(service first '' '')" "$(late_service 1m)" | write_config
	kill -HUP "$MASTER"
	wait_for 20 "the reload" log_has 'event=reload_started'
	service first '' '' 3 | write_config
	kill -HUP "$MASTER"
	wait_for 20 "the second reload" log_has 'event=reload_done'
	wait_for 20 "the workers of the last config" n_workers_is 3
	log_has 'event=reload_refused error="superseded by another reload" generation=1'
	[ "$(log_count 'event=reload_done')" -eq 1 ]
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}
