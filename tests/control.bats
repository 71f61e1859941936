#!/usr/bin/env bats
# control.bats - the control socket: what the master tells, what it does when it is told to, and that no client of it can
# do harm to others. preforkctl as a program is the subject of preforkctl.bats.
# shellcheck disable=SC2030,SC2031  # a bats test is no subshell of another one
# shellcheck disable=SC2154  # MASTER, LOG, ... are set by lib/daemon

bats_require_minimum_version 1.5.0
load lib/daemon

setup() {
	daemon_setup
	SOCKET=$BATS_TEST_TMPDIR/control.sock
	# bats does not like those that wait for it
	cd "$BATS_TEST_TMPDIR" || return 1
}

teardown() {
	daemon_teardown
}

# start [LINE...]: a service with two workers, the control socket at $SOCKET, and these lines
start() {
	start_with "control { path = \"$SOCKET\" }" \
		'service a { handler = echo  port = 0  workers { max = 2 } timeouts { drain = 30s } }' "$@"
	PORT=$(port_of a)
}

client() {
	perl "$BATS_TEST_DIRNAME/lib/control.pl" "$@"
}

# ask WORD...: the whole answer of the master
ask() {
	timeout 20 perl "$BATS_TEST_DIRNAME/lib/control.pl" ask "$SOCKET" "$*\n"
}

# answer_has REGEX WORD...: a line of the answer is so
answer_has() {
	local regex=$1
	shift
	ask "$@" | grep -Eq -- "$regex"
}

# fastest WORD...: the least milliseconds of five times that it took to get an answer; a loaded machine is slow now and
# then, a master that waits for somebody else is slow each time
fastest() {
	local before least=100000 took i
	for i in 1 2 3 4 5; do
		before=$(now_ms)
		ask "$@" >/dev/null || { echo "no answer"; return 1; }
		took=$(($(now_ms) - before))
		[ "$took" -ge "$least" ] || least=$took
	done
	echo "$least"
}

# others_are_answered: at once, whatever somebody else does
others_are_answered() {
	local took
	took=$(fastest version)
	# whoever waits for a client that says nothing does so for five seconds
	[ "$took" -le 1000 ] || { echo "took $took ms"; return 1; }
}

# fds_of PID: how many descriptors it has
fds_of() {
	find "/proc/$1/fd" -mindepth 1 2>/dev/null | wc -l
}

has_fds() {
	[ "$(fds_of "$1")" -le "$2" ]
}

has_more_fds() {
	[ "$(fds_of "$1")" -gt "$2" ]
}

# ---- what it tells ----

@test "status tells of the master and of each service, and ends with end" {
	start 'service b { type = dgram  handler = discard  workers { max = 3 } }'
	run ask status
	[ "${lines[0]}" = ok ]
	[[ ${lines[1]} == "master pid=$MASTER version=\""*"\" config=\"$CONF\" state=\"serving\" uptime_ms="*" generation=1 "* ]]
	[[ ${lines[2]} == "service name=\"a\" state=\"ok\" address=\"127.0.0.1:$PORT\" handler=\"echo\" workers=2 busy=0 idle=2 "* ]]
	[[ ${lines[3]} == 'service name="b" state="ok" '*' handler="discard" workers=3 busy=0 idle=3 '* ]]
	[ "${lines[4]}" = end ]
	[ "${#lines[@]}" -eq 5 ]
	run ask status b
	[ "${#lines[@]}" -eq 4 ]
	[[ ${lines[2]} == 'service name="b" '* ]]
	run ask status c
	[ "$output" = $'error 64 there is no service "c"\nend' ]
}

@test "when every worker is busy it says so, at once, and whom they serve" {
	start
	hold "$PORT" 8
	hold "$PORT" 9
	answer_has '^service name="a" state="all busy" .* workers=2 busy=2 idle=0 .* in_flight=2 ' status
	[ "$(ask workers a | grep -Ec '^worker service="a" worker=[12] pid=[0-9]+ generation=1 state="busy" .* peer="127.0.0.1:[0-9]+" conn_age_ms=[0-9]+$')" -eq 2 ]
	others_are_answered
	release 8
	wait_for 20 "an idle worker" answer_has ' state="ok" .* busy=1 idle=1 .* served=1 ' status
}

