#!/bin/bash
# checks.sh - what is checked in check-vm's machine: TAP on standard output. Started by init, ends before it.
#
# One table makes the config of preforkd, and says where the clients find each service: preforkctl, which reads that
# config, and tools nobody here wrote: socat, ping of busybox, tipc of iproute2.
set -u
export LC_ALL=C

readonly conf=/etc/preforkd.conf log=/run/log out=/tmp/out
number=0 master=''
patience=30 # seconds for an answer

# ---- TAP ----

verdict() { # verdict ok|"not ok" NAME
	number=$((number + 1))
	printf '%s %d - %s\n' "$1" "$number" "$2"
}

# check NAME COMMAND...: what it printed is shown when it failed
check() {
	local name=$1 status=0

	shift
	"$@" >/tmp/said 2>&1 || status=$?
	if [[ $status -eq 0 ]]; then
		verdict ok "$name"
	else
		verdict 'not ok' "$name"
		echo "# status $status of: $*"
		head -n 40 /tmp/said | sed 's/^/#   /'
		[[ -z $master ]] || ! gone || bail_out 'preforkd has ended'
	fi
}

bail_out() {
	printf 'Bail out! %s\n' "$1"
	exit 1
}

# wait_for SECONDS COMMAND...: until it succeeds
wait_for() {
	local end=$((${EPOCHREALTIME/./} + $1 * 1000000))

	shift
	until "$@"; do
		if ((${EPOCHREALTIME/./} > end)); then
			echo "waited in vain for: $*"
			return 1
		fi
		read -rt 0.02 <> <(:) || :
	done
}

log_has() {
	grep -Eq -- "$1" "$log"
}

# ---- the table ----

services=()       # in the order of the table, and those that speak first and end the connection:
daytimes=()
declare -A title  # "inet stream sctp"
declare -A peer   # socat's address of the service
declare -A asked  # how many requests it got: what its account has to say in the end
declare -A spoilt # set if it got some that cannot be served
declare -Ar icmp=([inet]=icmp [inet6]=ipv6-icmp)

le32() { # a number as the four bytes of a little-endian machine, in hexadecimal, as socat wants them
	printf '%02x%02x%02x%02x' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255))
}

# The rest of a struct sockaddr, after its family, for the families and types that socat has no word for.
sockaddr() { # sockaddr inet PORT | inet6 PORT | vsock PORT | tipc TYPE INSTANCE
	case $1 in
	inet) printf 'x%04x7f0000010000000000000000' "$2" ;;
	inet6) printf 'x%04x00000000%032x00000000' "$2" 1 ;;
	vsock) printf 'x0000%s%s00000000' "$(le32 "$2")" "$(le32 1)" ;;
	# TIPC_SERVICE_ADDR, any scope, looked up everywhere
	tipc) printf 'x0200%s%s%s' "$(le32 "$2")" "$(le32 "$3")" "$(le32 0)" ;;
	esac
}

# row FAMILY TYPE PROTOCOL PEER KEYS [HANDLER]: "-" where there is no protocol, "" where no socat asks
row() {
	local name=$1-$2
	local handler=${6:-echo} protocol=''

	if [[ $3 != - ]]; then
		name+=-$3
		protocol="protocol = \"$3\""
	fi
	case $handler in
	daytime)
		name+=-daytime
		daytimes+=("$name")
		;;
	qotd) name+=-qotd ;;
	*) services+=("$name") ;;
	esac
	title[$name]="$1 $2${protocol:+ $3}"
	peer[$name]=$4
	asked[$name]=0
	# one worker, so that the order of the answers is that of the requests
	printf 'service %s {\n\tfamily = %s\n\ttype = %s\n\t%s\n\t%s\n\thandler = %s\n\tworkers { min = 1 max = 1 }\n}\n' \
		"$name" "$1" "$2" "$protocol" "$5" "$handler" >>"$conf"
}

