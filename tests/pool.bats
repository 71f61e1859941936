#!/usr/bin/env bats
# pool.bats - how many workers a pool has: it grows with its clients, at once, and shrinks when they stay away.
# shellcheck disable=SC2154  # MASTER, LOG, ... are set by lib/daemon

load lib/daemon

setup() {
	daemon_setup
	DIR=$BATS_TEST_TMPDIR
	GATE=$DIR/gate
	N_CLIENTS=0
}

teardown() {
	daemon_teardown
}

# service NAME WORKERS [KEYS]
service() {
	echo "service $1 { handler = echo workers { $2 } timeouts { drain = 10s } ${3-} }"
}

# clients WHAT TO ...: of lib/client.pl, beside; what they say is in $SAID
clients() {
	N_CLIENTS=$((N_CLIENTS + 1))
	SAID=$DIR/said.$N_CLIENTS
	beside "$SAID" perl "$BATS_TEST_DIRNAME/lib/client.pl" "$@"
}

# answered N: the clients that were started last
answered() {
	wait_for 60 "answers to $1 clients" grep -q "^answered $1" "$SAID"
}

# let_go: clients that hold their connections end
let_go() {
	: >"$GATE"
	wait "$BESIDE"
	rm "$GATE"
}

n_idle_are() {
	local pid n=0
	for pid in $(workers_of "$MASTER" "$2"); do
		[ "$(sockets_of "$pid")" -ge 2 ] || n=$((n + 1))
	done
	[ "$n" -eq "$1" ]
}

none_exited() {
	log_lacks 'event=worker_exit'
}

all_left() {
	log_all 'event=worker_exit' 'level=info .*reason=left .* lost=0'
}

@test "64 clients that hold their connections are answered by a pool of 2, on tcp, unix streams and records" {
	local to name
	start_with "$(service tcp 'min = 2 max = 64')" \
		"$(service path 'min = 2 max = 64' "family = unix path = \"$DIR/path\"")" \
		"$(service rec 'min = 2 max = 64' "family = unix type = seqpacket path = \"$DIR/rec\"")"
	for name in tcp path rec; do
		case $name in
		tcp) to=$(port_of tcp) ;;
		path) to=stream:$DIR/path ;;
		rec) to=seqpacket:$DIR/rec ;;
		esac
		n_workers_is 2 "$name"
		clients hold "$to" 64 "$GATE"
		answered 64
		n_workers_is 64 "$name"
		let_go
		[ "$(workers_of "$MASTER" "$name" | wc -l)" -le 64 ]
	done
	none_exited
	log_lacks 'event=all_busy'
	stop_daemon
	account_is tcp accepted=64 served=64
	account_is path accepted=64 served=64
	account_is rec accepted=64 served=64
}

programs_are() {
	[ "$(find "$DIR" -name 'pid.*' | wc -l)" -eq "$1" ]
}

@test "a pool of programs grows by datagrams that wait, and not beyond max" {
	local i
	chmod 777 "$DIR"
	start_with "service udp { type = dgram handler = exec timeouts { idle = 0 }
		command = { \"/bin/sh\", \"-c\", '>$DIR/pid.\$\$; until [ -e $GATE ]; do sleep 0.05; done; cat' }
		workers { min = 1 max = 8 } }"
	for i in 1 2 3 4 5 6 7 8 9; do
		clients datagram "$(port_of udp)" "hello $i"
		pids[i]=$BESIDE
	done
	wait_for 20 "8 programs" programs_are 8
	n_workers_is 8
	: >"$GATE"
	for i in "${!pids[@]}"; do
		wait "${pids[i]}"
		[ "$(cat "$DIR/said.$i")" = "hello $i" ]
	done
	programs_are 9
}

@test "on demand: no worker without a client, and the first one is served, on every kind of socket" {
	local round
	start_with "$(service tcp 'min = 0 max = 4 idle_timeout = 100ms')" \
		"$(service path 'min = 0 max = 4 idle_timeout = 100ms' "family = unix path = \"$DIR/path\"")" \
		"$(service rec 'min = 0 max = 4 idle_timeout = 100ms' "family = unix type = seqpacket path = \"$DIR/rec\"")" \
		"$(service udp 'min = 0 max = 4 idle_timeout = 100ms' 'type = dgram')"
	for round in 1 2; do
		wait_for 20 "no worker" n_workers_is 0
		answers "$(port_of tcp)"
		wait_for 20 "no worker" n_workers_is 0
		clients hold "stream:$DIR/path" 4 "$GATE"
		answered 4
		let_go
		wait_for 20 "no worker" n_workers_is 0
		clients hold "seqpacket:$DIR/rec" 1 "$GATE"
		answered 1
		let_go
		wait_for 20 "no worker" n_workers_is 0
		"$TEST_BIN/dgram" "$(address_of udp)" "hello $round"
	done
	all_left
	stop_daemon
	account_is tcp served=2
	account_is path served=8
	account_is rec served=2
	account_is udp served=2
}