@test "the numbers go on over a reload, and what is left of the old configuration is told" {
	start
	answers "$PORT"
	hold "$PORT" 9
	[[ $(ask reload --wait) == *'reload generation=2'* ]]
	wait_for 20 "one old worker" answer_has '^generation generation=1 state="finishing" service="a" workers=1 ' status
	answer_has '^service name="a" .* accepted=2 served=1 .* in_flight=1 .* generation=2 ' status
	[ "$(ask workers | grep -c '^worker ')" -eq 3 ]
	answer_has '^worker .* generation=1 state="leaving" .* peer=' workers
	release 9
	wait_for 20 "its end" answer_lacks '^generation ' status
	answer_has '^service name="a" .* accepted=2 served=2 .* in_flight=0 ' status
}

@test "all busy is a pool that has no room for more, as long as others finish what they have" {
	start
	hold "$PORT" 7
	hold "$PORT" 8
	ask pause a
	wait_for 20 "both leave" answer_has '^service name="a" state="paused" .* leaving=2 ' status
	ask resume a
	hold "$PORT" 9
	# two finish, and of two that may be there is one
	answer_has '^service name="a" state="all busy" .* workers=3 busy=1 idle=0 starting=0 leaving=2 .* max=2 ' status
	release 7
	wait_for 20 "the other one" answer_has '^service name="a" state="ok" .* busy=1 idle=1 ' status
}

answer_lacks() {
	! answer_has "$@"
}