make_config() {
	: >"$conf"
	row inet stream tcp TCP4:127.0.0.1:1101 'port = 1101'
	row inet stream mptcp "SOCKET-CONNECT:2:262:$(sockaddr inet 1102)" 'port = 1102'
	row inet stream sctp SCTP4:127.0.0.1:1103 'port = 1103'
	row inet seqpacket sctp "SOCKET-SENDTO:2:5:132:$(sockaddr inet 1104)" 'port = 1104'
	row inet dgram udp UDP4:127.0.0.1:1105 'port = 1105'
	row inet dgram udplite "SOCKET-SENDTO:2:2:136:$(sockaddr inet 1106)" 'port = 1106'
	row inet dgram icmp '' 'port = 1107' discard
	row inet raw icmp '' '' ping
	# a raw socket gets what is sent to its own address, hence another one for the client
	row inet raw 253 IP4-SENDTO:127.0.0.1:253,bind=127.0.0.2 ''

	row inet6 stream tcp 'TCP6:[::1]:1101' 'port = 1101'
	row inet6 stream mptcp "SOCKET-CONNECT:10:262:$(sockaddr inet6 1102)" 'port = 1102'
	row inet6 stream sctp 'SCTP6:[::1]:1103' 'port = 1103'
	row inet6 seqpacket sctp "SOCKET-SENDTO:10:5:132:$(sockaddr inet6 1104)" 'port = 1104'
	row inet6 dgram udp 'UDP6:[::1]:1105' 'port = 1105'
	row inet6 dgram udplite "SOCKET-SENDTO:10:2:136:$(sockaddr inet6 1106)" 'port = 1106'
	row inet6 dgram ipv6-icmp '' 'port = 1107' discard
	row inet6 raw ipv6-icmp '' '' ping
	row inet6 raw 253 'IP6-SENDTO:[::1]:253,bind=[fd00::2]' ''

	row unix stream - UNIX-CONNECT:/run/stream 'path = "/run/stream"'
	row unix dgram - UNIX-SENDTO:/run/dgram,bind=/run/client,unlink-early 'path = "/run/dgram"'
	row unix seqpacket - UNIX-CONNECT:/run/seqpacket,so-type=5 'path = "/run/seqpacket"'

	row vsock stream - VSOCK-CONNECT:1:2001 'port = 2001'
	row vsock seqpacket - "SOCKET-CONNECT:40:0:$(sockaddr vsock 2002),so-type=5" 'port = 2002'

	# DATAGRAM, not SENDTO: the answer comes from the address of the socket, not from the name of the service
	row tipc rdm - "SOCKET-DATAGRAM:30:4:0:$(sockaddr tipc 3001 5)" 'address = "3001:1-10" scope = cluster'
	row tipc dgram - "SOCKET-DATAGRAM:30:2:0:$(sockaddr tipc 3002 5)" \
		'address = "3002:1-10" socket { receive_buffer = 200K }'
	row tipc seqpacket - "SOCKET-CONNECT:30:0:$(sockaddr tipc 3003 5),so-type=5" 'address = "3003:1-10"'
	row tipc stream - "SOCKET-CONNECT:30:0:$(sockaddr tipc 3004 5)" 'address = "3004:5"'

	row inet stream mptcp "SOCKET-CONNECT:2:262:$(sockaddr inet 1113)" 'port = 1113' daytime
	row inet stream sctp SCTP4:127.0.0.1:1113 'port = 1113' daytime
	row vsock stream - VSOCK-CONNECT:1:2013 'port = 2013' daytime
	row vsock seqpacket - "SOCKET-CONNECT:40:0:$(sockaddr vsock 2014),so-type=5" 'port = 2014' daytime
	row tipc seqpacket - "SOCKET-CONNECT:30:0:$(sockaddr tipc 3013 1),so-type=5" 'address = "3013:1"' daytime
	row tipc stream - "SOCKET-CONNECT:30:0:$(sockaddr tipc 3014 1)" 'address = "3014:1"' daytime
	row tipc rdm - "SOCKET-DATAGRAM:30:4:0:$(sockaddr tipc 3015 1)" 'address = "3015:1"' qotd
}

# ---- what --probe says ----

