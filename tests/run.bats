#!/usr/bin/env bats
# run.bats - the block run: each key is read back from /proc of a worker and of a program that it has started.
# shellcheck disable=SC2016  # what awk and the programs' shells expand
# shellcheck disable=SC2030,SC2031  # each test is a subshell, with its own WORKER; run sets output

bats_require_minimum_version 1.5.0
load lib/daemon

setup() {
	daemon_setup
	DIR=
}

teardown() {
	local status=0
	daemon_teardown || status=$?
	[ -z "$DIR" ] || rm -rf "$DIR"
	return "$status"
}

# both RUN: a service of a built-in handler, and one of a program that prints what is asked for; both with that run
both() {
	need_root
	start_with "service built { handler = echo workers { min = 1 } run { $1 } }" \
		"service prog { handler = exec command = {\"/bin/sh\", \"-c\", \"read -r what; eval \\\"\\\$what\\\"\"}
			workers { min = 1 } run { $1 } }"
	WORKER=$(workers_of "$MASTER" built)
}

# in_program COMMAND: what a shell prints that is started for a connection
in_program() {
	echo "$1" | timeout 60 socat -t 60 - "TCP:$(address_of prog)"
}

# are FILE SCRIPT EXPECTED: the awk script makes the same of /proc/PID/FILE of the worker and of a program
are() {
	local got
	got=$(awk "$2" "/proc/$WORKER/$1")
	[ "$got" = "$3" ] || { echo "worker: $got, not $3"; return 1; }
	got=$(in_program "exec awk '$2' /proc/self/$1")
	[ "$got" = "$3" ] || { echo "program: $got, not $3"; return 1; }
}

# has_status KEY EXPECTED: a line of status
has_status() {
	are status "/^$1:/ { sub(/^[^\\t]*\\t/, \"\"); sub(/ +\$/, \"\"); print }" "$2"
}

# limit NAME EXPECTED: soft and hard
limit() {
	are limits "/^Max $1 / { sub(/^Max $1 +/, \"\"); print \$1, \$2 }" "$2"
}

has_nice() {
	are stat '{ sub(/.*\) /, ""); print $17 }' "$1"
}

@test "limits are soft:hard, or one for both, in sizes and durations" {
	local memory='as = "3G:4G" data = 2G'
	# the sanitizers need terabytes of addresses
	! "$PREFORKD" -m | grep -qx sanitizers || memory=
	both "user = 54321 group = 54321 limits { $memory"' cpu = "1m:1h" fsize = "1M:unlimited" memlock = "16K:32K"
		msgqueue = 1000 nofile = "64:128" nproc = "1000:2000" rss = 1G rtprio = 0 rttime = "1s:unlimited" sigpending = 99
		stack = "4M:16M" nice = 0 locks = 7 }'
	if [ -n "$memory" ]; then
		limit 'address space' '3221225472 4294967296'
		limit 'data size' '2147483648 2147483648'
	fi
	limit 'cpu time' '60 3600'
	limit 'file size' '1048576 unlimited'
	limit 'locked memory' '16384 32768'
	limit 'msgqueue size' '1000 1000'
	limit 'open files' '64 128'
	limit 'processes' '1000 2000'
	limit 'resident set' '1073741824 1073741824'
	limit 'realtime priority' '0 0'
	limit 'realtime timeout' '1000000 unlimited'
	limit 'pending signals' '99 99'
	limit 'stack size' '4194304 16777216'
	limit 'nice priority' '0 0'
	limit 'file locks' '7 7'
}

@test "without keys there is no core file, 256 files, and else what the master has" {
	both ''
	limit 'core file size' '0 0'
	limit 'open files' '256 256'
	are oom_score_adj '{ print }' "$(cat "/proc/$MASTER/oom_score_adj")"
	are limits '/^Max (processes|stack|pending)/ { print }' \
		"$(grep -E '^Max (processes|stack|pending)' "/proc/$MASTER/limits")"
	has_status Cpus_allowed_list "$(sed -n 's/^Cpus_allowed_list:\t//p' "/proc/$MASTER/status")"
	has_status NoNewPrivs 1
}

