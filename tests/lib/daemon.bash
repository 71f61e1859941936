# daemon.bash - start, watch and end a preforkd of one's own. Loaded by every .bats file:
#
#	load lib/daemon
#	setup() { daemon_setup; }
#	teardown() { daemon_teardown; }
#
# Each test has a directory of its own (bats' $BATS_TEST_TMPDIR) with $CONF and $LOG, and ends only processes that it
# started, by pid. Nothing sleeps to synchronise: wait_for polls for a fact and names what it waits for.
# shellcheck shell=bash disable=SC2013,SC2034,SC2119,SC2120  # pids are words; variables and arguments are for the tests

# The program under test and the directory of the compiled test helpers; `make check` sets both.
PREFORKD=${PREFORKD:-$BATS_TEST_DIRNAME/../build/src/preforkd}
TEST_BIN=${TEST_BIN:-$BATS_TEST_DIRNAME/../build/tests}

daemon_setup() {
	export LC_ALL=C
	CONF=$BATS_TEST_TMPDIR/preforkd.conf
	LOG=$BATS_TEST_TMPDIR/log
	RELOAD_KEY=all
	MASTER=
	READY_BEFORE=0
	BESIDES=' '
	unset NOTIFY_SOCKET WATCHDOG_USEC WATCHDOG_PID JOURNAL_STREAM RUNTIME_DIRECTORY
	# workers run as nobody
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR/test" "$BATS_TEST_TMPDIR"
	umask 022
}

# Everything a test may leave behind is looked for here, in every test.
daemon_teardown() {
	local status=0

	# first the clients, so that nobody has to wait for them
	end_besides
	exec 7>&- 8>&- 9>&-
	if [ -n "$MASTER" ] && [ -e "/proc/$MASTER" ] && ! stop_daemon; then
		status=1
		kill -KILL "$MASTER" || :
	fi
	if [ -e "$LOG" ]; then
		daemon_log_is_clean || status=1
		# bats shows it when the test has failed
		tail -n 40 "$LOG"
	fi
	return "$status"
}

# No broken promise, no sanitizer report, and every account adds up.
daemon_log_is_clean() {
	if grep -E 'level=bug|Assertion|Sanitizer|runtime error' "$LOG"; then
		return 1
	fi
	sed -n 's/.*event=account service=[^ ]* //p' "$LOG" | tr ' ' '\n' | awk -F= '
		$1 == "accepted" { want = $2; have = 0 }
		$1 ~ /^(served|failed|refused|lost|in_flight)$/ { have += $2 }
		$1 == "in_flight" && want != have { print "account does not add up: " want " != " have; bad = 1 }
		END { exit bad }'
}

# wait_for SECONDS WHAT COMMAND...: until COMMAND succeeds; fails with WHAT when it never does.
wait_for() {
	local seconds=$1 what=$2 end late
	shift 2
	end=$((${EPOCHREALTIME/./} + seconds * 1000000))
	while :; do
		# before the look, since we may not have run for a while: the last one is after the end
		late=$((${EPOCHREALTIME/./} > end))
		! "$@" || return 0
		if ((late)); then
			echo "waited $seconds s in vain for: $what"
			return 1
		fi
		read -rt 0.02 <> <(:) || :
	done
}

# write_config: standard input becomes the config, at once: a reload may be reading the old one. With $RELOAD_KEY, that is
# what a reload replaces; most tests of reloads are about new workers.
write_config() {
	if [ -n "$RELOAD_KEY" ]; then
		# an older config may be a part of this one
		sed '/^reload = /d' >"$CONF.new"
		echo "reload = $RELOAD_KEY" >>"$CONF.new"
	else
		cat >"$CONF.new"
	fi
	mv "$CONF.new" "$CONF"
}

# start_daemon [OPTION...]: in the foreground, its log in $LOG, and wait until it is ready. The log of an earlier start may
# stand there.
start_daemon() {
	start_daemon_nowait "$@"
	wait_for 60 "event=ready" daemon_is_ready_or_gone
	daemon_is_ready || { cat "$LOG"; return 1; }
}

start_daemon_nowait() {
	READY_BEFORE=0
	[ ! -e "$LOG" ] || READY_BEFORE=$(log_count 'event=ready')
	# fd 3 is bats' own: who keeps it open is waited for
	"$PREFORKD" -c "$CONF" "$@" >>"$LOG" 2>&1 3>&- 7>&- 8>&- 9>&- &
	MASTER=$!
}

# start_with LINE...: with the lines as its config.
start_with() {
	printf '%s\n' "$@" | write_config
	start_daemon
}