# each_row COMMAND...: for every row that has to work, as FAMILY TYPE PROTOCOL; "other" is any number of a protocol
each_row() {
	local family

	for family in inet inet6; do
		"$@" "$family" stream tcp
		"$@" "$family" stream mptcp
		"$@" "$family" stream sctp
		"$@" "$family" dgram udp
		"$@" "$family" dgram udplite
		"$@" "$family" dgram "${icmp[$family]}"
		"$@" "$family" seqpacket sctp
		"$@" "$family" raw "${icmp[$family]}"
		"$@" "$family" raw other
	done
	"$@" unix stream -
	"$@" unix dgram -
	"$@" unix seqpacket -
	"$@" vsock stream -
	"$@" vsock seqpacket -
	"$@" tipc rdm -
	"$@" tipc dgram -
	"$@" tipc seqpacket -
	"$@" tipc stream -
}

# probe_says REGEX FILE FAMILY TYPE PROTOCOL
probe_says() {
	local protocol=$5 line re

	[[ $protocol != - ]] || protocol='[^ ]+' # however it says that there is none
	re="^$3 +$4 +$protocol +(accept|receive) +$1\$"
	while read -r line; do
		[[ ! $line =~ $re ]] || return 0
	done <"$2"
	echo "not \"$1\":"
	grep -E "^$3 +$4 " "$2" || cat "$2"
	return 1
}

probe_works() { # probe_works FAMILY TYPE PROTOCOL
	local protocol=${3#-}

	check "probe: $1 $2${protocol:+ $protocol}: works" probe_says works /tmp/probe "$@"
}

# One row more than each_row has: vsock dgram, for which there is no loopback.
probe_has_all_rows() {
	local rows working

	rows=$(tail -n +2 /tmp/probe | grep -c .)
	working=$(grep -o '"works": *true' /tmp/probe.json | grep -c .)
	echo "$rows rows; $working work, in JSON:"
	cat /tmp/probe.json
	[[ $rows -eq 28 && $working -eq 27 ]]
}

# ---- configs that cannot be ----

# refused REGEX KEYS: by preforkd -t, with a sentence that matches
refused() {
	local status=0 said

	printf 'service x {\n\thandler = echo\n\t%s\n}\n' "$2" >/tmp/refused.conf
	said=$(preforkd -t -c /tmp/refused.conf 2>&1) || status=$?
	echo "$said"
	[[ $status -eq 78 ]] && grep -Eq -- "$1" <<<"$said"
}

# ---- clients ----

# The child of socat: one line out, one line in, then it is done. So nobody has to half-close a connection, which SCTP
# cannot, and nobody waits for the end of datagrams, which have none.
cat >/tmp/client <<'END'
printf '%s\n' "$REQUEST"
IFS= read -r answer && printf '%s\n' "$answer" >/tmp/answer
END

# by_socat ADDRESS TEXT [COMMAND...]: whether TEXT comes back to a socat that COMMAND runs
by_socat() {
	local address=$1 text=$2

	shift 2
	: >/tmp/answer
	# umask: who answers a unix datagram has to be allowed to write to the client's socket
	(umask 0; REQUEST=$text exec "$@" timeout "$patience" socat -t 0 "$address" EXEC:'sh /tmp/client')
	is_answer "$text" "$(</tmp/answer)"
}

is_answer() { # is_answer REQUEST ANSWER
	[[ $2 == "$1" ]] && return
	echo "asked \"$1\", answered \"$2\""
	return 1
}

socat_asks() { # socat_asks SERVICE TEXT [COMMAND...]
	local service=$1

	shift
	asked[$service]=$((asked[$service] + 1))
	by_socat "${peer[$service]}" "$@"
}

# preforkctl_asks SERVICE TEXT: whether TEXT comes back, and the time it took is told
preforkctl_asks() {
	local answer told status=0 re='^[0-9]+ bytes from .* in [0-9.]+ ms$'

	asked[$1]=$((asked[$1] + 1))
	# to wait for the end of a connection that nobody ends would take longer
	answer=$(timeout 30 preforkctl -c "$conf" -w 60 probe "$1" "$2" 2>/tmp/told) || status=$?
	told=$(</tmp/told)
	echo "status $status: $told"
	[[ $status -eq 0 ]] && is_answer "$2" "$answer" && [[ $told =~ $re ]]
}

# ends SERVICE: it speaks, and then the connection has its end, which is no error
ends() {
	local status=0

	asked[$1]=$((asked[$1] + 1))
	timeout 30 socat -u "${peer[$1]}" "CREATE:$out" >/tmp/told 2>&1 || status=$?
	cat /tmp/told "$out"
	echo "status $status"
	[[ $status -eq 0 && ! -s /tmp/told ]] && grep -q "day, .* $(date +%Y) " "$out"
}

# nobody_there SERVICE STATUS...: preforkctl exits with one of these
nobody_there() {
	local service=$1 status=0

	shift
	timeout 30 preforkctl -c "$conf" -w 1 probe "$service" hello || status=$?
	echo "status $status, wanted: $*"
	[[ " $* " == *" $status "* ]]
}

# silence COMMAND...: it failed, and there was no answer at all
silence() {
	local patience=5

	: >/tmp/answer
	"$@" && return 1
	[[ ! -s /tmp/answer ]]
}

# records SERVICE SIZE FILE: FILE is sent in messages of SIZE bytes, and comes back the same, in order
records() {
	local socat status=0

	rm -f "$out"
	[[ -s $3 ]] || return
	case ${peer[$1]} in
	*-CONNECT*) asked[$1]=$((asked[$1] + 1)) ;; # for all of them
	*) asked[$1]=$((asked[$1] + $(stat -c %s "$3") / $2)) ;;
	esac
	socat -b "$2" -t 30 "OPEN:$3,rdonly!!CREATE:$out" "${peer[$1]}" &
	socat=$!
	wait_for 60 as_large_as "$3" || status=1
	kill "$socat" 2>/dev/null
	wait "$socat"
	cmp "$3" "$out" && return "$status"
}