@test "nice, oom_score_adj and CPUs are those of run" {
	local cpu
	cpu=$(sed -n 's/^Cpus_allowed_list:\t\([0-9]*\).*/\1/p' /proc/self/status)
	both "nice = 7 oom_score_adj = 321 cpu_affinity = \"$cpu\""
	has_nice 7
	are oom_score_adj '{ print }' 321
	has_status Cpus_allowed_list "$cpu"
	# the master stays as it is
	[ "$(awk '{ sub(/.*\) /, ""); print $17 }' "/proc/$MASTER/stat")" -eq 0 ]
	[ "$(cat "/proc/$MASTER/oom_score_adj")" != 321 ]
}

@test "a nice value below zero, and an OOM score below the master's" {
	has_capability 23 && has_capability 24 || strict_skip "kernel: no CAP_SYS_NICE and CAP_SYS_RESOURCE here"
	both 'nice = -3 oom_score_adj = -5'
	has_nice -3
	are oom_score_adj '{ print }' -5
}

# has_capability NUMBER: we do
has_capability() {
	local caps
	caps=0x$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)
	((caps >> $1 & 1))
}

@test "umask, core and groups are those of run" {
	both 'umask = 0027 core = 1M user = daemon group = bin groups = {sys, "4711", sys, bin}'
	has_status Umask 0027
	limit 'core file size' '1048576 1048576'
	has_status Groups "$(printf '%s\n' "$(getent group bin | cut -d: -f3)" "$(getent group sys | cut -d: -f3)" 4711 | sort -n | tr '\n' ' ' | sed 's/ $//')"
	stop_daemon
	: >"$LOG"
	both 'core = true user = daemon groups = {}'
	limit 'core file size' "$(awk '/^Max core/ { print "unlimited unlimited" }' /proc/self/limits)"
	has_status Groups "$(id -g daemon)"
}

@test "capabilities are kept by a worker and by its programs, and no other is" {
	has_capability 13 && has_capability 10 || strict_skip "kernel: no CAP_NET_RAW and CAP_NET_BIND_SERVICE here"
	both 'user = daemon capabilities = {net_bind_service, "CAP_NET_RAW"}'
	for set in CapInh CapPrm CapEff CapBnd CapAmb; do
		has_status "$set" 0000000000002400
	done
	has_status Uid $'1\t1\t1\t1'
	has_status NoNewPrivs 1
}

@test "a worker that is root keeps what is written, if it is written" {
	both 'user = root capabilities = {}'
	for set in CapPrm CapEff CapBnd CapAmb; do
		has_status "$set" 0000000000000000
	done
}

@test "a reload takes the capabilities of root away" {
	need_root
	export RELOAD_KEY=
	start_with 'service a { handler = echo workers { min = 1 } run { user = root } }'
	WORKER=$(workers_of "$MASTER")
	grep -q "$(grep ^CapEff "/proc/$MASTER/status")" "/proc/$WORKER/status"
	echo 'service a { handler = echo workers { min = 1 } run { user = root capabilities = {} } }' | write_config
	reload_daemon
	wait_for 20 "the end of the old worker" process_gone "$WORKER"
	wait_for 20 "the new one alone" n_workers_is 1
	grep -q $'^CapEff:\t0000000000000000$' "/proc/$(workers_of "$MASTER")/status"
}

