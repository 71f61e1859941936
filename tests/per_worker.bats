#!/usr/bin/env bats
# per_worker.bats - reuse_port: a socket for each worker, which takes its own queue along through reloads, deaths and
# other sizes of the pool; and one address for two programs.
# shellcheck disable=SC2030,SC2031  # each test is a subshell, and sets its own variables

bats_require_minimum_version 1.5.0
load lib/daemon
load lib/network
load lib/sockets

setup() {
	daemon_setup
}

teardown() {
	# who stands still cannot end in order
	[ -z "$MASTER" ] || signal_all CONT
	daemon_teardown
}

# each N [KEYS [SOCKET]]: a service "a" of N workers with a socket each
each() {
	service a "${2:-}" "reuse_port = per-worker ${3:-}" "$1"
}

# The sockets that the kernel has for the port, one line each: "WAITING LIMIT".
queues() {
	ss -Hltn "sport = :$(port_of a)" | awk '{ print $2, $3 }'
}

n_sockets_is() {
	[ "$(queues | wc -l)" -eq "$1" ]
}

waiting() {
	queues | awk '{ n += $1 } END { print n + 0 }'
}

n_waiting_is() {
	[ "$(waiting)" -eq "$1" ]
}

# signal_all SIGNAL: to each worker
signal_all() {
	local pid
	for pid in $(workers_of "$MASTER"); do
		kill -s "$1" "$pid" || :
	done
}

# all_stopped: each worker stands still
all_stopped() {
	local pid
	for pid in $(workers_of "$MASTER"); do
		grep -q '^State:.T' "/proc/$pid/status" || return 1
	done
}

# stop_workers: nobody accepts from now on
stop_workers() {
	signal_all STOP
	wait_for 20 "workers that stand still" all_stopped
}

# load ARGUMENT...: clients; each of them must have got its echo
load_is_ok() {
	"$TEST_BIN/load" -p "$(port_of a)" "$@" >"$BATS_TEST_TMPDIR/load" || { cat "$BATS_TEST_TMPDIR/load" && return 1; }
}

# load_begins N: so many clients at the same time, in the background, which wait in the queues
load_begins() {
	beside "$BATS_TEST_TMPDIR/load" "$TEST_BIN/load" -p "$(port_of a)" -c "$1" -n "$1"
	wait_for 20 "$1 clients that wait" n_waiting_is "$1"
}

# load_ends: all of them got their echo
load_ends() {
	wait_for 60 "the clients" process_gone "$BESIDE"
	cat "$BATS_TEST_TMPDIR/load"
	wait "$BESIDE"
}

# all_answered N: each of N clients of the UDP service a gets its answer, each from a port of its own
all_answered() {
	local i
	for ((i = 0; i < $1; i++)); do
		"$TEST_BIN/dgram" "$(address_of a)" hello >"$BATS_TEST_TMPDIR/answer" ||
			{ echo "no answer to number $i" && return 1; }
	done
}

# own_sockets: the inode of the socket of each worker, of which there is one
own_sockets() {
	local pid
	for pid in $(workers_of "$MASTER"); do
		"$TEST_BIN/sockopt" "$pid" "$(address_of a)" inode | sort -u
	done | sort
}

@test "each worker has a socket of its own, of TCP and of UDP, and all of them serve" {
	local keys
	need_sockopt
	for keys in '' 'family = inet6' 'type = dgram' 'type = dgram protocol = udplite'; do
		echo "$keys"
		[[ $keys != *lite ]] || grep -q '^UDP-Lite' /proc/net/protocols || continue
		: >"$LOG"
		start_with "$(each 4 "$keys")"
		[[ $(options_of a) == *sockets=4* && $(options_of a) == *reuse_port=true* ]]
		[ "$(log_count event=listening)" -eq 1 ]
		[ "$(inode_of a | uniq | wc -l)" -eq 4 ]
		[ "$(own_sockets)" = "$(inode_of a)" ]
		# hundreds of clients: by a hash, each queue gets some
		case $keys in
		'') load_is_ok -c 8 -n 400 ;;
		*inet6) load_is_ok -6 -c 8 -n 400 ;;
		'type = dgram') all_answered 100 ;;
		esac
		stop_daemon
		[[ $keys == *lite ]] || [ "$(log_count 'event=worker_exit .* accepted=[1-9]')" -eq 4 ]
	done
}

