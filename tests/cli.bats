#!/usr/bin/env bats
# The command line: every option in both spellings, what is printed where, exit statuses.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154  # ${VAR} is for preforkd; a test is a subshell; run sets stderr

bats_require_minimum_version 1.5.0
load lib/daemon

MAIN=$BATS_TEST_DIRNAME/../src/main.c
MAN=$BATS_TEST_DIRNAME/../man/preforkd.8.in

setup() {
	daemon_setup
	export RELOAD_KEY=
	echo 'service x { handler = echo  workers { min = 1 } }' | write_config
}

teardown() {
	# of -D, should it have been left
	local background
	if background=$(cat "$BATS_TEST_TMPDIR/daemon.pid" 2>/dev/null); then
		kill "$background" || :
	fi
	daemon_teardown
}

# ---- all options ----

# "c config ARGUMENT?" of each option, as the program's table, its help, and the man page have it
options_of_program() {
	sed -nE "s/^.*\{ \"([a-z-]+)\", (required|no)_argument, NULL, '(.)' \}.*/\3 \1 \2/p" "$MAIN" | sort
}

options_of_help() {
	"$PREFORKD" -h | sed -nE 's/^  -(.), --([a-z-]+)( [A-Z]+)? .*/\1 \2 \3/p' | sed -E 's/ +[A-Z]+$/ required/; s/ +$/ no/' | sort
}

options_of_man_page() {
	sed -nE 's/^\.It Fl (.)( Ar [a-z]+)? , Fl -([a-z-]+)( Ar [a-z]+)?$/\1 \3 \2/p' "$MAN" |
		sed -E 's/ +Ar [a-z]+$/ required/; s/ +$/ no/' | sort
}

@test "the help and the man page have every option, short and long, and no other" {
	[ "$(options_of_program | wc -l)" -ge 9 ]
	diff -u <(options_of_program) <(options_of_help)
	diff -u <(options_of_program) <(options_of_man_page)
}

@test "the usage line and the man page's synopsis have every short option" {
	local letter
	for letter in $(options_of_program | cut -c 1); do
		"$PREFORKD" -h | head -n 1 | grep -Eq -- "-[A-Za-z]*$letter" || { echo "usage: $letter"; return 1; }
		sed -n '/^\.Sh SYNOPSIS/,/^\.Sh DESC/p' "$MAN" | grep -Eq "^\.(Op )?Fl .*\b$letter\b" || { echo "synopsis: $letter"; return 1; }
	done
}

# ---- print and leave ----

@test "-h and --help print the same help to standard output, without a config" {
	local option
	for option in -h --help; do
		run --separate-stderr "$PREFORKD" -c /nonexistent "$option"
		[ "$status" -eq 0 ]
		[[ $output == "usage: preforkd "*"--log-level LEVEL"* ]]
		[ -z "$stderr" ]
	done
}