@test "a setuid program has an effect, and all of it, where no_new_privileges is false" {
	local program
	need_root
	DIR=$(mktemp -d /tmp/preforkd-test.XXXXXX)
	chmod 755 "$DIR"
	install -m 4755 "$(readlink -f "$(command -v cat)")" "$DIR/cat"
	findmnt -no OPTIONS -T "$DIR" | grep -q nosuid && strict_skip "kernel: /tmp is mounted nosuid"
	program="handler = exec workers { min = 1 } command = {\"/bin/sh\", \"-c\", \"exec $DIR/cat /proc/self/status\"}"
	start_with "service off { $program run { user = daemon no_new_privileges = false } }" \
		"service on { $program run { user = bin } }"
	timeout 60 socat -u "TCP:$(address_of off)" - >"$BATS_TEST_TMPDIR/off"
	timeout 60 socat -u "TCP:$(address_of on)" - >"$BATS_TEST_TMPDIR/on"
	grep -E '^(Uid|CapEff)' "$BATS_TEST_TMPDIR"/o*
	grep -q $'^Uid:\t1\t0\t' "$BATS_TEST_TMPDIR/off"
	[ "$(grep ^CapEff "$BATS_TEST_TMPDIR/off")" = "$(grep ^CapEff "/proc/$MASTER/status")" ]
	grep -q $'^Uid:\t2\t2\t' "$BATS_TEST_TMPDIR/on"
	grep -q $'^CapEff:\t0000000000000000$' "$BATS_TEST_TMPDIR/on"
}

# refused_without CAPABILITY RUN REGEX: by -t of a root without it
refused_without() {
	echo "service x { handler = echo run { $2 } }" | write_config
	run -78 setpriv "--bounding-set=-$1" "--inh-caps=-$1" "$PREFORKD" -t -c "$CONF"
	[[ $output =~ $3 ]]
}

@test "what the master has no right to give is refused, with the remedy" {
	local remedy='which preforkd does not have .*systemctl edit, CapabilityBoundingSet=CAP_'
	need_root
	setpriv --bounding-set=-sys_nice true || strict_skip "root: without the right to give up capabilities"
	refused_without sys_nice 'nice = -1' "run.nice: needs CAP_SYS_NICE, ${remedy}SYS_NICE"
	refused_without sys_chroot 'chroot = "/usr"' "run.chroot: needs CAP_SYS_CHROOT, ${remedy}SYS_CHROOT SystemCallFilter=chroot"
	refused_without net_raw 'capabilities = {net_raw}' "run.capabilities: needs CAP_NET_RAW, ${remedy}NET_RAW"
	refused_without sys_resource 'oom_score_adj = -1000' "run.oom_score_adj: needs CAP_SYS_RESOURCE, ${remedy}SYS_RESOURCE"
	ulimit -n 4000
	refused_without sys_resource 'nofile = 4001' \
		'run.nofile: is more than the hard limit of preforkd itself, 4000 .*systemctl edit, LimitNOFILE='
	ulimit -t 4000
	refused_without sys_resource 'limits { cpu = "1s:5000s" }' 'run.limits.cpu: is more than .*, 4000 .*LimitCPU='
	# what it has is not
	echo 'service x { handler = echo run { nice = 1 nofile = 4000 limits { cpu = 4000s } } }' | write_config
	setpriv --bounding-set=-sys_resource,-sys_nice --inh-caps=-sys_resource,-sys_nice "$PREFORKD" -t -c "$CONF"
}

# new_root: DIR is a root directory with a shell, cat and ls in it, their libraries and no /proc
new_root() {
	local file
	need_root
	has_capability 18 || strict_skip "kernel: no CAP_SYS_CHROOT here"
	DIR=$(mktemp -d /tmp/preforkd-test.XXXXXX)
	chmod 755 "$DIR"
	mkdir -p "$DIR"/usr/{bin,lib,lib64}
	ln -s usr/bin usr/lib usr/lib64 "$DIR"
	mkdir "$DIR/dev"
	: >"$DIR/dev/null"
	for file in sh cat setsid sleep touch; do
		file=$(command -v "$file")
		{ echo "$file"; ldd "$(readlink -f "$file")" | grep -o '/[^ ]*'; } | while read -r file; do
			mkdir -p "$DIR$(dirname "$file")"
			[ -e "$DIR$file" ] || cp -L "$file" "$DIR$file"
		done
	done
	mkdir "$DIR/inside"
	echo 'from inside' >"$DIR/inside/file"
}

