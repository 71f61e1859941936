#!/usr/bin/env bats
# sockopt.bats - the block socket { }: what is written is what the kernel has, from the start and after a reload, and
# does what it says. What the kernel has is read from outside (helpers/sockopt.c, ss, ip), not from preforkd.
# shellcheck disable=SC2030,SC2031  # each test is a subshell, and sets its own variables
# shellcheck disable=SC2119,SC2120  # functions with options, called without

bats_require_minimum_version 1.5.0
load lib/daemon

setup() {
	daemon_setup
	SOCK=$BATS_TEST_TMPDIR/sock
	ABSTRACT=@preforkd-test-$$-$RANDOM-$BATS_TEST_NUMBER
	HEARD=$BATS_TEST_TMPDIR/heard
}

teardown() {
	daemon_teardown
}

# ---- services ----

# service NAME KEYS SOCKET [WORKERS]
service() {
	echo "service $1 { handler = echo workers { min = ${4:-1} } timeouts { drain = 5s } $2 socket { $3 } }"
}

start_with() {
	printf '%s\n' "$@" | write_config
	start_daemon
}

reload_with() {
	printf '%s\n' "$@" | write_config
	reload_daemon
	[[ $(grep -E 'event=reload_(done|refused)' "$LOG" | tail -n 1) == *event=reload_done* ]]
}

# refused_start STATUS REGEX: the config in place does not start, and says why in one line
refused_start() {
	local status=0 log=$BATS_TEST_TMPDIR/refused
	timeout 20 "$PREFORKD" -c "$CONF" >"$log" 2>&1 3>&- || status=$?
	cat "$log"
	[[ $status =~ ^$1$ ]]
	grep 'level=error' "$log" | grep -Eq "event=listen_failed .*$2"
}

# keys_of KIND N: what makes the Nth service one of that family, type and protocol
keys_of() {
	case $1 in
	tcp) ;;
	mptcp) echo 'protocol = mptcp' ;;
	udp) echo 'type = dgram' ;;
	udplite) echo 'type = dgram protocol = udplite' ;;
	raw) echo "type = raw protocol = $(($2 + 150))" ;;
	unix) echo "family = unix type = dgram path = \"$ABSTRACT-$2\"" ;;
	*6) echo "family = inet6 $(keys_of "${1%6}" "$2")" ;;
	esac
}

# socket_of SERVICE: its address as the kernel has it; raw sockets have their protocol where others have a port
socket_of() {
	local protocol
	protocol=$(sed -n "s/.*event=listening service=$1 .* type=raw protocol=\([0-9]*\) .*/:\1/p" "$LOG" | tail -n 1)
	echo "$(address_of "$1")$protocol"
}

# options_of SERVICE: what its listening line says of them
options_of() {
	sed -n "s/.*event=listening service=$1 .* options=\"\([^\"]*\)\".*/\1/p" "$LOG" | tail -n 1
}

dgram() {
	"$TEST_BIN/dgram" "$@"
}

no_answer() {
	run -1 dgram -w 300 "$@"
	[ -z "$output" ]
}