@test "without per-worker there is one socket, which others may share only with reuse_port = yes" {
	local two=$BATS_TEST_TMPDIR/two keys
	for keys in 'port' 'type = dgram port'; do
		: >"$LOG"
		start_with "$(service a '' 'reuse_port = no' 3)" "$(service d 'type = dgram' 'reuse_port = no' 3)"
		n_sockets_is 1
		service a "port = $(port_of a)" 'reuse_port = yes' >"$two.conf"
		run -69 "$PREFORKD" -c "$two.conf"
		service a "type = dgram port = $(port_of d)" 'reuse_port = yes' >"$two.conf"
		run -69 "$PREFORKD" -c "$two.conf"
		stop_daemon
	done
}

@test "two masters share an address with reuse_port = yes, and each is enough" {
	local two=$BATS_TEST_TMPDIR/two second kind
	for kind in '' 'type = dgram'; do
		: >"$LOG"
		: >"$two.log"
		start_with "$(service a "$kind" 'reuse_port = yes' 2)"
		service a "$kind port = $(port_of a)" 'reuse_port = yes' 2 >"$two.conf"
		beside "$two.log" "$PREFORKD" -c "$two.conf"
		second=$BESIDE
		wait_for 20 "the second one" grep -q event=ready "$two.log"
		if [ -z "$kind" ]; then
			n_sockets_is 2
			load_is_ok -c 4 -n 200
		else
			all_answered 50
		fi
		port=$(port_of a)
		stop_daemon
		# both had some of them
		[ "$(account_of a served)" -gt 0 ]
		mv "$LOG" "$LOG.first"
		cp "$two.log" "$LOG"
		if [ -z "$kind" ]; then
			load_is_ok -c 4 -n 50
		else
			all_answered 20
		fi
		kill -TERM "$second"
		wait_for 20 "the end of the second" process_gone "$second"
		grep -q 'event=account service=a .*served=[1-9]' "$two.log"
		rm "$LOG"
	done
}

@test "a reload keeps all sockets and loses nobody" {
	local before
	need_sockopt
	start_with "$(each 3)"
	before=$(inode_of a)
	beside "$BATS_TEST_TMPDIR/load" "$TEST_BIN/load" -p "$(port_of a)" -c 6 -n 4000
	for _ in 1 2 3 4 5 6 7 8; do
		reload_daemon
	done
	load_ends
	[ "$(inode_of a)" = "$before" ]
	wait_for 20 "3 workers" n_workers_is 3
	[ "$(own_sockets)" = "$before" ]
	log_lacks 'event=(listener_not_adjusted|worker_killed)'
	stop_daemon
	[ "$(account_of a accepted)" -eq 4000 ]
}

# ask_on ADDRESS: clients of a UDP service, one after the other, as long as there is "go"; says "lost" for each that got
# no answer
ask_on() {
	while [ -e "$BATS_TEST_TMPDIR/go" ]; do
		"$TEST_BIN/dgram" -w 30000 "$1" hello >>"$BATS_TEST_TMPDIR/answers" || echo lost
	done
}

@test "a reload loses no datagram" {
	: >"$BATS_TEST_TMPDIR/go"
	start_with "$(each 3 'type = dgram')"
	beside "$BATS_TEST_TMPDIR/asked" ask_on "$(address_of a)"
	for _ in 1 2 3 4 5 6 7 8; do
		reload_daemon
	done
	wait_for 20 "100 answers" has_lines 100 "$BATS_TEST_TMPDIR/answers"
	rm "$BATS_TEST_TMPDIR/go"
	wait_for 20 "the last answer" process_gone "$BESIDE"
	[ ! -s "$BATS_TEST_TMPDIR/asked" ]
	stop_daemon
	[ "$(account_of a served)" -eq "$(wc -l <"$BATS_TEST_TMPDIR/answers")" ]
}

has_lines() {
	[ "$(wc -l <"$2")" -ge "$1" ]
}

