#!/usr/bin/env bats
# sockopt.bats - the block socket { }: what is written is what the kernel has, from the start and after a reload, and
# does what it says. What the kernel has is read from outside (helpers/sockopt.c, ss), not from preforkd.
# shellcheck disable=SC2030,SC2031  # each test is a subshell, and sets its own variables
# shellcheck disable=SC2119,SC2120  # functions with options, called without

bats_require_minimum_version 1.5.0
load lib/daemon
load lib/network
load lib/sockets

setup() {
	daemon_setup
	ABSTRACT=@preforkd-test-$$-$RANDOM-$BATS_TEST_NUMBER
}

teardown() {
	daemon_teardown
}

# ---- services ----

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

# read_listening: what the log says of each service, in the tables SAID (options) and SOCKET (the type, since a TCP and a
# UDP socket may have the same port, and the address as the kernel has it: raw sockets have their protocol where others
# have a port)
read_listening() {
	local line form='event=listening service=([^ ]+) .* type=([^ ]+) protocol=([^ ]+) address=([^ ]+)(.*)'
	declare -gA SAID=() SOCKET=()
	while IFS= read -r line; do
		[[ $line =~ $form ]] || continue
		SOCKET[${BASH_REMATCH[1]}]="${BASH_REMATCH[2]} ${BASH_REMATCH[4]}"
		[ "${BASH_REMATCH[2]}" != raw ] || SOCKET[${BASH_REMATCH[1]}]+=:${BASH_REMATCH[3]}
		line=${BASH_REMATCH[5]# options=\"}
		SAID[${BASH_REMATCH[1]}]=${line%\"}
	done <"$LOG"
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
	log_lacks 'event=config_warning .* asked, '
	read_listening
	for i in "${!row_kinds[@]}"; do
		echo "${row_kinds[i]}:${row_said[i]}"
		[ " ${SAID[s$i]} " = "${row_said[i]}" ] || { echo "said: ${SAID[s$i]}" && return 1; }
		# shellcheck disable=SC2086  # words
		has "$MASTER" "${SOCKET[s$i]}" ${row_kernel[i]} || return
		# shellcheck disable=SC2086
		! has "$MASTER" "${SOCKET[bare-${row_kinds[i]}]}" ${row_kernel[i]} >"$BATS_TEST_TMPDIR/bare" ||
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
	tcp tcp6 ~ keepalive { idle = 1m interval = 7s } ~ keepalive.idle=60s keepalive.interval=7s ~ TCP_KEEPINTVL=7
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
	udp udp6 raw raw6 ~ priority = 77 ~ priority=77 ~ SO_PRIORITY=77
	tcp udp raw ~ transparent = true ~ transparent=true ~ IP_TRANSPARENT=1
	tcp6 udp6 raw6 ~ transparent = true ~ transparent=true ~ IPV6_TRANSPARENT=1
	raw ~ freebind = true ~ freebind=true ~ IP_FREEBIND=1
	raw6 ~ freebind = true ~ freebind=true ~ IPV6_FREEBIND=1
	raw raw6 ~ receive_buffer = 50K ~ receive_buffer=51200 ~ SO_RCVBUF=102400
	raw raw6 ~ send_buffer = 60000 ~ send_buffer=60000 ~ SO_SNDBUF=120000
	raw raw6 ~ bind_device = lo ~ bind_device=lo ~ SO_BINDTODEVICE="lo"
	raw ~ tos = 40 ~ tos=40 ~ IP_TOS=40
	raw6 ~ tos = 40 ~ tos=40 ~ IPV6_TCLASS=40
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

# refused_config TEXT: -t, the start and a reload refuse the config in place, with these words; what runs goes on
refused_config() {
	run -78 "$PREFORKD" -t -c "$CONF"
	[[ $output == "$CONF:1: service \"a\": $1"* ]]
	run -78 "$PREFORKD" -c "$CONF"
	[[ $output == "$CONF:1: service \"a\": $1"* ]]
	cp "$CONF" "$CONF.bad"
	: >"$LOG"
	start_with "$(service a '' '')"
	cp "$CONF.bad" "$CONF"
	reload_daemon
	[ "$(log_count 'event=reload_refused error="the config has errors"')" -eq 1 ]
	sed -n 's/.*event=config_error error="\(.*\)"$/\1/p' "$LOG" | tr -d '\134' | grep -qF "$CONF:1: service \"a\": $1"
	answers "$(port_of a)"
	stop_daemon
}

@test "a congestion control algorithm or an interface that is not there is refused with a remedy" {
	service a '' 'congestion = no-such' | write_config
	refused_config 'socket.congestion: "no-such": Invalid argument (see sysctl net.ipv4.tcp_allowed_congestion_control'
	service a '' 'bind_device = no-such0' | write_config
	refused_config 'socket.bind_device: "no-such0": No such device (see ip link)'
}

@test "an interface that is not there for a multicast group is one line of the start, and a warning of a reload" {
	local keys='type = dgram address = "*"' group='multicast { group = "239.255.42.99" interface = no-such0 }'
	need_sockopt
	service a "$keys" "$group" | write_config
	refused_start 71 'error="socket.multicast[.a-z]*: No such device \(.*ip link'
	start_with "$(service a "$keys" '')"
	reload_with "$(service a "$keys" "$group receive_buffer = 50K" 2)"
	log_has 'level=warning .*event=listener_not_adjusted service=a error="socket.multicast[.a-z]*: No such device'
	[ "$(log_count 'event=listener_not_adjusted')" -eq 1 ]
	# the rest of the config is in force
	wait_for 20 "2 workers" n_workers_is 2
	has "$MASTER" "$(address_of a)" SO_RCVBUF=102400
	"$TEST_BIN/dgram" "127.0.0.1:$(port_of a)" hello
	reload_with "$(service a "$keys" '')"
	[ "$(log_count 'event=listener_not_adjusted')" -eq 1 ]
}

# a master without the capabilities that options take
without_rights() {
	local rights=-net_admin,-net_raw
	local without=(setpriv "--bounding-set=$rights" "--inh-caps=$rights")
	if [ "$(id -u)" -eq 0 ]; then
		"${without[@]}" true || strict_skip "kernel: no right to give up capabilities"
		behind "${without[@]}"
	fi
}

@test "an option that the master has no right to set is refused with the right that is missing" {
	without_rights
	service a '' 'mark = 1' | write_config
	refused_config 'socket.mark: 1: Operation not permitted (it takes CAP_NET_ADMIN or CAP_NET_RAW)'
	service a 'type = dgram' 'transparent = true' | write_config
	refused_config 'socket.transparent: 1: Operation not permitted (it takes CAP_NET_ADMIN or CAP_NET_RAW)'
	service a 'type = dgram' 'priority = 7' | write_config
	refused_config 'socket.priority: 7: Operation not permitted (above 6 it takes CAP_NET_ADMIN)'
	: >"$LOG"
	start_with "$(service a 'type = dgram' 'priority = 6')"
	[ "$(options_of a)" = priority=6 ]
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
	# 6 is the most that a worker without rights can give
	start_with "$(service four '' 'priority = 6')" "$(service six 'family = inet6' 'priority = 5')" "$(service none '' '')"
	inherits four SO_PRIORITY=6
	inherits six SO_PRIORITY=5
	inherits none SO_PRIORITY=0
}

# hold_multipath PORT: a client that keeps a multipath connection open, until it is ended
hold_multipath() {
	local address
	address=x$(printf %04x "$1")x7f000001x0000000000000000
	beside "$BATS_TEST_TMPDIR/socat" socat "SOCKET-CONNECT:2:262:$address" \
		"SYSTEM:echo hello && exec cat >$BATS_TEST_TMPDIR/answer"
	wait_for 20 "an answer" grep -q hello "$BATS_TEST_TMPDIR/answer"
}

@test "each option of MPTCP is what the kernel has, and a connection has it" {
	local said="nodelay=true defer_accept=3s receive_buffer=51200 send_buffer=60000 tos=40 priority=5"
	said+=" keepalive.idle=50s keepalive.interval=7s keepalive.count=3"
	need_sockopt
	[ "$(cat /proc/sys/net/mptcp/enabled)" = 1 ] || strict_skip "kernel: no MPTCP"
	service m 'protocol = mptcp' 'nodelay = true defer_accept = 3s receive_buffer = 50K send_buffer = 60000 tos = 40
		priority = 5 keepalive { idle = 50s interval = 7s count = 3 }' | write_config
	if "$PREFORKD" -t -c "$CONF" 2>&1 | grep 'this kernel does not have it for this protocol'; then
		strict_skip "kernel: MPTCP without some option"
	fi
	start_daemon
	[ "$(options_of m)" = "$said" ]
	has "$MASTER" "$(address_of m)" TCP_NODELAY=1 TCP_DEFER_ACCEPT=3 SO_RCVBUF=102400 SO_SNDBUF=120000 IP_TOS=40 \
		SO_PRIORITY=5 SO_KEEPALIVE=1 TCP_KEEPIDLE=50 TCP_KEEPINTVL=7 TCP_KEEPCNT=3
	hold_multipath "$(port_of m)"
	[ -n "$(ss -HMn "sport = :$(port_of m)")" ]
	has -c "$(busy_worker m)" "$(address_of m)" TCP_NODELAY=1 SO_RCVBUF=102400 SO_SNDBUF=120000 IP_TOS=40 SO_KEEPALIVE=1 \
		TCP_KEEPIDLE=50 TCP_KEEPINTVL=7 TCP_KEEPCNT=3
	end_beside "$BESIDE"
}

@test "an option that the kernel does not have for a protocol is refused, and says so" {
	[ "$(cat /proc/sys/net/mptcp/enabled)" = 1 ] || strict_skip "kernel: no MPTCP"
	service a 'protocol = mptcp' 'user_timeout = 1s' | write_config
	! "$PREFORKD" -t -c "$CONF" || strict_skip "kernel: MPTCP has even this option"
	refused_config 'socket.user_timeout: 1000: Operation not supported (this kernel does not have it for this protocol)'
}

@test "v6only is what the kernel has, from the default to what is written, and what the listening line says" {
	need_sockopt
	# (the kernel sets it for an address that is one)
	start_with "$(service default 'family = inet6 address = "*"' '')" \
		"$(service yes 'family = inet6 address = "*"' 'v6only = true')" \
		"$(service no 'family = inet6 address = "*"' 'v6only = false')" \
		"$(service udp 'family = inet6 type = dgram address = "*"' 'v6only = false')"
	has "$MASTER" "$(address_of default)" IPV6_V6ONLY=1
	has "$MASTER" "$(address_of yes)" IPV6_V6ONLY=1
	has "$MASTER" "$(address_of no)" IPV6_V6ONLY=0
	has "$MASTER" "$(address_of udp)" IPV6_V6ONLY=0
}

@test "the listening line says what v6only became, when it is written" {
	start_with "$(service default 'family = inet6 address = "*"' '')" \
		"$(service no 'family = inet6 address = "*"' 'v6only = false')"
	[ -z "$(options_of default)" ]
	[ "$(options_of no)" = v6only=false ]
}

# warns REGEX: -t says it and is content; and so does the start, in its log
warns() {
	run -0 "$PREFORKD" -t -c "$CONF"
	grep -Eq "^$CONF:1: warning: service \"a\": $1" <<<"$output"
	: >"$LOG"
	start_daemon
	# in the log, quotes are escaped, by a backslash (octal 134)
	[ "$(sed -n 's/.* level=warning .*event=config_warning text="\(.*\)"$/\1/p' "$LOG" | tr -d '\134')" = \
		"$(grep warning: <<<"$output")" ]
}

does_not_warn() {
	run -0 "$PREFORKD" -t -c "$CONF"
	[ "$output" = "$CONF: OK (1 service)" ]
	: >"$LOG"
	start_daemon
	log_lacks 'event=config_warning'
}

@test "what the kernel grants in part only is a warning with both numbers, and the service starts" {
	local most key
	need_sockopt
	declare -A limit=([receive_buffer]=rmem_max [send_buffer]=wmem_max)
	declare -A option=([receive_buffer]=SO_RCVBUF [send_buffer]=SO_SNDBUF)
	for key in receive_buffer send_buffer; do
		most=$(cat "/proc/sys/net/core/${limit[$key]}")
		((most < 1 << 30)) || strict_skip "kernel: net.core.${limit[$key]} is as large as can be"
		for kind in '' 'family = inet6 type = dgram'; do
			service a "$kind" "$key = 1G" | write_config
			warns "socket.$key: 1073741824 asked, $most granted \(raise sysctl net.core.${limit[$key]}\)"
			has "$MASTER" "$(address_of a)" "${option[$key]}=$((2 * most))"
			[ "$(options_of a)" = "$key=$most" ]
			stop_daemon
		done
	done
	# less than the default is no reason to warn, nor is the most
	service a 'type = dgram' "receive_buffer = 20000 send_buffer = $most" | write_config
	does_not_warn
}

@test "a backlog that is larger than the system allows warns, and the kernel has what it allows" {
	need_networks
	own_network
	set_sysctl net/core/somaxconn 100
	service a '' 'backlog = 101' | write_config
	warns 'socket.backlog: 101 is more than the system allows: 100 \(net.core.somaxconn\)'
	[ "$(net ss -Hltn | awk '{ print $3 }')" -eq 100 ]
	# also at a reload
	reload_daemon
	[ "$(log_count 'event=config_warning')" -eq 2 ]
	stop_daemon
	for backlog in 100 7 somaxconn; do
		service a '' "backlog = $backlog" | write_config
		does_not_warn
		[ "$(net ss -Hltn | awk '{ print $3 }')" -eq "${backlog/somaxconn/100}" ]
		stop_daemon
	done
}

@test "fastopen warns while the sysctl keeps servers from it, and what the system cuts is said" {
	need_networks
	own_network
	service a '' 'fastopen = 10' | write_config
	for value in 0 1; do
		set_sysctl net/ipv4/tcp_fastopen $value
		warns 'socket.fastopen: is switched off for servers \(sysctl net.ipv4.tcp_fastopen=3\)'
		stop_daemon
	done
	for value in 2 3; do
		set_sysctl net/ipv4/tcp_fastopen $value
		does_not_warn
		stop_daemon
	done
	set_sysctl net/core/somaxconn 100
	service a '' 'fastopen = 101' | write_config
	warns 'socket.fastopen: 101 asked, 100 granted \(raise sysctl net.core.somaxconn\)'
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
	start_with "$(service plain '' '')" "$(service defer '' 'defer_accept = 3s')"
	exec 8<>"/dev/tcp/127.0.0.1/$(port_of plain)"
	wait_for 20 "a worker that waits for the client" busy_worker plain
	exec 9<>"/dev/tcp/127.0.0.1/$(port_of defer)"
	# to the client it is established, to the server not yet
	[ -n "$(ss -Htn state established "dport = :$(port_of defer)")" ]
	[ -n "$(ss -Htn state syn-recv "sport = :$(port_of defer)")" ]
	run ! busy_worker defer
	serve_on 9
	busy_worker defer
	release 9
	# who never speaks is accepted in the end, since the service could be the one that speaks first
	exec 9<>"/dev/tcp/127.0.0.1/$(port_of defer)"
	run ! busy_worker defer
	wait_for 60 "a worker that waits for the client" busy_worker defer
	serve_on 9
	release 8
	release 9
}

# ---- reload ----

# options_with WHICH: services, with the options if WHICH is "with"
options_with() {
	local tcp='' udp='' unix='' inet='' prio=''
	if [ "$1" = with ]; then
		inet='receive_buffer = 50K send_buffer = 60000 tos = 40'
		tcp="$inet ttl = 33 nodelay = true defer_accept = 3s fastopen = 16 user_timeout = 1500ms backlog = 7
			congestion = reno keepalive { idle = 50s interval = 7s count = 3 }"
		udp=$inet
		unix='send_buffer = 60000 passcred = true'
		prio='priority = 5'
	fi
	service four '' "$tcp"
	service six 'family = inet6' "$tcp"
	service udp 'type = dgram address = "*"' "$udp ${udp:+broadcast = true}"
	service udp6 'family = inet6 type = dgram' "$udp"
	service unix "family = unix type = dgram path = \"$ABSTRACT\"" "$unix"
	service prio '' "$prio"
}

kernel_inet=(SO_RCVBUF=102400 SO_SNDBUF=120000)
kernel_tcp=(TCP_NODELAY=1 TCP_USER_TIMEOUT=1500 TCP_CONGESTION=reno SO_KEEPALIVE=1 TCP_KEEPIDLE=50 TCP_KEEPINTVL=7
	TCP_KEEPCNT=3)

kernel_has_options() {
	has "$MASTER" "$(address_of four)" "${kernel_inet[@]}" "${kernel_tcp[@]}" TCP_DEFER_ACCEPT=3 TCP_FASTOPEN=16 \
		IP_TOS=40 IP_TTL=33
	has "$MASTER" "$(address_of six)" "${kernel_inet[@]}" "${kernel_tcp[@]}" TCP_DEFER_ACCEPT=3 TCP_FASTOPEN=16 \
		IPV6_TCLASS=40 IPV6_UNICAST_HOPS=33
	has "$MASTER" "$(address_of udp)" "${kernel_inet[@]}" IP_TOS=40 SO_BROADCAST=1
	has "$MASTER" "$(address_of udp6)" "${kernel_inet[@]}" IPV6_TCLASS=40
	has "$MASTER" "$(address_of unix)" SO_SNDBUF=120000 SO_PASSCRED=1
	has "$MASTER" "$(address_of prio)" SO_PRIORITY=5
	[ "$(ss -Hltn "sport = :$(port_of four)" | awk '{ print $3 }')" -eq 7 ]
}

# kernel_values: all that the kernel has of all services, one line each
kernel_values() {
	local inet=(SO_RCVBUF SO_SNDBUF SO_PRIORITY SO_BROADCAST SO_REUSEPORT IP_TOS IP_TTL)
	local tcp=(TCP_NODELAY TCP_DEFER_ACCEPT TCP_FASTOPEN TCP_USER_TIMEOUT TCP_CONGESTION SO_KEEPALIVE TCP_KEEPIDLE
		TCP_KEEPINTVL TCP_KEEPCNT)
	local inet6=(IPV6_TCLASS IPV6_UNICAST_HOPS IPV6_V6ONLY)
	"$TEST_BIN/sockopt" "$MASTER" "$(address_of four)" "${inet[@]}" "${tcp[@]}"
	"$TEST_BIN/sockopt" "$MASTER" "$(address_of six)" "${inet[@]}" "${tcp[@]}" "${inet6[@]}"
	"$TEST_BIN/sockopt" "$MASTER" "$(address_of udp)" "${inet[@]}"
	"$TEST_BIN/sockopt" "$MASTER" "$(address_of udp6)" "${inet[@]}" "${inet6[@]}"
	"$TEST_BIN/sockopt" "$MASTER" "$(address_of unix)" SO_SNDBUF SO_PASSCRED
	"$TEST_BIN/sockopt" "$MASTER" "$(address_of prio)" SO_PRIORITY
	ss -Hltn "sport = :$(port_of four)" | awk '{ print $3 }'
}

inodes() {
	local name
	for name in four six udp udp6 unix prio; do
		inode_of "$name"
	done
}

@test "a reload sets the options on the open sockets, and takes them back, and loses nobody" {
	local before inodes
	need_sockopt
	start_with "$(options_with none)"
	before=$(kernel_values)
	inodes=$(inodes)
	beside "$BATS_TEST_TMPDIR/load" "$TEST_BIN/load" -p "$(port_of four)" -c 4 -n 2000
	for _ in 1 2; do
		reload_with "$(options_with with)"
		kernel_has_options
		reload_with "$(options_with none)"
		diff <(echo "$before") <(kernel_values)
	done
	reload_with "$(options_with with)"
	inherits four "${kernel_inet[@]}" "${kernel_tcp[@]}" IP_TTL=33
	inherits six "${kernel_inet[@]}" "${kernel_tcp[@]}" IPV6_UNICAST_HOPS=33
	[ "$(inodes)" = "$inodes" ]
	log_lacks 'event=(listener_not_adjusted|config_warning .* asked|listener_closed)'
	wait_for 60 "the clients" process_gone "$BESIDE"
	grep -q '^connections=2000 ok=2000 ' "$BATS_TEST_TMPDIR/load"
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "options that were there from the start go back to what the kernel does by itself" {
	local before
	need_sockopt
	start_with "$(options_with none)"
	before=$(kernel_values)
	stop_daemon
	: >"$LOG"
	start_with "$(options_with with)"
	kernel_has_options
	reload_with "$(options_with none)"
	diff <(echo "$before") <(kernel_values)
	log_lacks 'event=listener_not_adjusted'
}

@test "an option that the kernel does not change any more keeps no other from changing" {
	without_rights
	need_sockopt
	start_with "$(service a '' 'bind_device = lo receive_buffer = 50K backlog = 7')"
	# to take a device needs no right, to give it up does
	reload_with "$(service a '' 'backlog = 9')"
	[ "$(log_count 'event=listener_not_adjusted')" -eq 1 ]
	log_has 'event=listener_not_adjusted service=a error="socket.bind_device: .*CAP_NET_RAW'
	has "$MASTER" "$(address_of a)" 'SO_BINDTODEVICE="lo"'
	[ "$(ss -Hltn "sport = :$(port_of a)" | awk '{ print $3 }')" -eq 9 ]
	answers "$(port_of a)"
}

@test "the options that need a right come and go at a reload" {
	local kinds=('' 'family = inet6' 'type = dgram' 'type = raw protocol = 253') i
	need_sockopt
	need_rights
	# rights OPTIONS: services of all kinds
	rights() {
		for i in "${!kinds[@]}"; do
			service "s$i" "${kinds[i]}" "$1"
		done
	}
	start_with "$(rights '')"
	read_listening
	for _ in 1 2; do
		reload_with "$(rights 'mark = 77')"
		for i in "${!kinds[@]}"; do
			has "$MASTER" "${SOCKET[s$i]}" SO_MARK=77
		done
		reload_with "$(rights '')"
		for i in "${!kinds[@]}"; do
			has "$MASTER" "${SOCKET[s$i]}" SO_MARK=0
		done
	done
	log_lacks 'event=listener_not_adjusted'
}

@test "a buffer that goes back to the default is the kernel's to size again" {
	need_sockopt
	start_with "$(service a '' '')"
	has "$MASTER" "$(address_of a)" SO_BUF_LOCK=0 || strict_skip "kernel: no SO_BUF_LOCK"
	reload_with "$(service a '' 'receive_buffer = 50K send_buffer = 50K')"
	has "$MASTER" "$(address_of a)" SO_BUF_LOCK=3
	reload_with "$(service a '' '')"
	has "$MASTER" "$(address_of a)" SO_BUF_LOCK=0
}

@test "priority and tos, which sets a priority as well, come and go in any order" {
	local was now
	need_sockopt
	# at 5 the written one, at 6 that of tos = 16, at 0 none
	declare -A written=([0]='' [5]='priority = 5' [6]='tos = 16' [both]='tos = 16 priority = 5')
	for was in 0 both; do
		: >"$LOG"
		start_with "$(service a '' "${written[$was]}")"
		for now in both 0 6 both 5 6 5 both 6 0; do
			echo "from $was to $now"
			reload_with "$(service a '' "${written[$now]}")"
			has "$MASTER" "$(address_of a)" "SO_PRIORITY=${now/both/5}"
			was=$now
		done
		stop_daemon
	done
}

@test "a TTL that is taken out of the config leaves the mark of datagrams, not the system's TTL" {
	need_sockopt
	for kind in 'type = dgram' 'family = inet6 type = dgram address = "*"'; do
		: >"$LOG"
		start_with "$(service a "$kind" 'ttl = 33')" "$(service b "$kind" '')"
		has "$MASTER" "$(address_of a)" IP_TTL=33
		has "$MASTER" "$(address_of b)" IP_TTL=200
		reload_with "$(service a "$kind" '')" "$(service b "$kind" 'ttl = 34')"
		has "$MASTER" "$(address_of b)" IP_TTL=34
		[[ $kind != *inet6* ]] || has "$MASTER" "$(address_of b)" IPV6_UNICAST_HOPS=34
		has "$MASTER" "$(address_of a)" IP_TTL=200
		[[ $kind != *inet6* ]] || has "$MASTER" "$(address_of a)" IPV6_UNICAST_HOPS=200
		reload_with "$(service a "$kind" '')" "$(service b "$kind" '')"
		has "$MASTER" "$(address_of b)" IP_TTL=200
		[[ $kind != *inet6* ]] || has "$MASTER" "$(address_of b)" IPV6_UNICAST_HOPS=200
		stop_daemon
	done
}

@test "what only a new socket can have warns at a reload, changes nothing, and is content when it is taken back" {
	local key said n=0
	need_sockopt
	start_with "$(service a 'family = inet6 address = "*"' '')"
	for key in 'v6only = false' 'freebind = true' 'transparent = true' 'reuse_port = yes'; do
		echo "$key"
		[[ $key != transparent* ]] || has_rights || continue
		reload_with "$(service a 'family = inet6 address = "*"' "$key")"
		said="event=listener_not_adjusted service=a error=\"socket.${key%% *}: cannot change \(restart preforkd\)\"$"
		[ "$(log_count "level=warning .*$said")" -eq 1 ]
		[ "$(log_count 'event=listener_not_adjusted')" -eq "$((++n))" ]
		has "$MASTER" "$(address_of a)" IPV6_V6ONLY=1 IPV6_FREEBIND=0 IPV6_TRANSPARENT=0 SO_REUSEPORT=0
		answers "$(port_of a)" ::1
		reload_with "$(service a 'family = inet6 address = "*"' '')"
		[ "$(log_count 'event=listener_not_adjusted')" -eq "$n" ]
	done
	# an option that can change does so, all the same
	reload_with "$(service a 'family = inet6 address = "*"' 'v6only = false ttl = 33')"
	has "$MASTER" "$(address_of a)" IPV6_V6ONLY=1 IPV6_UNICAST_HOPS=33
	# and so it does after a restart
	stop_daemon
	: >"$LOG"
	start_daemon
	has "$MASTER" "$(address_of a)" IPV6_V6ONLY=0 IPV6_UNICAST_HOPS=33
}

# ---- unix ----

@test "passcred: requests still are answered, whoever sends them" {
	start_with "$(service a "family = unix type = dgram path = \"$BATS_TEST_TMPDIR/sock\"" 'passcred = true')" \
		"$(service b "family = unix type = dgram path = \"$ABSTRACT\"" 'passcred = true')"
	# the kernel fills in the client's credentials, which no answer may carry
	"$TEST_BIN/dgram" -f "$ABSTRACT-client" "$BATS_TEST_TMPDIR/sock" hello
	"$TEST_BIN/dgram" -f "$ABSTRACT-client" "$ABSTRACT" hello
	stop_daemon
	account_is a accepted=1 served=1 failed=0
	account_is b accepted=1 served=1 failed=0
}

@test "directory_mode makes the directories that are missing, with just this mode, and touches no other" {
	local mask mode dir
	for mask in 000 0777; do
		for mode in 777 710; do
			dir=$BATS_TEST_TMPDIR/$mask-$mode
			mkdir "$dir"
			chmod 751 "$dir"
			service a "family = unix path = \"$dir/one/two//three/sock\"" "directory_mode = 0$mode" >"$CONF.$mask.$mode"
			: >"$LOG"
			umask "$mask"
			CONF=$CONF.$mask.$mode start_daemon
			umask 022
			[ "$(stat -c %a "$dir" "$dir/one" "$dir/one/two" "$dir/one/two/three" | tr '\n' ' ')" = "751 $mode $mode $mode " ]
			[ "$(stat -c '%a %F' "$dir/one/two/three/sock")" = '660 socket' ]
			[ "$(socat -t 20 - "UNIX-CONNECT:$dir/one/two/three/sock" <<<hello)" = hello ]
			stop_daemon
			# what is there is there
			chmod 750 "$dir/one"
			: >"$LOG"
			CONF=$CONF.$mask.$mode start_daemon
			[ "$(stat -c %a "$dir/one" "$dir/one/two" | tr '\n' ' ')" = "750 $mode " ]
			stop_daemon
		done
	done
}

@test "without directory_mode no directory is made, and a path that cannot be is refused" {
	local dir=$BATS_TEST_TMPDIR/dir
	service a "family = unix path = \"$dir/sock\"" '' | write_config
	refused_start 73 'No such file or directory \(.*directory_mode'
	[ ! -e "$dir" ]
	echo precious >"$dir"
	service a "family = unix path = \"$dir/one/sock\"" 'directory_mode = 0755' | write_config
	refused_start 73 'Not a directory'
	[ "$(cat "$dir")" = precious ]
	rm "$dir"
	# -t makes nothing
	run -0 "$PREFORKD" -t -c "$CONF"
	[ ! -e "$dir" ]
}

@test "directory_mode holds for a service that a reload adds" {
	local dir=$BATS_TEST_TMPDIR/dir
	start_with "$(service a '' '')"
	reload_with "$(service a '' '')" "$(service b "family = unix path = \"$dir/sock\"" 'directory_mode = 0711')"
	[ "$(stat -c %a "$dir")" = 711 ]
	[ "$(socat -t 20 - "UNIX-CONNECT:$dir/sock" <<<hello)" = hello ]
}