@test "on demand: nobody is lost, refused or made to wait when he comes as the last worker leaves" {
	local median name
	start_with "$(service tcp 'min = 0 max = 2 idle_timeout = 10ms')" \
		"$(service path 'min = 0 max = 2 idle_timeout = 20ms' "family = unix path = \"$DIR/path\"")"
	clients gaps "$(port_of tcp)" 200 40
	local first=$BESIDE said=$SAID
	clients gaps "stream:$DIR/path" 200 50
	wait "$first"
	wait "$BESIDE"
	for name in "$said" "$SAID"; do
		cat "$name"
		grep -q '^answered 200,' "$name"
		# half of them, as such a clock is no promise: a second is the least that somebody forgotten would wait
		median=$(sed 's/.*median \([0-9]*\) ms.*/\1/' "$name")
		[ "$median" -lt 500 ]
	done
	# it was the race: workers left all the time
	[ "$(log_count 'event=worker_exit service=tcp .*reason=left')" -ge 20 ]
	[ "$(log_count 'event=worker_exit service=path .*reason=left')" -ge 20 ]
	all_left
	stop_daemon
	account_is tcp accepted=200 served=200 lost=0
	account_is path accepted=200 served=200 lost=0
}

@test "a burst is answered at once, also when the pool has just shrunk after the last one" {
	local round times=()
	start_with "$(service tcp 'min = 2 max = 32 idle_timeout = 100ms')"
	for round in 1 2 3 4 5; do
		wait_for 30 "2 workers" n_workers_is 2
		clients hold "$(port_of tcp)" 32 "$GATE"
		answered 32
		times+=("$(sed -n 's/^answered 32 in \([0-9]*\) ms$/\1/p' "$SAID")")
		let_go
	done
	echo "${times[@]}"
	# half of them, see above: who is not heard waits for the rest of a second
	[ "$(printf '%s\n' "${times[@]}" | sort -n | sed -n 3p)" -lt 500 ]
}

@test "on demand: a service that cannot work is known at the start" {
	need_root
	mkdir -m 700 "$DIR/closed"
	service a 'min = 0 max = 2' "run { user = nobody directory = \"$DIR/closed\" }" | write_config
	start_daemon_nowait
	wait_daemon
	[ "$DAEMON_STATUS" -eq 71 ]
	log_has 'event=worker_setup_failed service=a .*run.directory'
}

@test "spare: so many more workers than are busy, up to max" {
	start_with "$(service a 'min = 1 max = 8 spare = 3')"
	wait_for 20 "3 idle workers" n_workers_is 3
	hold "$(port_of a)" 7
	wait_for 20 "3 idle workers beside 1" n_workers_is 4
	hold "$(port_of a)" 8
	wait_for 20 "3 idle workers beside 2" n_workers_is 5
	# one that begins has the sockets of all
	wait_for 20 "3 that are idle" n_idle_are 3 a
	clients hold "$(port_of a)" 5 "$GATE"
	answered 5
	wait_for 20 "8 workers" n_workers_is 8
	wait_for 20 "1 that is idle" n_idle_are 1 a
	none_exited
}

exits_are() {
	[ "$(log_count 'event=worker_exit')" -ge "$1" ]
}

# look_at_pause: since $began, when the clients were let go
look_at_pause() {
	local ms
	[ -n "$began" ] || return 0
	ms=$(($(now_ms) - began))
	((ms <= longest)) || longest=$ms
}

@test "a load that comes and goes makes no workers come and go, and idle_timeout later they do" {
	local longest=0 began='' n
	start_with "$(service a 'min = 1 max = 16 idle_timeout = 1s')"
	for _ in {1..12}; do
		clients hold "$(port_of a)" 8 "$GATE"
		answered 8
		look_at_pause
		began=$(now_ms)
		let_go
		read -rt 0.1 <> <(:) || :
	done
	n=$(workers_of "$MASTER" | wc -l)
	look_at_pause
	echo "longest pause: $longest ms, $n workers"
	# one that was as long as idle_timeout is none of those that are meant
	((longest >= 900)) || { none_exited && [ "$n" -eq 9 ]; }
	wait_for 20 "1 worker" n_workers_is 1
	wait_for 20 "the lines of the others" exits_are 8
	all_left
	answers "$(port_of a)"
}

@test "spawn_rate: no more workers in a second" {
	local began
	start_with "$(service a 'min = 1 max = 9 spawn_rate = 4')"
	began=$(now_ms)
	clients hold "$(port_of a)" 9 "$GATE"
	answered 9
	# eight were missing: four in the first second at most, four in the next one
	(($(now_ms) - began >= 990))
}