@test "who waits in a queue when the pool grows is served, and the new sockets serve as well" {
	local before
	need_sockopt
	start_with "$(each 2 '' 'receive_buffer = 50K')"
	before=$(inode_of a)
	stop_workers
	load_begins 20
	printf '%s\n' "$(each 5 '' 'receive_buffer = 60K')" | write_config
	kill -HUP "$MASTER"
	wait_for 20 "the reload" log_has 'event=reload_done'
	load_ends
	signal_all CONT
	n_sockets_is 5
	# the two that were there are still there, and all have what is written now
	[ "$(comm -12 <(echo "$before") <(inode_of a) | wc -l)" -eq 2 ]
	[ "$("$TEST_BIN/sockopt" "$MASTER" "$(address_of a)" SO_RCVBUF SO_REUSEPORT | uniq -c | tr -s ' ')" = ' 5 122880 1' ]
	wait_for 20 "5 workers" n_workers_is 5
	[ "$(own_sockets)" = "$(inode_of a)" ]
	load_is_ok -c 8 -n 400
	stop_daemon
	[ "$(log_count 'event=worker_exit .* generation=2 .* accepted=[1-9]')" -eq 5 ]
}

# shrinks FROM TO [CONFIG]: nobody who waits is lost when the pool gets smaller
shrinks() {
	start_with "$(each "$1")"
	stop_workers
	load_begins 40
	n_sockets_is "$1"
	printf '%s\n' "${3:-$(each "$2")}" | write_config
	kill -HUP "$MASTER"
	wait_for 20 "the reload" log_has 'event=reload_done'
	signal_all CONT
	load_ends
	wait_for 20 "the sockets that go to be closed" n_sockets_is "$2"
	wait_for 20 "$2 workers" n_workers_is "$2"
	load_is_ok -c 4 -n 100
	stop_daemon
	[ "$(account_of a accepted)" -eq 140 ]
}

@test "who waits in a queue that goes when the pool shrinks is served" {
	shrinks 4 2
}

@test "who waits in a queue that goes when the pool shrinks to one worker is served" {
	shrinks 4 1
}

@test "who waits in a queue that goes when it becomes a socket for all is served" {
	shrinks 3 1 "$(service a '' 'reuse_port = yes')"
}

@test "who waits in the queue of a worker that is killed is served by the next one, and the others go on" {
	local victim before
	need_sockopt
	start_with "$(each 2)"
	before=$(own_sockets)
	stop_workers
	load_begins 20
	victim=$(workers_of "$MASTER" | head -n 1)
	kill -CONT "$(workers_of "$MASTER" | tail -n 1)"
	# the other one does not take what is not its own
	wait_for 20 "a queue that is empty" some_queue_is_empty
	[ "$(waiting)" -gt 0 ]
	kill -KILL "$victim"
	load_ends
	wait_for 20 "2 workers" n_workers_is 2
	[ "$(own_sockets)" = "$before" ]
	stop_daemon
	[ "$(account_of a accepted)" -eq 20 ]
}

some_queue_is_empty() {
	queues | grep -q '^0 '
}

# a reload that is refused must leave as many sockets as there are workers: to the others clients come, and nobody else
all_are_served_after_refusal() {
	reload_daemon
	log_has 'event=reload_refused'
	wait_for 20 "2 workers" n_workers_is 2
	wait_for 20 "2 sockets" n_sockets_is 2
	load_is_ok -c 8 -n 40
	stop_daemon
	[ "$(account_of a accepted)" -eq 40 ]
}

@test "a reload that grows the pool and is refused, since its workers cannot start, leaves no socket without a worker" {
	local dir=$BATS_TEST_TMPDIR/closed
	[ "$(id -u)" -eq 0 ] || strict_skip "kernel: no right to run workers as another user"
	mkdir -m 700 "$dir"
	start_with "$(each 2)"
	each 6 "run { directory = \"$dir\" }" | write_config
	all_are_served_after_refusal
}

@test "a reload that grows the pool and is refused, since another service cannot listen, leaves none either" {
	start_with "$(each 2)"
	printf '%s\n' "$(each 6)" "$(service b "family = unix path = \"$BATS_TEST_TMPDIR/no/such\"" '')" | write_config
	all_are_served_after_refusal
}

