#!/usr/bin/env bats
# ping.bats - ICMP and ICMPv6: handler ping against the real ping, other handlers, and forged packets of all sorts. Each
# test has a network namespace of its own.
# shellcheck disable=SC2030,SC2031,SC2154  # each test is a subshell, and sets its own variables; run sets stderr

bats_require_minimum_version 1.5.0
load lib/daemon
load lib/network

PREFORKCTL=${PREFORKCTL:-${PREFORKD%/*}/preforkctl}
REPLIES=(IcmpMsgOutType0 Icmp6OutType129) # counters of echo replies

setup() {
	daemon_setup
	need_networks
	command -v ping >/dev/null || strict_skip "needs ping (Debian: iputils-ping)"
	own_network
	ignore_pings
	ANSWER=$BATS_TEST_TMPDIR/answer
}

teardown() { daemon_teardown; }

# service NAME HANDLER KEYS: "four" and "six" are raw sockets of ICMP and ICMPv6. There is one worker, who takes packets
# in turn.
service() {
	local where
	case $1 in
	four*) where='type = raw protocol = icmp' ;;
	six*) where='family = inet6 type = raw protocol = "ipv6-icmp"' ;;
	ping4*) where='type = dgram protocol = icmp' ;;
	ping6*) where='family = inet6 type = dgram protocol = "ipv6-icmp"' ;;
	esac
	echo "service $1 { $where handler = $2 workers { min = 1 } ${3-} }"
}

# start_both HANDLER [KEYS]
start_both() {
	{ service four "$@"; service six "$@"; } | write_config
	start_daemon
	WORKERS=$(workers_of "$MASTER")
}

# ping_once OPTION... ADDRESS: one ping, which is answered, once as far as one can see, with the same data
ping_once() {
	net ping -n -q -c 1 -W 20 "$@" >"$ANSWER" 2>&1 || { cat "$ANSWER"; return 1; }
	grep -q '^1 packets transmitted, 1 received, 0% packet loss' "$ANSWER" || { cat "$ANSWER"; return 1; }
}

# no_ping OPTION... ADDRESS: one ping, and no answer
no_ping() {
	run -1 net ping -n -q -c 1 -W 0.2 "$@"
	[[ $output == *"1 packets transmitted, 0 received"* ]]
}

# forge OPTION... ADDRESS
forge() {
	net "$TEST_BIN/icmp" "$@" || { echo "forge $*"; return 1; }
}

# replies_are FOUR SIX: so many echo replies have been sent
replies_are() {
	local now
	now="$(counter "${REPLIES[0]}") $(counter "${REPLIES[1]}")"
	[ "$now" = "$1 $2" ] || { echo "replies sent: $now instead of $1 $2"; return 1; }
}

# still_good FOUR SIX: a real ping is answered, so all that came before was dealt with; by the same workers; and so many
# replies have been sent altogether
still_good() {
	ping_once 127.0.0.1
	ping_once -6 ::1
	replies_are "$@"
	[ "$(workers_of "$MASTER")" = "$WORKERS" ]
}

# ---- the real ping ----

@test "ping and ping -6 of every size are answered, each once and with its own data" {
	local n=0
	start_both ping
	# with 16 bytes and more ping writes down the time, and looks at the rest of the data
	for size in 0 1 7 15 16 56 1400 1472 1473 65000 65507; do
		for address in 127.0.0.1 '-6 ::1'; do
			# shellcheck disable=SC2086  # an option and an address
			net ping -n -c 3 -i 0.01 -W 20 -s "$size" -p 5aa5c33c0f $address >"$ANSWER"
			grep -q '^3 packets transmitted, 3 received, 0% packet loss' "$ANSWER"
			if grep -E 'DUP!|wrong data|corrupted|truncated|BAD' "$ANSWER"; then
				return 1
			fi
			[ "$(grep -c "^$((size + 8)) bytes from .*: icmp_seq=[123] ttl=200" "$ANSWER")" -eq 3 ]
		done
		n=$((n + 3))
	done
	# the largest of IPv6 is more than a packet of the loopback holds, so it comes in fragments
	ping_once -6 -s 65527 ::1
	replies_are $n $((n + 1))
	# ping does not mind a wrong checksum, the kernel does
	[ "$(counter IcmpInCsumErrors)" -eq 0 ]
	[ "$(counter Icmp6InCsumErrors)" -eq 0 ]
	stop_daemon
	account_is four accepted=$n served=$n failed=0 refused=0
	account_is six accepted=$((n + 1)) served=$((n + 1)) failed=0 refused=0
	[ "$(account_of four bytes_in)" -eq "$(account_of four bytes_out)" ]
	[ "$(account_of six bytes_in)" -eq "$(account_of six bytes_out)" ]
}

@test "a flood of a thousand pings: each is answered once" {
	start_both ping
	for address in 127.0.0.1 '-6 ::1'; do
		# shellcheck disable=SC2086
		run -0 net ping -n -q -f -c 1000 -W 20 $address
		[[ $output == *"1000 packets transmitted, 1000 received, 0% packet loss"* ]]
		[[ $output != *duplicates* ]]
	done
	replies_are 1000 1000
	stop_daemon
	account_is four accepted=1000 served=1000
	account_is six accepted=1000 served=1000
}

@test "ping from another host, to each address of a wildcard: the reply comes from the address that was asked" {
	start_both ping 'address = "*"'
	other_host
	for address in 10.98.0.1 10.98.0.3 127.0.0.77 fd98::1 fd98::3; do
		[[ $address == 127.* ]] || NET=("${FAR[@]}")
		net ping -n -c 2 -i 0.05 -W 20 $address >"$ANSWER"
		NET=("${NEAR[@]}")
		cat "$ANSWER"
		[ "$(grep -c " bytes from $address: icmp_seq=[12] ttl=200" "$ANSWER")" -eq 2 ]
		[ "$(grep -c DUP "$ANSWER")" -eq 0 ]
	done
	# the counter is that of the host that serves
	replies_are 6 4
	NET=("${FAR[@]}")
	replies_are 0 0
	# everybody, and all nodes
	no_ping -b 10.98.0.255
	no_ping -b -I far 255.255.255.255
	no_ping -I far 224.0.0.1
	no_ping -6 ff02::1%far
	NET=("${NEAR[@]}")
	replies_are 6 4
	stop_daemon
	account_is four served=6 failed=0 refused=2
	# it gets all that ICMPv6 carries, about neighbours too
	account_is six failed=0 bytes_out=$((4 * 64))
}

# other_host: a namespace with a cable to ours: there it is "far", 10.98.0.2 and fd98::2, here it is "near", .1 and .3
other_host() {
	NEAR=("${NET[@]}")
	new_network
	FAR=("${NEW_NET[@]}")
	net ip link add near type veth peer name far netns "$NEW_PID"
	net ip addr add 10.98.0.1/24 brd + dev near
	net ip addr add 10.98.0.3/24 dev near
	net ip addr add fd98::1/64 dev near nodad
	net ip addr add fd98::3/64 dev near nodad
	net ip link set near up
	"${FAR[@]}" ip addr add 10.98.0.2/24 brd + dev far
	"${FAR[@]}" ip addr add fd98::2/64 dev far nodad
	"${FAR[@]}" ip link set far up
	"${FAR[@]}" ip route add 255.255.255.255 dev far
	wait_for 20 "the cable" cable_is_up
}

# both ends have a link-local address, which they get when they can send
cable_is_up() {
	[[ $(net ip -6 addr show dev near scope link) == *fe80* && $("${FAR[@]}" ip -6 addr show dev far scope link) == *fe80* ]]
}

# ---- the kernel's own answer ----

@test "when the kernel answers, too, a start and -t warn, and ping sees DUP!" {
	ignore_pings 0
	{ service four ping; service six ping; } | write_config
	warns net.ipv4.icmp_echo_ignore_all net.ipv6.icmp.echo_ignore_all
	start_daemon
	[ "$(log_count 'level=warning .*event=config_warning ')" -eq 2 ]
	log_has "event=config_warning text=.*service ..?four..?: handler: ping: .*net.ipv4.icmp_echo_ignore_all=1"
	log_has "event=config_warning text=.*service ..?six..?: handler: ping: .*net.ipv6.icmp.echo_ignore_all=1"
	for address in 127.0.0.1 '-6 ::1'; do
		# shellcheck disable=SC2086
		run -0 net ping -n -c 3 -i 0.1 -W 20 $address
		[[ $output == *"DUP!"*" 0% packet loss"* ]]
	done
	reload_daemon
	[ "$(log_count 'level=warning .*event=config_warning ')" -eq 4 ]
	# each of them alone
	set_sysctl net/ipv4/icmp_echo_ignore_all 1
	warns net.ipv6.icmp.echo_ignore_all
	set_sysctl net/ipv6/icmp/echo_ignore_all 1
	warns
	# another handler has nothing to do with it
	ignore_pings 0
	{ service four discard; service six discard; } | write_config
	warns
}

# warns SYSCTL...: -t says of each, in this order, what will happen and what to do, and nothing else; and succeeds
warns() {
	local sysctl n=0
	run --separate-stderr "$PREFORKD" -c "$CONF" -t
	[ "$status" -eq 0 ]
	[ "$output" = "$CONF: OK (2 services)" ]
	if [ $# -eq 0 ]; then
		[ -z "$stderr" ]
		return
	fi
	[ "${#stderr_lines[@]}" -eq $# ]
	for sysctl; do
		[[ ${stderr_lines[n]} == "$CONF:"[12]": warning: service "*": handler: ping: "*"$sysctl=1"* ]]
		n=$((n + 1))
	done
}

# ---- forged ----

@test "short packets, of 0 to 7 bytes, are not answered and harm nobody" {
	start_both ping
	for length in {0..7}; do
		forge -l "$length" 127.0.0.1
		forge -l "$length" ::1
	done
	still_good 1 1
	# as many as the kernel shows are counted
	stop_daemon
	account_is four failed=0 refused=0 bytes_out=64
	account_is six failed=0 refused=0 bytes_out=64
}

@test "a wrong checksum is not answered" {
	start_both ping
	for length in 8 9 13 1400; do
		forge -b -l "$length" 127.0.0.1
		forge -b -l "$length" ::1
	done
	still_good 1 1
	# and it was the checksum
	for length in 8 9 13 1400; do
		forge -l "$length" 127.0.0.1
		forge -l "$length" ::1
	done
	still_good 6 6
	stop_daemon
	# of ICMPv6 the kernel drops it
	account_is four accepted=10 served=10 failed=0
	account_is six accepted=6 served=6 failed=0
}

@test "only echo requests of code 0 are answered: no other type, no error, no reply" {
	local type n=0
	start_both ping 'address = "*"'
	forge -c 1 127.0.0.1
	forge -c 255 127.0.0.1
	forge -c 1 ::1
	forge -c 255 ::1
	# errors, router discovery, mask, and what nobody knows; not the timestamp, which the kernel answers
	for type in 3 4 5 9 10 11 12 14 15 16 17 18 30 40 42 43 128 129 255; do
		forge -t "$type" 127.0.0.1
		forge -t "$type" -c 3 -l 36 127.0.0.1
		n=$((n + 2))
	done
	for type in 1 2 3 4 8 100 127 130 135 137 138 139 140 160 161 200 255; do
		forge -t "$type" ::1
	done
	# replies, which the counter counts as well
	forge -t 0 127.0.0.1
	forge -t 129 ::1
	# ours is one more each; nobody of IPv6 counts what is forged
	still_good 2 1
	stop_daemon
	account_is four accepted=$((n + 4)) served=$((n + 4)) failed=0 bytes_out=64
	account_is six failed=0 refused=0 bytes_out=64
}

@test "what comes from or goes to a broadcast or multicast address is not answered" {
	start_both ping 'address = "*"'
	forge -s 224.0.0.5 127.0.0.1
	forge -s 239.1.2.3 127.0.0.1
	forge -s 255.255.255.255 127.0.0.1
	forge -s 0.1.2.3 127.0.0.1
	forge -s 127.0.0.1 127.255.255.255
	forge -s 127.0.0.1 -I lo 255.255.255.255
	still_good 1 1
	# these the kernel does not even hand over
	forge -s 127.0.0.1 -I lo 224.0.0.1
	forge -s ff02::5 ::1
	# of some network's broadcast address only the kernel knows, when it is to send there
	forge -s 127.255.255.255 127.0.0.1
	# "::" is nobody's
	forge -s :: ::1
	still_good 2 2
	stop_daemon
	account_is four accepted=9 served=2
	(($(account_of four refused) >= 6))
	account_is six accepted=3 served=2 failed=0 refused=1
}

@test "a packet in fragments is one request, with one whole answer; a part of one is none" {
	start_both ping
	for address in 127.0.0.1 ::1; do
		# the data is a letter, so that no fragment looks like a reply to who counts
		forge -f 8 -l 24 -d x $address
		forge -f 1000 -l 30000 -d x $address
		# only the first fragment
		forge -f 8 -l 24 -i 78 -d x -1 $address
	done
	still_good 3 3
	stop_daemon
	account_is four accepted=3 served=3 bytes_in=30088 bytes_out=30088
	account_is six accepted=3 served=3 bytes_in=30088 bytes_out=30088
}

@test "options in the IPv4 header are not part of the request" {
	start_both ping
	for words in 1 5 10; do
		forge -o $words 127.0.0.1
	done
	forge -o 10 -b 127.0.0.1
	forge -o 10 -l 8 127.0.0.1
	still_good 5 1
	# record route, from ping itself
	ping_once -R 127.0.0.1
	stop_daemon
	# three with "hello", one with a wrong checksum, one without data, two of ping
	account_is four accepted=7 served=7 bytes_in=$((4 * 13 + 8 + 64 + 64)) bytes_out=$((3 * 13 + 8 + 64 + 64))
}

@test "what has a TTL from 161 to 200 left is an answer of preforkd's own, and is dropped" {
	start_both ping
	for ttl in 161 180 200; do
		forge -H $ttl 127.0.0.1
		forge -H $ttl ::1
	done
	still_good 1 1
	for ttl in 1 2 64 128 160 201 255; do
		forge -H $ttl 127.0.0.1
		forge -H $ttl ::1
	done
	still_good 9 9
	no_ping -t 200 127.0.0.1
	no_ping -6 -t 200 ::1
	stop_daemon
	account_is four accepted=9 served=9
	account_is six accepted=9 served=9
}

# ---- other handlers ----

# all_read: no raw socket has a packet that waits for a worker, nor has a ping socket, which ss does not know; what he
# has taken he finishes before he stops
all_read() {
	net ss -Hwan | awk '$2 > 0 { waiting = 1 } END { exit waiting }' &&
		net cat /proc/net/icmp /proc/net/icmp6 | awk '$5 ~ /:/ && $5 !~ /:0+$/ { waiting = 1 } END { exit waiting }'
}

@test "echo on raw ICMP sends anything back once, but errors never" {
	local type code
	start_both echo
	for type in 3 4 5 11 12; do
		for code in 0 1 3 15; do
			forge -t $type -c $code -l 36 127.0.0.1
		done
	done
	for type in 0 1 2 3 4 5 100 127; do
		forge -t $type -l 48 ::1
	done
	# what is no error comes back: a reply, a request, an unknown type, one with a wrong checksum
	for type in 0 8 42 255; do
		forge -t $type 127.0.0.1
	done
	forge -b -t 42 127.0.0.1
	for type in 128 129 160 200; do
		forge -t $type ::1
	done
	wait_for 20 "all packets to be read" all_read
	[ "$(workers_of "$MASTER")" = "$WORKERS" ]
	stop_daemon
	account_is four accepted=25 served=25 failed=0 bytes_out=$((5 * 13))
	account_is six accepted=12 served=12 failed=0 bytes_out=$((4 * 13))
	# the kernel counts what was forged, too: these went out four times, and not once more
	for type in 3 4 5 11 12; do
		[ "$(counter IcmpMsgOutType$type)" -eq 4 ]
	done
	for type in 0 8 255; do
		[ "$(counter IcmpMsgOutType$type)" -eq 2 ]
	done
	[ "$(counter IcmpMsgOutType42)" -eq 4 ]
	# of ICMPv6 it does not
	for type in 0 1 2 3 4 5 100 127; do
		[ "$(counter Icmp6OutType$type)" -eq 0 ]
	done
	for type in 128 129 160 200; do
		[ "$(counter Icmp6OutType$type)" -eq 1 ]
	done
}

@test "echo on raw ICMP of two hosts: a packet goes there and back, and not on" {
	local far far_log=$BATS_TEST_TMPDIR/far.log
	start_both echo 'address = "*"'
	other_host
	{ service four echo 'address = "*"'; service six echo 'address = "*"'; } >"$BATS_TEST_TMPDIR/far.conf"
	NET=("${FAR[@]}")
	ignore_pings
	beside "$far_log" "${FAR[@]}" "$PROGRAM" -c "$BATS_TEST_TMPDIR/far.conf"
	far=$BESIDE
	wait_for 20 "the other preforkd" grep -q event=ready "$far_log"
	NET=("${NEAR[@]}")
	forge -s 10.98.0.1 -r 3 10.98.0.2
	forge -s fd98::1 -r 3 fd98::2
	NET=("${FAR[@]}")
	wait_for 20 "three echoes each" far_has_echoed
	kill -TERM "$far"
	wait_for 20 "the end of the other preforkd" process_gone "$far"
	cat "$far_log"
	stop_daemon
	LOG=$far_log account_is four accepted=3 served=3
	account_is four accepted=0
	# a few packets of ICMPv6 are about neighbours; an echo of an echo would make hundreds
	(($(LOG=$far_log account_of six accepted) < 20))
	(($(account_of six accepted) < 20))
}

far_has_echoed() {
	[ "$(counter IcmpMsgOutType8)" -ge 3 ] && [ "$(counter Icmp6OutType128)" -ge 3 ]
}

@test "every other handler on raw ICMP: no answer is longer than its request, none to an error" {
	local handler n=0
	for handler in discard chargen daytime time qotd; do
		n=$((n + 1))
		net ip addr add "fd00::1$n/128" dev lo nodad
		service "four-$handler" $handler "address = \"127.0.0.1$n\""
		service "six-$handler" $handler "address = \"fd00::1$n\""
	done >"$CONF"
	start_daemon
	for n in {1..5}; do
		for length in 9 100; do
			forge -s 127.0.0.1 -l $length -t 42 127.0.0.1"$n"
			forge -s ::1 -l $length -t 200 fd00::1"$n"
		done
		forge -s 127.0.0.1 -t 3 -l 36 127.0.0.1"$n"
		forge -s ::1 -t 1 -l 48 fd00::1"$n"
	done
	wait_for 20 "all packets to be read" all_read
	stop_daemon
	for name in four six; do
		for handler in discard chargen daytime time qotd; do
			account_is $name-$handler accepted=3 served=3 failed=0
		done
		account_is $name-discard bytes_out=0
		account_is $name-chargen bytes_out=109
		account_is $name-time bytes_out=8
		(($(account_of $name-daytime bytes_out) > 13 && $(account_of $name-daytime bytes_out) < 109))
		(($(account_of $name-qotd bytes_out) > 13 && $(account_of $name-qotd bytes_out) < 109))
	done
}

# ---- ping sockets ----

@test "-t warns of a handler whose answers no ping socket sends" {
	local name
	set_sysctl net/ipv4/ping_group_range '0 2147483647'
	for name in ping4 ping6; do
		service $name echo | write_config
		run net "$PREFORKD" -c "$CONF" -t
		[ "$status" -eq 0 ]
		[[ $output == *'handler: echo: the kernel lets no ping socket send what this one answers'* ]]
		service $name discard | write_config
		run net "$PREFORKD" -c "$CONF" -t
		[ "$status" -eq 0 ]
		[[ $output != *kernel* ]]
	done
}

@test "ping sockets: a reply with the service's identifier is served, and no other" {
	local id pid status clients=()
	set_sysctl net/ipv4/ping_group_range '0 2147483647'
	{
		service ping4 discard
		service ping6 discard
		service ping4-fixed discard 'port = 4711'
	} | write_config
	start_daemon
	[ "$(port_of ping4-fixed)" = 4711 ]
	for name in ping4 ping6 ping4-fixed; do
		# nobody answers a reply
		id=$(port_of "$name")
		beside "$ANSWER.$name" "${NET[@]}" "$PREFORKCTL" -c "$CONF" -p "$id" -w 1 probe "$name" text
		clients+=("$BESIDE")
	done
	for pid in "${clients[@]}"; do
		status=0
		wait "$pid" || status=$?
		[ "$status" -eq 1 ]
	done
	[ "$(cat "$ANSWER".ping*)" = "$(printf 'preforkctl: %s: no answer in time
' ping4 ping4-fixed ping6)" ]
	for name in ping4 ping6; do
		id=$(port_of $name)
		if [ $name = ping4 ]; then
			set -- 0 8 127.0.0.1
		else
			set -- 129 128 ::1
		fi
		forge -t "$1" -i "$id" "$3"
		forge -t "$1" -i $((id ^ 1)) "$3"
		# a request is not for it
		forge -t "$2" -i "$id" "$3"
		forge -b -t "$1" -i "$id" "$3"
	done
	wait_for 20 "all packets to be read" all_read
	stop_daemon
	account_is ping4 accepted=2 served=2 bytes_out=0
	account_is ping6 accepted=2 served=2 bytes_out=0
	account_is ping4-fixed accepted=1 served=1 bytes_in=13
}

# ---- preforkctl ----

@test "preforkctl pings: the text comes back as the data of the reply" {
	start_both ping
	for name in four six; do
		for text in '' hello 'two words'; do
			[ "$(net timeout 20 "$PREFORKCTL" -c "$CONF" probe $name "$text" 2>"$ANSWER")" = "$text" ]
			grep -Eqx "$((${#text} + 1)) bytes from (127\.0\.0\.1|\[::1\]) in [0-9.]+ ms" "$ANSWER"
		done
	done
	# without one of ours the kernel's answer does
	stop_daemon
	ignore_pings 0
	run -0 net "$PREFORKCTL" -c "$CONF" -w 5 probe four
	run -0 net "$PREFORKCTL" -c "$CONF" -w 5 probe six
}

# forged_replies SERVICE TYPE FROM STRANGER PID...: one for each preforkctl that waits, and only the first is right; of
# ICMPv6 the kernel drops wrong checksums
forged_replies() {
	local to=$3 strange=$4 reply=(-t "$2" -n 1 -d $'text\n') id=() pid request=8
	[ "$1" = four ] || request=128
	for pid in "${@:5}"; do
		id+=($((pid & 0xffff)))
	done
	forge "${reply[@]}" -i "${id[0]}" "$to"
	# the sequence number, the data, the length, the code, the type, the checksum, the sender, the identifier
	forge "${reply[@]}" -i "${id[1]}" -n 2 "$to"
	forge "${reply[@]}" -i "${id[2]}" -d 'test.' "$to"
	forge "${reply[@]}" -i "${id[3]}" -l 12 "$to"
	forge "${reply[@]}" -i "${id[4]}" -c 1 "$to"
	forge "${reply[@]}" -i "${id[5]}" -t $request "$to"
	forge "${reply[@]}" -i "${id[6]}" -b "$to"
	forge "${reply[@]}" -i "${id[7]}" -s "$strange" "$to"
	forge "${reply[@]}" -i $((id[8] ^ 0x100)) "$to"
}

@test "preforkctl pings: only the right reply counts" {
	local name n wait pid status four=() six=()
	start_both discard
	for name in four six; do
		for n in {0..8}; do
			# who gets the right one does not have to wait
			wait=$((n == 0 ? 60 : 1))
			beside "$ANSWER.$name.$n" "${NET[@]}" "$PREFORKCTL" -c "$CONF" -w $wait probe $name text
			case $name in
			four) four+=("$BESIDE") ;;
			six) six+=("$BESIDE") ;;
			esac
		done
	done
	wait_for 20 "eighteen requests" requests_are 9 9
	forged_replies four 0 127.0.0.1 127.0.0.9 "${four[@]}"
	forged_replies six 129 ::1 fd00::2 "${six[@]}"
	n=0
	for pid in "${four[@]}" "${six[@]}"; do
		status=0
		wait "$pid" || status=$?
		echo "$((n % 9)): status $status"
		[ "$status" -eq $((n % 9 > 0)) ]
		n=$((n + 1))
	done
	for name in four six; do
		[ "$(head -n 1 "$ANSWER.$name.0")" = text ]
		[ "$(head -n 1 "$ANSWER.$name.1")" = "preforkctl: $name: no answer in time" ]
	done
}

requests_are() {
	[ "$(counter IcmpMsgOutType8)" -eq "$1" ] && [ "$(counter Icmp6OutType128)" -eq "$2" ]
}
