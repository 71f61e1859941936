#!/usr/bin/env bats
# keep.bats - a reload leaves alone what has not changed: workers, their connections, their sockets.

bats_require_minimum_version 1.5.0
load lib/daemon

setup() {
	daemon_setup
	export RELOAD_KEY=
}

teardown() {
	daemon_teardown
}

# reload_with LINE...: and it is taken
reload_with() {
	local before
	before=$(log_count event=reload_done)
	printf '%s\n' "$@" | write_config
	reload_daemon
	[ "$(log_count event=reload_done)" -gt "$before" ]
}

# kept SERVICE PIDS: these are its workers still, and nobody else
kept() {
	[ "$(workers_of "$MASTER" "$1")" = "$2" ]
}

# replaced SERVICE PIDS: none of these is its worker
replaced() {
	[ -z "$(comm -12 <(workers_of "$MASTER" "$1" | sort) <(sort <<<"$2"))" ]
}

@test "who has not changed keeps his workers, who has gets new ones, who is new or gone does so" {
	local same changed
	start_with 'service same { handler = echo }' 'service changed { handler = echo }' 'service old { handler = echo }'
	same=$(workers_of "$MASTER" same)
	changed=$(workers_of "$MASTER" changed)
	reload_with 'service new { handler = echo }' 'service changed { handler = echo timeouts { idle = 5s } }' \
		'service same { handler = echo }'
	kept same "$same"
	wait_for 20 "the others" n_workers_is 12
	replaced changed "$changed"
	n_workers_is 4 new
	n_workers_is 0 old
	answers "$(port_of same)"
	stop_daemon
	account_is same accepted=1 served=1
}

@test "a connection goes on through many reloads, with the same worker" {
	local worker
	start_with 'service a { handler = echo workers { min = 2 } }'
	hold "$(port_of a)"
	worker=$(busy_worker a)
	for _ in {1..5}; do
		reload_with 'service a { handler = echo workers { min = 2 } }'
	done
	serve_on 9
	[ "$(busy_worker a)" = "$worker" ]
	log_lacks event=worker_exit
	release
	log_has 'event=reload_done generation=6'
	stop_daemon
	log_has "event=worker_exit service=a .*worker_pid=$worker generation=1 "
	account_is a accepted=1 served=1
}

@test "another number of workers: some more, or some less, and the others stay" {
	local two four
	start_with 'service a { handler = echo workers { min = 2 } }'
	two=$(workers_of "$MASTER" a)
	reload_with 'service a { handler = echo workers { min = 4 } }'
	wait_for 20 "4 workers" n_workers_is 4 a
	four=$(workers_of "$MASTER" a)
	[ "$(head -n 2 <<<"$four")" = "$two" ]
	reload_with 'service a { handler = echo workers { min = 100 } }'
	wait_for 30 "100 workers" n_workers_is 100 a
	[ "$(workers_of "$MASTER" a | head -n 4)" = "$four" ]
	reload_with 'service a { handler = echo workers { min = 1 } }'
	wait_for 20 "1 worker" n_workers_is 1 a
	grep -qFx "$(workers_of "$MASTER" a)" <<<"$four"
	answers "$(port_of a)"
	log_lacks level=warning
}

@test "a pool that follows its clients does so after a reload" {
	start_with 'service a { handler = echo workers { min = 1 max = 4 } }'
	reload_with 'service a { handler = echo workers { min = 1 max = 5 } }'
	hold "$(port_of a)" 7
	hold "$(port_of a)" 8
	hold "$(port_of a)" 9
	wait_for 20 "one to spare" n_workers_is 4 a
	reload_with 'service a { handler = echo workers { min = 1 max = 5 } }'
	serve_on 7
	serve_on 8
	answers "$(port_of a)"
}

@test "an option of the socket changes, the workers stay" {
	local workers path=$BATS_TEST_TMPDIR/s
	start_with "service a { family = unix path = \"$path\" handler = echo socket { mode = 0600 } }"
	workers=$(workers_of "$MASTER" a)
	[ "$(stat -c %a "$path")" = 600 ]
	reload_with "service a { family = unix path = \"$path\" handler = echo socket { mode = 0666 backlog = 7 } }"
	[ "$(stat -c %a "$path")" = 666 ]
	kept a "$workers"
}

