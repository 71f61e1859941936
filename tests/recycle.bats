#!/usr/bin/env bats
# recycle.bats - workers that are replaced: between two connections, and when another one is there.
# shellcheck disable=SC2154  # MASTER, LOG, ... are set by lib/daemon

load lib/daemon

setup() {
	daemon_setup
	DIR=$BATS_TEST_TMPDIR
	END=$DIR/end
}

teardown() {
	daemon_teardown
}

# service NAME WORKERS [KEYS]
service() {
	echo "service $1 { handler = echo workers { $2 } timeouts { drain = 1m } ${3-} }"
}

exits_are() {
	[ "$(log_count 'event=worker_exit')" -ge "$1" ]
}

# one connection after the other, until `calm`
stream() {
	beside "$DIR/stream" perl "$BATS_TEST_DIRNAME/lib/client.pl" loop "$1" "$END"
}

# nobody of the stream was lost or refused, and nobody's worker did anything but leave
calm() {
	: >"$END"
	wait "$BESIDE" || { cat "$DIR/stream"; return 1; }
	echo "connections: $(cat "$DIR/stream")"
	log_lacks 'event=worker_(killed|stuck)'
	log_all 'event=worker_exit' 'level=info .*reason=left .*failed=0 refused=0 lost=0'
}

# values KEY: of the lines of workers that ended
values() {
	sed -n "s/.*event=worker_exit .*\b$1=\([^ ]*\).*/\1/p" "$LOG"
}

heard() {
	grep -q -- "$1" "$DIR/heard"
}

# flags_of_listener PORT: of the description that all share, in octal
flags_of_listener() {
	local inode fd
	inode=$(ss -Hltne "sport = :$1" | sed 's/.* ino:\([0-9]*\) .*/\1/')
	fd=$(find "/proc/$MASTER/fd" -lname "socket:\[$inode\]")
	awk '$1 == "flags:" { print $2 }' "/proc/$MASTER/fdinfo/${fd##*/}"
}

# wild WORDS: what the service wild is asked; the answer is the first of the words
wild() {
	[ "$(socat -t 30 - "TCP:$(address_of wild)" <<<"$*")" = "$1" ]
}

@test "max_connections: a pool of one is replaced under a stream of clients, and there is always one that is ready" {
	export NOTIFY_SOCKET=$DIR/notify
	beside "$DIR/heard" "$TEST_BIN/recorder" "$NOTIFY_SOCKET"
	wait_for 20 "the manager" heard bound
	start_with "$(service a 'min = 1 max_connections = 20')"
	stream "$(port_of a)"
	wait_for 60 "8 replaced" exits_are 8
	calm
	heard 'STATUS=1 of 1 workers ready'
	[ "$(grep -c 'STATUS=0 of' "$DIR/heard")" -eq 0 ]
	# not before its time
	[ "$(values accepted | sort -n | head -n 1)" -ge 18 ]
	# the last one may just be replaced
	wait_for 20 "one worker" n_workers_is 1
	stop_daemon
	[ "$(account_of a served)" -eq "$(cat "$DIR/stream")" ]
}

@test "a worker that is replaced while others wait leaves them the socket as it was" {
	local flags
	start_with "$(service a 'min = 2 max_connections = 20')"
	flags=$(flags_of_listener "$(port_of a)")
	"$TEST_BIN/load" -p "$(port_of a)" -c 8 -n 4000
	wait_for 20 "4 replaced" exits_are 4
	[ "$(flags_of_listener "$(port_of a)")" = "$flags" ]
}

# has_fewer_than N: one of the workers that ended has had fewer connections
has_fewer_than() {
	values accepted | awk -v "n=$1" '$1 < n { found = 1 } END { exit !found }'
}

@test "max_connections: not all workers at the same number" {
	start_with "$(service a 'min = 1 max_connections = 20')"
	# one that comes slowly finds the replacement there soon, but on a busy machine not each time
	for _ in {1..40}; do
		perl "$BATS_TEST_DIRNAME/lib/client.pl" gaps "$(port_of a)" 100 10
		! has_fewer_than 20 || break
	done
	values accepted | sort -n | uniq -c
	# a tenth less, or something between; that twenty of them all have more is one chance in 20000
	[ "$(values accepted | sort -n | head -n 1)" -ge 18 ]
	has_fewer_than 20
}

@test "max_age: idle workers are replaced, busy ones finish what they have" {
	local before
	start_with "$(service a 'min = 2 max_age = 1500ms')"
	# before there are others who are busy
	hold "$(port_of a)"
	before=$(busy_worker a)
	stream "$(port_of a)"
	wait_for 60 "6 replaced" exits_are 6
	[ -e "/proc/$before/fd" ]
	serve_on 9
	log_lacks "worker_pid=$before "
	release
	wait_for 20 "the end of the old worker" log_has "event=worker_exit .*worker_pid=$before .*reason=left .* accepted=[0-9]+ .*lost=0"
	calm
	# a tenth less than 1500 ms, but for one that was told to leave between its fork and its line
	[ "$(values age_ms | sort -n | head -n 1)" -ge 1300 ]
	wait_for 20 "2 workers" n_workers_is 2
}

@test "min_age: no worker is replaced before" {
	start_with "$(service a 'min = 1 max_connections = 5 min_age = 1s')"
	stream "$(port_of a)"
	wait_for 60 "2 replaced" exits_are 2
	calm
	values age_ms
	[ "$(values age_ms | sort -n | head -n 1)" -ge 1000 ]
	[ "$(values accepted | sort -n | head -n 1)" -gt 5 ]
}

@test "max_rss: a worker that has grown is replaced after its connection, others are not" {
	local before
	compile_module "$DIR/wild.so" wild
	start_with "service wild { handler = \"$DIR/wild.so\" workers { min = 3 max_rss = 64M } }"
	before=$(workers_of "$MASTER")
	wild alloc 100
	wait_for 60 "the big one replaced" log_has 'level=info .*event=worker_exit service=wild .*reason=left .*lost=0 .*max_rss=1[0-9]{8} '
	wait_for 20 "3 workers" n_workers_is 3
	[ "$(log_count event=worker_exit)" -eq 1 ]
	[ "$(comm -12 <(sort <<<"$before") <(workers_of "$MASTER" | sort) | wc -l)" -eq 2 ]
}

@test "programs that stay are replaced by age, and their clients notice nothing" {
	start_with "service a { handler = persistent
		command = { \"/usr/bin/perl\", \"$(for_all "$BATS_TEST_DIRNAME/lib/program.pl")\", \"serve\" }
		workers { min = 1 max_age = 2s } timeouts { drain = 1m } }"
	stream "$(port_of a)"
	wait_for 60 "3 replaced" exits_are 3
	: >"$END"
	wait "$BESIDE" || { cat "$DIR/stream"; false; }
	[ "$(cat "$DIR/stream")" -ge 3 ]
	log_lacks 'level=warning'
	[ "$(log_count 'level=info .*event=worker_exit .*reason="?status 0')" -ge 3 ] || [ "$(log_count 'reason=left')" -ge 3 ]
}