# start_debug LINE...: the same, with all that the log has to say.
start_debug() {
	start_with 'log_level = debug' "$@"
}

daemon_is_ready() {
	local n
	n=$(log_count 'event=ready')
	[ "${n:-0}" -gt "$READY_BEFORE" ]
}

daemon_is_ready_or_gone() {
	daemon_is_ready || [ ! -e "/proc/$MASTER" ]
}

log_has() {
	grep -Eq -- "$1" "$LOG"
}

# bats does not see that a line "! log_has" fails
log_lacks() {
	! log_has "$1"
}

# log_count REGEX: the number of log lines that match.
log_count() {
	grep -Ec -- "$1" "$LOG" || :
}

# log_all REGEX ALSO: each log line that matches REGEX matches ALSO too, in one read of a log that may be growing.
log_all() {
	! grep -E -- "$1" "$LOG" | grep -Ev -- "$2"
}

# stop_daemon [SIGNAL]: end the master and wait for it; $DAEMON_STATUS is its exit status. Fails if a worker is left.
stop_daemon() {
	local workers
	workers=$(workers_of "$MASTER")
	kill -s "${1:-TERM}" "$MASTER"
	wait_daemon
	no_process_left "$workers"
}

wait_daemon() {
	DAEMON_STATUS=0
	wait_for 90 "the end of the master" process_gone "$MASTER"
	wait "$MASTER" || DAEMON_STATUS=$?
	MASTER=
}