@test "a service has a root directory of its own" {
	new_root
	# a link that would lead out of it leads to what is inside
	ln -s /inside/file "$DIR/link"
	printf '#!/bin/sh\nread -r file; exec cat "$file"\n' >"$DIR/inside/script"
	chmod 755 "$DIR/inside/script"
	start_with "service prog { handler = exec command = {\"/inside/script\"} workers { min = 1 }
			run { chroot = \"$DIR\" directory = \"/inside\" } }" \
		"service built { handler = daytime workers { min = 1 }
			run { chroot = \"$DIR\" environment = {\"TZ=:/usr/share/zoneinfo/Asia/Tokyo\"} } }"
	WORKER=$(workers_of "$MASTER" prog)
	[ "$(readlink "/proc/$WORKER/root")" = "$DIR" ]
	[ "$(readlink "/proc/$WORKER/cwd")" = "$DIR/inside" ]
	[ "$(in_program /link)" = 'from inside' ]
	[ "$(in_program file)" = 'from inside' ]
	[ -z "$(in_program "$BATS_TEST_FILENAME")" ]
	# the time zone is that of the machine
	[[ $(timeout 60 socat -u "TCP:$(address_of built)" -) = *-"$(TZ=:/usr/share/zoneinfo/Asia/Tokyo date +%Z)"$'\r' ]]
	[ "$(readlink "/proc/$(workers_of "$MASTER" built)/root")" = "$DIR" ]
	[ "$(readlink "/proc/$MASTER/root")" = / ]
}

@test "what a program leaves behind is found where there is no /proc" {
	local left
	new_root
	start_with "service prog { handler = exec command = {\"/bin/sh\", \"-c\",
			\"setsid sh -c 'echo up; exec sleep 1000' & read -r line; echo done\"} workers { min = 1 }
			run { chroot = \"$DIR\" } }"
	exec 9<>"/dev/tcp/127.0.0.1/$(port_of prog)"
	read -rt 30 line <&9
	[ "$line" = up ]
	WORKER=$(workers_of "$MASTER" prog)
	left=$(pgrep -P "$WORKER" -d ' ')
	left+=" $(for pid in $left; do cat "/proc/$pid/task/$pid/children"; done)"
	echo >&9
	exec 9>&-
	# shellcheck disable=SC2086  # pids are words
	wait_for 20 "the end of $left" all_gone $left
	wait_for 20 "the worker to be free again" has_no_connection
}

has_no_connection() {
	[ "$(sockets_of "$WORKER")" -eq 1 ]
}

all_gone() {
	local pid
	for pid; do
		process_gone "$pid" || return 1
	done
}

# warned REGEX: -t warns so, once; without REGEX it does not
warned() {
	run --separate-stderr "$PREFORKD" -c "$CONF" -t
	[ "$status" -eq 0 ]
	if [ $# -eq 0 ]; then
		[ -z "${stderr:-}" ] || { echo "$stderr"; return 1; }
	else
		[ "$(grep -Ec "warning: $1" <<<"${stderr:-}")" -eq 1 ] && [ "$(wc -l <<<"$stderr")" -eq 1 ]
	fi || { echo "${stderr:-}"; return 1; }
}

@test "services that share a user are named where one of them runs code that is not ours" {
	local cat='handler = exec command = {"/bin/cat"}'
	need_root
	write_config <<-END
	service a { handler = echo }
	service b { handler = discard }
	END
	warned
	write_config <<-END
	service a { $cat }
	service b { $cat run { user = daemon } }
	service c { handler = echo run { user = bin } }
	END
	warned
	write_config <<-END
	service a { handler = echo }
	service b { handler = echo run { user = bin } }
	service c { $cat }
	service d { $cat }
	END
	warned 'service "a": run.user: service "c" \(3 in all\) runs as the same user, 65534: '
	write_config <<-END
	service a { handler = echo run { user = root } }
	service b { $cat run { user = root } }
	END
	warned
}
