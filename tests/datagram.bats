#!/usr/bin/env bats
# datagram.bats - datagrams over inet, inet6 and unix: who is answered, from where, with how much, and what does no
# harm.
# shellcheck disable=SC2030,SC2031  # each test is a subshell, and sets its own variables

bats_require_minimum_version 1.5.0
load lib/daemon
load lib/network

PREFORKCTL=${PREFORKCTL:-${PREFORKD%/*}/preforkctl}

# a service of IPv6 that serves IPv4 as well
BOTH='family = inet6 address = "*" socket { v6only = false }'

setup() {
	daemon_setup
	ABSTRACT=@preforkd-test-$$-$RANDOM-$BATS_TEST_NUMBER
	SOCK=$BATS_TEST_TMPDIR/sock
	STOPPED=()
	OTHER=
}

teardown() {
	local status=0
	if [ ${#STOPPED[@]} -gt 0 ]; then
		kill -KILL "${STOPPED[@]}" || :
	fi
	if [ -e "$LOG.other" ]; then
		other daemon_teardown || status=1
	fi
	daemon_teardown || status=1
	return "$status"
}

# other COMMAND...: as if a second preforkd, with its own config and log, were the only one
other() {
	local MASTER=$OTHER CONF=$CONF.other LOG=$LOG.other status=0
	"$@" || status=$?
	OTHER=$MASTER
	return "$status"
}

# service NAME KEYS [HANDLER]
service() {
	echo "service $1 { type = dgram handler = ${3:-echo} workers { min = ${4:-1} } $2 }"
}

# raw_service NAME KEYS [HANDLER]: of protocol 253, which nobody speaks
raw_service() {
	echo "service $1 { type = raw protocol = 253 handler = ${3:-echo} workers { min = 1 } $2 }"
}

need_own_network() {
	[ "$(id -u)" -eq 0 ] || strict_skip "needs root"
	need_networks
	own_network
}

dgram() {
	net "$TEST_BIN/dgram" "$@"
}

spoof() {
	net "$TEST_BIN/spoof" "$@"
}

# zeros N: so many bytes
zeros() {
	head -c "$1" /dev/zero
}

# send_only [OPTION...] TO [TEXT]: do not wait for answers
send_only() {
	local status=0
	dgram -w 0 "$@" >"$BATS_TEST_TMPDIR/lines" || status=$?
	[ "$status" -le 1 ]
}

no_answer() {
	run -1 dgram -w 300 "$@"
	[ -z "$output" ]
}

# stop_workers: they stand still until go_on
stop_workers() {
	mapfile -t STOPPED < <(workers_of "$MASTER")
	stop_processes "${STOPPED[@]}"
}

go_on() {
	kill -CONT "${STOPPED[@]}"
	STOPPED=()
}

# low_port TO: "answered" or "silence" for a datagram from a port below 1024 that is free
low_port() {
	local port
	for port in {600..1000}; do
		if dgram -w 300 -f "${2:-127.0.0.1}:$port" "$1" hello >"$BATS_TEST_TMPDIR/lines" \
			2>"$BATS_TEST_TMPDIR/error"; then
			echo answered
			return
		elif ! grep -q 'Address already in use' "$BATS_TEST_TMPDIR/error"; then
			cat "$BATS_TEST_TMPDIR/error"
			echo silence
			return
		fi
	done
}

@test "on a wildcard address the answer leaves from the address the request came to" {
	start_with "$(service four 'address = "*"')" "$(service both "$BOTH")"
	for name in four both; do
		port=$(port_of "$name")
		for to in 127.0.0.1 127.0.0.2 127.1.2.3; do
			[ "$(dgram "$to:$port" hello)" = "from=$to:$port length=5" ]
		done
		# also when the client is elsewhere
		[ "$(dgram -f 127.0.0.9:0 "127.0.0.5:$port" hello)" = "from=127.0.0.5:$port length=5" ]
	done
	[ "$(dgram "[::1]:$port" hello)" = "from=[::1]:$port length=5" ]
}

@test "many requests to many addresses in one batch each get their own answer" {
	start_with "$(service four 'address = "*"')"
	port=$(port_of four)
	# they wait together while the worker stands still
	stop_workers
	clients=()
	# these are in the same batch and have no answers
	send_only -c 2 "127.0.0.1:$port" ''
	for i in {2..20}; do
		# not the function: it would be in a subshell with another pid
		"$TEST_BIN/dgram" -w 10000 "127.0.0.$i:$port" < <(zeros "$i") >"$BATS_TEST_TMPDIR/answer.$i" 3>&- &
		clients+=($!)
	done
	wait_for 20 "19 clients that wait" all_wait "${clients[@]}"
	go_on
	wait "${clients[@]}"
	for i in {2..20}; do
		[ "$(cat "$BATS_TEST_TMPDIR/answer.$i")" = "from=127.0.0.$i:$port length=$i" ]
	done
	stop_daemon
	account_is four accepted=21 served=21
}

# while_workers_stand_still COMMAND...: run a client in the background, its output in $BATS_TEST_TMPDIR/client, until it
# waits for answers; then let the workers go on, and it end
while_workers_stand_still() {
	local status=0
	stop_workers
	beside "$BATS_TEST_TMPDIR/client" "${NET[@]}" "$@"
	wait_for 30 "a client that waits" all_wait "$BESIDE"
	go_on
	wait "$BESIDE" || status=$?
	cat "$BATS_TEST_TMPDIR/client"
	return "$status"
}

@test "answers to one client that are sent together are each what they were, in length and in order" {
	start_with "$(service four '')" "$(service six 'family = inet6')" \
		"$(service both "$BOTH")"
	texts=()
	letters=({a..z} {A..Z})
	# more than two batches, with runs of one length, shorter and longer ones after it, and too long ones
	for length in 5 5 5 3 5 5 7 7 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1232 1232 1 1233 1233 1231 9000 5 1 2 3 2 1; do
		printf -v text '%*s' "$length" "${letters[${#texts[@]}]}"
		texts+=("$text")
	done
	for to in "$(address_of four)" "$(address_of six)" "127.0.0.1:$(port_of both)" "[::1]:$(port_of both)"; do
		rm -f "$BATS_TEST_TMPDIR/got"
		while_workers_stand_still "$TEST_BIN/dgram" -w 10000 -o "$BATS_TEST_TMPDIR/got" "$to" "${texts[@]}"
		diff <(for text in "${texts[@]}"; do echo "from=$to length=${#text}"; done) "$BATS_TEST_TMPDIR/client"
		cmp <(printf %s "${texts[@]}") "$BATS_TEST_TMPDIR/got"
	done
	stop_daemon
	sum=$(printf %s "${texts[@]}" | wc -c)
	for name in four six; do
		account_is $name accepted=${#texts[@]} served=${#texts[@]} bytes_in="$sum" bytes_out="$sum"
	done
	account_is both accepted=$((2 * ${#texts[@]})) served=$((2 * ${#texts[@]})) bytes_out=$((2 * sum))
}

@test "answers to one client that asked two addresses leave from both" {
	start_with "$(service four 'address = "*"')" "$(service both "$BOTH")"
	for name in four both; do
		port=$(port_of $name)
		while_workers_stand_still "$TEST_BIN/dgram" -w 10000 -c 20 -f 127.0.0.1:0 \
			-a "127.0.0.6:$port" "127.0.0.5:$port" hello
		for _ in {1..10}; do
			printf 'from=%s length=5\n' "127.0.0.5:$port" "127.0.0.6:$port"
		done | diff - "$BATS_TEST_TMPDIR/client"
	done
}

@test "answers that cannot be sent together are sent or fail one by one" {
	need_own_network
	start_with "$(service four 'address = "*"')"
	port=$(port_of four)
	# longer than the network takes whole
	net ip link set lo mtu 600
	printf -v text '%*s' 1200 end
	while_workers_stand_still "$TEST_BIN/dgram" -w 10000 -c 40 -T "127.0.0.1:$port" "$text"
	[ "$(grep -c "^from=127.0.0.1:$port length=1200 ttl=200$" "$BATS_TEST_TMPDIR/client")" -eq 40 ]
	# there is no way to this client, and some to the next one
	stop_workers
	spoof -c 5 192.0.2.1:5000 "127.0.0.1:$port" hello
	spoof -c 5 127.0.0.1:5000 "127.0.0.1:$port" hello
	spoof -c 9 192.0.2.1:5000 "127.0.0.1:$port" hello
	go_on
	[ "$(dgram "127.0.0.1:$port" last)" = "from=127.0.0.1:$port length=4" ]
	stop_daemon
	account_is four accepted=60 served=46 failed=14 refused=0
}

@test "a datagram from a port below 1024 is refused" {
	[ "$(id -u)" -eq 0 ] || strict_skip "needs root"
	start_with "$(service udp '')"  "$(service both "$BOTH")"
	[ "$(low_port "$(address_of udp)")" = silence ]
	[ "$(low_port "127.0.0.1:$(port_of both)")" = silence ]
	[ "$(low_port "[::1]:$(port_of both)" "[::1]")" = silence ]
	dgram "$(address_of udp)" hello
	stop_daemon
	account_is udp accepted=2 refused=1 served=1
	account_is both accepted=2 refused=2 served=0
}

need_spoof() {
	"$TEST_BIN/spoof" 127.0.0.1:9 127.0.0.1:9 probe 2>"$BATS_TEST_TMPDIR/probe" || strict_skip "needs CAP_NET_RAW"
}

@test "a datagram forged to come from the service itself is answered at most once" {
	need_spoof
	start_with "$(service udp 'address = "*"' echo 2)" "$(service both "$BOTH")" \
		"$(service six 'family = inet6 address = "::1"')"
	port=$(port_of six)
	spoof "[::1]:$port" "[::1]:$port" hello
	# port 0 and no address are nobody's
	spoof "[::1]:0" "[::1]:$port" hello
	spoof "[::]:5000" "[::1]:$port" hello
	dgram "[::1]:$port" last
	for name in udp both; do
		port=$(port_of $name)
		spoof "127.0.0.1:$port" "127.0.0.1:$port" hello
		spoof "127.0.0.7:$port" "127.0.0.1:$port" hello
		spoof "127.0.0.1:0" "127.0.0.1:$port" hello
		dgram "127.0.0.1:$port" last
	done
	stop_daemon
	# the kernel drops the answer to ourselves
	account_is udp accepted=4 refused=1 served=3 dropped=2
	account_is both accepted=4 refused=1 served=3 dropped=2
	account_is six accepted=4 refused=2 served=2 dropped=1
}

# stop and say how many datagrams came to the services one and two
circles() {
	stop_daemon
	one=$(account_of one accepted)
	two=$(account_of two accepted)
	echo "one: $one, two: $two"
}

@test "two services cannot be made to answer each other for ever" {
	need_spoof
	for keys in '' 'address = "*"'; do
		: >"$LOG"
		start_with "$(service one "$keys")" "$(service two "$keys")"
		spoof "127.0.0.1:$(port_of one)" "127.0.0.1:$(port_of two)" hello
		# they would have time for thousands
		for _ in {1..20}; do
			dgram "127.0.0.1:$(port_of one)" hello >"$BATS_TEST_TMPDIR/lines"
			dgram "127.0.0.1:$(port_of two)" hello >"$BATS_TEST_TMPDIR/lines"
		done
		circles
		# the forged one, and at most one answer to it
		((one + two <= 42))
	done
}

@test "two services with fixed ports cannot be made to answer each other, whoever starts first" {
	need_spoof
	ports=("$(free_port)" "$(free_port)")
	start_with "$(service one "port = ${ports[0]}")" "$(service two "port = ${ports[1]}")"
	spoof "127.0.0.1:${ports[0]}" "127.0.0.1:${ports[1]}" hello
	spoof "127.0.0.1:${ports[1]}" "127.0.0.1:${ports[0]}" hello
	dgram "127.0.0.1:${ports[0]}" hello
	dgram "127.0.0.1:${ports[1]}" hello
	circles
	# each answers the forged one, and the other one's answer comes to nobody
	account_is one accepted=2 served=2 dropped=1
	account_is two accepted=2 served=2 dropped=1
}

# set_on_each_other ONE TWO CLIENT [OPTION...]: one datagram each with the other one's name, and one with its own
set_on_each_other() {
	local raw=()
	[ $# -lt 4 ] || raw=(-p 253)
	spoof "${raw[@]}" "$1" "$2" hello
	spoof "${raw[@]}" "$2" "$1" hello
	spoof "${raw[@]}" "$1" "$1" hello
	# they would have time for thousands
	for _ in {1..20}; do
		dgram "${@:4}" -f "$3" "$1" hello >"$BATS_TEST_TMPDIR/lines"
		dgram "${@:4}" -f "$3" "$2" hello >"$BATS_TEST_TMPDIR/lines"
	done
}

@test "services of two masters cannot be made to answer each other, over IPv4 and IPv6, UDP and raw" {
	need_own_network
	start_with "$(service four '')" "$(service six 'family = inet6')" \
		"$(raw_service raw '')" "$(raw_service raw6 'family = inet6')"
	other start_with "$(service four '')" "$(service six 'family = inet6')" \
		"$(raw_service raw 'address = "127.0.0.2"')" "$(raw_service raw6 'family = inet6 address = "fd00::2"')"
	set_on_each_other "$(address_of four)" "$(other address_of four)" 127.0.0.1:0
	set_on_each_other "$(address_of six)" "$(other address_of six)" "[::1]:0"
	set_on_each_other "$(address_of raw)" "$(other address_of raw)" 127.0.0.9 -r -p 253
	net ip addr add fd00::9/128 dev lo nodad
	set_on_each_other "$(address_of raw6)" "$(other address_of raw6)" "[fd00::9]" -r -p 253
	other stop_daemon
	stop_daemon
	# the forged ones are answered, and their answers by nobody; of raw sockets the kernel does not count them
	for name in four six; do
		account_is "$name" accepted=22 served=22 dropped=2
		other account_is "$name" accepted=21 served=21 dropped=1
	done
	for name in raw raw6; do
		account_is "$name" accepted=22 served=22
		other account_is "$name" accepted=21 served=21
	done
}

@test "a unix client that makes its name a link to a service cannot set it on itself or on another one" {
	keys='socket { mode = 0666 }'
	start_with "$(service one "family = unix path = \"$SOCK-1\" $keys")" \
		"$(service two "family = unix path = \"$SOCK-2\" $keys")"
	# workers must have the right to write to it
	umask 0
	send_only -f "$SOCK-a" -l "$SOCK-1" "$SOCK-1" hello
	send_only -f "$SOCK-b" -l "$SOCK-2" "$SOCK-1" hello
	# the answers come to a service, which refuses them
	for name in one two; do
		[ "$(dgram -f "$ABSTRACT" "$(address_of $name)" hello)" = "from=$(address_of $name) length=5" ]
	done
	# names that begin like that of a service are nobody's
	for from in "$SOCK-" "$SOCK-11" "$ABSTRACT-1"; do
		[ "$(dgram -f "$from" "$SOCK-1" hello)" = "from=$SOCK-1 length=5" ]
	done
	stop_daemon
	account_is one accepted=7 served=6 refused=1
	account_is two accepted=2 served=1 refused=1
}

@test "a unix client that has the name of a service, from another network, is refused" {
	need_own_network
	start_with "$(service path "family = unix path = \"$SOCK\"")" \
		"$(service name "family = unix path = \"$ABSTRACT\"")"
	# the path is the same here, the abstract name is free
	run -1 "$TEST_BIN/dgram" -w 0 -f "$ABSTRACT" "$SOCK" hello
	run -1 "$TEST_BIN/dgram" -w 300 -f "$ABSTRACT" "$SOCK" hello
	dgram -f "$ABSTRACT-2" "$ABSTRACT" hello
	dgram -f "$ABSTRACT-2" "$SOCK" hello
	stop_daemon
	account_is path accepted=3 served=1 refused=2
	account_is name accepted=1 served=1
}

# ttl_is TTL TO [OPTION...]: an answer from there leaves with it
ttl_is() {
	local answer
	answer=$(dgram -T "${@:3}" "$2" hello)
	[ "$answer" = "from=$2 length=5 ttl=$1" ] || {
		echo "not $1: $answer"
		return 1
	}
}

@test "an answer leaves with the mark, a TTL or hop limit of 200" {
	start_with "$(service four '')" "$(service six 'family = inet6 address = "::1"')" \
		"$(service both "$BOTH")"
	ttl_is 200 "$(address_of four)"
	ttl_is 200 "$(address_of six)"
	ttl_is 200 "127.0.0.1:$(port_of both)"
	ttl_is 200 "[::1]:$(port_of both)"
}

# marked_is_dropped TO [OPTION...]: 4 with the mark are sent, 6 others are answered
marked_is_dropped() {
	local ttl
	for ttl in 161 180 199 200; do
		send_only "${@:2}" -t "$ttl" "$1" hello
	done
	for ttl in 160 201 64 128 255 1; do
		[ "$(dgram "${@:2}" -t "$ttl" "$1" "$ttl")" = "from=$1 length=${#ttl}" ]
	done
}

@test "what comes with the mark, a TTL of 161 to 200, is dropped, and all else is served" {
	start_with "$(service four '')" "$(service six 'family = inet6 address = "::1"')" \
		"$(service both "$BOTH")"
	marked_is_dropped "$(address_of four)"
	marked_is_dropped "$(address_of six)"
	marked_is_dropped "127.0.0.1:$(port_of both)"
	marked_is_dropped "[::1]:$(port_of both)"
	stop_daemon
	account_is four accepted=6 served=6 dropped=4
	account_is six accepted=6 served=6 dropped=4
	account_is both accepted=12 served=12 dropped=8
}

@test "socket.ttl takes the mark off the answers, which -t says, and not the filter; a reload puts it back" {
	services() {
		service four "port = ${ports[0]} socket { $1 }"
		service both "family = inet6 address = \"*\" port = ${ports[1]} socket { v6only = false $1 }"
	}
	ports=("$(free_port)" "$(free_port)")
	services 'ttl = 77' | write_config
	run -0 --separate-stderr "$PREFORKD" -t -c "$CONF"
	[ "$(grep -Ec ': warning: service "(four|both)": socket.ttl: .* can be answered' <<<"${stderr:-}")" -eq 2 ]
	start_daemon
	for ttl in 77 200 33 200; do
		for to in "127.0.0.1:${ports[0]}" "127.0.0.1:${ports[1]}" "[::1]:${ports[1]}"; do
			ttl_is "$ttl" "$to"
			send_only -t 180 "$to" hello
		done
		case $ttl in
		77 | 33) services '' | write_config ;;
		200) services 'ttl = 33' | write_config ;;
		esac
		reload_daemon
	done
	log_has 'event=config_warning text=".*socket.ttl: '
	stop_daemon
	account_is four accepted=4 dropped=4
	account_is both accepted=8 dropped=8
}

@test "UDP-Lite: the mark, ports below 1024, and answers no longer than their requests" {
	need_spoof
	"$PREFORKD" --probe | grep -Eq '^inet +dgram +udplite .* works' || strict_skip "kernel: no UDP-Lite"
	start_with "$(service lite 'protocol = udplite')" "$(service gen 'protocol = udplite family = inet6' chargen)"
	to=$(address_of lite)
	ttl_is 200 "$to" -p 136
	marked_is_dropped "$to" -p 136
	while_workers_stand_still "$TEST_BIN/dgram" -w 10000 -p 136 -c 20 "$to" hello
	[ "$(grep -Fcx "from=$to length=5" "$BATS_TEST_TMPDIR/client")" -eq 20 ]
	[ "$(dgram -p 136 "$(address_of gen)" hello)" = "from=$(address_of gen) length=5" ]
	# from ports below 1024: refused
	spoof -l 127.0.0.1:1023 "$to" low
	spoof -l 127.0.0.1:0 "$to" low
	spoof -l "[::1]:1023" "$(address_of gen)" low
	spoof -l 127.0.0.1:1024 "$to" "not low"
	# a header that is cut off, or covers what is not there: nothing comes to the service
	for size in {0..7}; do
		spoof -l -s "$size" 127.0.0.1:5000 "$to" hello
	done
	for coverage in 1 7 14 65535; do
		spoof -l -u "$coverage" 127.0.0.1:5000 "$to" hello
	done
	dgram -p 136 "$to" last
	stop_daemon
	account_is lite accepted=31 refused=2 served=29
	account_is gen accepted=2 refused=1 served=1
}

@test "a datagram to a broadcast or multicast address is refused" {
	start_with "$(service udp 'address = "*"')" "$(service both "$BOTH")"
	for name in udp both; do
		no_answer "127.255.255.255:$(port_of $name)" hello
		dgram "127.0.0.1:$(port_of $name)" hello
	done
	stop_daemon
	account_is udp accepted=2 refused=1 served=1
	account_is both accepted=2 refused=1 served=1
}

@test "over inet and inet6 no answer is longer than its request" {
	for handler in chargen daytime qotd time; do
		: >"$LOG"
		start_with "$(service four '' $handler)" "$(service six 'family = inet6 address = "::1"' $handler)"
		for name in four six; do
			for size in 1 2 3; do
				to=$(address_of $name)
				[ "$(zeros "$size" | dgram "$to")" = "from=$to length=$size" ]
			done
			[ "$(zeros 1000 | dgram "$(address_of $name)" | sed 's/.*=//')" -le 512 ]
		done
		stop_daemon
	done
}

@test "over unix an answer is whole, however short the request" {
	start_with "$(service gen "family = unix path = \"$SOCK-gen\"" chargen)" \
		"$(service time "family = unix path = \"$SOCK-time\"" time)" \
		"$(service say "family = unix path = \"$SOCK-say\"" qotd)"
	[ "$(dgram -f "$ABSTRACT" "$SOCK-gen" x)" = "from=$SOCK-gen length=512" ]
	[ "$(dgram -f "$ABSTRACT" "$SOCK-time" x)" = "from=$SOCK-time length=4" ]
	[ "$(dgram -f "$ABSTRACT" "$SOCK-say" x | sed 's/.*=//')" -gt 10 ]
	# an empty one is a question, too
	[ "$(dgram -f "$ABSTRACT" "$SOCK-gen" '')" = "from=$SOCK-gen length=512" ]
}

@test "a unix client without a name is served and gets no answer" {
	start_with "$(service path "family = unix path = \"$SOCK\"")"
	no_answer "$SOCK" hello
	[ "$(dgram -f "$ABSTRACT" "$SOCK" hello)" = "from=$SOCK length=5" ]
	# a client with a path of its own, which workers must have the right to write to
	umask 0
	[ "$(dgram -f "$SOCK-client" "$SOCK" hello)" = "from=$SOCK length=5" ]
	stop_daemon
	account_is path accepted=3 served=3 failed=0
}

@test "an empty datagram is served and gets no answer" {
	start_with "$(service udp '')" "$(service six 'family = inet6 address = "::1"')" \
		"$(service path "family = unix path = \"$SOCK\"")"
	for name in udp six path; do
		no_answer "$(address_of $name)" ''
	done
	dgram "$(address_of udp)" hello
	stop_daemon
	account_is udp accepted=2 served=2 failed=0 refused=0
	account_is six accepted=1 served=1 failed=0 refused=0
	account_is path accepted=1 served=1 failed=0 refused=0
}

@test "a datagram that is too large fails, and is not echoed in part" {
	start_with "$(service path "family = unix path = \"$SOCK\"")"
	head -c 65536 /dev/urandom >"$BATS_TEST_TMPDIR/most"
	head -c 65537 /dev/urandom >"$BATS_TEST_TMPDIR/more"
	answer=$(dgram -f "$ABSTRACT" -o "$BATS_TEST_TMPDIR/got" "$SOCK" <"$BATS_TEST_TMPDIR/most")
	[ "$answer" = "from=$SOCK length=65536" ]
	cmp "$BATS_TEST_TMPDIR/most" "$BATS_TEST_TMPDIR/got"
	no_answer -f "$ABSTRACT" "$SOCK" <"$BATS_TEST_TMPDIR/more"
	dgram -f "$ABSTRACT" "$SOCK" hello
	stop_daemon
	account_is path accepted=3 served=2 failed=1
}

@test "a header of UDP that is cut off or lies about the length does no harm" {
	need_spoof
	start_with "$(service four '')" "$(service six 'family = inet6')"
	for name in four six; do
		to=$(address_of $name)
		from=${to%:*}:5000
		for size in {0..12}; do
			spoof -s "$size" "$from" "$to" hello
		done
		for length in 1 7 14 65535; do
			spoof -u "$length" "$from" "$to" hello
		done
	done
	# what is within the packet is believed: these are 0 and 2 bytes long
	to=$(address_of four)
	spoof -u 8 127.0.0.1:5000 "$to" hello
	spoof -u 10 127.0.0.1:5000 "$to" hello
	for name in four six; do
		[ "$(dgram "$(address_of $name)" last)" = "from=$(address_of $name) length=4" ]
	done
	stop_daemon
	account_is four accepted=3 served=3 bytes_in=6
	account_is six accepted=1 served=1 bytes_in=4
}

@test "a request of 64 KiB + 1 does not even leave its client over inet and inet6" {
	zeros 65537 >"$BATS_TEST_TMPDIR/more"
	start_with "$(service four '')" "$(service six 'family = inet6')"
	for name in four six; do
		run -71 dgram "$(address_of $name)" <"$BATS_TEST_TMPDIR/more"
		dgram "$(address_of $name)" hello
	done
	stop_daemon
	account_is four accepted=1 served=1
	account_is six accepted=1 served=1
}

@test "the largest datagram of UDP comes back whole" {
	start_with "$(service udp '')" "$(service six 'family = inet6 address = "::1"')"
	head -c 65507 /dev/urandom >"$BATS_TEST_TMPDIR/most"
	for name in udp six; do
		rm -f "$BATS_TEST_TMPDIR/got"
		dgram -o "$BATS_TEST_TMPDIR/got" "$(address_of $name)" <"$BATS_TEST_TMPDIR/most"
		cmp "$BATS_TEST_TMPDIR/most" "$BATS_TEST_TMPDIR/got"
	done
}

# raw_pair: two raw services in a network of their own, and a client's address for each
raw_pair() {
	need_own_network
	net ip addr add fd00::9/128 dev lo nodad
	start_with "$(raw_service four '')" "$(raw_service six 'family = inet6')"
	declare -gA CLIENT=([four]=127.0.0.9 [six]="[fd00::9]")
}

# raw NAME [OPTION...]: ask it
raw() {
	local to
	to=$(address_of "$1")
	dgram -r -p 253 -f "${CLIENT[$1]}" "${@:2}" "${to:-?}"
}

@test "raw: a handler gets exactly what follows the header of IP, whatever its length, and the answer has the mark" {
	raw_pair
	got=$BATS_TEST_TMPDIR/got
	for name in four six; do
		for size in 1 20 1001 65000; do
			head -c "$size" /dev/urandom >"$BATS_TEST_TMPDIR/request"
			# options of IPv4, in words
			for words in 0 1 10; do
				[ $name$words != six1 ] && [ $name$words != six10 ] || continue
				rm -f "$got"
				answer=$(raw $name -T -i "$words" -o "$got" <"$BATS_TEST_TMPDIR/request")
				[ "$answer" = "from=$(address_of $name) length=$size ttl=200" ]
				cmp "$BATS_TEST_TMPDIR/request" "$got"
			done
		done
	done
	# also many at once
	for name in four six; do
		to=$(address_of $name)
		while_workers_stand_still "$TEST_BIN/dgram" -w 10000 -r -p 253 -f "${CLIENT[$name]}" -c 20 "$to" hello
		[ "$(grep -Fcx "from=$to length=5" "$BATS_TEST_TMPDIR/client")" -eq 20 ]
	done
	stop_daemon
	account_is four accepted=32 served=32 bytes_in=$((3 * 66022 + 100)) bytes_out=$((3 * 66022 + 100))
	account_is six accepted=24 served=24 bytes_in=66122 bytes_out=66122
}

@test "raw: empty packets, the largest, and what is too large" {
	raw_pair
	declare -A most=([four]=65515 [six]=65535)
	for name in four six; do
		run -1 raw $name -w 300 </dev/null
		[ -z "$output" ]
		zeros "${most[$name]}" >"$BATS_TEST_TMPDIR/most"
		[ "$(raw $name <"$BATS_TEST_TMPDIR/most")" = "from=$(address_of $name) length=${most[$name]}" ]
		zeros 65537 >"$BATS_TEST_TMPDIR/more"
		run -71 raw $name <"$BATS_TEST_TMPDIR/more"
	done
	stop_daemon
	account_is four accepted=2 served=2 bytes_out=65515
	account_is six accepted=2 served=2 bytes_out=65535
}

@test "raw of protocol udp gets what UDP carries, and has no ports to be refused for" {
	need_own_network
	start_with 'service raw { type = raw protocol = udp handler = discard workers { min = 1 } }' \
		'service raw6 { family = inet6 type = raw protocol = udp handler = discard workers { min = 1 } }' \
		'service lite { type = raw protocol = udplite handler = discard workers { min = 1 } }'
	for port in 0 53 5000; do
		spoof "127.0.0.9:$port" 127.0.0.1:9 hello
		spoof "[fd00::2]:$port" "[::1]:9" hello
		spoof -l "127.0.0.9:$port" 127.0.0.1:9 hello
	done
	stop_daemon
	# with the 8 bytes of each header
	for name in raw raw6 lite; do
		account_is $name accepted=3 served=3 bytes_in=39
	done
}

# loopback_drops: what the interface dropped before it came to a socket, since the kernel had no time for it
loopback_drops() {
	# shellcheck disable=SC2016  # the fields are awk's
	net awk '$1 == "lo:" { print $5 }' /proc/net/dev
}

# came SERVICE N DROPS: so many came to its socket, served or dropped, and what the interface dropped since is lost
came() {
	local came
	came=$(($(account_of "$1" accepted) + $(account_of "$1" dropped)))
	((came <= $2 && came + $(loopback_drops) - $3 >= $2)) || {
		echo "$1: $2 were sent, and $came came"
		return 1
	}
}

@test "raw: two thousand packets that are cut off harm nobody, and a ping after them is answered" {
	need_own_network
	ignore_pings
	drops=$(loopback_drops)
	start_with "$(raw_service four '')" "$(raw_service six 'family = inet6')" \
		'service ping { type = raw protocol = icmp handler = ping workers { min = 1 } }' \
		'service ping6 { family = inet6 type = raw protocol = ipv6-icmp handler = ping workers { min = 1 } }'
	workers=$(workers_of "$MASTER")
	for size in {0..7}; do
		spoof -c 125 -p 253 -s "$size" 127.0.0.9 127.0.0.1 "too long"
		spoof -c 125 -p 253 -s "$size" "[fd00::2]" "[::1]" "too long"
		net "$TEST_BIN/icmp" -r 125 -l "$size" -s 127.0.0.9 127.0.0.1
		net "$TEST_BIN/icmp" -r 125 -l "$size" -s fd00::2 ::1
	done
	for name in ping ping6; do
		net "$PREFORKCTL" -c "$CONF" probe $name
	done
	[ "$(workers_of "$MASTER")" = "$workers" ]
	stop_daemon
	# answers that come back are dropped; the kernel counts nothing when it is the mark
	for name in four six; do
		came $name 1000 "$drops"
		account_is $name failed=0 refused=0 bytes_out="$(account_of $name bytes_in)"
	done
	# the ping is the only request that was whole; "hello\n" has 6 bytes
	account_is ping refused=0 failed=0 bytes_out=14
	account_is ping6 refused=0 failed=0 bytes_out=14
}

@test "a burst of 100 000 datagrams harms nobody, and none is lost without being counted" {
	start_with "$(service four '' echo 2)" "$(service six 'family = inet6' echo 2)" \
		"$(service path "family = unix path = \"$SOCK\"" echo 2)"
	workers=$(workers_of "$MASTER")
	drops=$(loopback_drops)
	for name in four six path; do
		send_only -c 100000 "$(address_of $name)" hello
	done
	for size in 0 1 1000 20000; do
		for name in four six path; do
			zeros "$size" | send_only -c 2000 "$(address_of $name)"
		done
	done
	for name in four six path; do
		wait_for 60 "an answer of $name" answers_again $name
	done
	[ "$(workers_of "$MASTER")" = "$workers" ]
	stop_daemon
	# unix waits until there is room
	account_is path dropped=0
	for name in four six path; do
		account_is $name lost=0 refused=0 in_flight=0
		came $name $((108000 + $(asked $name))) "$drops"
	done
}

# asked NAME: how often
asked() {
	wc -l <"$BATS_TEST_TMPDIR/asked.$1"
}

# answers_again NAME: a request may be dropped, too, while the queue is full
answers_again() {
	local from=()
	case $(address_of "$1") in
	[/@]*) from=(-f "$ABSTRACT-client") ;;
	esac
	echo hello >>"$BATS_TEST_TMPDIR/asked.$1"
	dgram -w 200 "${from[@]}" "$(address_of "$1")" hello
}

@test "what the kernel drops while nobody takes it is counted" {
	keys='socket { receive_buffer = 4K }'
	start_with "$(service four "$keys" echo 2)" "$(service six "family = inet6 $keys" echo 2)"
	drops=$(loopback_drops)
	stop_workers
	for name in four six; do
		send_only -c 100000 "$(address_of $name)" hello
	done
	go_on
	for name in four six; do
		wait_for 60 "an answer of $name" answers_again $name
	done
	stop_daemon
	for name in four six; do
		came $name $((100000 + $(asked $name))) "$drops"
		(($(account_of $name dropped) > 99000))
		(($(account_of $name accepted) > 1))
	done
}

@test "what was dropped counts for the service that had the socket, over reloads with other names and fewer sockets" {
	services() {
		service "$1" "port = ${ports[0]}"
		service four "port = ${ports[1]} socket { reuse_port = per-worker }" echo "$2"
	}
	ports=("$(free_port)" "$(free_port)")
	services old 4 | write_config
	start_daemon
	send_only -t 180 -c 7 "127.0.0.1:${ports[0]}" hello
	# each client goes to another socket, perhaps
	for _ in {1..40}; do
		send_only -t 180 "127.0.0.1:${ports[1]}" hello
	done
	services new 1 | write_config
	reload_daemon
	send_only -t 180 -c 5 "127.0.0.1:${ports[0]}" hello
	send_only -t 180 -c 3 "127.0.0.1:${ports[1]}" hello
	wait_for 30 "the account of the old service" log_has 'event=account service=old '
	stop_daemon
	[ "$(log_count 'event=account service=old ')" -eq 1 ]
	account_is old dropped=7
	account_is new dropped=5
	account_is four dropped=43
}

descriptors_of() {
	find "/proc/$1/fd" -mindepth 1 | wc -l
}

descriptors_are() {
	[ "$(descriptors_of "$1")" -eq "$2" ]
}

@test "descriptors that a unix client passes do not stay open, with and without passcred" {
	for passcred in false true; do
		: >"$LOG"
		start_with "$(service path "family = unix path = \"$SOCK\" socket { passcred = $passcred }")"
		worker=$(workers_of "$MASTER")
		before=$(descriptors_of "$worker")
		# as many as there is room for credentials, one more, and as many as there can be
		for n in 1 2 4 5 253; do
			[ "$n" -lt 253 ] || [ "$(id -u)" -eq 0 ] || continue
			send_only -c 2000 -d "$n" "$SOCK" hello
		done
		[ "$(dgram -w 10000 -d 3 -f "$ABSTRACT" "$SOCK" hello)" = "from=$SOCK length=5" ]
		wait_for 20 "no descriptor more" descriptors_are "$worker" "$before"
		[ "$(workers_of "$MASTER")" = "$worker" ]
		stop_daemon
		[ "$(account_of path failed)" -eq 0 ]
	done
}

@test "descriptors do not stay open either while a reload turns passcred on or off" {
	config() {
		service path "family = unix path = \"$SOCK\" socket { passcred = $1 }"
		# many workers: until the last one is ready the first has time to receive
		service slow "" echo 60
	}
	config false | write_config
	start_daemon
	before=$(descriptors_of "$(workers_of "$MASTER" path)")
	beside "$BATS_TEST_TMPDIR/flood" "$TEST_BIN/dgram" -c 100000000 -w 0 -d 3 "$SOCK" hello
	for passcred in true false true false; do
		config $passcred | write_config
		reload_daemon
		wait_for 30 "the end of the old workers" n_workers_is 1 path
		# it may just have got some
		wait_for 20 "no descriptor more" descriptors_are "$(workers_of "$MASTER" path)" "$before"
	done
	end_beside "$BESIDE"
	[ "$(dgram -w 10000 -f "$ABSTRACT" "$SOCK" hello)" = "from=$SOCK length=5" ]
}

@test "a unix client that does not read its answers holds nobody up" {
	local sent
	start_with "$(service path "family = unix path = \"$SOCK\"")"
	# it sends all its requests before it reads the first answer: more than its queue holds answers
	sent=$(($(cat /proc/sys/net/unix/max_dgram_qlen) + 490))
	run -0 timeout 60 "$TEST_BIN/dgram" -c "$sent" -w 3000 -f "$ABSTRACT-slow" "$SOCK" hello
	dgram -f "$ABSTRACT" "$SOCK" hello
	stop_daemon
	# what did not fit failed
	account_is path "accepted=$((sent + 1))"
	(($(account_of path failed) > 300))
	[ "$(account_of path served)" -eq $((${#lines[@]} + 1)) ]
}

# PREFORKD_TEST_SEED is for the numbers of another run; the one in use stands in the output.
@test "twenty thousand random datagrams crash nobody, and the accounts add up" {
	need_own_network
	start_with "$(service four 'address = "*"' echo 2)" "$(service six 'family = inet6' chargen)" \
		"$(service both "$BOTH" qotd)" \
		"$(service path "family = unix path = \"$SOCK\"" echo 2)" \
		"$(service name "family = unix path = \"$ABSTRACT\" socket { passcred = true }" daytime)" \
		"$(raw_service raw 'address = "*"')" "$(raw_service raw6 'family = inet6' time)" \
		'service icmp { type = raw protocol = icmp handler = echo workers { min = 1 } }' \
		'service ping { type = raw protocol = icmp address = "*" handler = ping workers { min = 1 } }' \
		'service ping6 { family = inet6 type = raw protocol = ipv6-icmp handler = ping workers { min = 1 } }'
	workers=$(workers_of "$MASTER")
	drops=$(loopback_drops)
	net "$TEST_BIN/scatter" "${PREFORKD_TEST_SEED:-20261122}" 20000 \
		"udp:127.0.0.1:$(port_of four)" "udp:[::1]:$(port_of six)" \
		"udp:127.0.0.1:$(port_of both)" "udp:[::1]:$(port_of both)" \
		"ip:127.0.0.1:$(port_of four)" "ip:127.0.0.1:$(port_of both)" \
		raw:253:127.0.0.1 "raw:253:[::1]" raw:1:127.0.0.1 "raw:58:[::1]" \
		"unix:$SOCK" "unix:$ABSTRACT" | tee "$BATS_TEST_TMPDIR/scatter"
	for name in four six both path name; do
		wait_for 60 "an answer of $name" answers_again $name
	done
	[ "$(workers_of "$MASTER")" = "$workers" ]
	stop_daemon
	# where nothing is lost on the way, and nobody else sends
	for name in six path name; do
		came $name $(($(sent_to "$(address_of $name)") + $(asked $name))) "$drops"
	done
	for name in four both raw raw6 icmp ping ping6; do
		(($(account_of $name accepted) + $(account_of $name dropped) > 500))
	done
}

# sent_to ADDRESS: what scatter said
sent_to() {
	grep -F ":$1 sent=" "$BATS_TEST_TMPDIR/scatter" | sed 's/.*=//'
}
