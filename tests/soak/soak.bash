# soak.bash - counts and progress of the tests of this directory. Loaded after lib/daemon.
#
# SOAK_SCALE makes all counts smaller (0.1) or larger: a number, 1 by default.
# shellcheck shell=bash disable=SC2034,SC2154  # variables are for the tests, or set by lib/daemon

# scaled N [LEAST]: N times $SOAK_SCALE
scaled() {
	awk -v n="$1" -v least="${2:-1}" -v scale="${SOAK_SCALE:-1}" \
		'BEGIN { n = int(n * scale + 0.5); print n < least ? least : n }'
}

# at_most MS LIMIT: as the figure is at full scale. The short form is run where much else runs, and looks for what is
# broken and not for what is slow: it has ten times as long.
at_most() {
	local limit=$2
	[[ ${SOAK_SCALE:-1} != 0.* ]] || limit=$((10 * limit))
	[ "$1" -le "$limit" ]
}

# say TEXT: to whoever waits for the end of the test
say() {
	echo "# $1 (load $(cut -d' ' -f1 /proc/loadavg))" >&3
}

# say_at I N TEXT: the same, five times on the way to N
say_at() {
	(($1 * 5 / $2 == ($1 - 1) * 5 / $2)) || say "$3: $1 of $2"
}

# pause MS: a gap that a test is about; nothing is waited for
pause() {
	local ms
	printf -v ms '%04d' "$1"
	read -rt "${ms%???}.${ms: -3}" <> <(:) || :
}

# own_binary: a copy of preforkd that an upgrade can find replaced, and whose processes are known by it
own_binary() {
	GOOD=$PREFORKD
	PREFORKD=$BATS_TEST_TMPDIR/preforkd
	cp -t "${PREFORKD%/*}" "$GOOD-worker"*
	new_binary
}

new_binary() {
	cp "$GOOD" "$PREFORKD.new"
	mv "$PREFORKD.new" "$PREFORKD"
}

upgrade_daemon() {
	local before
	before=$(log_count 'event=upgrade_(done|refused|failed)')
	new_binary
	kill -USR2 "$MASTER"
	wait_for 90 "the end of the upgrade" upgrade_ended "$before"
}

upgrade_ended() {
	[ "$(log_count 'event=upgrade_(done|refused|failed)')" -gt "$1" ]
}

# children_are N: the master has so many children: workers, of whatever generation, and those who read a config
children_are() {
	[ "$(wc -w <"/proc/$MASTER/task/$MASTER/children")" -eq "$1" ]
}

# ours: the pids of all processes of the own binary, also of those that have no master any more
ours() {
	find /proc -maxdepth 2 -path '/proc/[0-9]*/exe' \( -lname "$PREFORKD" -o -lname "$PREFORKD (deleted)" -o -lname "$PREFORKD-worker*" \) \
		-printf '%h\n' 2>/dev/null | cut -d/ -f3
}

nothing_of_ours() {
	[ -z "$(ours)" ]
}
