# machine.bash - a preforkd that a real systemd starts. Loaded by the .bats files of this directory, after lib/daemon
# and lib/examples:
#
#	load ../lib/daemon
#	load ../lib/examples
#	load machine
#	setup() { machine_setup; }
#	teardown() { machine_teardown; }
#
# They run in the machine of boot only, which is new for each run and where nothing needs to be cleaned up: users, files
# below /srv, ports. A test has an instance of the template unit of its own, preforkd@$NAME, so that its limits and its
# log are its own, too.
# shellcheck shell=bash disable=SC2034,SC2119,SC2120,SC2154  # variables and arguments are for the tests

confdir=${SYSCONFDIR:?set by check-systemd}/preforkd
TEST_BIN=${BUILD_DIR:?set by check-systemd}/tests

machine_setup() {
	local pid1
	read -r pid1 </proc/1/comm
	if [ "$pid1" != systemd ] || [ ! -d /run/over ]; then
		echo "this is run by check-systemd, in a machine of its own"
		return 1
	fi
	daemon_setup
	NAME=$(basename "$BATS_TEST_FILENAME" .bats)-$BATS_TEST_NUMBER
	use_unit "preforkd@$NAME.service"
	DIR=$confdir/$NAME
	mkdir -p "$DIR/services.d"
	: >"$DIR/preforkd.conf"
}

# use_unit UNIT: the one that the helpers below are about; its log begins here
use_unit() {
	UNIT=$1
	SINCE=@$EPOCHREALTIME
	LOG=$BATS_TEST_TMPDIR/log
}

machine_teardown() {
	local status=0

	end_besides
	exec 7>&- 8>&- 9>&-
	# bounded by TimeoutStopSec=
	systemctl stop "$UNIT" || status=1
	systemctl reset-failed "$UNIT" 2>/dev/null || :
	read_log
	daemon_log_is_clean || status=1
	# bats shows it when the test has failed
	tail -n 60 "$LOG"
	return "$status"
}

# read_log: what the journal has of the unit becomes $LOG
read_log() {
	journal_of >"$LOG"
}

# journal_of [ARGUMENT OF JOURNALCTL]...: all that was said up to now
journal_of() {
	journalctl --sync
	# an --after-cursor that is not among the lines of -u loses a line, in systemd 252
	journalctl -q -u "$UNIT" -o cat --since "$SINCE" "$@"
}

# says REGEX: a line of its log, up to now
says() {
	read_log
	log_has "$1"
}

# property NAME: of the unit, as systemd has it
property() {
	systemctl show -P "$1" "$UNIT"
}

property_is() {
	[ "$(property "$1")" = "$2" ]
}

# edit LINE...: what "systemctl edit" of the unit would write
edit() {
	mkdir -p "/run/systemd/system/$UNIT.d"
	printf '%s\n' '[Service]' "$@" >"/run/systemd/system/$UNIT.d/edit.conf"
	systemctl daemon-reload
}

# configure: standard input becomes the main file of the unit
configure() {
	cat >"$DIR/preforkd.conf.new"
	mv "$DIR/preforkd.conf.new" "$DIR/preforkd.conf"
}

# start_unit: it is ready, or the test has failed and shows why
start_unit() {
	systemctl start "$UNIT" || {
		read_log
		tail -n 40 "$LOG"
		return 1
	}
	MASTER=$(property MainPID)
}

# start_with LINE...: the lines as its config
start_with() {
	printf '%s\n' "$@" | configure
	start_unit
}

# start_example NAME...: examples of etc/services.d as they are, copied as their heads say, with what these heads tell
# to write by "systemctl edit"
start_example() {
	local name

	for name; do
		cp "$EXAMPLES/$name.conf.example" "$DIR/services.d/$name.conf"
		edited_by "$name" >>"$BATS_TEST_TMPDIR/edit"
	done
	if [ -s "$BATS_TEST_TMPDIR/edit" ]; then
		mapfile -t lines <"$BATS_TEST_TMPDIR/edit"
		edit "${lines[@]}"
	fi
	start_unit
}

# edited_by EXAMPLE: the lines of its head behind "[Service]"
edited_by() {
	sed -n '/^#   \[Service\]$/,/^#\?$/ s/^#   \([A-Z].*\)/\1/p' "$EXAMPLES/$1.conf.example"
}

# put_file EXAMPLE PATH: the file that its head shows
put_file() {
	local text
	text=$(example_file "$1" "$2")
	mkdir -p "${2%/*}"
	printf '%s\n' "$text" >"$2"
}

# processes: the pids that systemd counts as those of the unit
processes() {
	cat "/sys/fs/cgroup$(property ControlGroup)/cgroup.procs" 2>/dev/null
}

# need PROGRAM PACKAGE
need() {
	[ -x "$1" ] || strict_skip "$1 is missing (Debian: apt-get install $2)"
}

# exposure_of UNIT: the figure of systemd-analyze
exposure_of() {
	systemd-analyze security --no-pager "$1" | sed -n 's/.*Overall exposure level for [^:]*: \([0-9.]*\) .*/\1/p'
}

# asks PORT: a line for each connection, "ok", "refused" or "cut", until $GATE is there
asks() {
	until [ -e "$GATE" ]; do
		if ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then
			echo refused
			read -rt 0.01 <> <(:) || :
		elif answers "$1"; then
			echo ok
		else
			echo cut
		fi
	done
}

# client_has FILE N: so many lines
client_has() {
	[ "$(wc -l <"$BATS_TEST_TMPDIR/$1")" -ge "$2" ]
}

# is_another_master PID: the unit runs, and its master is not that one
is_another_master() {
	property_is ActiveState active && ! property_is MainPID "$1" && ! property_is MainPID 0
}

# inode_of ADDRESS: of the socket that listens there, or is bound to the path
inode_of() {
	if [[ $1 == /* ]]; then
		awk -v path="$1" '$NF == path && $6 == "01" { print $7 }' /proc/net/unix
	else
		ss -Hltne "src = $1" | sed -n 's/.* ino:\([0-9]*\) .*/\1/p'
	fi
}
