#!/usr/bin/env bats
# unit.bats - the unit and its template as "make install" leaves them, under a real systemd: start, stop, what is wrong,
# the watchdog, the journal, the figure of systemd-analyze.
# shellcheck disable=SC2030,SC2031  # a bats test is no subshell of another one
# shellcheck disable=SC2154  # MASTER, LOG, ... are set by lib/daemon and machine

bats_require_minimum_version 1.5.0
load ../lib/daemon
load ../lib/examples
load machine

TOP=$BATS_TEST_DIRNAME/../..

setup() { machine_setup; }
teardown() { machine_teardown; }

hello='service hello { port = 1337 handler = echo }'

@test "the words of the README: sysusers, an example, enable --now; and the unit runs" {
	use_unit preforkd.service
	systemd-sysusers
	id preforkd
	cp "$confdir/services.d/hello.conf.example" "$confdir/services.d/hello.conf"
	systemctl daemon-reload
	systemctl enable --now preforkd
	property_is ActiveState active
	property_is StatusText '4 of 4 workers ready, 1 services, generation 1'
	answers 1337
	[ "$(processes | wc -l)" -eq 5 ]

	MASTER=$(property MainPID)
	pids=$(processes)
	systemctl disable --now preforkd
	rm "$confdir/services.d/hello.conf"
	property_is ActiveState inactive
	property_is Result success
	property_is ExecMainStatus 0
	no_process_left "$pids"
	refuses 1337
	# shared by all instances
	[ -d /run/preforkd ]
	[ -d /var/log/preforkd ]
	says 'event=stopped status=0'
}

@test "systemd has nothing to say against the units" {
	for unit in preforkd.service preforkd@.service; do
		run -0 systemd-analyze verify --man=no "$unit"
		[ -z "$output" ]
	done
}

@test "the exposure of the unit is the one that README and NEWS name" {
	exposure=$(exposure_of preforkd.service)
	echo "$exposure"
	[ -n "$exposure" ]
	grep -q "systemd-analyze security.* $exposure\b" "$TOP/README"
	grep -q "systemd-analyze security.* $exposure\b" "$TOP/NEWS"
	# and never more than that, whatever they say
	[ "${exposure/./}" -le 25 ]
}

@test "the master and its workers have what the unit gives them, and no more" {
	start_with "$hello"
	worker=$(workers_of "$MASTER" hello | head -n 1)
	grep -q '^NoNewPrivs:[[:space:]]*1$' "/proc/$MASTER/status"
	grep -q '^Seccomp:[[:space:]]*2$' "/proc/$MASTER/status"
	# KILL SETUID SETGID SETPCAP CHOWN NET_BIND_SERVICE NET_RAW
	grep -q '^CapBnd:[[:space:]]*00000000000025e1$' "/proc/$MASTER/status"
	grep -q '^CapEff:[[:space:]]*0000000000000000$' "/proc/$worker/status"
	[ "$(stat -c %U "/proc/$worker")" = nobody ]
}

@test "two instances of the template: each has its config, its lock and its socket" {
	start_with 'service one { family = unix path = "/run/preforkd/one.sock" handler = echo }'
	first=$UNIT
	UNIT=preforkd@$NAME-two.service
	DIR=$confdir/$NAME-two
	mkdir "$DIR"
	echo 'service two { family = unix path = "/run/preforkd/two.sock" handler = daytime }' | configure
	systemctl start "$UNIT"
	property_is StatusText '4 of 4 workers ready, 1 services, generation 1'
	[[ $(property Description) == *"($NAME-two)"* ]]
	[ -S /run/preforkd/two.sock ]
	systemctl stop "$UNIT"
	# the path is left for the next one, as it is at a restart; nobody listens
	run -1 timeout 30 socat - UNIX-CONNECT:/run/preforkd/two.sock </dev/null
	systemctl start "$UNIT"
	[ -n "$(timeout 30 socat -u UNIX-CONNECT:/run/preforkd/two.sock -)" ]
	systemctl stop "$UNIT"
	# the other one has lost nothing by it
	UNIT=$first
	property_is ActiveState active
	[ "$(echo hello | timeout 30 socat -t 30 - UNIX-CONNECT:/run/preforkd/one.sock)" = hello ]
}

@test "a config that is wrong: the start fails with status 78, says where, and is not tried again" {
	printf '%s\n' "$hello" 'service b { port = 2 handler = ecko }' | configure
	run ! systemctl start "$UNIT"
	property_is ActiveState failed
	property_is ExecMainStatus 78
	property_is NRestarts 0
	says "$DIR/preforkd.conf:2: service \"b\": handler: "
}

