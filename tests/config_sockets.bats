#!/usr/bin/env bats
# config_sockets.bats - keys of sockets that make no sense: each option with each family, type and protocol, and values
# that no socket can have, are refused with the reason; and what makes sense is accepted. (That the start and a reload
# refuse what -t refuses, and with the same words, config_refused.bats shows.)

bats_require_minimum_version 1.5.0
load lib/daemon

setup() {
	daemon_setup
	export RELOAD_KEY=
	shopt -s extglob
	N_CASES=0
	FAILED_CASES=0
}

teardown() {
	daemon_teardown
}

# FAMILY-TYPE-PROTOCOL, or what else tells them apart
KINDS=(inet-stream-tcp inet6-stream-tcp inet-stream-mptcp inet6-stream-mptcp inet-stream-sctp inet6-stream-sctp
	inet-seqpacket-sctp inet6-seqpacket-sctp inet-dgram-udp inet6-dgram-udp inet-dgram-udplite inet6-dgram-udplite
	inet-dgram-icmp inet6-dgram-ipv6-icmp inet-raw-icmp inet6-raw-ipv6-icmp inet-raw-253 inet6-raw-253
	unix-stream-path unix-dgram-path unix-seqpacket-path unix-stream-name unix-dgram-name unix-seqpacket-name
	vsock-stream vsock-seqpacket vsock-dgram tipc-rdm tipc-dgram tipc-seqpacket tipc-stream)

# keys_of KIND N: of a service of that kind that is accepted, if this system has such sockets
keys_of() {
	local family type rest
	IFS=- read -r family type rest <<<"$1"
	echo "family = $family type = $type"
	case $1 in
	inet*) echo "protocol = $rest" ;;
	unix*-path) echo "path = \"/sock$2\"" ;;
	unix*-name) echo "path = \"@sock$2\"" ;;
	tipc*) echo "address = \"1000:$2\"" ;;
	esac
}

# failed TEXT: a case is not as it should be
failed() {
	echo "$1"
	FAILED_CASES=$((FAILED_CASES + 1))
}

# all_as_expected N: what the cases of a test come to; there must be N of them
all_as_expected() {
	echo "$N_CASES cases, $FAILED_CASES failed"
	[ "$FAILED_CASES" -eq 0 ] && [ "$N_CASES" -eq "$1" ]
}

# check_config: the lines that -T says, as $SAID. It finds what -t finds, but does not ask what this system has.
check_config() {
	SAID=$("$PREFORKD" -c "$CONF" -T 2>&1 >/dev/null) || :
}

# said N TEXT: about the service in line N, or about all lines that begin so
said() {
	[[ $'\n'$SAID$'\n' == *$'\n'"$CONF:$1: service \"s$1\": $2"* ]]
}