# account_is SERVICE KEY=N...
account_is() {
	local service=$1 want
	shift
	for want in "$@"; do
		[ "$(account_of "$service" "${want%=*}")" = "${want#*=}" ] || {
			echo "not $want"
			grep "event=account service=$service" "$LOG"
			return 1
		}
	done
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

# hold_at ADDRESS: an open connection as descriptor 9; it is being served
hold_at() {
	local host=${1%:*}
	host=${host#[}
	eval "exec 9<>/dev/tcp/${host%]}/${1##*:}"
	serve_on 9
}

# inherits SERVICE OPTION=VALUE...: a new connection has them
inherits() {
	local address
	address=$(address_of "$1")
	hold_at "$address"
	has -c "$(busy_worker "$1")" "$address" "${@:2}"
	release
}

# need_rights: of a master that sets whatever it likes
need_rights() {
	local caps=0x0
	caps=0x$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)
	(((caps >> 12 & 1) && (caps >> 13 & 1))) || strict_skip "kernel: no CAP_NET_ADMIN and CAP_NET_RAW here"
}

# ---- network namespaces ----

# new_net: a network namespace with nothing but lo; $NET is the pid of a process in it
new_net() {
	unshare -n true 2>"$BATS_TEST_TMPDIR/probe" || strict_skip "kernel: no network namespaces"
	beside "$BATS_TEST_TMPDIR/net.$((++N_NETS))" unshare -n sh -c 'ip link set lo up && echo up && exec tail -f /dev/null'
	NET=$BESIDE
	wait_for 5 "a network namespace" grep -q up "$BATS_TEST_TMPDIR/net.$N_NETS"
}

# inside [NET] COMMAND...
inside() {
	local net=$NET
	[[ $1 == *[!0-9]* ]] || { net=$1 && shift; }
	nsenter -n -t "$net" "$@"
}

# from now on preforkd runs in $NET
serve_inside() {
	cat >"$BATS_TEST_TMPDIR/inside" <<-END
	#!/bin/sh
	exec nsenter -n -t $NET "$PREFORKD" "\$@"
	END
	chmod 755 "$BATS_TEST_TMPDIR/inside"
	PREFORKD=$BATS_TEST_TMPDIR/inside
}

# set_sysctl KEY VALUE: in $NET
set_sysctl() {
	# shellcheck disable=SC2016  # for the inner shell
	inside sh -c 'echo "$2" >"/proc/sys/net/$1"' sh "$1" "$2" 2>"$BATS_TEST_TMPDIR/probe" ||
		strict_skip "kernel: no sysctl net/$1 of our own"
}

# two_nets: $NET serves on v0 (10.9.0.1, 10.9.0.3, fd00:9::1, fd00:9::3), in $CLIENT are its clients (.2, fd00:9::2)
two_nets() {
	new_net
	CLIENT=$NET
	new_net
	inside ip link add v0 type veth peer name v1 netns "$CLIENT" 2>"$BATS_TEST_TMPDIR/probe" ||
		strict_skip "kernel: no veth"
	inside ip addr add 10.9.0.1/24 dev v0
	inside ip addr add 10.9.0.3/24 dev v0
	inside ip addr add fd00:9::1/64 dev v0 nodad
	inside ip addr add fd00:9::3/64 dev v0 nodad
	inside "$CLIENT" ip addr add 10.9.0.2/24 dev v1
	inside "$CLIENT" ip addr add fd00:9::2/64 dev v1 nodad
	inside ip link set v0 up
	inside "$CLIENT" ip link set v1 up
	inside "$CLIENT" ip route add default dev v1
	wait_for 5 "the link" link_is_ready
	serve_inside
}

# both link-local addresses have been found to be nobody else's
link_is_ready() {
	[ -z "$(inside ip -6 addr show tentative; inside "$CLIENT" ip -6 addr show tentative)" ] &&
		[ -n "$(inside ip -6 addr show dev v0 scope link)" ] &&
		[ -n "$(inside "$CLIENT" ip -6 addr show dev v1 scope link)" ]
}

# client COMMAND...: where the clients are
client() {
	inside "$CLIENT" "$@"
}

# asks ADDRESS: the echo service at this TCP address answers a client
asks() {
	[ "$(client socat -t 5 - "TCP:$1,connect-timeout=5" <<<hello 2>"$BATS_TEST_TMPDIR/socat")" = hello ]
}

# ---- each option ----

# option_rows: of standard input, each "KIND... ~ what is written ~ what the listening line says ~ what the kernel has".
# All are services of one daemon; that a service without options has something else shows that the row says anything.
option_rows() {
	local kinds written said kernel kind i n=0
	local row_kinds=() row_said=() row_kernel=() config=()
	while IFS='~' read -r kinds written said kernel; do
		for kind in $kinds; do
			row_kinds+=("$kind")
			row_said+=("$said")
			row_kernel+=("$kernel")
			config+=("$(service "s$n" "$(keys_of "$kind" "$n")" "$written")")
			[[ "${config[*]}" == *" bare-$kind "* ]] || config+=("$(service "bare-$kind" "$(keys_of "$kind" $((50 + n)))" '')")
			n=$((n + 1))
		done
	done
	start_with "${config[@]}"
	log_lacks 'event=option_short'
	for i in "${!row_kinds[@]}"; do
		echo "${row_kinds[i]}:${row_said[i]}"
		[ " $(options_of "s$i") " = "${row_said[i]}" ] || { options_of "s$i" && return 1; }
		# shellcheck disable=SC2086  # words
		has "$MASTER" "$(socket_of "s$i")" ${row_kernel[i]} || return
		# shellcheck disable=SC2086
		! has "$MASTER" "$(socket_of "bare-${row_kinds[i]}")" ${row_kernel[i]} >"$BATS_TEST_TMPDIR/bare" ||
			{ echo "it has this without the option as well" && return 1; }
	done
}

@test "each option is what the kernel has, on every socket that has it, and what the listening line says" {
	need_sockopt
	option_rows <<-'END'
	tcp tcp6 ~ nodelay = true ~ nodelay=true ~ TCP_NODELAY=1
	tcp tcp6 ~ defer_accept = 3s ~ defer_accept=3s ~ TCP_DEFER_ACCEPT=3
	tcp tcp6 ~ fastopen = 16 ~ fastopen=16 ~ TCP_FASTOPEN=16
	tcp tcp6 ~ user_timeout = 1500ms ~ user_timeout=1500 ~ TCP_USER_TIMEOUT=1500
	tcp tcp6 ~ keepalive { idle = 50s } ~ keepalive.idle=50s ~ SO_KEEPALIVE=1 TCP_KEEPIDLE=50
	tcp tcp6 ~ keepalive { idle = 1m interval = 7s } ~ keepalive.idle=60s keepalive.interval=7s ~ TCP_KEEPIDLE=60 TCP_KEEPINTVL=7
	tcp tcp6 ~ keepalive { idle = 2h count = 3 } ~ keepalive.idle=7200s keepalive.count=3 ~ SO_KEEPALIVE=1 TCP_KEEPCNT=3
	tcp tcp6 udp udp6 ~ receive_buffer = 50K ~ receive_buffer=51200 ~ SO_RCVBUF=102400
	tcp tcp6 udp udp6 unix ~ send_buffer = 60000 ~ send_buffer=60000 ~ SO_SNDBUF=120000
	tcp tcp6 udp udp6 ~ priority = 5 ~ priority=5 ~ SO_PRIORITY=5
	tcp udp ~ tos = 40 ~ tos=40 ~ IP_TOS=40
	tcp6 udp6 ~ tos = 40 ~ tos=40 ~ IPV6_TCLASS=40 IP_TOS=40
	tcp udp ~ ttl = 33 ~ ttl=33 ~ IP_TTL=33
	tcp6 udp6 ~ ttl = 33 ~ ttl=33 ~ IPV6_UNICAST_HOPS=33 IP_TTL=33
	tcp udp ~ freebind = true ~ freebind=true ~ IP_FREEBIND=1
	tcp6 udp6 ~ freebind = true ~ freebind=true ~ IPV6_FREEBIND=1
	tcp tcp6 udp udp6 ~ reuse_port = yes ~ reuse_port=true ~ SO_REUSEPORT=1
	tcp tcp6 udp udp6 ~ bind_device = lo ~ bind_device=lo ~ SO_BINDTODEVICE="lo"
	udp ~ broadcast = true ~ broadcast=true ~ SO_BROADCAST=1
	unix ~ passcred = true ~ passcred=true ~ SO_PASSCRED=1
	tcp ~ tos = 16 priority = 3 ~ tos=16 priority=3 ~ IP_TOS=16 SO_PRIORITY=3
	END
}

@test "each option of UDP-Lite is what the kernel has" {
	need_sockopt
	grep -q '^UDP-Lite' /proc/net/protocols || strict_skip "kernel: no UDP-Lite"
	option_rows <<-'END'
	udplite udplite6 ~ receive_buffer = 50K ~ receive_buffer=51200 ~ SO_RCVBUF=102400
	udplite udplite6 ~ send_buffer = 60000 ~ send_buffer=60000 ~ SO_SNDBUF=120000
	udplite udplite6 ~ reuse_port = yes ~ reuse_port=true ~ SO_REUSEPORT=1
	udplite ~ tos = 40 ~ tos=40 ~ IP_TOS=40
	udplite6 ~ ttl = 33 ~ ttl=33 ~ IPV6_UNICAST_HOPS=33
	udplite ~ broadcast = true ~ broadcast=true ~ SO_BROADCAST=1
	END
}

@test "the options that need a right are what the kernel has" {
	need_sockopt
	need_rights
	option_rows <<-'END'
	tcp tcp6 udp udp6 raw raw6 ~ mark = 4294967295 ~ mark=4294967295 ~ SO_MARK=4294967295
	tcp tcp6 udp udp6 raw raw6 ~ priority = 77 ~ priority=77 ~ SO_PRIORITY=77
	tcp udp raw ~ transparent = true ~ transparent=true ~ IP_TRANSPARENT=1
	tcp6 udp6 raw6 ~ transparent = true ~ transparent=true ~ IPV6_TRANSPARENT=1
	raw ~ freebind = true ~ freebind=true ~ IP_FREEBIND=1
	raw6 ~ freebind = true ~ freebind=true ~ IPV6_FREEBIND=1
	raw raw6 ~ receive_buffer = 50K ~ receive_buffer=51200 ~ SO_RCVBUF=102400
	raw raw6 ~ send_buffer = 60000 ~ send_buffer=60000 ~ SO_SNDBUF=120000
	raw raw6 ~ bind_device = lo ~ bind_device=lo ~ SO_BINDTODEVICE="lo"
	raw ~ tos = 40 ttl = 33 ~ tos=40 ttl=33 ~ IP_TOS=40 IP_TTL=33
	raw6 ~ tos = 40 ttl = 33 ~ tos=40 ttl=33 ~ IPV6_TCLASS=40 IPV6_UNICAST_HOPS=33
	END
}

@test "a congestion control algorithm of the config is the listener's and that of its connections" {
	local other
	need_sockopt
	# one that anybody may take and that is not taken anyway
	other=$(tr ' ' '\n' </proc/sys/net/ipv4/tcp_allowed_congestion_control |
		grep -vx "$(cat /proc/sys/net/ipv4/tcp_congestion_control)" | head -n 1)
	[ -n "$other" ] || strict_skip "kernel: it has one congestion control only"
	start_with "$(service four '' "congestion = $other")" "$(service six 'family = inet6' "congestion = $other")"
	for name in four six; do
		[ "$(options_of $name)" = "congestion=$other" ]
		has "$MASTER" "$(address_of $name)" "TCP_CONGESTION=$other"
		inherits $name "TCP_CONGESTION=$other"
	done
}

@test "a congestion control algorithm or an interface that is not there is one line with a remedy" {
	service a '' 'congestion = no-such' | write_config
	refused_start 7. 'error="socket.congestion: \\"no-such\\": No such file .*tcp_allowed_congestion_control'
	service a '' 'bind_device = no-such0' | write_config
	refused_start 71 'error="socket.bind_device: \\"no-such0\\": No such device \(see ip link\)"'
	service a 'type = dgram address = "*"' 'multicast { group = "239.255.42.99" interface = no-such0 }' | write_config
	refused_start 71 'error="socket.multicast: No such device \(.*ip link'
}

@test "an option that the master has no right to set is refused with the right that is missing" {
	local without=(setpriv --bounding-set=-net_admin,-net_raw --inh-caps=-net_admin,-net_raw) row
	[ "$(id -u)" -eq 0 ] || without=()
	"${without[@]}" true || strict_skip "kernel: no right to give up capabilities"
	for row in 'mark = 1 ~ it takes CAP_NET_ADMIN or CAP_NET_RAW' \
		'transparent = true ~ it takes CAP_NET_ADMIN or CAP_NET_RAW' 'priority = 7 ~ above 6 it takes CAP_NET_ADMIN'; do
		echo "$row"
		service a '' "${row% ~ *}" | write_config
		"${without[@]}" "$PREFORKD" -c "$CONF" -t
		run -77 "${without[@]}" "$PREFORKD" -c "$CONF"
		[[ $output == *"event=listen_failed service=a "*"error=\"socket.${row%% *}: "*"Operation not permitted (${row#* ~ })\""* ]]
	done
	service a '' 'priority = 6' | write_config
	"${without[@]}" "$PREFORKD" -c "$CONF" >>"$LOG" 2>&1 3>&- &
	MASTER=$!
	wait_for 20 "event=ready" daemon_is_ready_or_gone
	log_has 'event=listening service=a .*priority=6'
}

@test "a connection has the options of its listener" {
	local all='nodelay = true user_timeout = 1500ms receive_buffer = 50K send_buffer = 60000 tos = 40 ttl = 33
		bind_device = lo defer_accept = 2s keepalive { idle = 50s interval = 7s count = 3 }'
	local kernel=(TCP_NODELAY=1 TCP_USER_TIMEOUT=1500 SO_RCVBUF=102400 SO_SNDBUF=120000 SO_KEEPALIVE=1 TCP_KEEPIDLE=50
		TCP_KEEPINTVL=7 TCP_KEEPCNT=3 'SO_BINDTODEVICE="lo"' IP_TOS=40 IP_TTL=33)
	need_sockopt
	start_with "$(service four '' "${all//$'\n'/ }")" "$(service six 'family = inet6' "${all//$'\n'/ }")" \
		"$(service both 'family = inet6 address = "*"' "v6only = false ${all//$'\n'/ }")"
	inherits four "${kernel[@]}"
	inherits six "${kernel[@]}" IPV6_TCLASS=40 IPV6_UNICAST_HOPS=33
	# IPv4 over an inet6 socket
	hold "$(port_of both)"
	has -c "$(busy_worker both)" "[::ffff:127.0.0.1]:$(port_of both)" "${kernel[@]}"
	# the timer runs as well
	[[ $(ss -Htno "sport = :$(port_of both)") == *'timer:(keepalive,'[45]* ]]
	release
}

@test "a connection has the mark of its listener" {
	need_sockopt
	need_rights
	start_with "$(service four '' 'mark = 77')" "$(service six 'family = inet6' 'mark = 77')"
	inherits four SO_MARK=77
	inherits six SO_MARK=77
}

@test "a connection has the priority of its listener" {
	need_sockopt
	start_with "$(service four '' 'priority = 5')" "$(service six 'family = inet6' 'priority = 5')"
	inherits four SO_PRIORITY=5
	inherits six SO_PRIORITY=5
}

# hold_multipath PORT: a client that keeps a multipath connection open, until it is ended
hold_multipath() {
	local address
	address=x$(printf %04x "$1")x7f000001x0000000000000000
	beside "$BATS_TEST_TMPDIR/socat" socat "SOCKET-CONNECT:2:262:$address" \
		"SYSTEM:echo hello && exec cat >$BATS_TEST_TMPDIR/answer"
	wait_for 10 "an answer" grep -q hello "$BATS_TEST_TMPDIR/answer"
}

@test "each option of MPTCP is what the kernel has, and a connection has it" {
	local said="nodelay=true defer_accept=3s receive_buffer=51200 send_buffer=60000 tos=40 priority=5"
	said+=" keepalive.idle=50s keepalive.interval=7s keepalive.count=3"
	need_sockopt
	[ "$(cat /proc/sys/net/mptcp/enabled)" = 1 ] || strict_skip "kernel: no MPTCP"
	service m 'protocol = mptcp' 'nodelay = true defer_accept = 3s receive_buffer = 50K send_buffer = 60000 tos = 40
		priority = 5 keepalive { idle = 50s interval = 7s count = 3 }' | write_config
	start_daemon_nowait
	wait_for 20 "event=ready" daemon_is_ready_or_gone
	if log_has 'this kernel does not have it for this protocol'; then
		wait_daemon
		strict_skip "kernel: MPTCP without some option"
	fi
	[ "$(options_of m)" = "$said" ]
	has "$MASTER" "$(address_of m)" TCP_NODELAY=1 TCP_DEFER_ACCEPT=3 SO_RCVBUF=102400 SO_SNDBUF=120000 IP_TOS=40 \
		SO_PRIORITY=5 SO_KEEPALIVE=1 TCP_KEEPIDLE=50 TCP_KEEPINTVL=7 TCP_KEEPCNT=3
	hold_multipath "$(port_of m)"
	[ -n "$(ss -HMn "sport = :$(port_of m)")" ]
	has -c "$(busy_worker m)" "$(address_of m)" TCP_NODELAY=1 SO_RCVBUF=102400 SO_SNDBUF=120000 IP_TOS=40 SO_KEEPALIVE=1 \
		TCP_KEEPIDLE=50 TCP_KEEPINTVL=7 TCP_KEEPCNT=3
	end_beside "$BESIDE"
}

@test "an option that the kernel does not have for a protocol refuses the start by one line" {
	[ "$(cat /proc/sys/net/mptcp/enabled)" = 1 ] || strict_skip "kernel: no MPTCP"
	service m 'protocol = mptcp' 'user_timeout = 1s' | write_config
	"$PREFORKD" -t -c "$CONF"
	start_daemon_nowait
	wait_for 20 "event=ready" daemon_is_ready_or_gone
	log_lacks 'event=ready' || strict_skip "kernel: MPTCP has even this option"
	wait_daemon
	[ "$DAEMON_STATUS" -eq 71 ]
	log_has 'event=listen_failed .*error="socket.user_timeout: 1000: .*this kernel does not have it for this protocol'
}

@test "v6only is what the kernel has, from the default to what is written, and what the listening line says" {
	need_sockopt
	start_with "$(service default 'family = inet6' '')" "$(service yes 'family = inet6' 'v6only = true')" \
		"$(service no 'family = inet6' 'v6only = false')" "$(service udp 'family = inet6 type = dgram' 'v6only = false')"
	has "$MASTER" "$(address_of default)" IPV6_V6ONLY=1
	has "$MASTER" "$(address_of yes)" IPV6_V6ONLY=1
	has "$MASTER" "$(address_of no)" IPV6_V6ONLY=0
	has "$MASTER" "$(address_of udp)" IPV6_V6ONLY=0
	[ "$(options_of no)" = v6only=false ]
	[ "$(options_of udp)" = v6only=false ]
}

@test "what a kernel grants in part only is a warning with both numbers, and the service starts" {
	local name most
	need_sockopt
	start_with "$(service tcp '' 'receive_buffer = 1G')" "$(service udp 'type = dgram' 'send_buffer = 1G')" \
		"$(service small 'type = dgram' 'receive_buffer = 20000 send_buffer = 20000')"
	most=$(cat /proc/sys/net/core/rmem_max)
	((most < 1 << 30)) || strict_skip "kernel: net.core.rmem_max is as large as can be"
	log_has "level=warning .*event=option_short service=tcp error=\"socket.receive_buffer: 1073741824 asked, $most granted \(.*net.core.rmem_max"
	has "$MASTER" "$(address_of tcp)" "SO_RCVBUF=$((2 * most))"
	most=$(cat /proc/sys/net/core/wmem_max)
	log_has "event=option_short service=udp error=\"socket.send_buffer: 1073741824 asked, $most granted \(.*net.core.wmem_max"
	has "$MASTER" "$(address_of udp)" "SO_SNDBUF=$((2 * most))"
	[ "$(log_count event=option_short)" -eq 2 ]
	answers "$(port_of tcp)"
}

# warns REGEX: -t says it and is content; and so does the start, in its log
warns() {
	run -0 "$PREFORKD" -t -c "$CONF"
	grep -Eq "^$CONF:1: warning: service \"a\": $1" <<<"$output"
	: >"$LOG"
	start_daemon
	# of the log, quotes are escaped
	[ "$(sed -n 's/.* level=warning .*event=config_warning text="\(.*\)"$/\1/p' "$LOG" | tr -d '\\')" = \
		"$(grep warning: <<<"$output")" ]
}

does_not_warn() {
	run -0 "$PREFORKD" -t -c "$CONF"
	[ "$output" = "$CONF: OK (1 services)" ]
	: >"$LOG"
	start_daemon
	log_lacks 'event=config_warning'
}

@test "a backlog that is larger than the system allows warns, and the kernel has what it allows" {
	new_net
	serve_inside
	set_sysctl core/somaxconn 100
	service a '' 'backlog = 101' | write_config
	warns 'socket.backlog: 101 is more than the system allows: 100 \(net.core.somaxconn\)'
	[ "$(inside ss -Hltn | awk '{ print $3 }')" -eq 100 ]
	# also at a reload
	reload_daemon
	[ "$(log_count 'event=config_warning')" -eq 2 ]
	stop_daemon
	for backlog in 100 7 somaxconn; do
		service a '' "backlog = $backlog" | write_config
		does_not_warn
		[ "$(inside ss -Hltn | awk '{ print $3 }')" -eq "${backlog/somaxconn/100}" ]
		stop_daemon
	done
}

@test "fastopen warns while the sysctl keeps servers from it, and what the system cuts is said" {
	new_net
	serve_inside
	service a '' 'fastopen = 10' | write_config
	for value in 0 1; do
		set_sysctl ipv4/tcp_fastopen $value
		warns 'socket.fastopen: is switched off for servers \(sysctl net.ipv4.tcp_fastopen=3\)'
		stop_daemon
	done
	for value in 2 3; do
		set_sysctl ipv4/tcp_fastopen $value
		does_not_warn
		stop_daemon
	done
	set_sysctl core/somaxconn 100
	service a '' 'fastopen = 101' | write_config
	does_not_warn
	log_has 'event=option_short service=a error="socket.fastopen: 101 asked, 100 granted \(.*net.core.somaxconn'
	[ "$(options_of a)" = fastopen=100 ]
}

@test "a TTL of one's own warns for datagrams, which lose their mark, and not for connections" {
	service a 'type = dgram' 'ttl = 33' | write_config
	warns 'socket.ttl: .*can be answered'
	stop_daemon
	service a '' 'ttl = 33' | write_config
	does_not_warn
}

@test "defer_accept lets a worker sleep until the client has spoken, or the time is over" {
	start_with "$(service plain '' '')" "$(service deferred '' 'defer_accept = 1s')"
	exec 8<>"/dev/tcp/127.0.0.1/$(port_of plain)"
	wait_for 5 "a worker that waits for the client" busy_worker plain
	exec 9<>"/dev/tcp/127.0.0.1/$(port_of deferred)"
	# to the client it is established, to the server not yet
	[ -n "$(ss -Htn state established "dport = :$(port_of deferred)")" ]
	[ -n "$(ss -Htn state syn-recv "sport = :$(port_of deferred)")" ]
	run ! busy_worker deferred
	serve_on 9
	busy_worker deferred
	release 9
	# who never speaks is accepted in the end, since the service could be the one that speaks first
	exec 9<>"/dev/tcp/127.0.0.1/$(port_of deferred)"
	run ! busy_worker deferred
	wait_for 10 "a worker that waits for the client" busy_worker deferred
	serve_on 9
	release 8
	release 9
}
