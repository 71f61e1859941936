#!/usr/bin/env bats
# systemd.bats - connections that last over reloads, upgrades and restarts of preforkd under a real systemd: nobody is
# refused, reset or served wrongly. Run in the machine of tests/systemd, by tests/systemd/check-systemd.
# shellcheck disable=SC2030,SC2031  # a bats test is no subshell of another one
# shellcheck disable=SC2034,SC2153,SC2154  # MASTER, NAME, ... are set by lib/daemon and machine, and read there

bats_require_minimum_version 1.5.0
load ../lib/daemon
load ../lib/loads
load ../systemd/machine
load soak

# a second, of each load; all three are a third of what two processors can do
RATE=2500

setup() {
	machine_setup
	GATE=$BATS_TEST_TMPDIR/gate
	SOCK=/run/preforkd/$NAME.sock
	# the unit starts the binary that an upgrade replaces
	PREFORKD=$(command -v preforkd)
	GOOD=$BATS_TEST_TMPDIR/good
	cp "$PREFORKD" "$GOOD"
}

teardown() { machine_teardown; }

# start_three LINE...: "systemctl edit" writes these lines; the log is a file, which is read while the loads run
start_three() {
	CONF=$DIR/preforkd.conf
	three_families "$(free_port)"
	echo "log = \"/var/log/preforkd/$NAME\"" >>"$CONF"
	# eleven starts in a minute are no loop of crashes
	edit "$@" '[Unit]' StartLimitIntervalSec=0
	start_unit
	LOG=/var/log/preforkd/$NAME
	FDS=$(fds_of_master)
}

restart() {
	systemctl restart "$UNIT"
	MASTER=$(property MainPID)
}

# each_step MS COMMAND...: each of them at its time, or as soon as the ones before are done
each_step() {
	local n=$(($# - 1)) all_ms=$1 i began late
	began=$(now_ms)
	for ((i = 0; i < n; i++)); do
		late=$(($(now_ms) - began - i * all_ms / n))
		((late >= 0)) || pause $((-late))
		"${@:i+2:1}" || return 1
		say_at "$((i + 1))" "$n" "transitions"
	done
}

# under_loads N WHAT COMMAND...: each family has N connections, and more until COMMAND has ended; all are right. What is
# seen stands in $US, by family and WHAT, in microseconds.
under_loads() {
	local n=$1 what=$2 name
	rm -f "$GATE"
	start_loads "$n" --rate "$RATE" --until "$GATE"
	"${@:3}"
	touch "$GATE"
	wait_for 300 "the loads" loads_are_over
	check_loads "$n"
	for name in tcp six path; do
		US[$name.$what]=$(load_figure "$name" p999_us)
	done
	say "$what: $(total_of connections) connections, 0 refused, 0 reset, 0 wrong"
}

total_of() {
	echo $(($(load_figure tcp "$1") + $(load_figure six "$1") + $(load_figure path "$1")))
}

# compare WHAT: no limit, since what else the machine does may be more than all that is measured
compare() {
	local name
	for name in tcp six path; do
		say "$(awk -v name="$name" -v a="${US[$name.before]}" -v b="${US[$name.$1]}" -v c="${US[$name.after]}" 'BEGIN {
			printf "p99.9 of %s: without %d us, with %d us, without %d us: %d %%", name, a, b, c, 200 * b / (a + c) }')"
	done
}

# series N: so many rounds of ten reloads, two upgrades and a restart
series() {
	local i half=(reload_daemon reload_daemon reload_daemon reload_daemon reload_daemon upgrade_daemon) steps=()
	for ((i = 0; i < $1; i++)); do
		steps+=("${half[@]}" "${half[@]}" restart)
	done
	each_step "$2" "${steps[@]}"
}

@test "300 000 connections over 100 reloads, 20 upgrades and 10 restarts" {
	local n rounds
	declare -A US
	n=$(scaled 100000)
	rounds=$(scaled 10)
	start_three
	under_loads "$n" before true
	under_loads "$n" with series "$rounds" $((n * 1000 / RATE))
	under_loads "$n" after true
	compare with
	[ "$(log_count 'event=reload_done')" -eq $((10 * rounds)) ]
	[ "$(log_count 'event=upgrade_done')" -eq $((2 * rounds)) ]
	[ "$(log_count 'event=listener_adopted .* from=store')" -eq $((3 * rounds)) ]
	wait_for 30 "the end of the old workers" children_are 12
	wait_for 20 "as many descriptors as before" fds_are "$FDS"
	systemctl stop "$UNIT"
	property_is Result success
	[ "$(log_count 'event=account .* failed=0 .*lost=0 ')" -eq $((3 * (rounds + 1))) ]
	log_lacks 'event=(worker_killed|reload_refused|upgrade_(refused|failed))'
	daemon_log_is_clean
}

@test "control: the same clients lose connections when the sockets are closed and opened again" {
	local name
	start_three Environment=FDSTORE=0
	start_loads 1000 --rate "$RATE" --until "$GATE"
	wait_for 30 "clients" busy_worker tcp
	restart
	touch "$GATE"
	wait_for 60 "the loads" loads_are_over
	say "control: $(total_of connections) connections, $(total_of refused) refused, $(total_of reset) reset"
	for name in tcp six path; do
		(($(load_figure "$name" refused) + $(load_figure "$name" reset) > 0))
	done
}