# reason_of KIND REASONS: the one whose pattern fits, of "PATTERN: reason | PATTERN: reason ..."
reason_of() {
	local reason rest=$2
	while [ -n "$rest" ]; do
		reason=${rest%% | *}
		# shellcheck disable=SC2053  # it is a pattern
		if [[ $1 == ${reason%%: *} ]]; then
			REASON=${reason#*: }
			return
		fi
		[[ $rest == *" | "* ]] || break
		rest=${rest#* | }
	done
	REASON="the table has no reason for $1"
}

# a multicast group of the family, with the address that it needs
declare -gA groups=([inet]=239.1.2.3 [inet6]=ff05::1 [unix]=239.1.2.3 [vsock]=239.1.2.3 [tipc]=239.1.2.3)
declare -gA wildcards=([inet]='address = "*"' [inet6]='address = "*"')

# matrix: of standard input, "WRITTEN ~ KEY ~ PATTERN ~ REASONS": what is written goes with the kinds of the pattern,
# and with each of the others it is refused for one of the reasons. Each row is one config with a service of each kind.
matrix() {
	local row written key allowed reasons i kind family keys=()
	for i in "${!KINDS[@]}"; do
		keys[i]=$(keys_of "${KINDS[i]}" "$i" | tr '\n' ' ')
	done
	while IFS= read -r row; do
		written=${row%% ~ *} row=${row#* ~ }
		key=${row%% ~ *} row=${row#* ~ }
		allowed=${row%% ~ *} reasons=${row#* ~ }
		for i in "${!KINDS[@]}"; do
			kind=${KINDS[i]}
			family=${kind%%-*}
			echo "service s$((i + 1)) { handler = echo ${keys[i]} ${wildcards[$family]} ${written/GROUP/${groups[$family]}} }"
		done >"$CONF"
		check_config
		for i in "${!KINDS[@]}"; do
			kind=${KINDS[i]}
			N_CASES=$((N_CASES + 1))
			# shellcheck disable=SC2053
			if [[ $kind == $allowed ]]; then
				! said $((i + 1)) "$key: " || failed "$written is refused for $kind"
			else
				reason_of "$kind" "$reasons"
				said $((i + 1)) "$key: $REASON"$'\n' || failed "$written for $kind: not said: $REASON"
			fi
		done
	done
}

@test "each option goes with the sockets that have it, and is refused for all others with the reason" {
	matrix <<-'END'
	socket { backlog = 5 } ~ socket.backlog ~ *-@(stream|seqpacket)* ~ *: a socket that receives does not listen
	socket { v6only = true } ~ socket.v6only ~ inet6-@(stream|dgram|seqpacket)* ~ *-raw-*: type raw takes packets of its own family only | *: only family inet6 has it
	socket { reuse_port = yes } ~ socket.reuse_port ~ inet?(6)-!(raw-*) ~ *: only what has a port of inet or inet6 can share it
	socket { reuse_port = no } ~ socket.reuse_port ~ inet?(6)-!(raw-*) ~ *: only what has a port of inet or inet6 can share it
	socket { reuse_port = per-worker } ~ socket.reuse_port ~ inet?(6)-@(stream-tcp|dgram-udp|dgram-udplite) ~ inet?(6)-@(stream|dgram|seqpacket)-*: per-worker is for protocols tcp, udp and udplite | *: only what has a port of inet or inet6 can share it
	socket { freebind = true } ~ socket.freebind ~ inet* ~ *: only families inet and inet6 have it
	socket { transparent = true } ~ socket.transparent ~ inet* ~ *: only families inet and inet6 have it
	socket { bind_device = lo } ~ socket.bind_device ~ inet* ~ *: only families inet and inet6 have it
	socket { bind_retry = 5s } ~ socket.bind_retry ~ inet* ~ *: only families inet and inet6 have it
	socket { nodelay = true } ~ socket.nodelay ~ *-?(mp)tcp ~ *: only protocols tcp and mptcp have it
	socket { defer_accept = 5s } ~ socket.defer_accept ~ *-?(mp)tcp ~ *: only protocols tcp and mptcp have it
	socket { fastopen = 5 } ~ socket.fastopen ~ *-?(mp)tcp ~ *: only protocols tcp and mptcp have it
	socket { congestion = reno } ~ socket.congestion ~ *-?(mp)tcp ~ *: only protocols tcp and mptcp have it
	socket { user_timeout = 5s } ~ socket.user_timeout ~ *-?(mp)tcp ~ *: only protocols tcp and mptcp have it
	socket { receive_buffer = 50K } ~ socket.receive_buffer ~ @(inet|tipc)* ~ vsock*: family vsock has no such buffer | *: what a unix socket may hold counts in the sender's send_buffer
	socket { send_buffer = 50K } ~ socket.send_buffer ~ @(inet*|tipc*|unix-dgram-*) ~ vsock*: family vsock has no such buffer | *: connections that are accepted do not inherit it
	socket { mark = 5 } ~ socket.mark ~ inet* ~ *: only families inet and inet6 have it
	socket { priority = 5 } ~ socket.priority ~ inet* ~ *: only families inet and inet6 have it
	socket { tos = 8 } ~ socket.tos ~ inet* ~ *: only families inet and inet6 have it
	socket { ttl = 5 } ~ socket.ttl ~ inet?(6)-!(raw-*) ~ *-raw-*: a raw service knows its own answers by their ttl | *: only families inet and inet6 have it
	socket { priority = 7 } ~ socket.priority ~ inet?(6)-@(dgram|raw|seqpacket)-* ~ inet*: above 6 it cannot be given to connections, by workers without rights | *: only families inet and inet6 have it
	socket { broadcast = true } ~ socket.broadcast ~ inet-dgram-udp?(lite) ~ *: only udp and udplite over family inet have it
	socket { passcred = true } ~ socket.passcred ~ unix-dgram-* ~ *: only unix dgram has it; connections know their peer without
	socket { mode = 0600 } ~ socket.mode ~ unix-*-path ~ unix*: an abstract name has no permissions | *: only family unix has it
	socket { owner = root } ~ socket.owner ~ unix-*-path ~ unix*: an abstract name has no permissions | *: only family unix has it
	socket { group = root } ~ socket.group ~ unix-*-path ~ unix*: an abstract name has no permissions | *: only family unix has it
	socket { directory_mode = 0755 } ~ socket.directory_mode ~ unix-*-path ~ unix*: an abstract name has no permissions | *: only family unix has it
	socket { keepalive { idle = 5s } } ~ socket.keepalive.idle ~ *-?(mp)tcp ~ *: only protocols tcp and mptcp have it
	socket { keepalive { idle = 5s interval = 5s } } ~ socket.keepalive.interval ~ *-?(mp)tcp ~ *: only protocols tcp and mptcp have it
	socket { keepalive { idle = 5s count = 5 } } ~ socket.keepalive.count ~ *-?(mp)tcp ~ *: only protocols tcp and mptcp have it
	socket { multicast { interface = "" } } ~ socket.multicast.interface ~ *-dgram-udp?(lite) ~ *: only protocols udp and udplite have it
	port = 0 ~ port ~ @(inet?(6)-@(stream|dgram|seqpacket)*|vsock*) ~ unix*: family unix has a path instead | tipc*: family tipc has the number of the service in its address | *: type raw has no ports
	scope = cluster ~ scope ~ tipc* ~ *: only family tipc has it
	END
	all_as_expected $((33 * ${#KINDS[@]}))
}

@test "a multicast group goes with udp and udplite, and is refused for all others with the reason" {
	matrix <<-'END'
	socket { multicast { group = "GROUP" } } ~ socket.multicast.group ~ *-dgram-udp?(lite) ~ *: only protocols udp and udplite have it
	END
	all_as_expected ${#KINDS[@]}
}

@test "what goes with each socket is accepted together" {
	local i
	for i in "${!KINDS[@]}"; do
		echo "service s$i { handler = echo $(keys_of "${KINDS[i]}" "$i") socket { $(all_options "${KINDS[i]}") } }"
	done >"$CONF"
	# -T does not ask which sockets this system has
	run -0 "$PREFORKD" -c "$CONF" -T
	[ "$(grep -c '^service ' <<<"$output")" -eq "${#KINDS[@]}" ]
}

# all_options KIND: all that it has
all_options() {
	case $1 in
	inet*) echo 'freebind = true transparent = true bind_device = lo bind_retry = 5s receive_buffer = 50K send_buffer = 50K
		mark = 5 priority = 5 tos = 8' ;;
	tipc*) echo 'receive_buffer = 50K send_buffer = 50K' ;;
	unix-dgram-*) echo 'send_buffer = 50K passcred = true' ;;
	esac
	case $1 in
	*tcp) echo 'nodelay = true defer_accept = 5s fastopen = 5 congestion = reno user_timeout = 5s reuse_port = yes
		keepalive { idle = 5s interval = 5s count = 5 }' ;;
	unix*path) echo 'mode = 0600 owner = root group = root directory_mode = 0755' ;;
	inet-dgram-udp*) echo 'broadcast = true reuse_port = yes' ;;
	inet6-dgram-udp*) echo 'reuse_port = per-worker' ;;
	esac
	[[ $1 != inet*-@(stream|dgram|seqpacket)* ]] || echo 'ttl = 5'
	[[ $1 != *-@(stream|seqpacket)* ]] || echo 'backlog = 5'
	[[ $1 != inet6-@(stream|dgram)* ]] || echo 'v6only = false'
}

# ---- values ----

# rows: of standard input, "WRITTEN ~ WHAT IS SAID"; all are services of one config, and each is refused for this
rows() {
	local row n=0 written=() expected=()
	while IFS= read -r row; do
		n=$((n + 1))
		written[n]=${row% ~ *}
		expected[n]=${row##* ~ }
		printf 'service s%s { handler = echo %b }\n' "$n" "${written[n]}"
	done >"$CONF"
	check_config
	for ((; n > 0; n--)); do
		N_CASES=$((N_CASES + 1))
		said "$n" "${expected[n]}" || failed "${written[n]}: not said: ${expected[n]}; $(grep "^$CONF:$n:" <<<"$SAID")"
	done
}

@test "numbers that no socket option can have are refused with the limits" {
	rows <<-'END'
	socket { ttl = 256 } ~ socket.ttl: 256 is out of range: must be from 0 to 255
	socket { tos = 256 } ~ socket.tos: 256 is out of range: must be from 0 to 255
	socket { mark = 4294967296 } ~ socket.mark: 4294967296 is out of range: must be from 0 to 4294967295
	socket { priority = 2147483648 } ~ socket.priority: 2147483648 is out of range: must be from 0 to 2147483647
	socket { fastopen = 65536 } ~ socket.fastopen: 65536 is out of range: must be from 0 to 65535
	socket { receive_buffer = 2G } ~ socket.receive_buffer: 2G is out of range: must be from 0 to 1G
	socket { send_buffer = 1073741825 } ~ socket.send_buffer: 1073741825 is out of range: must be from 0 to 1G
	socket { user_timeout = 25h } ~ socket.user_timeout: 25h is out of range: must be from 0 to 1d
	socket { bind_retry = 61m } ~ socket.bind_retry: 61m is out of range: must be from 0 to 1h
	socket { defer_accept = 3601s } ~ socket.defer_accept: 3601s is out of range: must be from 0 to 1h
	socket { keepalive { idle = 32768s } } ~ socket.keepalive.idle: 32768s is out of range: must be from 0 to 32767s
	socket { keepalive { idle = 1s interval = 9h6m8s } } ~ socket.keepalive.interval: "9h6m8s" is not a duration with its unit
	socket { keepalive { idle = 1s interval = 10h } } ~ socket.keepalive.interval: 10h is out of range: must be from 0 to 32767s
	socket { keepalive { idle = 1s count = 128 } } ~ socket.keepalive.count: 128 is out of range: must be from 0 to 127
	family = unix path = "/x" socket { directory_mode = 01000 } ~ socket.directory_mode: 01000 is out of range: must be from 0000 to 0777
	family = vsock port = 4294967295 ~ port: 4294967295 is out of range: must be from 0 to 4294967294
	port = 4294967295 ~ port: 4294967295 is out of range: must be from 0 to 4294967294
	END
	# what depends on other keys
	rows <<-'END'
	socket { tos = 3 } ~ socket.tos: must be a multiple of 4: the last two bits are the kernel's (ECN)
	socket { tos = 254 } ~ socket.tos: must be a multiple of 4: the last two bits are the kernel's (ECN)
	port = 65536 ~ port: 65536 is out of range: must be from 0 to 65535
	port = 4294967294 ~ port: 4294967294 is out of range: must be from 0 to 65535
	family = inet6 type = dgram port = 65536 ~ port: 65536 is out of range: must be from 0 to 65535
	END
	all_as_expected 22
}

@test "values of the wrong kind are refused" {
	rows <<-'END'
	socket { nodelay = 1 } ~ socket.nodelay: "1" is not true or false
	socket { freebind = maybe } ~ socket.freebind: "maybe" is not true or false
	socket { transparent = 0 } ~ socket.transparent: "0" is not true or false
	type = dgram socket { broadcast = TRUE } ~ socket.broadcast: "TRUE" is not true or false
	family = unix type = dgram path = "@x" socket { passcred = "" } ~ socket.passcred: "" is not true or false
	socket { reuse_port = true } ~ socket.reuse_port: "true" is not one of no yes per-worker
	socket { reuse_port = per_worker } ~ socket.reuse_port: "per_worker" is not one of no yes per-worker
	socket { ttl = -1 } ~ socket.ttl: "-1" is not a number
	socket { tos = 0x10 } ~ socket.tos: "0x10" is not a number
	socket { mark = 010 } ~ socket.mark: "010" is not a number
	socket { priority = high } ~ socket.priority: "high" is not a number
	socket { fastopen = true } ~ socket.fastopen: "true" is not a number
	socket { receive_buffer = 1.5M } ~ socket.receive_buffer: "1.5M" is not a number, with K, M or G
	socket { send_buffer = 64KiB } ~ socket.send_buffer: "64KiB" is not a number, with K, M or G
	socket { bind_retry = 30 } ~ socket.bind_retry: "30" is not a duration with its unit
	socket { user_timeout = forever } ~ socket.user_timeout: "forever" is not a duration with its unit
	socket { defer_accept = 5 } ~ socket.defer_accept: "5" is not a duration with its unit
	socket { keepalive { count = three } } ~ socket.keepalive.count: "three" is not a number
	family = unix path = "/x" socket { directory_mode = 0888 } ~ socket.directory_mode: "0888" is not an octal mode
	family = tipc address = "100:1" scope = galaxy ~ scope: "galaxy" is not one of node cluster
	END
	all_as_expected 20
}

@test "what the kernel counts in seconds is whole seconds, and keepalive begins with idle" {
	rows <<-'END'
	socket { defer_accept = 1500ms } ~ socket.defer_accept: must be whole seconds
	socket { defer_accept = 1ms } ~ socket.defer_accept: must be whole seconds
	socket { keepalive { idle = 1500ms } } ~ socket.keepalive.idle: must be whole seconds
	socket { keepalive { idle = 5s interval = 999ms } } ~ socket.keepalive.interval: must be whole seconds
	socket { keepalive { interval = 5s } } ~ socket.keepalive.idle: is 0, which is no keepalive at all: write it, too
	socket { keepalive { count = 5 } } ~ socket.keepalive.idle: is 0, which is no keepalive at all: write it, too
	socket { keepalive { idle = 0 count = 5 } } ~ socket.keepalive.idle: is 0, which is no keepalive at all: write it, too
	END
	all_as_expected 7
}

@test "addresses of vsock and tipc that are none are refused" {
	local address no_cid='is none of any, localhost, host, and no CID'
	local no_tipc='is not TYPE:LOWER-UPPER or TYPE:INSTANCE with TYPE from 64 on'
	for address in guest '' -1 4294967296 1.2.3.4 0x2 01 '2 ' ANY local; do
		echo "family = vsock address = \"$address\" ~ address: \"$address\" $no_cid"
	done >"$CONF.rows"
	rows <"$CONF.rows"
	for address in localhost '' 100 100: :1 63:1 0:0 100:5-4 100:1- 100:-1 100:1-2-3 4294967296:1 100:4294967296 \
		100:1-4294967296 ' 100:1' '100:1 ' '100: 1' 100:1x 0100:1 100:01 100:1-02 a:b 100,1 +100:1 100:1:2 \
		99999999999999999:1; do
		echo "family = tipc type = rdm address = \"$address\" ~ address: \"$address\" $no_tipc"
	done >"$CONF.rows"
	echo "family = tipc type = rdm ~ address: \"localhost\" $no_tipc" >>"$CONF.rows"
	rows <"$CONF.rows"
	all_as_expected 37
}

@test "addresses that are none are not taken for the same address" {
	for keys in 'family = tipc type = rdm address =' 'family = vsock port = 5 address =' 'family = unix path ='; do
		printf "service s%s { handler = echo $keys %s }\n" 1 "$(printf '%0120d' 1)" 2 "$(printf '%0120d' 2)" >"$CONF"
		run -78 "$PREFORKD" -c "$CONF" -T
		[ "${#lines[@]}" -eq 2 ]
	done
}

@test "a multicast group that is none, or that could receive nothing, is refused" {
	rows <<-'END'
	type = dgram address = "*" socket { multicast { group = "10.0.0.1" } } ~ socket.multicast.group: "10.0.0.1" is no multicast address of family inet
	type = dgram address = "*" socket { multicast { group = "223.255.255.255" } } ~ socket.multicast.group: "223.255.255.255" is no multicast address of family inet
	type = dgram address = "*" socket { multicast { group = "240.0.0.0" } } ~ socket.multicast.group: "240.0.0.0" is no multicast address of family inet
	type = dgram address = "*" socket { multicast { group = "ff05::1" } } ~ socket.multicast.group: "ff05::1" is no multicast address of family inet
	type = dgram address = "*" socket { multicast { group = "239.1.2" } } ~ socket.multicast.group: "239.1.2" is no multicast address of family inet
	type = dgram address = "*" socket { multicast { group = "*" } } ~ socket.multicast.group: "*" is no multicast address of family inet
	family = inet6 type = dgram address = "*" socket { multicast { group = "239.1.2.3" } } ~ socket.multicast.group: "239.1.2.3" is no multicast address of family inet6
	family = inet6 type = dgram address = "*" socket { multicast { group = "fe80::1" } } ~ socket.multicast.group: "fe80::1" is no multicast address of family inet6
	family = inet6 type = dgram address = "*" socket { multicast { group = "ff02::1%lo" } } ~ socket.multicast.group: "ff02::1%lo" is no multicast address of family inet6
	type = dgram socket { multicast { group = "239.1.2.3" } } ~ socket.multicast.group: needs address "*": nothing for a group comes to another one
	type = dgram address = 127.0.0.1 socket { multicast { group = "239.1.2.3" } } ~ socket.multicast.group: needs address "*": nothing for a group comes to another one
	family = inet6 type = dgram address = "::1" socket { multicast { group = "ff05::1" } } ~ socket.multicast.group: needs address "*": nothing for a group comes to another one
	type = dgram address = "*" socket { multicast { interface = lo } } ~ socket.multicast.interface: needs a group
	type = dgram address = "239.1.2.3" ~ address: is a group: write it as socket { multicast { group } }
	address = "239.1.2.3" ~ address: is a group: write it as socket { multicast { group } }
	family = inet6 type = dgram address = "ff05::1" ~ address: is a group: write it as socket { multicast { group } }
	END
	all_as_expected 16
}

@test "what is wrong with a multicast group is said once" {
	local keys
	while read -r keys; do
		echo "service a { handler = echo $keys }" >"$CONF"
		run -78 "$PREFORKD" -c "$CONF" -T
		echo "$output"
		[ "$(grep -c 'socket.multicast.group: ' <<<"$output")" -eq 1 ]
		[ "$(grep -c 'socket.multicast.interface: ' <<<"$output")" -le 1 ]
	done <<-'END'
		type = dgram socket { multicast { group = "10.0.0.1" } }
		socket { multicast { group = "239.1.2.3" } }
		family = unix path = "/x" socket { multicast { group = "239.1.2.3" interface = lo } }
		family = tipc type = rdm address = "100:1" socket { multicast { group = "239.1.2.3" interface = lo } }
	END
}

@test "per-worker is refused where each worker would receive the same" {
	rows <<-'END'
	type = dgram address = "*" socket { reuse_port = per-worker broadcast = true } ~ socket.reuse_port: per-worker does not go with broadcast or multicast: each worker would answer
	type = dgram address = "*" socket { reuse_port = per-worker multicast { group = "239.1.2.3" } } ~ socket.reuse_port: per-worker does not go with broadcast or multicast: each worker would answer
	family = inet6 type = dgram address = "*" socket { reuse_port = per-worker multicast { group = "ff05::1" } } ~ socket.reuse_port: per-worker does not go with broadcast or multicast: each worker would answer
	END
	all_as_expected 3
}

@test "names that are longer than the kernel has room for are refused" {
	rows <<-'END'
	socket { bind_device = abcdefghijklmnop } ~ socket.bind_device: is longer than 15 bytes
	type = dgram address = "*" socket { multicast { group = "239.1.2.3" interface = abcdefghijklmnop } } ~ socket.multicast.interface: is longer than 15 bytes
	socket { congestion = abcdefghijklmnop } ~ socket.congestion: is longer than 15 bytes
	END
	all_as_expected 3
}

@test "keys of the block socket are unknown outside of it" {
	local key
	for key in backlog v6only mode owner reuse_port ttl; do
		printf 'service s1 {\n\thandler = echo\n\t%s = 1\n}\n' "$key" | write_config
		run -78 "$PREFORKD" -c "$CONF" -t
		[[ $output == "$CONF:3: service \"s1\": unknown key $key"* ]]
	done
}

@test "an unknown key of a block in a block is said with both" {
	printf 'service s1 {\n\thandler = echo\n\tsocket { keepalive { multicast { } } }\n}\n' | write_config
	run -78 "$PREFORKD" -c "$CONF" -t
	[[ $output == "$CONF:3: service \"s1\": socket.keepalive: unknown key multicast"* ]]
	printf 'service s1 {\n\thandler = echo\n\tsocket { keepalive { idel = 5s } }\n}\n' | write_config
	run -78 "$PREFORKD" -c "$CONF" -t
	[[ $output == "$CONF:3: service \"s1\": socket.keepalive: unknown key idel; did you mean idle?"* ]]
}

@test "two services at one address of vsock, tipc or raw are refused" {
	for keys in 'family = vsock port = 5' 'family = tipc address = "100:1-5"' 'type = raw protocol = 253' \
		'type = dgram port = 5 socket { reuse_port = yes }'; do
		printf 'service s1 { handler = echo %s }\nservice s2 { handler = echo %s }\n' "$keys" "$keys" | write_config
		run -78 "$PREFORKD" -c "$CONF" -t
		grep -Eq "^$CONF:2: service \"s2\": (port|address): .* is taken by service \"s1\" \($CONF:1\)$" <<<"$output"
	done
	# a port 0 of vsock is a new one each time, and other protocols are other sockets
	write_config <<-'END'
	service a { handler = echo family = vsock }
	service b { handler = echo family = vsock }
	service c { handler = echo type = raw protocol = 253 }
	service d { handler = echo type = raw protocol = 254 }
	service e { handler = echo type = dgram port = 5 }
	service f { handler = echo type = dgram port = 5 protocol = udplite }
	END
	run -0 "$PREFORKD" -c "$CONF" -T
}

@test "the largest and the strangest values that make sense are accepted" {
	local n=0 row
	while IFS= read -r row; do
		echo "service s$((++n)) { handler = echo $row }"
	done >"$CONF" <<-'END'
	socket { ttl = 255 tos = 252 mark = 4294967295 priority = 6 fastopen = 65535 receive_buffer = 1G }
	socket { user_timeout = 1d bind_retry = 1h defer_accept = 1h }
	socket { keepalive { idle = 32767s interval = 32767s count = 127 } }
	socket { ttl = 0 tos = 0 mark = 0 priority = 0 fastopen = 0 receive_buffer = 0 send_buffer = 0 congestion = "" }
	socket { user_timeout = 1ms bind_retry = 1ms defer_accept = 1000ms keepalive { idle = 1000ms } bind_device = "" }
	socket { keepalive { idle = 0 interval = 0 count = 0 } defer_accept = 0 user_timeout = 0 bind_retry = 0 }
	socket { bind_device = abcdefghijklmno congestion = abcdefghijklmno }
	type = dgram port = 9 socket { priority = 2147483647 }
	family = unix path = "/a" socket { directory_mode = 0777 }
	family = unix path = "/b" socket { directory_mode = 0 }
	family = vsock port = 4294967294 address = any
	family = vsock port = 1 address = "*"
	family = vsock port = 65536 address = host
	family = vsock port = 2 address = 4294967294
	family = vsock port = 3 address = 0
	family = tipc type = rdm address = "64:0"
	family = tipc type = rdm address = "4294967295:4294967295"
	family = tipc type = rdm address = "1000:0-4294967295" scope = cluster
	family = tipc type = rdm address = "1000:7-7" scope = node
	type = dgram port = 1 address = "*" socket { multicast { group = "224.0.0.0" } }
	type = dgram port = 2 address = "*" socket { multicast { group = "239.255.255.255" interface = abcdefghijklmno } }
	type = dgram port = 3 address = "0.0.0.0" socket { multicast { group = "" interface = "" } }
	family = inet6 type = dgram port = 4 address = "::" socket { multicast { group = "ff00::" } }
	END
	run -0 "$PREFORKD" -c "$CONF" -T
	[ "$(grep -c '^service ' <<<"$output")" -eq "$n" ]
	[ "$n" -eq 23 ]
}
