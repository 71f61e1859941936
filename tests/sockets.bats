#!/usr/bin/env bats
# sockets.bats - every row of the table of sockets: served where this kernel has it, refused with the reason where not;
# what --probe and -t say about it; and preforkctl, the client of all of them.
# shellcheck disable=SC2030,SC2031,SC2154  # each test is a subshell, and sets its own variables; run sets stderr

bats_require_minimum_version 1.5.0
load lib/daemon
load lib/network

PREFORKCTL=${PREFORKCTL:-${PREFORKD%/*}/preforkctl}

setup() {
	daemon_setup
	ABSTRACT=@preforkd-test-$$-$RANDOM-$BATS_TEST_NUMBER
	ANSWER=$BATS_TEST_TMPDIR/answer
}

teardown() { daemon_teardown; }

# ---- the table ----

# rows: "FAMILY TYPE PROTOCOL" of preforkd -m
rows() {
	"$PREFORKD" -m | awk 'NF == 0 { on = 0 } on { print } $0 == "[protocols]" { on = 1 }'
}

# opened [-b]: the rows, each with what socket(2) says to a process where and as what PREFORKD runs
opened() {
	rows | "${BEHIND[@]}" "$TEST_BIN/opens" "$@"
}

# keys_of FAMILY TYPE PROTOCOL [NAME]: of a service on such a socket
keys_of() {
	local protocol=${3/other/253}
	echo "family = $1 type = $2"
	[ "$protocol" = none ] || echo "protocol = \"$protocol\""
	case $1 in
	unix) echo "path = \"${4:-$BATS_TEST_TMPDIR/$1-$2}\"" ;;
	# a range of its own for each type
	tipc) echo "address = \"$((70000 + ${#2})):1-10\"" ;;
	esac
}

# handler_of FAMILY TYPE PROTOCOL: one that answers, where one may
handler_of() {
	case $2-$3 in
	raw-*icmp) echo ping ;;
	# nobody may answer there
	dgram-*icmp) echo discard ;;
	*) echo echo ;;
	esac
}

# service NAME HANDLER KEYS
service() {
	echo "service $1 { handler = $2 workers { min = 1 }"
	printf '%s\n' "$3" '}'
}

# ---- clients ----

# ctl [OPTION...] SERVICE [TEXT]: preforkctl, with the port if there is one in the log
ctl() {
	local options=() port=()
	while [[ $1 == -? ]]; do
		options+=("$1" "$2")
		shift 2
	done
	if [[ $(address_of "$1") =~ [^:]:([0-9]+)$ ]]; then
		port=(-p "${BASH_REMATCH[1]}")
	fi
	net timeout 60 "$PREFORKCTL" -c "$CONF" "${port[@]}" "${options[@]}" probe "$@"
}

# ctl_echoes SERVICE TEXT: it comes back, whole and alone, and standard error says how much from where in what time
ctl_echoes() {
	local from
	ctl "$1" "$2" >"$ANSWER" 2>"$ANSWER.said" || { echo "$1: preforkctl: status $?"; cat "$ANSWER.said"; return 1; }
	printf '%s\n' "$2" | cmp - "$ANSWER"
	from=$(address_of "$1")
	# of a range of TIPC the lower end is asked
	[[ $from != tipc:* ]] || from=${from%-*}
	grep -Fq "$((${#2} + 1)) bytes from $from in " "$ANSWER.said" || { cat "$ANSWER.said"; return 1; }
	[ "$(grep -Ecx '[0-9]+ bytes from [^ ]+ in [0-9]+\.[0-9]{3} ms' "$ANSWER.said")" -eq 1 ]
}

le32() {
	printf '%02x%02x%02x%02x' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255))
}

# sockaddr inet|inet6|vsock PORT, sockaddr tipc TYPE INSTANCE: what follows the family in it, as socat's generic
# addresses want it
sockaddr() {
	case $1 in
	inet) printf 'x%04x7f0000010000000000000000' "$2" ;;
	inet6) printf 'x%04x00000000%032x00000000' "$2" 1 ;;
	vsock) printf 'x0000%s%s00000000' "$(le32 "$2")" "$(le32 1)" ;;
	tipc) printf 'x0200%s%s%s' "$(le32 "$2")" "$(le32 "$3")" "$(le32 0)" ;;
	esac
}

# peer_of SERVICE: socat's address of it, nothing if socat is no client for it
peer_of() {
	local address port
	address=$(address_of "$1")
	port=${address##*:}
	case $1 in
	inet-stream-tcp) echo "TCP4:$address" ;;
	inet6-stream-tcp) echo "TCP6:$address" ;;
	inet-stream-mptcp) echo "SOCKET-CONNECT:2:262:$(sockaddr inet "$port")" ;;
	inet6-stream-mptcp) echo "SOCKET-CONNECT:10:262:$(sockaddr inet6 "$port")" ;;
	inet-stream-sctp) echo "SCTP4:$address" ;;
	inet6-stream-sctp) echo "SCTP6:$address" ;;
	inet-seqpacket-sctp) echo "SOCKET-SENDTO:2:5:132:$(sockaddr inet "$port")" ;;
	inet6-seqpacket-sctp) echo "SOCKET-SENDTO:10:5:132:$(sockaddr inet6 "$port")" ;;
	inet-dgram-udp) echo "UDP4:$address" ;;
	inet6-dgram-udp) echo "UDP6:$address" ;;
	inet-dgram-udplite) echo "SOCKET-SENDTO:2:2:136:$(sockaddr inet "$port")" ;;
	inet6-dgram-udplite) echo "SOCKET-SENDTO:10:2:136:$(sockaddr inet6 "$port")" ;;
	inet-raw-other) echo "IP4-SENDTO:127.0.0.1:253,bind=127.0.0.2" ;;
	inet6-raw-other) [ "${#NET[@]}" -eq 0 ] || echo "IP6-SENDTO:[::1]:253,bind=[fd00::2]" ;;
	unix-stream-none) echo "UNIX-CONNECT:$address" ;;
	unix-stream-abstract) echo "ABSTRACT-CONNECT:${address#@}" ;;
	unix-seqpacket-none) echo "UNIX-CONNECT:$address,so-type=5" ;;
	unix-seqpacket-abstract) echo "ABSTRACT-CONNECT:${address#@},so-type=5" ;;
	unix-dgram-none) echo "UNIX-SENDTO:$address,bind=$BATS_TEST_TMPDIR/client.$RANDOM" ;;
	unix-dgram-abstract) echo "ABSTRACT-SENDTO:${address#@},bind=${ABSTRACT#@}-client" ;;
	vsock-stream-none) echo "VSOCK-CONNECT:1:$port" ;;
	vsock-seqpacket-none) echo "SOCKET-CONNECT:40:0:$(sockaddr vsock "$port"),so-type=5" ;;
	# DATAGRAM, not SENDTO: the answer comes from the socket's address, not from the name of the service
	tipc-rdm-none) echo "SOCKET-DATAGRAM:30:4:0:$(sockaddr tipc 70003 5)" ;;
	tipc-dgram-none) echo "SOCKET-DATAGRAM:30:2:0:$(sockaddr tipc 70005 5)" ;;
	tipc-seqpacket-none) echo "SOCKET-CONNECT:30:0:$(sockaddr tipc 70009 5),so-type=5" ;;
	tipc-stream-none) echo "SOCKET-CONNECT:30:0:$(sockaddr tipc 70006 5)" ;;
	*icmp) ;;
	*) echo "no client is known for $1" >&2 && return 1 ;;
	esac
}

# socat_echoes SERVICE TEXT [ADDRESS]: the child of socat sends a line, reads a line, and is done, so that nobody has to
# half-close a connection or wait for the end of datagrams, which have none
socat_echoes() {
	local peer=${3:-} child=$BATS_TEST_TMPDIR/child
	[ -n "$peer" ] || peer=$(peer_of "$1")
	# shellcheck disable=SC2016  # its variables are the child's
	printf '%s\n' 'printf "%s\n" "$REQUEST"' 'IFS= read -r line && printf "%s\n" "$line" >"$ANSWER"' >"$child"
	rm -f "$ANSWER"
	# umask: who answers a unix datagram has to be allowed to write to the client's socket
	(umask 0; REQUEST=$2 ANSWER=$ANSWER net timeout 60 socat -t 0 "$peer" "EXEC:sh $child") ||
		{ echo "$1: socat $peer: status $?"; return 1; }
	[ "$(cat "$ANSWER")" = "$2" ] || { echo "$1: socat: \"$(cat "$ANSWER")\" instead of \"$2\""; return 1; }
}

# nc_of SERVICE: the arguments for netcat, none if it is no client for it. It ends with the answer.
nc_of() {
	local address host
	address=$(address_of "$1")
	host=${address%:*}
	host=${host//[][]/}
	case $1 in
	inet*-stream-tcp | inet*-stream-mptcp) echo "-N $host ${address##*:}" ;;
	inet*-dgram-udp) echo "-u -W 1 $host ${address##*:}" ;;
	unix-stream-none) echo "-U -N $address" ;;
	unix-dgram-none) echo "-u -U -s $BATS_TEST_TMPDIR/nc -W 1 $address" ;;
	esac
}

nc_echoes() {
	local words
	read -ra words <<<"$(nc_of "$1")"
	rm -f "$BATS_TEST_TMPDIR/nc"
	[ "$(umask 0; echo "$2" | net timeout 60 nc "${words[@]}")" = "$2" ] || { echo "$1: nc ${words[*]}"; return 1; }
}

# ---- served ----

# config_of_rows: a service on each row that this kernel has, with the loopback that a client here needs; on unix one
# with a path and one with an abstract name. NAMES are the services.
config_of_rows() {
	local family type protocol state handler
	NAMES=()
	while read -r family type protocol state; do
		[ "$state" = works ] || continue
		NAMES+=("$family-$type-$protocol")
		handler=$(handler_of "$family" "$type" "$protocol")
		service "${NAMES[-1]}" "$handler" "$(keys_of "$family" "$type" "$protocol")"
		[ "$family" = unix ] || continue
		NAMES+=("$family-$type-abstract")
		service "${NAMES[-1]}" echo "$(keys_of "$family" "$type" "$protocol" "$ABSTRACT-$type")"
	done < <(opened -b) >"$CONF"
}

@test "every row of preforkd -m that this kernel has is served to preforkctl, socat and nc" {
	local peer
	local -A asked
	if can_make_networks; then
		own_network
		ignore_pings
		set_sysctl net/ipv4/ping_group_range '0 2147483647'
	fi
	config_of_rows
	# no kernel lacks these
	[[ " ${NAMES[*]} " == *" inet-stream-tcp "*" inet6-dgram-udp "*" unix-seqpacket-abstract "* ]]
	start_daemon
	for name in "${NAMES[@]}"; do
		echo "$name"
		if [[ $name == *-dgram-*icmp ]]; then
			# it gets replies, and does not answer; a test of its own is in ping.bats
			asked[$name]=0
			continue
		fi
		ctl_echoes "$name" "preforkctl asks $name"
		asked[$name]=1
		peer=$(peer_of "$name")
		if [ -n "$peer" ]; then
			socat_echoes "$name" "socat asks $name"
			asked[$name]=2
		fi
		if [ -n "$(nc_of "$name")" ]; then
			nc_echoes "$name" "nc asks $name"
			asked[$name]=3
		fi
	done
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	for name in "${NAMES[@]}"; do
		# a raw socket of ICMP gets all there is
		[[ $name == *icmp ]] || account_is "$name" "accepted=${asked[$name]}" "served=${asked[$name]}"
	done
}

@test "vsock where there is no loopback: -t is content, and the start says what is missing" {
	local family type protocol state reason
	service x echo 'family = vsock' | write_config
	read -r family type protocol state < <(echo vsock stream none | "$TEST_BIN/opens" -b)
	if [ "$state" = works ]; then
		run -0 "$PREFORKD" -c "$CONF" -t
		start_daemon
		ctl_echoes x 'by loopback'
	elif [[ $(opened) == *"vsock stream none works"* ]]; then
		read -r _ reason <<<"$state"
		run -0 "$PREFORKD" -c "$CONF" -t
		run -69 timeout 60 "$PREFORKD" -c "$CONF"
		[[ $output == *"event=listen_failed service=x "*"bind: $reason ("*"modprobe vsock_loopback"* ]]
	else
		run -78 "$PREFORKD" -c "$CONF" -t
	fi
}

# echoes_by_mptcp SERVICE: asked by a client of MPTCP, which is what it speaks with everybody who can
echoes_by_mptcp() {
	local family=inet number=2
	[[ $1 != inet6-* ]] || { family=inet6 && number=10; }
	socat_echoes "$1" "by MPTCP" "SOCKET-CONNECT:$number:262:$(sockaddr "$family" "$(port_of "$1")")"
}

@test "on stream mptcp both sides agree on multipath, and clients of plain TCP are served" {
	local before
	[[ $(opened) == *"inet stream mptcp works"* ]] || strict_skip "kernel: no MPTCP"
	need_networks
	own_network
	for family in inet inet6; do
		service "$family-stream-mptcp" echo "family = $family protocol = mptcp"
		service "$family-stream-tcp" echo "family = $family protocol = tcp"
	done | write_config
	start_daemon
	for family in inet inet6; do
		before=$(counter MPTcpExtMPCapableACKRX)
		echoes_by_mptcp "$family-stream-mptcp"
		[ "$(counter MPTcpExtMPCapableACKRX)" -eq $((before + 1)) ]
		nc_echoes "$family-stream-mptcp" "plain TCP"
		# the counter means it: a service of plain TCP does not agree
		echoes_by_mptcp "$family-stream-tcp"
		[ "$(counter MPTcpExtMPCapableACKRX)" -eq $((before + 1)) ]
		# preforkctl is a client of MPTCP
		ctl_echoes "$family-stream-mptcp" hello
		[ "$(counter MPTcpExtMPCapableACKRX)" -eq $((before + 2)) ]
	done
	stop_daemon
	account_is inet-stream-mptcp accepted=3 served=3
}

# both_ends_have_two_paths: what ss says of MPTCP; "remote_key" is there only when it was agreed on
both_ends_have_two_paths() {
	net ss -HMni state established >"$BATS_TEST_TMPDIR/ss"
	[ "$(grep -c 'subflows:1 .*remote_key' "$BATS_TEST_TMPDIR/ss")" -eq 2 ]
}

has_joined() {
	[ "$(counter MPTcpExtMPJoinAckRx)" -eq 1 ]
}

@test "on stream mptcp a connection gets a second path" {
	[[ $(opened) == *"inet stream mptcp works"* ]] || strict_skip "kernel: no MPTCP"
	need_networks
	own_network
	service inet-stream-mptcp echo 'protocol = mptcp' | write_config
	start_daemon
	net ip mptcp limits set subflows 1 add_addr_accepted 1
	net ip mptcp endpoint add 127.0.0.77 dev lo subflow
	mkfifo "$BATS_TEST_TMPDIR/in"
	exec 9<>"$BATS_TEST_TMPDIR/in"
	beside "$ANSWER" "${NET[@]}" socat "OPEN:$BATS_TEST_TMPDIR/in,rdonly!!STDOUT" "$(peer_of inet-stream-mptcp)"
	echo one >&9
	wait_for 20 "an echo" grep -qx one "$ANSWER"
	wait_for 20 "a second path" has_joined
	net ss -Htn "src 127.0.0.77 and dst $(address_of inet-stream-mptcp)" | grep -q ESTAB
	# the module that tells ss is not everywhere
	[ -z "$(net ss -HMn)" ] || wait_for 20 "two paths of both ends" both_ends_have_two_paths
	echo two >&9
	wait_for 20 "another echo" grep -qx two "$ANSWER"
	end_beside "$BESIDE"
	stop_daemon
	account_is inet-stream-mptcp accepted=1
}

@test "raw: handlers do not see the IPv4 header, nor send one, whatever its length" {
	need_networks
	own_network
	start_with "$(service by-number echo 'type = raw protocol = 253')" \
		"$(service by-name echo 'type = raw protocol = manet')" \
		"$(service six echo 'family = inet6 type = raw protocol = manet')"
	socat_echoes by-number "a packet" IP4-SENDTO:127.0.0.1:253,bind=127.0.0.2
	# the header has 20 bytes, and 40 of options: NOP
	nops=$(printf '01%.0s' {1..40})
	socat_echoes by-number "with options" "IP4-SENDTO:127.0.0.1:253,bind=127.0.0.2,ipoptions=x$nops"
	# manet is 138 (RFC 5498)
	socat_echoes by-name "another protocol" IP4-SENDTO:127.0.0.1:138,bind=127.0.0.2
	socat_echoes six "another protocol" 'IP6-SENDTO:[::1]:138,bind=[fd00::2]'
	ctl_echoes by-number "the packet is the text"
	ctl_echoes by-name "the packet is the text"
	ctl_echoes six "the packet is the text"
	stop_daemon
	# the line feeds are counted, and no header is
	account_is by-number accepted=3 served=3 bytes_in=45 bytes_out=45
	account_is by-name accepted=2 served=2 bytes_in=40 bytes_out=40
	account_is six accepted=2 served=2 bytes_in=40 bytes_out=40
}

# message_services: every handler on those rows without a connection that no other test asks for all; NAMES are they
message_services() {
	local family type protocol state handler number=200
	NAMES=()
	while read -r family type protocol state; do
		case "$family $type $protocol $state" in
		inet*" dgram udplite works" | inet*" raw other works") ;;
		*) continue ;;
		esac
		for handler in discard chargen daytime time qotd; do
			NAMES+=("$family-$type-$handler")
			# raw sockets have no port, so each has a protocol of its own
			number=$((number + 1))
			service "${NAMES[-1]}" "$handler" "$(keys_of "$family" "$type" "${protocol/other/$number}")"
		done
	done < <(opened)
}

@test "every handler serves udplite and raw, and no answer is longer than its request" {
	local text name status pid vain=()
	text=$(printf 'x%.0s' {1..599})
	need_networks
	own_network
	message_services >"$CONF"
	[ "${#NAMES[@]}" -ge 10 ]
	start_daemon
	for name in "${NAMES[@]}"; do
		[[ $name == *-discard ]] || continue
		# all at a time, as each waits in vain
		ctl -w 1 "$name" 'forget this' >"$ANSWER.$name" 2>"$ANSWER.said" 3>&- &
		vain+=($!)
	done
	for name in "${NAMES[@]}"; do
		[[ $name != *-discard ]] || continue
		echo "$name"
		ctl "$name" "$text" >"$ANSWER"
		answer_is_of "${name##*-}"
		ctl "$name" xy >"$ANSWER"
		[ "$(wc -c <"$ANSWER")" -eq 3 ]
	done
	for pid in "${vain[@]}"; do
		status=0
		wait "$pid" || status=$?
		[ "$status" -eq 1 ]
	done
	cat "$ANSWER".*-discard | cmp /dev/null -
	stop_daemon
	for name in "${NAMES[@]}"; do
		case $name in
		*-discard) account_is "$name" accepted=1 served=1 failed=0 bytes_in=12 bytes_out=0 ;;
		*) account_is "$name" accepted=2 served=2 bytes_in=603 ;;
		esac
	done
}

# answer_is_of HANDLER: what is in $ANSWER, to a request of 600 bytes
answer_is_of() {
	case $1 in
	chargen) [ "$(wc -c <"$ANSWER")" -eq 512 ] && [ "$(sed -n 2p "$ANSWER" | head -c 6)" = "!\"#\$%&" ] ;;
	daytime) grep -Eqx '[A-Z][a-z]+day, [A-Z][a-z]+ [0-9]{2}, 20[0-9]{2} [0-9:]{8}-[A-Z0-9+-]+'$'\r' "$ANSWER" ;;
	time) [ "$(wc -c <"$ANSWER")" -eq 4 ] && seconds_are_now ;;
	qotd) grep -Eqx '[[:print:]]{10,510}'$'\r' "$ANSWER" ;;
	esac
}

seconds_are_now() {
	local off
	off=$(($(date +%s) + 2208988800 - $(od -An -tu4 --endian=big "$ANSWER")))
	((off >= 0 && off < 60))
}

# ---- refused ----

# remedy_of FAMILY TYPE PROTOCOL ERRNO: REMEDY is a part of what preforkd says can be done
remedy_of() {
	case $* in
	*" raw "*" EPERM") REMEDY='CAP_NET_RAW' ;;
	*"icmp EACCES") REMEDY='net.ipv4.ping_group_range' ;;
	*" sctp "*) REMEDY='modprobe sctp' ;;
	*" mptcp "*) REMEDY='net.mptcp.enabled=1' ;;
	*" udplite "*) REMEDY='UDP-Lite' ;;
	"vsock dgram "*) REMEDY='VMware' ;;
	vsock*) REMEDY='modprobe vsock' ;;
	tipc*) REMEDY='modprobe tipc' ;;
	*) REMEDY='RestrictAddressFamilies' ;;
	esac
}

# refusal_of FAMILY TYPE PROTOCOL ERRNO TEXT...: the line of -t begins and ends so; $BEGIN, $END
refusal_of() {
	local key=protocol
	[ "$3" != none ] || key='type'
	BEGIN="$CONF:1: service \"x\": $key: this system gives no socket of $1 $2 $3: ${*:5} ("
	remedy_of "${@:1:4}"
}

# one_line: standard input is one line, and it is that refusal
one_line() {
	local line
	mapfile -t line
	[ "${#line[@]}" -eq 1 ] && [[ ${line[0]} == "$BEGIN"*"$REMEDY"*")" ]] && return
	printf '%s\n' "instead of $BEGIN$REMEDY):" "${line[@]}"
	return 1
}

# refuses_rows REGEX: of the rows that match, -t refuses each that socket(2) refuses, with its error and what can be
# done, and no other; -T asks nobody. COUNT is how many were refused.
refuses_rows() {
	local family type protocol state keys
	COUNT=0
	while read -r family type protocol state; do
		[[ "$family $type $protocol" =~ $1 ]] || continue
		keys=$(keys_of "$family" "$type" "$protocol" | tr '\n' ' ')
		echo "service x { handler = $(handler_of "$family" "$type" "$protocol") $keys }" >"$CONF"
		run --separate-stderr "$PREFORKD" -c "$CONF" -t
		if [ "$state" = works ]; then
			[ "$status" -eq 0 ]
			[ "$output" = "$CONF: OK (1 service)" ]
			continue
		fi
		# shellcheck disable=SC2086  # the name of the error, and its words
		refusal_of "$family" "$type" "$protocol" $state
		[ "$status" -eq 78 ]
		[ -z "$output" ]
		one_line <<<"$stderr"
		run --separate-stderr "$PREFORKD" -c "$CONF" -T
		[ "$status" -eq 0 ]
		[[ $output == *"service x {"* ]]
		[ -z "$stderr" ]
		COUNT=$((COUNT + 1))
	done < <(opened)
}

# become_nobody: PREFORKD is run by somebody without any right; a copy, as not everybody may execute it
become_nobody() {
	[ "$(id -u)" -eq 0 ] || return 0
	cp "$TEST_BIN/opens" "$BATS_TEST_TMPDIR"
	TEST_BIN=$BATS_TEST_TMPDIR
	cp "${PROGRAM:-$PREFORKD}" "$BATS_TEST_TMPDIR/preforkd"
	PROGRAM=$BATS_TEST_TMPDIR/preforkd
	behind setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all --inh-caps=-all
}

@test "a row that this kernel lacks is refused by -t with the error and what to do; -T asks nobody" {
	if can_make_networks; then
		own_network
		set_sysctl net/ipv4/ping_group_range '0 2147483647'
		set_sysctl net/mptcp/enabled 0
		refuses_rows .
		((COUNT >= 2))
		set_sysctl net/ipv4/ping_group_range '1 0'
		refuses_rows icmp
		((COUNT >= 2))
		set_sysctl net/mptcp/enabled 1
		refuses_rows mptcp
	else
		refuses_rows .
	fi
}

@test "without CAP_NET_RAW every raw row is refused by -t, by a start and by a reload" {
	[ "$(id -u)" -ne 0 ] || behind setpriv --bounding-set=-net_raw --inh-caps=-net_raw
	refuses_rows '(raw|tcp)'
	[ "$COUNT" -ge 4 ]
	echo "service x { handler = echo type = raw protocol = \"253\" }" >"$CONF"
	refusal_of inet raw other EPERM Operation not permitted
	run -78 timeout 60 "$PREFORKD" -c "$CONF"
	one_line <<<"$output"
	start_with 'service good { handler = echo workers { min = 1 } }'
	echo "service x { handler = echo type = raw protocol = \"253\" }" >"$CONF.new"
	cat "$CONF" >>"$CONF.new"
	mv "$CONF.new" "$CONF"
	reload_daemon
	log_has 'event=reload_refused'
	log_has 'event=config_error .*no socket of inet raw other: Operation not permitted .*CAP_NET_RAW'
	answers "$(port_of good)"
}

@test "the key that is to blame is named: protocol, type or family, whichever is written" {
	[ "$(id -u)" -ne 0 ] || behind setpriv --bounding-set=-net_raw --inh-caps=-net_raw
	blames 'type = raw protocol = icmp' protocol
	# these there may be
	if [[ $(opened) != *"vsock dgram none works"* ]]; then
		blames 'type = dgram family = vsock' type
	fi
	if [[ $(opened) != *"tipc stream none works"* ]]; then
		blames 'family = tipc address = "70000:1"' family
	fi
}

# blames KEYS KEY
blames() {
	echo "service x { handler = echo $1 }" >"$CONF"
	run -78 "$PREFORKD" -c "$CONF" -t
	[[ $output == "$CONF:1: service \"x\": $2: this system gives no socket of "* ]]
}

@test "handler ping is refused on every socket that is not raw ICMP of its family" {
	local family type protocol keys n=0
	while read -r family type protocol; do
		keys=$(keys_of "$family" "$type" "$protocol" | tr '\n' ' ')
		echo "service x { handler = ping $keys }" >"$CONF"
		# -T, as this kernel may lack the socket
		run "$PREFORKD" -c "$CONF" -T
		if [[ $type-$protocol == raw-*icmp ]]; then
			[ "$status" -eq 0 ]
			continue
		fi
		[ "$status" -eq 78 ]
		[ "${#lines[@]}" -eq 1 ]
		[[ $output == "$CONF:1: service \"x\": handler: ping: "*"raw"*"icmp"* ]]
		n=$((n + 1))
	done < <(rows)
	[ "$n" -ge 20 ]
}

# ---- --probe ----

# what_probe_says: "FAMILY TYPE PROTOCOL SERVES works", or "... TEXT" of the error; the remedy is looked at here
what_probe_says() {
	"$PREFORKD" --probe >"$BATS_TEST_TMPDIR/table"
	[ "$(head -n 1 "$BATS_TEST_TMPDIR/table" | tr -s ' ')" = "FAMILY TYPE PROTOCOL SERVES STATE" ]
	if sed 1d "$BATS_TEST_TMPDIR/table" | grep -Ev ' (works|no: [^()]+ \([^()].*\))$'; then
		return 1
	fi
	sed 1d "$BATS_TEST_TMPDIR/table" | sed -E 's/ +/ /g; s/ no: ([^()]*) \(.*\)$/ \1/'
}

# what_opens_says: the same from socket(2); who accepts is what listens, save for SCTP's one-to-many
what_opens_says() {
	opened | awk '
		{
			serves = $2 == "stream" || ($2 == "seqpacket" && $3 != "sctp") ? "accept" : "receive"
			row = $1 " " $2 " " $3 " " serves
			$1 = $2 = $3 = ""
			if ($4 != "works") # it is the name of the error
				$4 = ""
			sub(/^ +/, "")
			print row, $0
		}'
}

# probe_is_right: in the table, of each row of -m, in its order; and in JSON
probe_is_right() {
	what_opens_says >"$BATS_TEST_TMPDIR/expected"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/expected")" -ge 25 ]
	what_probe_says >"$BATS_TEST_TMPDIR/said"
	diff -u "$BATS_TEST_TMPDIR/expected" "$BATS_TEST_TMPDIR/said"
	remedies_are_right
	"$PREFORKD" --probe --json >"$BATS_TEST_TMPDIR/json"
	is_json "$BATS_TEST_TMPDIR/json"
	diff -u <(sed -E 's/ +/ /g' "$BATS_TEST_TMPDIR/table" | sed 1d) <(table_of_json)
}

remedies_are_right() {
	local family type protocol serves state
	while read -r family type protocol serves state; do
		[[ $state != works && $family != FAMILY ]] || continue
		case $state in
		"no: Operation not permitted "*) state+=' EPERM' ;;
		"no: Permission denied "*) state+=' EACCES' ;;
		esac
		remedy_of "$family" "$type" "$protocol" "${state##* }"
		[[ $state == *"("*"$REMEDY"*")"* ]] ||
			{ echo "$family $type $protocol $serves: $state"; return 1; }
	done <"$BATS_TEST_TMPDIR/table"
}

# is_json FILE: every word becomes "v", and every array or object of words a word, until there is only one
is_json() {
	local left
	left=$(sed -E 's/"([^"\\[:cntrl:]]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*"/s/g' "$1" | tr -d ' \n\t' |
		sed -E 's/\b(true|false|null)\b/v/g; :a; s/\{s:[sv](,s:[sv])*\}/v/g; s/\[[sv](,[sv])*\]/v/g; ta')
	[ "$left" = v ] || { echo "no JSON: $left"; return 1; }
}

# table_of_json: the lines of the table again
table_of_json() {
	local row='^[[ ]*\{"family":"([^"]*)","type":"([^"]*)","protocol":"([^"]*)","serves":"([^"]*)",(.*)\}[],]*$'
	sed -En "s/$row/\1 \2 \3 \4 \5/p" "$BATS_TEST_TMPDIR/json" |
		sed -E 's/"works":true$/works/; s/"works":false,"error":"([^"]*)","remedy":"([^"]*)"$/no: \1 (\2)/'
}

@test "--probe says of each row, as a table and as JSON, what socket(2) says" {
	probe_is_right
	if can_make_networks; then
		own_network
		set_sysctl net/ipv4/ping_group_range '0 2147483647'
		set_sysctl net/mptcp/enabled 0
		probe_is_right
	fi
}

@test "--probe needs no config and takes no options, and what it cannot write is an error" {
	run --separate-stderr "$PREFORKD" -c /nonexistent --probe
	[ "$status" -eq 0 ]
	[ -z "$stderr" ]
	run --separate-stderr "$PREFORKD" --probe --json
	[ "$status" -eq 0 ]
	[ -z "$stderr" ]
	run --separate-stderr "$PREFORKD" --json
	[ "$status" -eq 64 ]
	[ -z "$output" ]
	[[ $stderr == *"--json"*"--probe"*"usage: "* ]]
	[ -w /dev/full ] || strict_skip "kernel: no /dev/full"
	for option in '' --json; do
		run sh -c '"$0" --probe $1 >/dev/full' "$PREFORKD" "$option"
		[ "$status" -eq 74 ]
	done
}

@test "--probe tells a user without rights that raw needs CAP_NET_RAW" {
	become_nobody
	probe_is_right
	[ "$(grep -Ec '^inet6? +raw +[^ ]+ +receive +no: Operation not permitted \(.*CAP_NET_RAW.*\)$' \
		"$BATS_TEST_TMPDIR/table")" -eq 4 ]
	# the others do not need a right
	grep -Eq '^inet +stream +tcp +accept +works$' "$BATS_TEST_TMPDIR/table"
}

@test "--probe says works for ping sockets when ping_group_range has a group of the user, and names it otherwise" {
	need_networks
	own_network
	# root is asked for a group of his, too
	range_allows '1 0' 0
	range_allows '65534 65534' 0
	range_allows '0 0' 2
	become_nobody
	range_allows '1 0' 0
	range_allows '0 0' 0
	range_allows '65534 65534' 2
}

# range_allows RANGE N: so many rows of ping sockets work, and the others name the sysctl
range_allows() {
	local icmp='^inet6? +dgram +(ipv6-)?icmp +receive +' table=$BATS_TEST_TMPDIR/table
	local named='no: Permission denied \(.*net\.ipv4\.ping_group_range.*\)'
	set_sysctl net/ipv4/ping_group_range "$1"
	probe_is_right
	[ "$(grep -Ec "${icmp}works\$" "$table")" -eq "$2" ]
	[ "$(grep -Ec "$icmp$named\$" "$table")" -eq $((2 - $2)) ]
}

# ---- preforkctl ----

# ctl_says STATUS REGEX ARGUMENT...: nothing on standard output, one line on standard error that matches; the usage
# follows it when the command line is wrong
ctl_says() {
	local want=$1 regex=$2
	shift 2
	run --separate-stderr net timeout 60 "$PREFORKCTL" -c "$CONF" "$@"
	[ "$status" -eq "$want" ] && [ -z "$output" ] && [[ ${stderr_lines[0]} =~ $regex ]] &&
		if [ "$want" -eq 64 ]; then
			[[ $stderr == *"usage: preforkctl "* ]]
		else
			[ "${#stderr_lines[@]}" -eq 1 ]
		fi && return
	printf '%s\n' "preforkctl $*: status $status, wanted $want:" "$output" "$stderr"
	return 1
}

@test "preforkctl: without a text it asks hello; a text may have any characters" {
	start_with "$(service t echo '')" "$(service u echo 'type = dgram')" \
		"$(service p echo "$(keys_of unix seqpacket none)")"
	[ "$(ctl t 2>"$ANSWER.said")" = hello ]
	[[ $(cat "$ANSWER.said") =~ ^6\ bytes\ from\ 127\.0\.0\.1:$(port_of t)\ in\ [0-9]+\.[0-9]{3}\ ms$ ]]
	for text in '' ' ' 'two words,  and  blanks ' '-v' '--help' $'a tab\tand\nthree\nlines\n' '%s%n"\0' \
		$'\xff\xfe\x01' 'grüße'; do
		ctl_echoes u "$text"
	done
	for name in t p; do
		ctl_echoes $name $' -two  words\tand\nlines\n'
		ctl_echoes $name ''
	done
}

@test "preforkctl: the largest text comes back whole, a larger one is not sent" {
	local text
	start_with "$(service t echo '')" "$(service u echo 'type = dgram')" \
		"$(service s echo "$(keys_of unix stream none)")" "$(service d echo "$(keys_of unix dgram none)")" \
		"$(service q echo "$(keys_of unix seqpacket none)")"
	# the most is 65536 bytes with the line feed and a header of ICMP
	text=$(head -c 65527 /dev/zero | tr '\0' x)
	for name in t s d q; do
		ctl_echoes "$name" "$text"
		run ctl "$name" "${text}x"
		[ "$status" -eq 64 ]
		[[ $output == "preforkctl: $name: Message too long" ]]
	done
	# UDP has less
	ctl_echoes u "${text:0:65506}"
	run ctl u "${text:0:65507}"
	[ "$status" -eq 64 ]
	[[ $output == "preforkctl: u: Message too long" ]]
	stop_daemon
	for name in t s d q; do
		account_is "$name" bytes_in=65528 bytes_out=65528
	done
	account_is u bytes_in=65507 bytes_out=65507
}

@test "preforkctl: a service that answers unasked is printed as it is" {
	start_with "$(service day daytime '')" "$(service gen chargen '')" \
		"$(service sec time "$(keys_of unix dgram none)")"
	ctl day >"$ANSWER"
	answer_is_of daytime
	ctl sec >"$ANSWER"
	answer_is_of time
	# of an answer without end, 65536 bytes
	ctl gen >"$ANSWER"
	[ "$(wc -c <"$ANSWER")" -eq 65536 ]
	[ "$(sed -n 2p "$ANSWER" | head -c 6)" = "!\"#\$%&" ]
}

@test "preforkctl: no answer is status 1, at once when the connection ends and else after the time of -w" {
	local name status took began patient pid
	start_with "$(service t discard '')" "$(service u discard 'type = dgram')" "$(service busy echo '')"
	began=$(now_ms)
	ctl_says 1 '^preforkctl: t: no answer$' -p "$(port_of t)" -w 55 probe t
	(($(now_ms) - began < 30000))
	# the only worker of that one is taken
	hold "$(port_of busy)"
	# it is five seconds without -w
	patient=$(now_ms)
	beside "$ANSWER" "$PREFORKCTL" -c "$CONF" -p "$(port_of u)" probe u
	pid=$BESIDE
	for name in u busy; do
		began=$(now_ms)
		ctl_says 1 "^preforkctl: $name: no answer in time\$" -p "$(port_of $name)" -w 1 probe $name
		took=$(($(now_ms) - began))
		((took >= 1000 && took < 4900))
	done
	status=0
	wait "$pid" || status=$?
	[ "$status" -eq 1 ]
	(($(now_ms) - patient >= 5000))
	[ "$(cat "$ANSWER")" = "preforkctl: u: no answer in time" ]
	release
}

@test "preforkctl: a service that cannot be reached is status 69 and the reason" {
	write_config <<-END
		$(service t echo 'port = 1')
		$(service u echo 'type = dgram port = 1')
		$(service s echo "$(keys_of unix stream none)")
		$(service d echo "$(keys_of unix dgram none "$ABSTRACT")")
		$(service q echo "$(keys_of unix seqpacket none)")
	END
	ctl_says 69 '^preforkctl: t: connect to 127\.0\.0\.1:1: Connection refused$' probe t
	ctl_says 69 '^preforkctl: u: .*Connection refused$' probe u
	ctl_says 69 "^preforkctl: s: connect to $BATS_TEST_TMPDIR/unix-stream: No such file or directory\$" probe s
	ctl_says 69 "^preforkctl: d: connect to $ABSTRACT: Connection refused\$" probe d
	# a socket that nobody has any more
	beside "$ANSWER" socat "UNIX-LISTEN:$BATS_TEST_TMPDIR/unix-seqpacket,so-type=5" STDOUT
	wait_for 20 "a socket" test -S "$BATS_TEST_TMPDIR/unix-seqpacket"
	end_beside "$BESIDE"
	ctl_says 69 "^preforkctl: q: connect to $BATS_TEST_TMPDIR/unix-seqpacket: Connection refused\$" probe q
}

@test "preforkctl: a socket that this system does not give is status 69" {
	local words=()
	[ "$(id -u)" -ne 0 ] || words=(setpriv --bounding-set=-net_raw --inh-caps=-net_raw)
	service r echo 'type = raw protocol = 253' >"$CONF"
	run -69 "${words[@]}" "$PREFORKCTL" -c "$CONF" probe r
	[[ $output == "preforkctl: r: socket for 127.0.0.1: Operation not permitted" ]]
}

@test "preforkctl: -a asks at another address, -p at another port than the config says" {
	start_with "$(service t echo 'address = "*"')" "$(service u echo 'address = "*" type = dgram')" \
		"$(service six echo 'family = inet6 address = "*"')" "$(service s echo "$(keys_of unix stream none)")"
	for name in t u; do
		ctl -a 127.0.0.77 "$name" hi >"$ANSWER" 2>"$ANSWER.said"
		[ "$(cat "$ANSWER")" = hi ]
		[[ $(cat "$ANSWER.said") == "3 bytes from 127.0.0.77:$(port_of "$name") in "* ]]
		# every address is asked at the one of loopback
		ctl "$name" >"$ANSWER" 2>"$ANSWER.said"
		[[ $(cat "$ANSWER.said") == "6 bytes from 127.0.0.1:$(port_of "$name") in "* ]]
	done
	ctl six >"$ANSWER" 2>"$ANSWER.said"
	[[ $(cat "$ANSWER.said") == "6 bytes from [::1]:$(port_of six) in "* ]]
	# a config that is wrong about all
	service t echo 'address = "127.0.0.9" port = 9' >"$CONF.other"
	service s echo "$(keys_of unix stream none /nonexistent/path)" >>"$CONF.other"
	[ "$("$PREFORKCTL" --config "$CONF.other" --address 127.0.0.1 --port "$(port_of t)" probe t)" = hello ]
	[ "$("$PREFORKCTL" --config "$CONF.other" --address "$(address_of s)" --wait 5 probe s)" = hello ]
	run -69 "$PREFORKCTL" -c "$CONF.other" -p "$(port_of t)" probe s
}

@test "preforkctl: a wrong command line is status 64, the reason and the usage" {
	service t echo 'port = 0' >"$CONF"
	service s echo "$(keys_of unix stream none)" >>"$CONF"
	ctl_says 64 'there is no command$'
	ctl_says 64 'no command "nonsense"' nonsense
	ctl_says 64 'probe takes a service' probe
	ctl_says 64 'probe takes a service' probe t hello again
	ctl_says 64 'write it with -p$' probe t
	ctl_says 64 '^preforkctl: -p takes a number' -p x probe t
	ctl_says 64 '^preforkctl: -p takes a number' -p -1 probe t
	ctl_says 64 '^preforkctl: -p takes a number' -p 4294967296 probe t
	ctl_says 64 '^preforkctl: -w takes a number' -w 1.5 probe t
	ctl_says 64 '^preforkctl: -w takes a number' -w '' probe t
	ctl_says 64 '^preforkctl: -a: "localhost" is no such address' -p 1 -a localhost probe t
	ctl_says 64 '^preforkctl: -a: "::1" is no such address' -p 1 -a ::1 probe t
	ctl_says 64 "^.*: invalid option -- 'x'" -x
	ctl_says 64 "^.*: option requires an argument -- 'c'" -c
}

@test "preforkctl: a port that the family does not have is refused, not taken for another one" {
	start_with "$(service t echo '')"
	ctl_says 64 '^preforkctl: -p' -p $((65536 + $(port_of t))) probe t
}

@test "preforkctl: a config that is not there or wrong, or without the service, is status 78 and the reason" {
	service t echo 'port = 1' >"$CONF"
	ctl_says 78 '^preforkctl: there is no service "u" in .*/preforkd\.conf$' probe u
	ctl_says 78 '^preforkctl: there is no service "" in ' probe ''
	ctl_says 78 '^preforkctl: /nonexistent: No such file or directory$' -c /nonexistent probe t
	service t echo 'port = one' >"$CONF"
	ctl_says 78 "^$CONF:[0-9]: service \"t\": port: " probe t
}

@test "preforkctl: help, version, and what cannot be written" {
	start_with "$(service t echo '')"
	run --separate-stderr "$PREFORKCTL" -h
	[ "$status" -eq 0 ]
	[[ $output == "usage: preforkctl "*"probe SERVICE [TEXT]"* ]]
	[ -z "$stderr" ]
	run --separate-stderr "$PREFORKCTL" --version
	[ "$status" -eq 0 ]
	[[ $output =~ ^preforkctl\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
	[ -z "$stderr" ]
	[ "${output#* }" = "$("$PREFORKD" --version | cut -d ' ' -f 2)" ]
	[ -w /dev/full ] || strict_skip "kernel: no /dev/full"
	run sh -c '"$@" >/dev/full' sh "$PREFORKCTL" -c "$CONF" -p "$(port_of t)" probe t
	[ "$status" -eq 74 ]
}
