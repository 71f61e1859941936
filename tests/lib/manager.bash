# manager.bash - a preforkd that is started by a service manager, with sockets handed in and a store for them. Loaded
# after lib/daemon by .bats files that call manager_setup in their setup().
# shellcheck shell=bash disable=SC2034,SC2154  # variables are for the tests, or set by lib/daemon

manager_setup() {
	HEARD=$BATS_TEST_TMPDIR/heard
	STORE_MAX=64
	GIVEN=()
}

# start_manager: with $GIVEN handed in and a store of $STORE_MAX; preforkd logs to $LOG
start_manager() {
	beside "$HEARD" "$TEST_BIN/manager" "$BATS_TEST_TMPDIR/notify" "$STORE_MAX" "${GIVEN[@]}" -- \
		"$PREFORKD" -c "$CONF" -l debug
	MANAGER=$BESIDE
	# what preforkd says goes to the same file: the log is where it is looked for
	ln -sf "$HEARD" "$LOG"
	RUN=0
	run_begins
}

run_begins() {
	RUN=$((RUN + 1))
	wait_for 20 "run $RUN" runs_is "$RUN"
	MASTER=$(started | tail -n 1)
	wait_for 20 "event=ready of run $RUN" is_ready_or_gone
	run_has 'event=ready'
}

started() {
	sed -n 's/^started //p' "$HEARD"
}

runs_is() {
	[ "$(started | wc -l)" -eq "$1" ]
}

# run_log: the lines of the present run
run_log() {
	awk -v "run=$RUN" '/^started / { n++ } n == run' "$HEARD"
}

run_has() {
	run_log | grep -E -- "$1" >/dev/null
}

run_lacks() {
	! run_has "$1"
}

is_ready_or_gone() {
	run_has 'event=ready' || run_has '^ended'
}

# restart [SIGNAL]: as systemctl restart does it; USR1: after a crash
restart() {
	kill -s "${1:-HUP}" "$MANAGER"
	run_begins
}

stored() {
	sed -n 's/^stored //p' "$HEARD" | tail -n 1
}

stored_is() {
	[ "$(stored)" = "$1" ]
}

# end_manager STATUS: both end, preforkd with this status
end_manager() {
	local pid=$MASTER
	kill -TERM "$MANAGER" 2>/dev/null || :
	wait_for 40 "the end of the manager" process_gone "$MANAGER"
	[ "$(sed -n 's/^ended //p' "$HEARD" | tail -n 1)" = "$1" ]
	process_gone "$pid"
	MASTER=
}