# A burst of a thousand, which have to wait, because the only worker was stopped: none of them is lost.
burst() { # burst SERVICE
	local pid status=0

	pid=$(worker_of "$1")
	kill -STOP "$pid" || return
	(
		sleep 1
		kill -CONT "$pid"
	) &
	records "$1" 8 /tmp/numbered || status=$?
	wait $!
	return "$status"
}

# The client is gone before it is answered: what TIPC gives back of that answer is no request. The account shows it.
ask_and_leave() { # ask_and_leave SERVICE
	local pid status=0

	asked[$1]=$((asked[$1] + 1))
	pid=$(worker_of "$1")
	kill -STOP "$pid" || return
	echo 'too late' | timeout 30 socat -u - "${peer[$1]}" || status=$?
	kill -CONT "$pid"
	return "$status"
}

# too_large SERVICE FILE: a message that no buffer holds is not answered at all, and then another one is
too_large() {
	rm -f "$out"
	socat -b 200000 -t 1 "OPEN:$2,rdonly!!CREATE:$out" "${peer[$1]}" || return
	spoilt[$1]=yes
	stat -c '%s bytes came back' "$out"
	[[ ! -s $out ]] && socat_asks "$1" 'not too large'
}

as_large_as() {
	[[ -e $out && $(stat -c %s "$out") -ge $(stat -c %s "$1") ]]
}

pings() { # pings ADDRESS COUNT
	ping -c "$2" -i 0.1 -W "$patience" "$1"
}

# echo_reply FAMILY ID: one that nobody asked for, to a ping socket
echo_reply() {
	local id sum

	id=$(printf '%04x' "$2")
	if [[ $1 == inet ]]; then
		# type 0, code 0, checksum, identifier, sequence 1, no payload
		sum=$(printf '%04x' $((0xffff - $2 - 1)))
		printf '%b' "\\x00\\x00\\x${sum:0:2}\\x${sum:2}\\x${id:0:2}\\x${id:2}\\x00\\x01" |
			socat -u - IP4-SENDTO:127.0.0.1:1
	else # here the kernel makes the checksum
		printf '%b' "\\x81\\x00\\x00\\x00\\x${id:0:2}\\x${id:2}\\x00\\x01" | socat -u - 'IP6-SENDTO:[::1]:58'
	fi
}