@test "who the workers are, what they may and what they are told makes new ones" {
	local before key
	start_with 'service a { handler = echo workers { min = 1 } }'
	for key in 'run { nofile = 100 }' 'run { umask = 077 }' 'run { environment = {"A=1"} }' 'timeouts { drain = 30s }' \
		'socket { priority = 1 }'; do
		before=$(workers_of "$MASTER" a)
		reload_with "service a { handler = echo workers { min = 1 } $key }"
		wait_for 20 "the old one to leave, $key" n_workers_is 1 a
		[ "$(workers_of "$MASTER" a)" != "$before" ]
	done
}

@test "another log, another level, and a log that was rotated make new workers" {
	local before line
	start_with "log = \"$LOG\"" 'service a { handler = echo workers { min = 1 } }'
	for line in "log = \"$LOG\" log_level = debug" "log = \"$LOG.2\"" "log = \"$LOG\""; do
		before=$(workers_of "$MASTER" a)
		printf '%s\n' "$line" 'service a { handler = echo workers { min = 1 } }' | write_config
		kill -HUP "$MASTER"
		wait_for 20 "a new worker, $line" process_gone "$before"
		wait_for 20 "it alone, $line" n_workers_is 1 a
	done
	before=$(workers_of "$MASTER" a)
	reload_with "log = \"$LOG\"" 'service a { handler = echo workers { min = 1 } }'
	kept a "$before"
	mv "$LOG" "$LOG.1"
	kill -HUP "$MASTER"
	wait_for 20 "a new worker" process_gone "$before"
	wait_for 20 "the new log" test -s "$LOG"
}

@test "reload = all replaces everybody, and back" {
	local before
	start_with 'reload = all' 'service a { handler = echo workers { min = 2 } }'
	before=$(workers_of "$MASTER" a)
	reload_with 'reload = all' 'service a { handler = echo workers { min = 2 } }'
	wait_for 20 "the old ones to leave" n_workers_is 2 a
	replaced a "$before"
	before=$(workers_of "$MASTER" a)
	reload_with 'service a { handler = echo workers { min = 2 } }'
	kept a "$before"
}

@test "a reload that fails leaves everybody as he was" {
	local before
	start_with 'service a { handler = echo }' 'service b { handler = echo }'
	before=$(workers_of "$MASTER")
	printf '%s\n' 'service a { handler = echo }' 'service b { handler = echo timeouts { idle = 3s } }' \
		'service c { handler = exec command = {"/bin/sh", "-c", "exit"} run { nofile = 1G } }' | write_config
	reload_daemon
	log_has event=reload_refused
	wait_for 30 "the new ones to leave" n_workers_is 8
	[ "$(workers_of "$MASTER")" = "$before" ]
	answers "$(port_of a)"
	answers "$(port_of b)"
}

fds_at_most() {
	[ "$(fds_of_master)" -le "$1" ]
}

@test "a hundred reloads cost no descriptor" {
	local before workers
	start_with 'service a { handler = echo workers { min = 0 max = 3 } }' 'service b { handler = echo }'
	workers=$(workers_of "$MASTER" b)
	reload_with 'service a { handler = echo workers { min = 0 max = 3 } }' 'service b { handler = echo }'
	before=$(fds_of_master)
	for _ in {1..50}; do
		reload_with 'service a { handler = echo workers { min = 0 max = 3 } }' 'service b { handler = echo }'
		reload_with 'service a { handler = echo workers { min = 1 max = 2 } }' 'service b { handler = echo }'
	done
	reload_with 'service a { handler = echo workers { min = 0 max = 3 } }' 'service b { handler = echo }'
	kept b "$workers"
	wait_for 20 "no more descriptors than before" fds_at_most "$before"
	answers "$(port_of a)"
}

@test "from every address to one of them and back, on one port: the kernel takes both for a moment" {
	local port address
	port=$(free_port)
	start_with "service a { handler = echo address = \"*\" port = $port workers { min = 2 } }"
	hold "$port"
	for address in 127.0.0.1 '*' 127.0.0.2 '*' 127.0.0.1; do
		reload_with "service a { handler = echo address = \"$address\" port = $port workers { min = 2 } }"
		answers "$port" "${address/\*/127.0.0.3}"
	done
	serve_on 9
	release
	# nobody else may be bound there
	echo "service b { handler = echo address = \"127.0.0.1\" port = $port }" >"$BATS_TEST_TMPDIR/b.conf"
	run -69 timeout 20 "$PREFORKD" -c "$BATS_TEST_TMPDIR/b.conf"
	[[ $output == *event=listen_failed* ]]
}
