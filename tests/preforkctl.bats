#!/usr/bin/env bats
# preforkctl.bats - preforkctl(1) and the master: what it prints, its exit statuses, how it finds the master, and that no
# bytes of strangers reach the terminal. What the master answers is the subject of control.bats.
# shellcheck disable=SC2030,SC2031  # a bats test is no subshell of another one
# shellcheck disable=SC2153,SC2154  # MASTER, LOG, BESIDE, ... are set by lib/daemon
# shellcheck disable=SC2016  # variables of perl

bats_require_minimum_version 1.5.0
load lib/daemon

PREFORKCTL=${PREFORKCTL:-${PREFORKD%/*}/preforkctl}
COMPLETION=$BATS_TEST_DIRNAME/../src/ctl/completion/preforkctl

setup() {
	daemon_setup
	unset PREFORKD_CONTROL
	cd "$BATS_TEST_TMPDIR" || return 1
}

teardown() {
	daemon_teardown
}

start() {
	start_with 'service a { handler = echo  port = 0  workers { max = 2 } timeouts { drain = 1m } }' "$@"
	PORT=$(port_of a)
}

ctl() {
	timeout 60 "$PREFORKCTL" -c "$CONF" "$@"
}

# json FILTER: what perl says of the JSON on standard input; the data are in $_
json() {
	perl -MJSON::PP -e 'local $/; $_ = decode_json(<STDIN>); print eval($ARGV[0]) // "nothing", "\n"; die $@ if $@' "$1"
}

@test "status at one look: are all workers busy?" {
	start
	run ctl status
	[[ ${lines[0]} == "preforkd "*", pid $MASTER, serving, up "*", generation 1" ]]
	[[ ${lines[1]} == "config $CONF" ]]
	[[ ${lines[2]} =~ ^SERVICE\ +STATE\ +WORKERS\ +OF\ +BUSY\ +IDLE\ +START\ +LEAVE\ +WAIT\ +SERVED\ +FAILED\ +REFUSED\ +LOST\ +ADDRESS$ ]]
	[[ ${lines[3]} =~ ^a\ +ok\ +2\ +2\ +0\ +2\ .*\ 127.0.0.1:$PORT$ ]]
	hold "$PORT" 8
	hold "$PORT" 9
	run ctl status a
	[[ ${lines[3]} =~ ^a\ +all\ busy\ +2\ +2\ +2\ +0\  ]]
	run ctl workers
	[ "${#lines[@]}" -eq 3 ]
	[[ ${lines[1]} =~ ^a\ +1\ +[0-9]+\ +1\ +busy\ +[0-9a-z]+\ +0\ +0\ +[0-9]+K\ +[0-9a-z]+\ +127.0.0.1:[0-9]+$ ]]
	ctl reload --wait
	run ctl status
	[[ ${lines[1]} == "config $CONF, last reload done "*" ago" ]]
	[[ ${lines[5]} =~ ^\ +1\ +finishing\ +a\ +2\  ]]
}

@test "--json is JSON, with numbers and texts as they are" {
	start 'service b { family = unix  path = "@x\\y \"z"  handler = echo  workers { max = 1 } }'
	hold "$PORT" 9
	[ "$(ctl status --json | json '$_->{master}{pid}')" = "$MASTER" ]
	[ "$(ctl status --json | json 'scalar @{$_->{services}}')" = 2 ]
	[ "$(ctl status --json | json '$_->{services}[0]{busy} + $_->{services}[0]{idle}')" = 2 ]
	[ "$(ctl status --json | json 'ref $_->{generations}')" = ARRAY ]
	[ "$(ctl status b --json | json '$_->{services}[0]{address}')" = '@x\y "z' ]
	[ "$(ctl workers a --json | json 'join " ", sort map { $_->{state} } @{$_->{workers}}')" = 'busy idle' ]
	[ "$(ctl workers --json | json 'scalar @{$_->{workers}}')" = 3 ]
	[ "$(ctl version --json | json '$_->{version}{pid}')" = "$MASTER" ]
}

@test "strange names are told as they are in JSON, and do not reach a terminal" {
	local name
	name=$(printf '\033[31m\001"\\\303\266')
	start 'service b { family = unix  path = "'"$BATS_TEST_TMPDIR/s"'"  handler = echo  workers { max = 1 } }'
	# the peer's address is what the peer wants it to be
	perl -e 'use Socket; $| = 1; socket(my $s, AF_UNIX, SOCK_STREAM, 0); bind($s, pack_sockaddr_un("$ARGV[1]$ARGV[0]")) or die;
		connect($s, pack_sockaddr_un($ARGV[1])) or die; syswrite($s, "x\n"); sysread($s, my $b, 10); print "there\n"; sleep 60' \
		"$name" "$BATS_TEST_TMPDIR/s" >there 3>&- &
	BESIDES+="$! "
	wait_for 20 "the peer" grep -q there there
	ctl workers b >table
	[ "$(grep -c '[^[:print:]]' table)" -eq 0 ]
	grep -Fq "/s\\x1b[31m\\x01\"\\\\xc3\\xb6" table
	[ "$(ctl workers b --json | json 'unpack "H*", substr($_->{workers}[0]{peer}, -10)')" = "$(printf %s "$name" | od -An -tx1 | tr -d ' \n')" ]
}

@test "who plays the master does not reach the terminal either" {
	beside fake perl "$BATS_TEST_DIRNAME/lib/control.pl" fake "$BATS_TEST_TMPDIR/f" \
		'ok\nline text="\x1b]0;gotcha\x07 \x9b2J"\nmaster \x1b[2J\nservice name="\x1b[2J\nworker peer="\x1b[H"\nend\n'
	wait_for 20 "the fake" grep -q listens fake
	local command
	for command in status workers config version; do
		"$PREFORKCTL" -s "$BATS_TEST_TMPDIR/f" "$command" >out 2>&1
		[ "$(grep -ac '[^[:print:]]' out)" -eq 0 ]
	done
	grep -q gotcha <("$PREFORKCTL" -s "$BATS_TEST_TMPDIR/f" config)
}

@test "an answer that is not whole is none" {
	local text
	for text in 'ok\n' '' 'bla\nend\n' 'error\nend\n' 'error x y\nend\n' 'error 0 y\nend\n' 'error 200 y\nend\n' 'ok\nend'; do
		rm -f f fake
		beside fake perl "$BATS_TEST_DIRNAME/lib/control.pl" fake "$BATS_TEST_TMPDIR/f" "$text"
		wait_for 20 "the fake" grep -qs listens fake
		run -76 "$PREFORKCTL" -s "$BATS_TEST_TMPDIR/f" status
		[[ $output == "preforkctl: the answer of $BATS_TEST_TMPDIR/f is not whole"* ]]
		end_beside "$BESIDE"
	done
}

@test "a master that does not answer is waited for as long as -w says" {
	local before
	start
	kill -STOP "$MASTER"
	before=$(now_ms)
	run -69 ctl -w 1 status
	[ $(($(now_ms) - before)) -ge 1000 ]
	[[ $output == *'the master does not answer at '* ]]
	kill -CONT "$MASTER"
}

@test "without a master it says so, and what to do" {
	start
	stop_daemon
	run -69 ctl status
	[[ $output == "preforkctl: no preforkd runs with $CONF (start it; "* ]]
	run -69 "$PREFORKCTL" -s /no/such/socket status
	[[ $output == "preforkctl: no preforkd listens at /no/such/socket (start it)" ]]
	run -69 ctl health --live
	run -66 "$PREFORKCTL" -c /no/such/config status
	[[ $output == *'/no/such/config: No such file'*'-c names another'* ]]
	: >"$LOG"
	start 'control { path = "" }'
	run -69 ctl status
	[[ $output == *"the preforkd of $CONF has no control socket (control.path)" ]]
	stop_daemon
}

@test "it finds the master of its own config, also when the config is wrong by now" {
	local one two
	start
	one=$MASTER
	mkdir two
	sed 's/service a/service two/' "$CONF" >two/preforkd.conf
	beside two.log "$PREFORKD" -c two/preforkd.conf
	two=$BESIDE
	wait_for 20 "the second" grep -q event=ready two.log
	ctl status | grep -q "pid $one,"
	"$PREFORKCTL" -c two/preforkd.conf status | grep -q "pid $two,"
	echo 'wrong' >>"$CONF"
	ctl status | grep -q "pid $one,"
	# a socket of its own is found as well, and named by hand
	"$PREFORKCTL" -c two/preforkd.conf stop
	wait_for 20 "its end" process_gone "$two"
	echo "control { path = \"$BATS_TEST_TMPDIR/own\" }" >>two/preforkd.conf
	beside own.log "$PREFORKD" -c two/preforkd.conf
	wait_for 20 "the second" grep -q event=ready own.log
	"$PREFORKCTL" -c two/preforkd.conf status | grep -q "pid $BESIDE,"
	"$PREFORKCTL" -s own status | grep -q "pid $BESIDE,"
	PREFORKD_CONTROL=own "$PREFORKCTL" status | grep -q "pid $BESIDE,"
	"$PREFORKCTL" -s own stop --now
	wait_for 20 "its end" process_gone "$BESIDE"
}

@test "a master without rights is found by its user, and by root with -s" {
	need_root
	local dir=$BATS_TEST_TMPDIR/home daemon asks
	daemon=$(for_all "$PREFORKD" "$PREFORKD-worker"*)
	asks=$(for_all "$PREFORKCTL")
	mkdir -m 700 "$dir"
	echo 'service a { handler = echo  port = 0  workers { max = 1 } }' >"$dir/x.conf"
	chown -R nobody "$dir"
	as_nobody() { setpriv --reuid nobody --regid nogroup --clear-groups env RUNTIME_DIRECTORY="$dir" "$@"; }
	beside log.nobody as_nobody "$daemon" -c "$dir/x.conf"
	wait_for 20 "the master" grep -q event=ready log.nobody
	as_nobody "$asks" -c "$dir/x.conf" status | grep -q ' serving, '
	as_nobody "$asks" -c "$dir/x.conf" reload --wait | grep -qx 'reload done generation=2'
	"$PREFORKCTL" -s "$(sed -n 's/.*event=control_listening path=//p' log.nobody)" stop --now
	wait_for 20 "its end" grep -q event=stopped log.nobody
	# and who may not is told so
	start
	run -77 as_nobody "$asks" -c "$CONF" status
	[[ $output == *'Permission denied (be root, or in the group of control.group)' ]]
}

@test "reload --plan: what would be done, line by line, and nothing is" {
	local before
	export RELOAD_KEY=
	printf '%s\n' 'service a { handler = echo workers { min = 1 } }' 'service b { handler = echo workers { min = 1 } }' \
		'service c { handler = echo workers { min = 1 } }' 'service d { handler = echo workers { min = 1 } }' \
		'service e { handler = echo workers { min = 1 } }' | write_config
	start_daemon
	before=$(workers_of "$MASTER")
	printf '%s\n' 'service a { handler = echo workers { min = 1 } }' 'service b { handler = echo workers { min = 1 max = 7 } }' \
		'service c { handler = echo workers { min = 1 } run { umask = 7 } timeouts { idle = 2s } }' \
		"service d { handler = echo workers { min = 1 } family = unix path = \"$BATS_TEST_TMPDIR/s\" }" \
		'service f { handler = echo workers { min = 1 } socket { nodelay = true } }' | write_config
	run -0 ctl reload --plan
	[ "${lines[0]}" = 'a: unchanged, keeps its workers' ]
	[ "${lines[1]}" = 'b: keeps its workers, but for their number (workers.max)' ]
	[ "${lines[2]}" = 'c: new workers (timeouts.idle, run.umask)' ]
	[[ ${lines[3]} == "d: its listener is closed, a listener is opened on unix stream $BATS_TEST_TMPDIR/s, new workers (family, "* ]]
	[[ ${lines[4]} == 'f: new, a listener is opened on inet stream 127.0.0.1' ]]
	[ "${lines[5]}" = 'e: removed, its listener is closed' ]
	[ "${#lines[@]}" -eq 6 ]
	echo 'wrong = 1' >>"$CONF"
	run -78 ctl reload --plan
	[ "$output" = "preforkctl: a reload would be refused"$'\n'"$CONF:6: unknown key wrong" ]
	run -64 ctl reload --plane
	[ "$(workers_of "$MASTER")" = "$before" ]
	log_lacks event=reload_
	log_lacks level=error
	[ ! -e "$BATS_TEST_TMPDIR/s" ]
}

@test "reload --plan: a listener stays with its address, whatever its service is called" {
	local one two three i ports=()
	export RELOAD_KEY=
	# service NAME PORT [ADDRESS]
	service() { echo "service $1 { port = $2 address = \"${3-localhost}\" handler = echo workers { min = 1 } }"; }
	for i in 1 2 3; do
		ports[i]=$(free_port)
	done
	one=127.0.0.1:${ports[1]} two=127.0.0.1:${ports[2]} three=127.0.0.1:${ports[3]}
	start_with "$(service a "${ports[1]}")" "$(service b "${ports[2]}")" "$(service c "${ports[3]}")"
	{ service a "${ports[2]}"; service b "${ports[1]}"; service d "${ports[3]}" 127.0.0.1; } | write_config
	run -0 ctl reload --plan
	[ "${lines[0]}" = "a: its listener becomes that of b, it takes over the listener of b on inet stream $two, new workers (port)" ]
	[ "${lines[1]}" = "b: its listener becomes that of a, it takes over the listener of a on inet stream $one, new workers (port)" ]
	[ "${lines[2]}" = "d: new, it takes over the listener of c on inet stream $three" ]
	[ "${lines[3]}" = 'c: removed, its listener becomes that of d' ]
	[ "${#lines[@]}" -eq 4 ]
	# and so it is
	reload_daemon
	[ "$(log_count event=listening)" -eq 3 ]
	log_lacks event=listener_closed
	# the same in other words
	{ service a "${ports[2]}"; service b "${ports[1]}"; service d "${ports[3]}"; } | write_config
	run -0 ctl reload --plan
	[ "${lines[2]}" = 'd: new workers (address)' ]
}

@test "a global key that takes a restart is a warning of the reload, and of its plan" {
	export RELOAD_KEY=
	start
	{ echo 'pidfile = "/nowhere/pid"'; cat "$CONF"; echo 'control { mode = 0666 }'; } | write_config
	run -0 --separate-stderr ctl reload --plan
	[ "$output" = 'a: unchanged, keeps its workers' ]
	# shellcheck disable=SC2154  # run sets stderr
	[ "$stderr" = "$CONF:1: warning: pidfile: a reload does not change it, a restart does
$CONF:3: warning: control.mode: a reload does not change it, a restart does" ]
	run -0 --separate-stderr ctl reload --wait
	[ "$output" = 'reload done generation=2' ]
	[ "$stderr" = "$CONF:1: warning: pidfile: a reload does not change it, a restart does
$CONF:3: warning: control.mode: a reload does not change it, a restart does" ]
	# it is said when it changes
	run -0 --separate-stderr ctl reload --wait
	[ -z "$stderr" ]
	sed -i /pidfile/d "$CONF"
	run -0 --separate-stderr ctl reload --wait
	[ "$stderr" = "$CONF: warning: pidfile: a reload does not change it, a restart does" ]
}

@test "reload --wait: the exit status and the text are the verdict" {
	export RELOAD_KEY=
	start
	run -0 --separate-stderr ctl reload --wait
	[ "$output" = 'reload done generation=2' ]
	echo 'wrong = 1' >>"$CONF"
	run -78 --separate-stderr ctl reload --wait
	[ -z "$output" ]
	# shellcheck disable=SC2154  # run sets stderr
	[ "$stderr" = "preforkctl: reload refused: the config has errors"$'\n'"$CONF:2: unknown key wrong" ]
	run -0 ctl reload
	[ -z "$output" ]
	run -1 ctl health
	[ "$output" = $'preforkctl: not healthy\nthe last reload was refused' ]
	run -0 ctl health --ready
	[ "$output" = healthy ]
}

@test "the units reload by it, each with its own config" {
	local unit command
	for unit in preforkd preforkd@ preforkd-unprivileged; do
		command=$(sed -n 's/^ExecReload=//p' "${PREFORKD%/src/*}/systemd/$unit.service")
		[[ $command == /*/bin/preforkctl*' reload --wait' ]]
		# what names the config is the same for the daemon
		[ "${command#*/bin/preforkctl}" = "$(sed -n 's/^ExecStart=.*\/preforkd\( \|$\)/\1/p' "${PREFORKD%/src/*}/systemd/$unit.service") reload --wait" ]
	done
}

@test "config prints a config that can be read in again" {
	start 'service b { handler = echo  port = 0  run { environment = { "A=\\\"\\\\ \303\266" } } }'
	ctl config >told.conf
	"$PREFORKD" -c "$CONF" -T >printed.conf
	# what is not ASCII is escaped, which a config may have as well
	diff <(LC_ALL=C sed 's/\xc3\xb6/\\xc3\\xb6/' printed.conf) told.conf
	grep -v '^user = ' told.conf >again.conf
	"$PREFORKD" -c again.conf -T | grep -F "$(sed -n 's/.*\(environment = {"A=[^}]*}\).*/\1/p' printed.conf)"
}

@test "stop and log-level, version and what is no command" {
	start
	[ "$(ctl log-level)" = level=info ]
	[ "$(ctl postmortem)" = 'no worker has died' ]
	ctl log-level debug
	[ "$(ctl log-level)" = level=debug ]
	[[ $(ctl version) == "version=\""*"\" pid=$MASTER" || $(ctl version) == "version="*" pid=$MASTER" ]]
	run -64 ctl log-level loud
	run -64 ctl bla
	[[ $output == *'there is no command "bla"'*usage:* ]]
	run -64 ctl status 'a b'
	[[ $output == *'is no word for the master'* ]]
	run -64 ctl status $'a\nstop'
	run -64 ctl status nope
	[ "$output" = 'preforkctl: there is no service "nope"' ]
	run -64 ctl status "$(printf 'x%.0s' {1..600})"
	[[ $output == *'the command is too long'* ]]
	run -0 ctl stop
	wait_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "top refuses to be without a terminal, and quits on q with the terminal as it was" {
	start
	run -64 ctl top
	[[ $output == *'top needs a terminal'* ]]
	command -v script >/dev/null || strict_skip "script is not installed"
	hold "$PORT" 9
	mkfifo keys
	script -qec "stty rows 20 cols 100; $PREFORKCTL -c $CONF top; echo status=\$?; stty -a" out <keys >/dev/null 2>&1 3>&- &
	BESIDES+="$! "
	exec 8>keys
	wait_for 20 "a picture" grep -aq 'SERVICE.*PEER' out
	wait_for 20 "another one" seen_twice
	printf q >&8
	wait_for 20 "its end" grep -aq 'status=0' out
	wait_for 20 "the terminal" grep -aq '[^-]icanon' out
	grep -aq '127.0.0.1:' out
	exec 8>&-
}

seen_twice() {
	[ "$(grep -ac 'SERVICE.*PEER' out)" -ge 2 ]
}

# completes WORD...: what bash would offer for the last of them
completes() {
	# shellcheck source=src/ctl/completion/preforkctl
	(
		source "$COMPLETION"
		preforkctl() { "$PREFORKCTL" "$@"; }
		COMP_WORDS=(preforkctl "$@")
		COMP_CWORD=$#
		_preforkctl
		echo "${COMPREPLY[*]}"
	)
}

@test "bash completes options, commands, words and services" {
	start
	[ "$(completes sta)" = status ]
	[ "$(completes --so)" = --socket ]
	[ "$(completes reload '')" = '--wait --plan' ]
	[ "$(completes -w 3 health --)" = '--live --ready' ]
	[ "$(completes -c "$CONF" status '')" = '--json a' ]
	[ "$(completes -c "$CONF" probe '')" = a ]
	[ "$(completes log-level de)" = debug ]
	[ "$(completes -c "${CONF%.conf}.c")" = "$CONF" ]
	# each command of the help is offered
	diff <(completes '' | tr ' ' '\n' | grep -v '^-' | sort) \
		<("$PREFORKCTL" -h | sed -n '/^Commands:/,/^$/s/^ \{1,\}\([a-z-]\{1,\}\) .*/\1/p' | sort)
}