@test "-V and --version print name and version, without a config" {
	local option
	for option in -V --version; do
		run --separate-stderr "$PREFORKD" -c /nonexistent "$option"
		[ "$status" -eq 0 ]
		[[ $output =~ ^preforkd\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
		[ -z "$stderr" ]
	done
}

@test "-m and --modules list in sections what is compiled in, without a config" {
	local option
	for option in -m --modules; do
		run --separate-stderr "$PREFORKD" -c /nonexistent "$option"
		[ "$status" -eq 0 ]
		[ -z "$stderr" ]
		for name in handlers modules families types features; do
			grep -qx "\[$name\]" <<<"$output"
		done
		for name in echo discard chargen daytime time qotd; do
			grep -q "^$name: ." <<<"$output"
		done
		for name in inet inet6 unix stream dgram seqpacket; do
			grep -qx "$name" <<<"$output"
		done
	done
}

@test "what cannot be printed is an error" {
	[ -w /dev/full ] || strict_skip "kernel: no /dev/full"
	for option in -h -V -m -t -T; do
		run sh -c '"$0" "$@" >/dev/full' "$PREFORKD" -c "$CONF" "$option"
		[ "$status" -eq 74 ] || { echo "$option: $status"; return 1; }
	done
}

# ---- wrong use ----

# wrong_use MESSAGE ARGUMENT...: status 64, MESSAGE and the usage on standard error, nothing on standard output
wrong_use() {
	local message=$1
	shift
	run --separate-stderr timeout 60 "$PREFORKD" "$@"
	[ "$status" -eq 64 ] || { echo "$*: status $status"; return 1; }
	[ -z "$output" ]
	[[ $stderr == *"$message"* && $stderr == *"usage: preforkd "* ]] || { echo "$*: $stderr"; return 1; }
}

@test "a wrong command line is status 64, the reason, and the usage" {
	wrong_use "invalid option -- 'x'" -x
	wrong_use "unrecognized option '--nonsense'" --nonsense
	wrong_use "requires an argument" -c
	wrong_use "requires an argument" --config
	wrong_use "requires an argument" -l
	wrong_use "requires an argument" -p
	wrong_use "allow an argument" --test=yes
	wrong_use "no options" -t start
	wrong_use "no options" -c "$CONF" "$CONF"
	wrong_use "no options" -- -t
	wrong_use "-l takes error, warning, notice, info or debug" -c "$CONF" -l loud
	wrong_use "-l takes error, warning, notice, info or debug" -c "$CONF" --log-level=bug
	wrong_use "-l takes error, warning, notice, info or debug" -c "$CONF" -l ''
	wrong_use "-p takes an absolute path" -c "$CONF" -p relative.pid
	wrong_use "-p takes an absolute path" -c "$CONF" --pidfile=
}

# ---- -c, -t ----

@test "-t and --test say OK with the number of services, or every error" {
	local option
	for option in -t --test; do
		run --separate-stderr "$PREFORKD" -c "$CONF" "$option"
		[ "$status" -eq 0 ]
		[ "$output" = "$CONF: OK (1 service)" ]
		[ -z "$stderr" ]
	done
	echo 'service y { handler = echo }' >>"$CONF"
	run --separate-stderr "$PREFORKD" --config "$CONF" -t
	[ "$output" = "$CONF: OK (2 services)" ]
	echo 'service z { handler = nonsense  port = many  timeouts { idle = 1 } }' >>"$CONF"
	run --separate-stderr "$PREFORKD" --config="$CONF" -t
	[ "$status" -eq 78 ]
	[ -z "$output" ]
	[ "$(wc -l <<<"$stderr")" -eq 2 ]
	[[ $stderr == *"$CONF:3: service \"z\": port: "*"$CONF:3: service \"z\": timeouts.idle: "* ]]
}

@test "-t opens no socket, forks no worker and takes no lock" {
	write_config <<-END
	pidfile = "$BATS_TEST_TMPDIR/pid"
	log = "$BATS_TEST_TMPDIR/file"
	service x { handler = echo  family = unix  path = "$BATS_TEST_TMPDIR/s"  workers { min = 1 } }
	END
	run "$PREFORKD" -c "$CONF" -t
	[ "$status" -eq 0 ]
	[ ! -e "$BATS_TEST_TMPDIR/s" ] && [ ! -e "$BATS_TEST_TMPDIR/pid" ] && [ ! -e "$BATS_TEST_TMPDIR/file" ]
	start_daemon_nowait
	wait_for 30 "the socket" test -S "$BATS_TEST_TMPDIR/s"
	wait_for 30 "event=ready" grep -q event=ready "$BATS_TEST_TMPDIR/file"
	run "$PREFORKD" -c "$CONF" -t
	[ "$status" -eq 0 ]
}

@test "without -c the default config is read, the one that the help names" {
	local default
	default=$("$PREFORKD" -h | sed -n 's/.*(default: \(.*\))$/\1/p')
	[[ $default == /*/preforkd/preforkd.conf ]]
	run "$PREFORKD" -t
	[[ $output == *"$default: "* || $output == *"${default%.conf}"* || $output == */services.d/* ]]
	[ -e "$default" ] || [ "$status" -eq 66 ]
}

@test "a config that is not there is status 66 and its name" {
	local mode
	for mode in -t -T -D ''; do
		run --separate-stderr timeout 60 "$PREFORKD" -c "$BATS_TEST_TMPDIR/no.conf" ${mode:+"$mode"}
		[ "$status" -eq 66 ]
		[ -z "$output" ]
		[[ $stderr == *"$BATS_TEST_TMPDIR/no.conf: No such file or directory"* ]]
	done
}

@test "a relative -c means the same file for good: messages and reloads name it absolutely" {
	cd "$BATS_TEST_TMPDIR"
	run "$PREFORKD" -c preforkd.conf -t
	[ "$output" = "$CONF: OK (1 service)" ]
	mkdir sub
	cd sub
	run "$PREFORKD" -c ./../preforkd.conf -t
	[ "$output" = "$CONF: OK (1 service)" ]
	CONF=../preforkd.conf
	start_daemon
	cd /
	echo 'service y { handler = echo  workers { min = 1 } }' >"$BATS_TEST_TMPDIR/preforkd.conf"
	reload_daemon
	log_has "event=reload_started config=$BATS_TEST_TMPDIR/preforkd.conf"
	log_has 'event=listening service=y'
	log_has 'event=reload_done'
}

# ---- -T ----

# the effective config without the comments behind it
values() {
	"$PREFORKD" -c "$1" -T | sed 's/ *# [^"#]*$//'
}

rich_config() {
	mkdir -p "$BATS_TEST_TMPDIR/services.d"
	write_config <<-'END'
	log_level = debug
	log = syslog
	pidfile = "/run/with space \"and\" \\ \${more}.pid"
	service all { # comment
		handler = discard  type = dgram  protocol = udp  address = "*"  port = 4711
		workers { max = 3 }
		timeouts { idle = 1500ms  total = 36h  drain = 90s }
		run { directory = /tmp  umask = 77  nofile = 3K  environment = {"A=\"b\" \\ \$c # ${HOME} {}", "B=", 'C=${D}'} }
	}
	service six { handler = qotd  family = inet6  socket { v6only = no  backlog = 17 }  address = "::1" }
	END
	cat >"$BATS_TEST_TMPDIR/services.d/unix.conf" <<-'END'
	service path { handler = echo  family = unix  type = seqpacket  path = "/tmp/it's"  socket { mode = 600  owner = root } }
	service abstract { handler = time  family = unix  type = dgram  path = "@\x41 \"b\"" }
	END
}

@test "what -T and --dump print can be read back in, and means the same" {
	rich_config
	values "$CONF" >"$BATS_TEST_TMPDIR/first"
	mkdir "$BATS_TEST_TMPDIR/again"
	"$PREFORKD" -c "$CONF" --dump >"$BATS_TEST_TMPDIR/again/preforkd.conf"
	values "$BATS_TEST_TMPDIR/again/preforkd.conf" >"$BATS_TEST_TMPDIR/second"
	[ "$(grep -c '=' "$BATS_TEST_TMPDIR/first")" -ge 60 ]
	diff -u "$BATS_TEST_TMPDIR/first" "$BATS_TEST_TMPDIR/second"
	# and it is said of each that it was written there
	run grep -n '# default$' <("$PREFORKD" -c "$BATS_TEST_TMPDIR/again/preforkd.conf" -T)
	[ -z "$output" ] || { echo "$output"; false; }
}

@test "-T says for each value where it comes from" {
	rich_config
	"$PREFORKD" -c "$CONF" -T >"$BATS_TEST_TMPDIR/dump"
	origin 'log_level = debug' "$CONF:1"
	origin 'user = "nobody"' default
	origin 'port = 4711' "$CONF:5"
	origin 'drain = 90s' "$CONF:7"
	origin 'nofile = 3K' "$CONF:8"
	origin 'backlog = 17' "$CONF:10"
	origin 'path = "/tmp/it'\''s"' "$BATS_TEST_TMPDIR/services.d/unix.conf:1"
	origin 'mode = 0600' "$BATS_TEST_TMPDIR/services.d/unix.conf:1"
	origin 'path = "@A \"b\""' "$BATS_TEST_TMPDIR/services.d/unix.conf:2"
	origin 'environment = {"A=\"b\" \\ \$c # '"$HOME"' {}", "B=", "C=\${D}"}' "$CONF:8"
}

# origin TEXT PLACE: a line of the dump
origin() {
	grep -F "$1" "$BATS_TEST_TMPDIR/dump" | grep -Eq "^\s*[a-z_]+ = .* # $2\$" || { echo "not so: $1 # $2"; return 1; }
}

@test "-T says the errors, not half a config, when there are errors" {
	echo 'service y { handler = echo  port = x }' >>"$CONF"
	run --separate-stderr "$PREFORKD" -c "$CONF" -T
	[ "$status" -eq 78 ]
	[ -z "$output" ]
	[[ $stderr == "$CONF:2: service \"y\": port: "* ]]
}

# ---- options of a master ----

@test "-l and --log-level go before log_level, also after a reload" {
	sed -i '1i log_level = error' "$CONF"
	start_daemon -l debug
	log_has 'level=info .*event=listening'
	reload_daemon
	log_has 'level=notice .*event=reload_done'
}

@test "--log-level=error silences all that is no error" {
	sed -i '1i log_level = debug' "$CONF"
	sed -i 's|handler = echo|handler = echo  family = unix  path = "'"$BATS_TEST_TMPDIR/s"'"|' "$CONF"
	start_daemon_nowait --log-level=error
	wait_for 20 "the socket" test -S "$BATS_TEST_TMPDIR/s"
	# named, so it is not the one who reads the config
	wait_for 20 "a worker" n_workers_is 1 x
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	[ ! -s "$LOG" ] || { cat "$LOG"; false; }
}

@test "-p and --pidfile go before pidfile" {
	local option
	sed -i "1i pidfile = \"$BATS_TEST_TMPDIR/configured\"" "$CONF"
	for option in -p --pidfile; do
		: >"$LOG"
		start_daemon "$option" "$BATS_TEST_TMPDIR/given"
		[ "$(cat "$BATS_TEST_TMPDIR/given")" = "$MASTER" ]
		[ ! -e "$BATS_TEST_TMPDIR/configured" ]
		stop_daemon
		[ ! -e "$BATS_TEST_TMPDIR/given" ]
	done
	: >"$LOG"
	start_daemon
	[ "$(cat "$BATS_TEST_TMPDIR/configured")" = "$MASTER" ]
}

@test "-D and --daemon return 0 when the service is up" {
	local option
	echo "log = \"$LOG\"" >>"$CONF"
	for option in -D --daemon; do
		timeout 20 "$PREFORKD" -c "$CONF" "$option" -p "$BATS_TEST_TMPDIR/daemon.pid" >"$BATS_TEST_TMPDIR/out" 2>&1 3>&-
		log_has 'event=ready'
		background=$(cat "$BATS_TEST_TMPDIR/daemon.pid")
		[ "$(readlink "/proc/$background/exe")" = "$(readlink -f "$PREFORKD")" ]
		kill "$background"
		wait_for 20 "the end of the daemon" process_gone "$background"
		daemon_log_is_clean
		rm "$LOG"
	done
}

@test "closed standard descriptors do no harm" {
	"$PREFORKD" -c "$CONF" -t <&- >&- 2>&-
	"$PREFORKD" -c "$CONF" -T <&- 2>&- | grep -q '^service x {'
}

@test "-t without a descriptor to wait for its reader by says so, and at once" {
	write_config <<<'service a { handler = echo }'
	# one more than the standard ones: for what it writes to
	run -71 perl -e 'use POSIX; POSIX::close($_) for 3 .. 99; exec @ARGV' \
		prlimit --nofile=4 "$PREFORKD" -c "$CONF" -t
	[[ $output == *'the process that reads the config cannot be started: Too many open files' ]]
}