# How many handshakes had MP_CAPABLE to their end; names and figures are two lines.
multipath_handshakes() {
	awk '$1 != "MPTcpExt:" { next }
		!n { n = split($0, name); next }
		{ for (i = 1; i <= n; i++) if (name[i] == "MPCapableACKRX") print $i }' /proc/net/netstat
}

is_multipath() { # is_multipath SERVICE
	local before

	before=$(multipath_handshakes)
	socat_asks "$1" multipath || return
	echo "handshakes before: $before, now: $(multipath_handshakes)"
	[[ $(multipath_handshakes) -gt $before ]]
}

# ---- the other node of a TIPC cluster: a namespace with a cable ----

far() {
	ip netns exec far "$@"
}

connect_far() {
	ip netns add far &&
		ip link add near type veth peer name far netns far &&
		ip link set near up && far ip link set far up && far ip link set lo up &&
		tipc bearer enable media eth device near &&
		far tipc bearer enable media eth device far &&
		wait_for 30 far_knows '3001 +1 +10 +cluster'
}

far_knows() {
	far tipc nametable show | grep -Eq "^$1"
}

# ---- the daemon ----

start() {
	preforkd -c "$conf" >>"$log" 2>&1 &
	master=$!
	wait_for 20 ready_or_gone
	log_has event=ready
}

ready_or_gone() {
	log_has event=ready || gone
}