process_gone() {
	local state
	{ read -r state <"/proc/$1/stat"; } 2>/dev/null || return 0
	[[ ${state##*) } == Z* ]]
}

no_process_left() {
	local pid
	for pid in $1; do
		wait_for 20 "the end of worker $pid" process_gone "$pid"
	done
}

# workers_of PID [SERVICE]: the pids of its workers, oldest first.
workers_of() {
	local pid name
	for pid in $(cat "/proc/$1/task/$1/children" 2>/dev/null); do
		{ read -r name <"/proc/$pid/comm"; } 2>/dev/null || continue
		[ -n "${2:-}" ] && [ "$name" != "preforkd: $2" ] && continue
		echo "$pid"
	done
}

n_workers_is() {
	[ "$(workers_of "$MASTER" "${2:-}" | wc -l)" -eq "$1" ]
}

# address_of SERVICE / port_of SERVICE: from its listening line.
address_of() {
	sed -n "s/.*event=listening service=$1 .*address=\([^ ]*\).*/\1/p" "$LOG" | tail -n 1
}

port_of() {
	local address
	address=$(address_of "$1")
	echo "${address##*:}"
}

# account_of SERVICE KEY: from the account line at the end.
account_of() {
	sed -n "s/.*event=account service=$1 .*\b$2=\([0-9]*\).*/\1/p" "$LOG" | tail -n 1
}

# account_is SERVICE KEY=N...: so it stands in that line.
account_is() {
	local service=$1 want
	shift
	for want in "$@"; do
		[ "$(account_of "$service" "${want%=*}")" = "${want#*=}" ] || {
			echo "$service: not $want"
			grep "event=account service=$service " "$LOG"
			return 1
		}
	done
}

reload_daemon() {
	local before
	before=$(log_count 'event=reload_(done|refused)')
	kill -HUP "$MASTER"
	wait_for 60 "the end of the reload" reload_ended "$before"
}

reload_ended() {
	[ "$(log_count 'event=reload_(done|refused)')" -gt "$1" ]
}

# strict_skip REASON: skip, but fail in strict mode unless the reason is a missing kernel feature ("kernel: ...").
strict_skip() {
	if [ -n "${PREFORKD_TEST_STRICT:-}" ] && [[ $1 != kernel:* ]]; then
		echo "strict mode: would skip: $1"
		return 1
	fi
	skip "$1"
}

# need_root: skip where only root can do what the test does.
need_root() {
	[ "$(id -u)" -eq 0 ] || strict_skip "root: only root can choose who the workers are"
}

# beside FILE COMMAND...: run a program in the background, its output in FILE; its pid is $BESIDE. It ends with the test.
beside() {
	local out=$1
	shift
	"$@" >"$out" 2>&1 3>&- 7>&- 8>&- 9>&- &
	BESIDE=$!
	BESIDES+="$BESIDE "
}

# end_beside PID: end such a program now; whatever became of it is no failure.
end_beside() {
	kill -KILL "$1" 2>/dev/null || :
	wait "$1" 2>/dev/null || :
	BESIDES=${BESIDES/ $1 / }
}

end_besides() {
	local pid
	for pid in $BESIDES; do
		end_beside "$pid"
	done
}

# compile_module FILE NAME [FLAG...]: tests/modules/NAME.c becomes the module FILE.
compile_module() {
	local include=$BATS_FILE_TMPDIR/include
	mkdir -p "$include/preforkd"
	cp "$BATS_TEST_DIRNAME/../src/handler/handler.h" "$include/preforkd/"
	cc -O2 -Wall -Wextra -shared -fPIC -I"$include" "${@:3}" -o "$1" "$BATS_TEST_DIRNAME/modules/$2.c"
}

# answers PORT [ADDRESS]: an echo service there sends back a line.
answers() {
	(
		exec 3<>"/dev/tcp/${2:-127.0.0.1}/$1" || exit 1
		echo "hello $BASHPID" >&3
		read -rt 30 line <&3
		[ "$line" = "hello $BASHPID" ]
	) 2>/dev/null
}

# for_all FILE [WITH...]: a copy that everybody can read and run; the tests may lie where only root can go
for_all() {
	install -D -t "$BATS_TEST_TMPDIR/for_all" "$@"
	echo "$BATS_TEST_TMPDIR/for_all/${1##*/}"
}

# refuses PORT: nobody listens there.
refuses() {
	! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# hold PORT [FD]: open a connection that is being served, and keep it as descriptor 7, 8 or 9 (the default), which
# programs started here do not inherit; release FD closes it.
hold() {
	eval "exec ${2:-9}<>/dev/tcp/127.0.0.1/$1"
	serve_on "${2:-9}"
}

release() {
	eval "exec ${1:-9}>&-"
}

# serve_on FD: the echo service at the other end of a connection that is held open sends back a line.
serve_on() {
	local line
	echo "still here $1" >&"$1" && read -rt 30 line <&"$1" && [ "$line" = "still here $1" ]
}

fds_of_master() {
	find "/proc/$MASTER/fd" -mindepth 1 | wc -l
}

fds_are() {
	[ "$(fds_of_master)" -eq "$1" ]
}

# sockets_of PID: how many sockets a process has; a worker of a stream service that serves nobody has one.
sockets_of() {
	find "/proc/$1/fd" -lname 'socket:*' 2>/dev/null | wc -l
}

# is_asleep PID: it waits for something
is_asleep() {
	grep -q '^State:.S' "/proc/$1/status"
}

# are_idle PID...: each of these workers of stream services serves nobody, and has counted whom it served
are_idle() {
	local pid
	for pid in "$@"; do
		[ "$(sockets_of "$pid")" -eq 1 ] && is_asleep "$pid" || return 1
	done
}

# stop_processes PID...: they stand still until SIGCONT, from now on
stop_processes() {
	local pid
	kill -STOP "$@"
	for pid in "$@"; do
		wait_for 20 "the standstill of $pid" stands_still "$pid"
	done
}

stands_still() {
	grep -q '^State:.[Tt]' "/proc/$1/status"
}

# queue_is PORT N: so many connections wait to be accepted.
queue_is() {
	[ "$(ss -Hltn "sport = :$1" | awk '{ print $2 }')" -eq "$2" ]
}

# all_wait PID...: each has made its socket and sleeps, which a client does only for its answer.
all_wait() {
	local pid
	for pid in "$@"; do
		find "/proc/$pid/fd" -lname 'socket:*' | grep -q . || return 1
		is_asleep "$pid" || return 1
	done
}

# n_are N COMMAND PID...: it is true of so many of these processes.
n_are() {
	local pid n=0
	for pid in "${@:3}"; do
		! "$2" "$pid" || n=$((n + 1))
	done
	[ "$n" -eq "$1" ]
}

is_traced() {
	grep -q '^TracerPid:[[:space:]]*[1-9]' "/proc/$1/status"
}

# busy_worker SERVICE: the pid of a worker that holds a connection (and has not been told to leave).
busy_worker() {
	local pid
	for pid in $(workers_of "$MASTER" "$1"); do
		[ "$(sockets_of "$pid")" -lt 2 ] || { echo "$pid" && return; }
	done
	return 1
}

# log_ms REGEX: when, in milliseconds; one line for each line of the log that matches.
log_ms() {
	grep -E -- "$1" "$LOG" | sed 's/^time=\([^ ]*\) .*/\1/' | date -f - +%s%3N
}

# now_ms: the same clock.
now_ms() {
	echo $((${EPOCHREALTIME/./} / 1000))
}

# free_port: a port of TCP and UDP that nobody has at this moment, nor gets by asking for any; for tests that need to
# write it into a config.
free_port() {
	local port
	while :; do
		port=$((RANDOM % 20000 + 10000))
		[ -n "$(ss -Htuan "sport = :$port")" ] || break
	done
	echo "$port"
}