n_sockets_of_b_is() {
	[ "$(ss -Hltn "sport = :$(port_of b)" | wc -l)" -eq "$1" ]
}

@test "a reload that runs out of descriptors while the pools grow leaves no socket without a worker" {
	local few='run { nofile = 32 }'
	behind prlimit --nofile=100
	start_with "$(each 2 "$few")" "$(service b "$few" 'reuse_port = per-worker' 2)"
	printf '%s\n' "$(each 6 "$few")" "$(service b "$few" 'reuse_port = per-worker' 120)" | write_config
	reload_daemon
	log_has 'event=listen_failed service=b .*Too many open files'
	log_has 'event=reload_refused'
	wait_for 20 "2 sockets" n_sockets_is 2
	wait_for 20 "2 sockets of the other" n_sockets_of_b_is 2
	load_is_ok -c 8 -n 40
	reload_with "$(each 4 "$few")" "$(service b "$few" 'reuse_port = per-worker' 2)"
	n_sockets_is 4
	load_is_ok -c 8 -n 40
}

@test "while a reload that grows the pool waits for an address, there is no socket without a worker" {
	need_networks
	own_network
	export NOTIFY_SOCKET=$BATS_TEST_TMPDIR/notify
	beside "$BATS_TEST_TMPDIR/heard" "$TEST_BIN/recorder" "$NOTIFY_SOCKET"
	wait_for 20 "the manager" grep -q bound "$BATS_TEST_TMPDIR/heard"
	start_with "$(each 2 'address = "*"')"
	printf '%s\n' "$(each 6 'address = "*"')" "$(service b 'address = 10.77.0.1 port = 4001' 'bind_retry = 1m')" |
		write_config
	kill -HUP "$MASTER"
	wait_for 20 "a reload that waits" grep -q EXTEND_TIMEOUT_USEC "$BATS_TEST_TMPDIR/heard"
	net "$TEST_BIN/load" -p "$(port_of a)" -c 8 -n 40
	net ip addr add 10.77.0.1/32 dev lo
	wait_for 20 "the reload" log_has 'event=reload_done'
	net "$TEST_BIN/load" -p "$(port_of a)" -c 4 -n 100
	[ "$(net ss -Hltn "sport = :$(port_of a)" | wc -l)" -eq 6 ]
}

# n_answers ADDRESS: to one request from the other end
n_answers() {
	client "$TEST_BIN/dgram" -c 1 "$1" hello >"$BATS_TEST_TMPDIR/answer"
	stop_daemon
	account_of a served
}

@test "a request to a group or to a broadcast address is not answered by each worker" {
	local option to keys='type = dgram address = "*" port = 4001'
	two_networks
	for option in 'broadcast = true' 'multicast { group = "239.1.2.3" interface = v0 }'; do
		to=10.9.0.255
		[[ $option != multicast* ]] || to=239.1.2.3
		each 3 "$keys" "$option" | write_config
		# who refuses this is right as well
		if "$PREFORKD" -t -c "$CONF"; then
			: >"$LOG"
			start_daemon
			[ "$(n_answers "$to:4001")" -eq 1 ]
		else
			run -78 "$PREFORKD" -t -c "$CONF"
			[[ $output == *'service "a": socket.'* ]]
		fi
	done
}

@test "a backlog and a buffer are each socket's own" {
	need_sockopt
	start_with "$(each 3 '' 'backlog = 9 receive_buffer = 50K')"
	[ "$(queues | sort | uniq -c | tr -s ' ')" = ' 3 0 9' ]
	[ "$("$TEST_BIN/sockopt" "$MASTER" "$(address_of a)" SO_RCVBUF | uniq -c | tr -s ' ')" = ' 3 102400' ]
	reload_with "$(each 3 '' 'backlog = 8 ttl = 33')"
	[ "$(queues | sort | uniq -c | tr -s ' ')" = ' 3 0 8' ]
	[ "$("$TEST_BIN/sockopt" "$MASTER" "$(address_of a)" IP_TTL | uniq -c | tr -s ' ')" = ' 3 33' ]
	log_lacks 'event=listener_not_adjusted'
}