@test "a service whose workers die says so, and when the next one is tried" {
	start "service b { handler = persistent  ready = 200ms  workers { max = 1 }
		command = { \"/bin/sh\", \"-c\", \"test ! -e $BATS_TEST_TMPDIR/fail && exec sleep 1000\" } }"
	touch fail
	kill -KILL "$(ask workers b | sed -n 's/^worker .* pid=\([0-9]*\) .*/\1/p')"
	wait_for 30 "its state" answer_has '^service name="b" state="failing" .* failures=[1-9][0-9]* backoff_ms=[1-9][0-9]* ' status
	answer_has '^line text="service b has no worker that is ready"$' health --ready
	[ "$(ask health --live)" = $'ok\nend' ]
	rm fail
	wait_for 30 "its recovery" answer_has '^service name="b" state="ok" .* backoff_ms=0 ' status
}

@test "a start that waits for an address is told" {
	write_config <<-END
	control { path = "$SOCKET" }
	service a { address = "192.0.2.77"  socket { bind_retry = 10m }  handler = echo  workers { max = 1 } }
	END
	start_daemon_nowait
	wait_for 20 "the socket" test -S "$SOCKET"
	wait_for 20 "its state" answer_has '^service name="a" state="waiting for its address" ' status
	answer_has '^master .* state="starting" ' status
	answer_has '^error 1 not healthy' health
	ask stop --now
	wait_daemon
}

@test "config prints what -T prints" {
	start
	ask config | sed -nE 's/^line text="(.*)"$/\1/p' | sed -E 's/\\x09/\t/g; s/\\(["\\])/\1/g' >config.told
	"$PREFORKD" -c "$CONF" -T >config.printed
	diff config.printed config.told
	# what the files say now is not what is in use
	echo 'log_level = debug' >>"$CONF"
	answer_has 'log_level = info' config
}

@test "log-level shows and sets it, until the next reload" {
	start
	answer_has '^log level="info"$' log-level
	ask log-level debug
	answer_has '^log level="debug"$' log-level
	ask version
	kill -USR1 "$MASTER"
	wait_for 20 "a line of debug" log_has 'level=debug .*event=signal'
	[[ $(ask log-level loud) == 'error 64 '* ]]
	ask reload --wait
	answer_has '^log level="info"$' log-level
	log_has 'event=control command="log-level debug" uid='"$(id -u)"
}

@test "health: live, ready, and all is well" {
	start
	[ "$(ask health)" = $'ok\nend' ]
	[ "$(ask health --ready)" = $'ok\nend' ]
	[[ $(ask health --well) == 'error 64 '* ]]
	echo 'wrong = 1' >>"$CONF"
	[[ $(ask reload --wait) == 'error 78 '* ]]
	# it serves, but it is not what the files say
	[ "$(ask health --ready)" = $'ok\nend' ]
	[ "$(ask health)" = $'error 1 not healthy\nline text="the last reload was refused"\nend' ]
	hold "$PORT" 9
	ask stop
	wait_for 20 "the stop" log_has 'event=stopping'
	[ "$(ask health --live)" = $'ok\nend' ]
	answer_has '^line text="the master is stopping"$' health --ready
	answer_has '^master .* state="stopping" ' status
	release 9
	wait_daemon
}

# ---- what it does ----

@test "reload --wait answers when the new workers serve" {
	local old
	start
	old=$(workers_of "$MASTER" a)
	sed -i 's/max = 2/max = 3/' "$CONF"
	[ "$(ask reload --wait)" = $'ok\nreload generation=2\nend' ]
	answer_has '^service name="a" .* workers=3 .* generation=2 ' status
	log_has 'event=reload_done generation=2'
	wait_for 20 "the end of the old ones" n_workers_is 3 a
	no_process_left "$old"
}

@test "reload --wait tells every error with file and line, and the warnings too" {
	export RELOAD_KEY=
	start
	printf '%s\n' 'wrong = 1' 'service c { handler = nothing }' >>"$CONF"
	run ask reload --wait
	[ "${lines[0]}" = 'error 78 reload refused: the config has errors' ]
	[[ ${lines[1]} == "line text=\"$CONF:3: unknown key wrong\"" ]]
	[ "${lines[-1]}" = end ]
	answer_has '^master .* generation=1 .* reloads=1 reload="refused" reload_error="the config has errors"' status
	# the answer is that of the reload that was asked for, not of one before
	sed -i '/wrong/d; /nothing/d' "$CONF"
	[ "$(ask reload --wait)" = $'ok\nreload generation=2\nend' ]
}

@test "reload --wait tells what else is in the way" {
	local port
	start
	port=$(free_port)
	echo "service b { address = \"192.0.2.77\"  port = $port  handler = echo }" >>"$CONF"
	run ask reload --wait
	[ "${lines[0]}" = 'error 69 reload refused: a service cannot be started' ]
	[[ ${lines[1]} == 'line text="listen_failed service=b '* ]]
	[ "$(ask health --ready)" = $'ok\nend' ]
}

@test "who asks for a reload while one is on its way waits for the next one" {
	local i
	start
	for i in 1 2 3 4 5 6; do
		beside "answer.$i" perl "$BATS_TEST_DIRNAME/lib/control.pl" ask "$SOCKET" 'reload --wait\n'
	done
	for i in 1 2 3 4 5 6; do
		wait_for 60 "answer $i" grep -q '^end$' "answer.$i"
		grep -Eq '^reload generation=[2-7]$' "answer.$i"
	done
	sed -i 's/max = 2/max = 4/' "$CONF"
	ask reload >/dev/null
	ask reload --wait | grep -q '^reload generation='
	answer_has '^service name="a" .* max=4 ' status
}

@test "a reload that a stop overtakes is answered" {
	start
	# the names that are waited for never come
	echo 'service b { address = "192.0.2.77"  port = 7777  socket { bind_retry = 10m }  handler = echo }' >>"$CONF"
	beside waits perl "$BATS_TEST_DIRNAME/lib/control.pl" ask "$SOCKET" 'reload --wait\n'
	wait_for 30 "the reload" log_has 'event=listen_waiting'
	others_are_answered
	answer_has '^master .* state="reloading" ' status
	answer_has '^generation generation=2 state="starting" service="b"|^master ' status
	kill -TERM "$MASTER"
	wait_daemon
	wait_for 20 "the end of who waited" process_gone "$BESIDE"
	[ "$(cat waits)" = $'error 75 the master stops, and did not reload\nend' ]
}

@test "who waits for a reload and goes away is no harm" {
	local during
	start
	echo 'service b { address = "192.0.2.77"  port = 7777  socket { bind_retry = 10m }  handler = echo }' >>"$CONF"
	beside waits perl "$BATS_TEST_DIRNAME/lib/control.pl" ask "$SOCKET" 'reload --wait\n'
	wait_for 30 "the reload" log_has 'event=listen_waiting'
	during=$(fds_of "$MASTER")
	end_beside "$BESIDE"
	wait_for 20 "its descriptor" has_fds "$MASTER" $((during - 1))
	others_are_answered
}

@test "stop is graceful, stop --now is not" {
	start
	hold "$PORT" 9
	[ "$(ask stop)" = $'ok\nend' ]
	wait_for 20 "the stop" log_has 'event=stopping how=graceful'
	# asking once more is not asking for more
	ask stop
	serve_on 9
	[ "$(ask stop --now)" = $'ok\nend' ]
	wait_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	log_has 'event=stopping how=now'
	account_is a accepted=1 lost=1
	[ ! -e "$SOCKET" ]
}

@test "what is no command is refused, and changes nothing" {
	start
	[ "$(ask bla)" = $'error 64 there is no command "bla"\nend' ]
	[[ $(ask) == 'error 64 '* ]]
	[[ $(ask status a b) == 'error 64 status takes 0 to 1 words, not 2'* ]]
	[[ $(ask reload --now) == 'error 64 '* ]]
	[[ $(ask stop now) == 'error 64 '* ]]
	[[ $(ask a b c d e f g h i j) == 'error 64 '* ]]
	[[ $(ask '  version  ') == ok* ]]
	[[ $(client ask "$SOCKET" 'version\r\n') == ok* ]]
	log_lacks 'event=(reload_started|stopping)'
}

# ---- pools ----

# workers_are N SERVICE: the master tells of so many that are idle or busy, and of none that leaves
workers_are() {
	[ "$(ask workers "$2" | grep -Ec ' state="(idle|busy)" ')" -eq "$1" ] &&
		[ "$(ask workers "$2" | grep -c '^worker ')" -eq "$1" ]
}

# pid_of_worker SERVICE: of the first one
pid_of_worker() {
	ask workers "$1" | sed -n 's/^worker .* pid=\([0-9]*\) .*/\1/p' | head -n 1
}

@test "scale: more and fewer workers, until the next reload" {
	start
	[ "$(ask scale a 5 5)" = $'ok\nend' ]
	wait_for 20 "five" workers_are 5 a
	answer_has '^service name="a" .* min=5 max=5 ' status
	ask scale a 0 1
	wait_for 20 "one at most" answer_has '^service name="a" .* workers=[01] .* min=0 max=1 ' status
	answers "$PORT"
	# words, not one
	# shellcheck disable=SC2086
	for words in 'a 2 1' 'a 0 0' 'a -1 2' 'a 1 100000' 'a x y' 'b 1 2' 'a 1'; do
		[[ $(ask scale $words) == 'error 64 '* ]]
	done
	ask reload --wait
	wait_for 20 "two" workers_are 2 a
}

# reopened N: workers of that many generations have come for the new log
reopened() {
	answer_has "^master .* generation=$1 " status && answer_lacks '^generation ' status
}

@test "scale and pause outlive the rotation of the log, which takes new workers, and no canary" {
	LOG=$BATS_TEST_TMPDIR/file
	write_config <<-END
	log = "$LOG"
	reload_canary = 1h
	control { path = "$SOCKET" }
	service a { handler = echo workers { max = 2 } timeouts { drain = 30s } }
	service b { handler = echo workers { max = 2 } timeouts { drain = 30s } }
	END
	: >"$LOG"
	chmod 640 "$LOG"
	"$PREFORKD" -c "$CONF" 3>&- &
	MASTER=$!
	wait_for 20 "event=ready" daemon_is_ready_or_gone
	ask scale a 3 3
	ask pause b
	wait_for 20 "three" workers_are 3 a
	wait_for 20 "none" workers_are 0 b
	mv "$LOG" "$LOG.1"
	kill -USR1 "$MASTER"
	wait_for 30 "new workers" reopened 2
	wait_for 20 "three of them" workers_are 3 a
	answer_has '^service name="b" state="paused" .* workers=0 ' status
	log_lacks event=canary_started
	ask resume b
	wait_for 20 "two" workers_are 2 b
	cat "$LOG.1" "$LOG" >"$LOG.all"
	LOG=$LOG.all
	answers "$(port_of a)"
	answers "$(port_of b)"
}

@test "what cannot be scaled says why" {
	start 'service b { handler = persistent  command = { "/bin/sleep", "1000" } workers { max = 1 } }' \
		'service c { handler = echo  port = 0  socket { reuse_port = per-worker } workers { max = 2 } }'
	[[ $(ask scale b 1 2) == 'error 64 b cannot be scaled so: programs'* ]]
	ask scale b 2 2
	wait_for 20 "two programs" answer_has '^service name="b" .* workers=2 ' status
	[[ $(ask scale c 3 3) == 'error 64 c cannot be scaled so: each of its workers'* ]]
}

@test "pause: nobody serves, who comes waits and is served when it goes on" {
	start
	hold "$PORT" 9
	[ "$(ask pause a)" = $'ok\nend' ]
	wait_for 20 "the idle one's leave" answer_has '^service name="a" state="paused" .* busy=0 idle=0 ' status
	# who is being served is served to the end
	serve_on 9
	release 9
	wait_for 20 "no worker" n_workers_is 0 a
	beside waits perl "$BATS_TEST_DIRNAME/lib/client.pl" loop "$PORT" "$BATS_TEST_TMPDIR/enough"
	wait_for 20 "a client that waits" answer_has '^service name="a" state="paused" .* waiting=1 ' status
	answer_has '^line text="service a has no worker that is ready"$' health --ready
	n_workers_is 0 a
	[ "$(ask resume a)" = $'ok\nend' ]
	wait_for 20 "the service" answer_has '^service name="a" state="(ok|all busy)" .* served=[1-9]' status
	touch enough
	wait "$BESIDE"
	[[ $(ask pause b) == 'error 64 no service "b" is up'* ]]
}

@test "retire: each worker is replaced, and nobody who is served notices" {
	local old
	start
	old=$(workers_of "$MASTER" a)
	hold "$PORT" 9
	ask retire a
	wait_for 20 "two new ones" answer_has '^service name="a" .* idle=2 .* leaving=1 ' status
	serve_on 9
	release 9
	no_process_left "$old"
	# the master may not have reaped it yet
	wait_for 20 "two" workers_are 2 a
	# one of them, by its pid
	old=$(pid_of_worker a)
	ask retire "$old"
	no_process_left "$old"
	wait_for 20 "two" workers_are 2 a
	[[ $(ask retire "$old") == "error 64 there is no worker \"$old\""* ]]
	[[ $(ask retire nope) == 'error 64 '* ]]
	stop_daemon
	account_is a lost=0
}

@test "kill ends a worker at once, and no other process" {
	local old
	start
	old=$(pid_of_worker a)
	[ "$(ask kill "$old")" = $'ok\nend' ]
	no_process_left "$old"
	log_has "event=worker_killed service=a worker=[12] worker_pid=$old reason=asked_for"
	wait_for 20 "two" workers_are 2 a
	for old in "$MASTER" $$ 1 0 -1 99999999999 a; do
		[[ $(ask kill "$old") == 'error 64 there is no worker '* ]]
	done
	# of one that leaves, too
	hold "$PORT" 9
	old=$(busy_worker a)
	ask reload --wait
	ask kill "$old"
	no_process_left "$old"
}

@test "postmortem tells why workers died" {
	local old
	start
	[ "$(ask postmortem)" = $'ok\nend' ]
	hold "$PORT" 9
	old=$(busy_worker a)
	kill -SEGV "$old"
	wait_for 20 "its end" log_has "event=worker_exit .*worker_pid=$old"
	answer_has "^postmortem at_ms=[0-9]+ service=\"a\" reason=\"SIGSEGV[^\"]*\" oom=\"(no|unknown)\" worker=[12] pid=$old .* lost=1 peer=\"127.0.0.1:[0-9]+\" conn_age_ms=" postmortem
	answer_has "pid=$old" postmortem a
	[ "$(ask postmortem b)" = $'error 64 there is no service "b"\nend' ]
}

# ---- who may ----

@test "the mode decides who may ask; root, the master's user and the group who may command" {
	local client command
	need_root
	client=$(for_all "$BATS_TEST_DIRNAME/lib/control.pl")
	write_config <<-END
	control { path = "$SOCKET"  mode = 0666  group = daemon }
	service a { handler = echo  port = 0  workers { max = 1 } }
	END
	start_daemon
	[ "$(stat -c '%a %G' "$SOCKET")" = '666 daemon' ]
	as_other() { setpriv --reuid nobody --regid "$1" --clear-groups "${@:2}"; }
	as_other nogroup perl "$client" ask "$SOCKET" 'status\n' | grep -q '^service '
	as_other nogroup perl "$client" ask "$SOCKET" 'log-level\n' | grep -q '^log '
	for command in config reload stop 'stop --now' 'log-level debug'; do
		[[ $(as_other nogroup perl "$client" ask "$SOCKET" "$command\n") == 'error 77 permission denied'* ]]
	done
	# a member by its first group, and one by another one
	as_other daemon perl "$client" ask "$SOCKET" 'config\n' | grep -q '^line '
	setpriv --reuid nobody --regid nogroup --groups daemon \
		perl "$client" ask "$SOCKET" 'reload --wait\n' | grep -q '^reload '
	log_has 'event=control command="reload --wait" uid=65534'
	log_lacks 'event=stopping'
}

@test "without a group its members may not command, and with the default mode they may ask" {
	local client
	need_root
	client=$(for_all "$BATS_TEST_DIRNAME/lib/control.pl")
	start
	[ "$(stat -c '%a %U %G' "$SOCKET")" = '660 root root' ]
	run -1 setpriv --reuid nobody --regid nogroup --clear-groups perl "$client" ask "$SOCKET" 'version\n' || :
	[[ $output == *'Permission denied'* ]]
	[[ $(setpriv --reuid nobody --regid root --clear-groups perl "$client" ask "$SOCKET" 'version\n') == ok* ]]
	[[ $(setpriv --reuid nobody --regid root --clear-groups perl "$client" ask "$SOCKET" 'stop\n') == 'error 77 '* ]]
}

# ---- clients as they should not be ----

@test "half a line costs nobody else anything, and has its time" {
	local before
	start
	before=$(fds_of "$MASTER")
	beside half perl "$BATS_TEST_DIRNAME/lib/control.pl" hold "$SOCKET" 10 'stat'
	wait_for 20 "the clients" grep -q held half
	others_are_answered
	wait_for 30 "their end" has_fds "$MASTER" "$before"
}

@test "an answer that nobody reads costs nobody else anything, and has its time" {
	local before lines i
	# more than the kernel keeps for a client
	lines=$(for i in {1..250}; do printf 'service s%s { family = unix  path = "@%s-%s"  handler = echo  workers { max = 1 } }\n' \
		"$i" "$BATS_TEST_TMPDIR" "$i"; done)
	start "$lines"
	[ "$(ask config | wc -c)" -gt 400000 ]
	before=$(fds_of "$MASTER")
	beside deaf perl "$BATS_TEST_DIRNAME/lib/control.pl" hold "$SOCKET" 10 'config\n'
	wait_for 20 "the clients" has_more_fds "$MASTER" $((before + 9))
	others_are_answered
	[ "$(ask config | tail -n 1)" = end ]
	wait_for 60 "their end" has_fds "$MASTER" "$before"
}

@test "a flood of connections: others are answered, and the services do not notice" {
	start
	beside flood perl -e 'while (1) { system("perl", @ARGV) == 0 or die }' \
		"$BATS_TEST_DIRNAME/lib/control.pl" flood "$SOCKET" 1000
	wait_for 20 "the flood" grep -q flooded flood
	others_are_answered
	answers "$PORT"
	[ "$(ask reload --wait)" = $'ok\nreload generation=2\nend' ]
	[ "$(fds_of "$MASTER")" -lt 60 ]
}

@test "a flood of requests whose answers are large and are not read: others are answered in the time of a few" {
	local lines i took one
	lines=$(for i in {1..250}; do printf 'service s%s { family = unix  path = "@%s-%s"  handler = echo  workers { max = 1 } }\n' \
		"$i" "$BATS_TEST_TMPDIR" "$i"; done)
	start "$lines"
	one=$(fastest config)
	beside flood perl -e 'while (1) { system("perl", @ARGV) == 0 or die }' \
		"$BATS_TEST_DIRNAME/lib/control.pl" flood "$SOCKET" 1000 'config\n'
	wait_for 20 "the flood" grep -q flooded flood
	took=$(fastest version)
	echo "took $took ms, one large answer alone $one ms"
	# one queue full of them is 128
	[ "$took" -le $((200 + 10 * one)) ]
}

@test "of too many clients the process with the most has to go" {
	local one
	start 'log_level = debug'
	beside one perl "$BATS_TEST_DIRNAME/lib/control.pl" hold "$SOCKET" 1 'ver'
	one=$BESIDE
	wait_for 20 "the first" grep -q held one
	beside many perl "$BATS_TEST_DIRNAME/lib/control.pl" hold "$SOCKET" 40 ''
	wait_for 20 "the many" grep -q held many
	others_are_answered
	wait_for 20 "the line" log_has "event=control_dropped client_pid=$BESIDE reason=\"too many clients\""
	# its connection is older than all of theirs; half a line has its time, but that is another reason
	log_lacks "event=control_dropped client_pid=$one reason=\"too many clients\""
}

@test "bytes that are no request are answered with an error or not at all, and do no harm" {
	local i long
	start
	[[ $(client ask "$SOCKET" '\x00\n') == 'error 64 '* ]]
	[[ $(client ask "$SOCKET" 'stop\x00\n') == 'error 64 '* ]]
	[[ $(client ask "$SOCKET" '\x1b[2Jstop\n') == 'error 64 '* ]]
	[[ $(client ask "$SOCKET" 'st\xc3\xb6p\n') == 'error 64 '* ]]
	long=$(printf 'x%.0s' {1..600})
	[[ $(client ask "$SOCKET" "$long") == 'error 64 a request is one line of at most 511 bytes'* ]]
	[[ $(client ask "$SOCKET" "${long:0:511}\n") == 'error 64 there is no command'* ]]
	# shellcheck disable=SC2016  # variables of perl
	for i in {1..20}; do
		head -c 2000 /dev/urandom | timeout 30 perl -e 'use Socket; socket(my $s, AF_UNIX, SOCK_STREAM, 0);
			connect($s, pack_sockaddr_un($ARGV[0])) or die; $SIG{PIPE} = "IGNORE"; local $/; syswrite($s, <STDIN>); 1 while sysread($s, my $b, 1000)' "$SOCKET"
	done
	others_are_answered
	log_lacks 'event=(reload_started|stopping)'
	[ "$(grep -c '[^[:print:][:space:]]' "$LOG")" -eq 0 ]
}

@test "without descriptors the master does not spin, and answers again when there are some" {
	local ticks fd=0
	start
	while [ -e "/proc/$MASTER/fd/$fd" ]; do fd=$((fd + 1)); done
	prlimit --pid "$MASTER" --nofile="$fd:4096"
	beside waits perl "$BATS_TEST_DIRNAME/lib/control.pl" ask "$SOCKET" 'version\n'
	wait_for 20 "a client" all_wait "$BESIDE"
	ticks=$(cut -d ' ' -f 14,15 "/proc/$MASTER/stat" | tr ' ' '+')
	read -rt 1 <> <(:) || :
	# a second of spinning is a hundred of them
	[ $(($(cut -d ' ' -f 14,15 "/proc/$MASTER/stat" | tr ' ' '+') - (ticks))) -lt 50 ]
	[ ! -s waits ]
	prlimit --pid "$MASTER" --nofile=1024:4096
	wait_for 20 "the answer" grep -q '^version ' waits
}

# ---- the file ----

# lock_of_master: the file; one that was killed may have left another one with the same number in it
lock_of_master() {
	find "/proc/$MASTER/fd" -lname '*.lock' -printf '%l\n'
}

@test "the default is a socket of each config, which the lock file names; it goes with the master" {
	local lock path
	start_with 'service a { handler = echo  port = 0  workers { max = 1 } }'
	lock=$(lock_of_master)
	[ "$(head -n 1 "$lock")" = "$MASTER" ]
	path=$(sed -n 2p "$lock")
	[[ $path == "${lock%.lock}.sock" ]]
	log_has "event=control_listening path=$path"
	SOCKET=$path
	answer_has "^version .* pid=$MASTER" version
	stop_daemon
	[ ! -e "$path" ]
	[ ! -e "$lock" ]
}

@test 'path = "" is no control socket' {
	start_with 'control { path = "" }' 'service a { handler = echo  port = 0  workers { max = 1 } }'
	log_lacks 'event=control_listening'
	[ "$(sed -n 2p "$(lock_of_master)")" = - ]
}

@test "a socket that nobody serves any more is taken over, one that is served is not, nor is a file" {
	start
	kill -KILL "$MASTER"
	wait_for 20 "its end" process_gone "$MASTER"
	wait "$MASTER" || :
	[ -S "$SOCKET" ]
	start
	[[ $(ask version) == *" pid=$MASTER"* ]]
	# a second master with the same path, and another config
	sed 's/service a/service b/' "$CONF" >other.conf
	run -73 "$PREFORKD" -c other.conf
	[[ $output == *"event=control_failed path=$SOCKET error=\"another program serves $SOCKET"* ]]
	[[ $(ask version) == *" pid=$MASTER"* ]]
	stop_daemon
	echo precious >"$SOCKET"
	run -73 "$PREFORKD" -c "$CONF"
	[[ $output == *"event=control_failed"*"is not a socket"* ]]
	[ "$(cat "$SOCKET")" = precious ]
}

@test "a socket that somebody put in its place is left alone at the end" {
	start
	rm "$SOCKET"
	echo precious >"$SOCKET"
	stop_daemon
	[ "$(cat "$SOCKET")" = precious ]
}

@test "the socket by default that cannot be made does not keep the services from starting" {
	local path
	start_with 'service a { handler = echo  port = 0  workers { max = 1 } }'
	path=$(sed -n 2p "$(lock_of_master)")
	stop_daemon
	: >"$LOG"
	mkdir "$path"
	start_daemon
	rmdir "$path"
	log_has 'event=control_failed'
	answers "$(port_of a)"
}

@test "the lines behind the block control, and its own, are counted rightly" {
	write_config <<-'END'
	control {
		path = "x"
		mode = 9

	}
	pidfile = service control { }
	service a {
		handler = echo
		port = no
	}
	service b { control { } handler = echo }
	END
	run -78 "$PREFORKD" -c "$CONF" -t
	[[ $output == *"$CONF:6: control: is written twice (first in line 1)"* ]]
	[[ $output != *'service "control"'* ]]
	sed -i '/pidfile/d; /service b/d' "$CONF"
	run -78 "$PREFORKD" -c "$CONF" -t
	[[ $output == *"$CONF:3: control.mode: \"9\" is not an octal mode"* ]]
	[[ $output == *"$CONF:8: service \"a\": port: \"no\" is not a number"* ]]
	sed -i 's/9/0600/; s/no/0/' "$CONF"
	run -78 "$PREFORKD" -c "$CONF" -t
	[ "$output" = "$CONF:2: control.path: \"x\" is neither auto nor an absolute path" ]
	sed -i 's/path = .*/group = "no-such-group"/' "$CONF"
	run -78 "$PREFORKD" -c "$CONF" -t
	[ "$output" = "$CONF:2: control.group: there is no group \"no-such-group\"" ]
	sed -i 's/group = .*/pth = 1/' "$CONF"
	run -78 "$PREFORKD" -c "$CONF" -t
	[ "$output" = "$CONF:2: control: unknown key pth; did you mean path?" ]
	printf 'control {\n path = ""\n}\n' >"$BATS_TEST_TMPDIR/b.conf"
	mkdir services.d
	mv b.conf services.d/
	sed -i '/pth/d' "$CONF"
	run -78 "$PREFORKD" -c "$CONF" -t
	[[ $output == *"services.d/b.conf:2: control.path belongs into the main file (here stand services only)" ]]
}