gone() {
	local state

	{ read -r state <"/proc/$master/stat"; } 2>/dev/null || return 0
	[[ ${state##*) } == Z* ]]
}

reload() {
	kill -HUP "$master"
	wait_for 20 log_has 'event=reload_(done|refused)'
	log_has event=reload_done
}

worker_of() { # worker_of SERVICE: its pid
	local pid pids name

	read -ra pids <"/proc/$master/task/$master/children" || [[ ${#pids[@]} -gt 0 ]] || return
	for pid in "${pids[@]}"; do
		# its name stands in place of the command line
		IFS= read -r -d '' name <"/proc/$pid/cmdline" || continue
		[[ $name != "preforkd: $1" ]] || echo "$pid"
	done
}

# The worker of SERVICE is killed; what is asked then is answered by its successor.
after_a_crash() {
	local pid

	pid=$(worker_of "$1")
	kill -KILL "$pid" || return
	socat_asks "$1" 'after a crash' && wait_for 30 log_has "event=worker_exit service=$1 .*worker_pid=$pid "
}

stop() {
	local status=0

	kill -TERM "$master"
	wait_for 20 gone
	wait "$master" || status=$?
	master=''
	echo "exit status $status"
	[[ $status -eq 0 ]]
}

# Each request is in the account, served, once; and nothing else is.
accounts_are_right() {
	local line re name status=0
	local -A accounts

	re=' event=account service=([^ ]+) accepted=[0-9]+ served=([0-9]+) failed=([0-9]+) '
	while read -r line; do
		[[ ! $line =~ $re ]] || accounts[${BASH_REMATCH[1]}]="${BASH_REMATCH[2]} ${BASH_REMATCH[3]}"
	done <"$log"
	for name in "${!asked[@]}"; do
		# a raw ICMP socket is shown all ICMP there is
		[[ $name != *-raw-*icmp ]] || continue
		# what could not be served counts as failed, in one or more pieces
		[[ ${accounts[$name]-} != "${asked[$name]} ${spoilt[$name]-0}" ]] || continue
		[[ -z ${spoilt[$name]-} || ${accounts[$name]-} != "${asked[$name]} "[1-9]* ]] || continue
		echo "$name was asked ${asked[$name]} times${spoilt[$name]+, and more}; served, failed: ${accounts[$name]-?}"
		status=1
	done
	return "$status"
}

names_are_published() {
	tipc nametable show >/tmp/names
	cat /tmp/names
	grep -Eq '^3001 +1 +10 +cluster ' /tmp/names && grep -Eq '^3002 +1 +10 +node ' /tmp/names &&
		grep -Eq '^3003 +1 +10 +node ' /tmp/names && grep -Eq '^3004 +5 +5 +node ' /tmp/names
}

names_are_withdrawn() {
	tipc nametable show >/tmp/names
	cat /tmp/names
	! grep -Eq '^300' /tmp/names
}

log_is_clean() {
	! grep -E 'level=(bug|error)|Sanitizer|runtime error' "$log"
}

kernel_is_content() {
	! dmesg | grep -E 'BUG:|Oops|WARNING:|Call Trace|general protection'
}

insert_modules() {
	local module status=0

	while read -r module; do
		insmod "/modules/$module.ko" || { echo "insmod $module"; status=1; }
	done </modules/order
	return "$status"
}

# ---- the OOM killer: a preforkd of its own, in a control group with little memory ----

readonly oom_log=/run/oom.log

start_in_group() {
	local group=/sys/fs/cgroup/little

	mkdir -p /sys/fs/cgroup
	mount -t cgroup2 cgroup /sys/fs/cgroup && echo +memory >/sys/fs/cgroup/cgroup.subtree_control &&
		mkdir "$group" && echo $((100 << 20)) >"$group/memory.max" || return
	cat >/etc/oom.conf <<-'END'
	control { path = "" }
	service wild { port = 1201 handler = "/lib/wild.so" workers { max = 1 } }
	service hog {
		port = 1202 handler = exec workers { max = 1 }
		command = { "/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1" }
	}
	END
	# shellcheck disable=SC2016  # $$ is that shell's
	sh -c 'echo $$ >"$1/cgroup.procs" && exec preforkd -c /etc/oom.conf' sh "$group" >"$oom_log" 2>&1 &
	master=$!
	wait_for 20 oom_log_has event=ready
}

oom_log_has() {
	grep -Eq -- "$1" "$oom_log"
}

# killed_as OOM COMMAND...: COMMAND ends the worker of wild by SIGKILL, and so it is explained
killed_as() {
	local oom=$1 pid

	shift
	wait_for 30 has_worker wild || return
	pid=$(worker_of wild)
	"$@" "$pid"
	wait_for 20 oom_log_has "event=worker_exit .*worker_pid=$pid .*reason=SIGKILL "
	grep "event=worker_exit .*worker_pid=$pid " "$oom_log"
	oom_log_has "event=worker_exit .*worker_pid=$pid .* oom=$oom "
}

has_worker() {
	[[ -n $(worker_of "$1") ]]
}

takes_too_much() {
	echo 'alloc 400' | timeout 20 socat -t 20 - TCP4:127.0.0.1:1201
}

# A program is killed for its memory; its worker is not.
program_takes_too_much() {
	timeout 20 socat -u TCP4:127.0.0.1:1202 -
	wait_for 30 oom_log_has 'event=program_exit service=hog .*reason=SIGKILL '
}

# Nobody can tell who of two that died in the same moment was meant, but the kernel does not take so long.
later() {
	local end=$((SECONDS + 7))

	wait_for 20 is_at "$end"
}

is_at() {
	[[ $SECONDS -ge $1 ]]
}

# ---- the checks ----

make_config

# Before there are modules, and before anybody may open a ping socket: what is missing, and what to do.
echo '1 0' >/proc/sys/net/ipv4/ping_group_range
preforkd --probe >/tmp/probe.before 2>&1
for row in 'sctp inet stream sctp' 'sctp inet6 seqpacket sctp' 'tipc tipc rdm -' 'vsock vsock stream -'; do
	read -r module family type protocol <<<"$row"
	check "without its module: $family $type: --probe says modprobe $module" \
		probe_says "no: .*modprobe $module.*" /tmp/probe.before "$family" "$type" "$protocol"
done
check 'without the right: inet dgram icmp: --probe says ping_group_range' \
	probe_says 'no: .*ping_group_range.*' /tmp/probe.before inet dgram icmp
check 'without its module: -t refuses tipc rdm' \
	refused 'no socket of tipc rdm.*modprobe tipc' 'family = tipc type = rdm address = "3001:1"'
check 'without its module: -t refuses inet stream sctp' \
	refused 'no socket of inet stream sctp.*modprobe sctp' 'protocol = sctp port = 1103'

check 'the modules are inserted' insert_modules
echo '0 2147483647' >/proc/sys/net/ipv4/ping_group_range
echo 1 >/proc/sys/net/ipv4/icmp_echo_ignore_all
echo 1 >/proc/sys/net/ipv6/icmp/echo_ignore_all
ip addr add fd00::2/128 dev lo

preforkd --probe >/tmp/probe 2>&1
preforkd --probe --json >/tmp/probe.json 2>&1
each_row probe_works
check 'probe: vsock dgram: has no loopback, and it says so' probe_says 'no: .+' /tmp/probe vsock dgram -
check 'probe: 28 rows, 27 work, also in JSON' probe_has_all_rows

check 'refused: vsock dgram, which this system has not' \
	refused 'no socket of vsock dgram' 'family = vsock type = dgram port = 2003'
check 'refused: an option of TCP on tipc' \
	refused 'socket\.nodelay' 'family = tipc type = stream address = "3001:1" socket { nodelay = true }'
check 'refused: an option of TCP on sctp' \
	refused 'socket\.keepalive\.idle' 'protocol = sctp port = 1103 socket { keepalive { idle = 60s } }'
check 'refused: a receive buffer on vsock' \
	refused 'socket\.receive_buffer' 'family = vsock port = 2003 socket { receive_buffer = 128K }'
check 'refused: per-worker listeners on sctp' \
	refused 'socket\.reuse_port' 'protocol = sctp port = 1103 socket { reuse_port = per-worker }'
check 'refused: tipc without an address of its own' refused '"x": address' 'family = tipc type = rdm'
check 'refused: a type reserved by tipc' refused '"x": address' 'family = tipc type = rdm address = "63:1"'
check 'refused: rdm on inet, with the family that has it' refused 'tipc' 'type = rdm port = 1103'
check 'refused: seqpacket of tcp' refused 'seqpacket' 'type = seqpacket protocol = tcp port = 1103'
check 'refused: scope on inet' refused '"x": scope' 'port = 1103 scope = cluster'

check 'before the start: nobody answers ping' silence pings 127.0.0.1 1
check 'before the start: nobody answers ping -6' silence pings ::1 1
check 'before the start: tipc rdm is not answered' nobody_there tipc-rdm 1 69
check 'before the start: tipc stream is not reached' nobody_there tipc-stream 69
check 'before the start: inet stream sctp is not reached' nobody_there inet-stream-sctp 69
check 'before the start: vsock stream is not reached' nobody_there vsock-stream 69

check 'the config passes preforkd -t' preforkd -t -c "$conf"
check 'preforkd is ready with every service' start
log_has event=ready || bail_out 'nothing more can be asked'

for service in "${services[@]}"; do
	[[ $service != *-dgram-*icmp ]] || continue # one may only hear there
	check "${title[$service]}: preforkctl: echo came back" preforkctl_asks "$service" "hello $service $RANDOM"
done
for service in "${services[@]}"; do
	[[ -n ${peer[$service]} ]] || continue
	check "${title[$service]}: socat: echo came back" socat_asks "$service" "socat asks $service $RANDOM"
done
for service in "${daytimes[@]}"; do
	check "${title[$service]}: socat: the service ends the connection in order" ends "$service"
done
check 'inet raw icmp: ping is answered' pings 127.0.0.1 5
check 'inet6 raw ipv6-icmp: ping -6 is answered' pings ::1 5
for family in inet inet6; do
	service=$family-dgram-${icmp[$family]}
	check "${title[$service]}: an echo reply is sent" echo_reply "$family" 1107
	check "${title[$service]}: one for somebody else is sent" echo_reply "$family" 1108
	asked[$service]=1
done
check 'inet stream mptcp: multipath was negotiated' is_multipath inet-stream-mptcp
check 'inet6 stream mptcp: multipath was negotiated' is_multipath inet6-stream-mptcp
check 'inet stream mptcp: a client of plain tcp is served' by_socat TCP4:127.0.0.1:1102 'plain tcp'
asked[inet-stream-mptcp]=$((asked[inet-stream-mptcp] + 1))

printf '%07d\n' {1..1000} >/tmp/numbered # records of eight bytes, no two alike
head -c 60000 /dev/urandom >/tmp/large
# no more than a receive queue holds, since TIPC drops what does not fit: it is a dgram
head -n 50 /tmp/numbered >/tmp/some
check 'tipc dgram: fifty messages came back, in order' records tipc-dgram 8 /tmp/some
check 'tipc dgram: a message of 60000 bytes came back' records tipc-dgram 60000 /tmp/large
for service in tipc-rdm tipc-seqpacket vsock-seqpacket inet-seqpacket-sctp; do
	check "${title[$service]}: a thousand messages came back, in order" records "$service" 8 /tmp/numbered
	check "${title[$service]}: a message of 60000 bytes came back" records "$service" 60000 /tmp/large
done
check 'tipc rdm: a thousand messages that had to wait came back, in order' burst tipc-rdm
head -c 66000 /dev/urandom >/tmp/too-large # as much as TIPC has, more than 64 KiB
check 'tipc rdm: a message of more than 64 KiB is not answered with a part of it' too_large tipc-rdm /tmp/too-large
head -c 100000 /dev/urandom >/tmp/too-large
check 'inet seqpacket sctp: a message of more than 64 KiB is not answered with a part of it' \
	too_large inet-seqpacket-sctp /tmp/too-large

check 'tipc rdm: a client asks and is gone' ask_and_leave tipc-rdm-qotd

check 'tipc rdm: the end of the range is served' \
	by_socat "SOCKET-DATAGRAM:30:4:0:$(sockaddr tipc 3001 10)" 'the last'
asked[tipc-rdm]=$((asked[tipc-rdm] + 1))
check 'tipc rdm: nobody beyond it' silence by_socat "SOCKET-DATAGRAM:30:4:0:$(sockaddr tipc 3001 11)" beyond
check 'tipc dgram: the log has what was granted as receive_buffer' \
	log_has 'event=listening service=tipc-dgram .*options="receive_buffer=204800"'
check 'tipc: the names have their ranges and scopes' names_are_published
check 'tipc: another node sees the cluster' connect_far
check 'tipc rdm: scope cluster: another node is answered' socat_asks tipc-rdm 'from afar' ip netns exec far
check 'tipc dgram: scope node: another node is not' \
	silence by_socat "${peer[tipc-dgram]}" 'from afar' ip netns exec far

for service in tipc-rdm inet-seqpacket-sctp vsock-stream; do
	check "${title[$service]}: answered after the worker was killed" after_a_crash "$service"
done
check 'a reload' reload
for service in tipc-rdm tipc-stream inet-stream-sctp inet-seqpacket-sctp vsock-seqpacket inet-raw-253; do
	check "${title[$service]}: answered after the reload" socat_asks "$service" 'after a reload'
done

check 'preforkd stops with status 0' stop
check 'the accounts have every request once' accounts_are_right
check 'after the stop: tipc rdm is not answered' nobody_there tipc-rdm 1 69
check 'after the stop: the names of tipc are withdrawn' names_are_withdrawn
check 'the log of preforkd has no error' log_is_clean
check 'the kernel has nothing to complain of' kernel_is_content

check 'a preforkd in a control group with 100 MiB' start_in_group
check 'a worker that takes too much memory: oom=yes' killed_as yes takes_too_much
check 'the next one, which somebody kills: oom=no' killed_as no kill -KILL
check 'a program that takes too much memory is killed' program_takes_too_much
check 'some time later' later
check 'a worker that somebody kills after that: oom=no' killed_as no kill -KILL
check 'and again, one that takes too much: oom=yes' killed_as yes takes_too_much
check 'it stops with status 0' stop
sed 's/^/oom: /' "$oom_log" >>"$log"
printf '1..%d\n' "$number"
