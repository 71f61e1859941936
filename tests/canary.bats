#!/usr/bin/env bats
# canary.bats - reload_canary: one new worker of each changed service serves first, and the reload depends on it.

bats_require_minimum_version 1.5.0
load lib/daemon

setup() {
	daemon_setup
	export RELOAD_KEY=
}

teardown() {
	daemon_teardown
}

# configured TIME BODY: the service a, 3 workers, with a canary of TIME
configured() {
	printf '%s\n' 'log_level = debug' "reload_canary = $1" "service a { workers { min = 3 } $2 }" \
		'service b { handler = echo workers { min = 1 } }' | write_config
}

begin() {
	configured "$@"
	kill -HUP "$MASTER"
	wait_for 30 "the canary" log_has event=canary_started
}

reload_refused() {
	wait_for 30 "the refusal" log_has event=reload_refused
	wait_for 30 "the canary to leave" n_workers_is 3 a
	[ "$(workers_of "$MASTER")" = "$OLD" ]
}

@test "one new worker beside the old ones, then all; who has not changed is left alone" {
	local b
	configured 3s 'handler = echo'
	start_daemon
	log_lacks event=canary
	OLD=$(workers_of "$MASTER" a)
	b=$(workers_of "$MASTER" b)
	begin 3s 'handler = echo timeouts { idle = 5s }'
	n_workers_is 4 a
	wait_for 30 "the end" log_has event=reload_done
	log_has event=canary_done
	(($(log_ms event=canary_done) - $(log_ms event=canary_started) >= 2990))
	wait_for 30 "the old ones to leave" n_workers_is 3 a
	[ -z "$(comm -12 <(workers_of "$MASTER" a | sort) <(sort <<<"$OLD"))" ]
	[ "$(workers_of "$MASTER" b)" = "$b" ]
	answers "$(port_of a)"
}

@test "a canary that dies makes the reload fail, and the old ones go on" {
	configured 1m 'handler = echo'
	start_daemon
	OLD=$(workers_of "$MASTER")
	begin 1m 'handler = echo timeouts { idle = 5s }'
	kill -KILL "$(comm -13 <(sort <<<"$OLD") <(workers_of "$MASTER" | sort))"
	reload_refused
	log_has 'event=reload_refused error="a canary died or was stuck'
	answers "$(port_of a)"
}

ask_until_refused() {
	timeout 30 socat -u "TCP:127.0.0.1:$(port_of a)" - >>"$BATS_TEST_TMPDIR/got" || :
	[ "$(log_count 'event=program_exit .*reason="status 1"')" -ge 2 ]
}

@test "a canary that fails more of its clients than the old ones makes the reload fail" {
	configured 6s 'handler = exec command = {"/bin/echo", "hello"}'
	start_daemon
	OLD=$(workers_of "$MASTER")
	begin 6s 'handler = exec command = {"/bin/false"}'
	wait_for 20 "clients of the canary" ask_until_refused
	reload_refused
	log_has 'event=reload_refused error="the canary of a failed [0-9]+ of [0-9]+ clients, the old workers 0 of [0-9]+"'
	[ "$(timeout 30 socat -u "TCP:127.0.0.1:$(port_of a)" -)" = hello ]
}

@test "no worse than before is good enough" {
	configured 2s 'handler = exec command = {"/bin/sh", "-c", "exit 1"}'
	start_daemon
	for _ in 1 2 3; do
		timeout 30 socat -u "TCP:127.0.0.1:$(port_of a)" - || :
	done
	begin 2s 'handler = exec command = {"/bin/false"}'
	wait_for 20 "clients of the canary" ask_until_refused
	wait_for 30 "the end" log_has event=reload_done
}

@test "a handler that gets stuck as a canary makes the reload fail" {
	configured 1m 'handler = echo'
	start_daemon
	OLD=$(workers_of "$MASTER")
	begin 1m 'handler = echo timeouts { total = 6s stuck = 300ms }'
	canary=$(comm -13 <(sort <<<"$OLD") <(workers_of "$MASTER" | sort))
	# it takes a client, and then does not go on
	for _ in {1..50}; do
		hold "$(port_of a)" 8
		[ "$(busy_worker a)" != "$canary" ] || break
		release 8
	done
	kill -STOP "$canary"
	reload_refused
	log_has event=worker_stuck
	log_has 'event=reload_refused error="a canary died or was stuck'
}