@test "to become per-worker takes a restart, says a reload, and the one socket serves on" {
	start_with "$(service a '' '' 3)"
	reload_with "$(each 3)"
	log_has 'event=listener_not_adjusted service=a error="socket.reuse_port: cannot change \(restart preforkd\)'
	n_sockets_is 1
	load_is_ok -c 8 -n 200
	stop_daemon
	: >"$LOG"
	start_daemon
	n_sockets_is 3
}

# datagrams_wait FROM TO: a reload from one size of the pool to another loses none that waits
datagrams_wait() {
	local i clients=()
	start_with "$(each "$1" 'type = dgram')"
	stop_workers
	for i in {1..30}; do
		"$TEST_BIN/dgram" -w 30000 "$(address_of a)" "hello" 3>&- >"$BATS_TEST_TMPDIR/answer.$i" &
		clients+=($!)
	done
	wait_for 20 "30 datagrams that wait" all_wait "${clients[@]}"
	each "$2" 'type = dgram' | write_config
	kill -HUP "$MASTER"
	wait_for 20 "the reload" log_has 'event=reload_done'
	signal_all CONT
	wait "${clients[@]}" || :
	stop_daemon
	account_is a accepted=30 served=30
	[ "$(sort "$BATS_TEST_TMPDIR"/answer.* | uniq -c | tr -s ' ')" = " 30 from=$(address_of a) length=5" ]
}

@test "datagrams that wait when the pool grows are answered" {
	datagrams_wait 2 5
}

@test "datagrams that wait in a queue that goes when the pool shrinks are answered" {
	datagrams_wait 5 2
}

@test "datagrams that wait in a queue that goes when the pool shrinks to one worker are answered" {
	datagrams_wait 4 1
}

# hold_in CALL PID: from now on a worker does not come back from this system call, until let_go. The tracer writes the
# call down when it begins.
hold_in() {
	strace -qq -o "$BATS_TEST_TMPDIR/probe" true || strict_skip "kernel: no ptrace here"
	beside "$BATS_TEST_TMPDIR/strace" strace -qq -p "$2" -e "trace=$1" -e "inject=$1:delay_exit=60000000"
	HOLDER=$BESIDE
	HELD=$2
	wait_for 20 "strace" is_traced "$2"
	wait_for 20 "its call" grep -q "$1(" "$BATS_TEST_TMPDIR/strace"
}

# let_go: but not before it has been told to go
let_go() {
	wait_for 20 "a signal for the worker" has_signal "$HELD"
	end_beside "$HOLDER"
}

has_signal() {
	grep -Eq '^ShdPnd:.*[1-9a-f]' "/proc/$1/status"
}

@test "a datagram that has been received when its worker has to go is answered" {
	local signal client
	for signal in HUP TERM; do
		: >"$LOG"
		start_with "$(service a 'type = dgram' '')"
		hold_in recvmmsg "$(workers_of "$MASTER")"
		"$TEST_BIN/dgram" -w 30000 "$(address_of a)" hello 3>&- >"$BATS_TEST_TMPDIR/answer" &
		client=$!
		wait_for 20 "a datagram that has been taken" is_taken "$client"
		kill -s "$signal" "$MASTER"
		let_go
		wait "$client"
		if [ "$signal" = TERM ]; then
			wait_daemon
		else
			stop_daemon
		fi
		account_is a accepted=1 served=1 failed=0
	done
}

# is_taken CLIENT: it has sent its datagram, and no queue has it
is_taken() {
	all_wait "$1" && [ "$(ss -Hlun "sport = :$(port_of a)" | awk '{ print $2 }')" -eq 0 ]
}

@test "who waits is served to the last, though a connection is in hand when the worker has to go" {
	start_with "$(service a '' '')" "$(service b '' '')"
	port=$(port_of a)
	hold_in accept4 "$(workers_of "$MASTER" a)"
	beside "$BATS_TEST_TMPDIR/load" "$TEST_BIN/load" -p "$port" -c 4 -n 4
	load=$BESIDE
	# one has been taken
	wait_for 20 "3 clients that wait" n_waiting_is 3
	service b '' '' | write_config
	kill -HUP "$MASTER"
	let_go
	BESIDE=$load
	load_ends
	stop_daemon
	[ "$(account_of a accepted)" -eq 4 ]
}