@test "a reload changes the size of a pool: up, down, and to a fixed one" {
	start_with "$(service a 'min = 1 max = 2')"
	service a 'min = 1 max = 6' | write_config
	reload_daemon
	clients hold "$(port_of a)" 6 "$GATE"
	answered 6
	wait_for 20 "6 workers, and none of before the reload" n_workers_is 6
	let_go
	service a 'min = 1 max = 2' | write_config
	reload_daemon
	wait_for 20 "no more than 2 workers" n_at_most 2
	clients hold "$(port_of a)" 3 "$GATE"
	wait_for 20 "two that are served, and one that waits" are_busy_and_wait 2 1
	n_workers_is 2
	end_beside "$BESIDE"
	service a 'min = 3 max = 3' | write_config
	reload_daemon
	wait_for 20 "3 workers" n_workers_is 3
	all_left
}

# are_busy_and_wait N M: so many workers of "a" have a connection, and so many connections have none
are_busy_and_wait() {
	local pid n=0
	for pid in $(workers_of "$MASTER" a); do
		[ "$(sockets_of "$pid")" -ne 2 ] || n=$((n + 1))
	done
	[ "$n" -eq "$1" ] && queue_is "$(port_of a)" "$2"
}

n_at_most() {
	[ "$(workers_of "$MASTER" | wc -l)" -le "$1" ]
}

heard() {
	grep -q -- "$1" "$DIR/heard"
}

@test "all workers busy and clients waiting: said once, with how many and how long, in STATUS=, and when it is over" {
	local held said
	export NOTIFY_SOCKET=$DIR/notify
	beside "$DIR/heard" "$TEST_BIN/recorder" "$NOTIFY_SOCKET"
	wait_for 20 "the manager" heard bound
	start_with "$(service a 'min = 1 max = 2')" "$(service fixed 'min = 1')"
	clients hold "$(port_of a)" 2 "$GATE"
	answered 2
	held=$BESIDE
	# two at the same time: what is said of them is said once
	clients hold "$(port_of a)" 2 "$GATE"
	said=$SAID
	wait_for 20 "the STATUS=" heard 'STATUS=3 of 3 workers ready, .*; all 2 workers of a are busy, [12] wait'
	wait_for 20 "all_busy" log_has 'level=warning .*event=all_busy service=a workers=2 waiting=2 for_ms=[0-9]{4,} remedy='
	# a pool of fixed size says it, too; by its clock no second line of a is due meanwhile
	hold "$(port_of fixed)"
	clients gaps "$(port_of fixed)" 1 0
	wait_for 20 "all_busy" log_has 'event=all_busy service=fixed workers=1 waiting=1 '
	log_lacks 'event=all_busy_over'
	: >"$GATE"
	release
	answered 1
	wait_for 20 "answers to both" grep -q '^answered 2' "$said"
	wait_for 20 "their end" log_has 'level=notice .*event=all_busy_over service=a for_ms=[0-9]{4,}'
	wait_for 20 "their end" log_has 'event=all_busy_over service=fixed '
	wait_for 20 "the STATUS=" last_heard_is 'STATUS=.* generation 1$'
	[ "$(log_count 'event=all_busy ')" -eq 2 ]
	wait "$held"
}

last_heard_is() {
	grep 'STATUS=' "$DIR/heard" | tail -n 1 | grep -q -- "$1"
}

@test "a pool of fixed size stays as it is" {
	local before
	start_with "$(service a 'min = 2 idle_timeout = 10ms')" "$(service b 'max = 3 spare = 3 idle_timeout = 10ms')"
	before=$(workers_of "$MASTER")
	clients hold "$(port_of a)" 3 "$GATE"
	wait_for 20 "one that waits" queue_is "$(port_of a)" 1
	end_beside "$BESIDE"
	answers "$(port_of b)"
	n_workers_is 2 a
	n_workers_is 3 b
	[ "$(workers_of "$MASTER")" = "$before" ]
}

@test "where nobody knows who is busy, a pool that could grow is refused" {
	local keys
	for keys in 'handler = persistent command = { "/bin/true" }' 'handler = echo socket { reuse_port = per-worker }'; do
		echo "service a { $keys workers { min = 1 max = 2 } }" | write_config
		run "$PREFORKD" -c "$CONF" -t
		echo "$output"
		[ "$status" -eq 78 ]
		[[ $output == *'service "a": workers.min: must be workers.max, 2: '* ]]
		echo "service a { $keys workers { min = 2 max = 2 } }" | write_config
		"$PREFORKD" -c "$CONF" -t
	done
}