@test "an address that is taken: the start fails, is tried again, and serves when it is free" {
	# more tries than StartLimitBurst= may be needed
	edit RestartSec=100ms '[Unit]' StartLimitIntervalSec=0
	beside "$BATS_TEST_TMPDIR/other" socat TCP4-LISTEN:1337,bind=127.0.0.1,reuseaddr,fork PIPE
	other=$BESIDE
	wait_for 30 "somebody else" answers 1337
	printf '%s\n' "$hello" | configure
	run ! systemctl start "$UNIT"
	says 'event=(listen_failed|start_failed) '
	end_beside "$other"
	wait_for 20 "the unit" property_is ActiveState active
	wait_for 30 "its answer" answers 1337
}

@test "a master that was killed is started again, and none of its workers is left" {
	edit RestartSec=100ms
	start_with "$hello"
	old=$(workers_of "$MASTER")
	before=$MASTER
	kill -KILL "$MASTER"
	wait_for 20 "another master" is_another_master "$before"
	property_is NRestarts 1
	wait_for 30 "its answer" answers 1337
	no_process_left "$old"
	[ "$(processes | wc -l)" -eq 5 ]
}

@test "a master that is stopped is found by the watchdog, and replaced" {
	edit WatchdogSec=4s RestartSec=100ms LimitCORE=0
	start_with "$hello"
	old=$(workers_of "$MASTER")
	before=$MASTER
	kill -STOP "$MASTER"
	wait_for 60 "another master" is_another_master "$before"
	property_is NRestarts 1
	says 'Watchdog timeout'
	wait_for 30 "its answer" answers 1337
	process_gone "$before"
	no_process_left "$old"
}

@test "a master that runs is left alone by the watchdog, for longer than it waits" {
	edit WatchdogSec=4s
	start_with "$hello"
	hold 1337
	first=$(property WatchdogTimestampMonotonic)
	wait_for 60 "signs of life over more than WatchdogSec" watchdog_is_later "$((first + 6000000))"
	property_is MainPID "$MASTER"
	property_is NRestarts 0
	serve_on 9
	release
}

watchdog_is_later() {
	[ "$(property WatchdogTimestampMonotonic)" -gt "$1" ]
}

# ---- the journal ----

@test "the journal has the fields of each line" {
	printf '%s\n' '#!/bin/sh' 'printf "a\001\nPREFORKD_EVENT=forged\n" >&2' >/srv/lines
	chmod 755 /srv/lines
	start_with 'log_level = debug' "$hello" 'service lines { port = 1338 handler = exec command = {"/srv/lines"} }'
	entry=$(journal_of -o json PREFORKD_EVENT=listening PREFORKD_SERVICE=hello)
	[ "$(wc -l <<<"$entry")" -eq 1 ]
	for field in '"PRIORITY":"6"' '"SYSLOG_IDENTIFIER":"preforkd"' "\"_PID\":\"$MASTER\"" '"_TRANSPORT":"journal"' \
		'"PREFORKD_FAMILY":"inet"' '"PREFORKD_TYPE":"stream"' '"PREFORKD_PROTOCOL":"tcp"' \
		'"PREFORKD_ADDRESS":"127.0.0.1:1337"' '"MESSAGE":"level=info pid=[0-9]* event=listening service=hello '; do
		grep -q "$field" <<<"$entry" || { echo "no $field in: $entry"; false; }
	done

	# a worker's own line, and what a program wrote: one field cannot become two
	timeout 30 socat -t 30 - TCP4:127.0.0.1:1338 </dev/null
	wait_for 30 "the program's lines" says 'event=program_exit service=lines '
	entry=$(journal_of -o json PREFORKD_EVENT=program_output)
	echo "$entry"
	[ "$(wc -l <<<"$entry")" -eq 2 ]
	[ "$(grep -c '"PREFORKD_CONNECTION":"1"' <<<"$entry")" -eq 2 ]
	[ "$(grep -c '"PREFORKD_LINE":"PREFORKD_EVENT=forged"' <<<"$entry")" -eq 1 ]
	[ -z "$(journalctl -q --since "$SINCE" PREFORKD_EVENT=forged)" ]
	[ "$(sed -n 's/.*"_PID":"\([0-9]*\)".*/\1/p' <<<"$entry" | sort -u)" != "$MASTER" ]
}

@test "the levels of the log are the priorities of the journal" {
	printf '%s\n' 'log_level = debug' "$hello" | configure
	start_unit
	for pair in 'ready 5' 'listening 6'; do
		read -r event priority <<<"$pair"
		[ -n "$(journal_of PREFORKD_EVENT="$event" PRIORITY="$priority")" ]
	done
	kill -KILL "$(workers_of "$MASTER" | head -n 1)"
	wait_for 30 "its end in the journal" says 'event=worker_exit .*reason=SIGKILL'
	[ -n "$(journal_of PREFORKD_EVENT=worker_exit PRIORITY=4)" ]
}
