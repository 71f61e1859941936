#!/usr/bin/env bats
# modules.bats - handlers that are shared objects: how one is found, checked, loaded and asked, all that it may call,
# and what becomes of it when it does what it must not.
# shellcheck disable=SC2030,SC2031  # each test is a subshell, and sets its own PREFORKD
# shellcheck disable=SC2154  # MASTER, LOG, ... are set by lib/daemon; run sets stderr

bats_require_minimum_version 1.5.0
load lib/daemon

SOURCE=$BATS_TEST_DIRNAME/..

# As make install leaves them, below the directory of this file: the header, and what pkg-config knows.
setup_file() {
	local prefix=$BATS_FILE_TMPDIR/prefix
	mkdir -p "$prefix/include/preforkd" "$prefix/lib/pkgconfig" "$prefix/lib/preforkd"
	cp "$SOURCE/src/handler/handler.h" "$prefix/include/preforkd/"
	sed -e "s|@prefix@|$prefix|" -e "s|@libdir@|$prefix/lib|" -e "s|@includedir@|$prefix/include|" \
		-e "s|@moduledir@|$prefix/lib/preforkd|" -e 's|@VERSION@|1|' \
		"$SOURCE/preforkd.pc.in" >"$prefix/lib/pkgconfig/preforkd.pc"
	compile_module "$BATS_FILE_TMPDIR/talk.so" talk
}

setup() {
	daemon_setup
	DIR=$BATS_TEST_TMPDIR
	NOTES=$DIR/notes
	ABSTRACT=@preforkd-test-$$-$RANDOM-$BATS_TEST_NUMBER
	# a fault of a module is none of the sanitizers'
	export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}handle_segv=0:handle_abort=0:handle_sigbus=0
	umask 022
}

teardown() { daemon_teardown; }

# module NAME SOURCE [FLAG...]: $DIR/NAME.so, put there at once
module() {
	if [ "$2" = talk ] && [ $# -eq 2 ]; then
		cp "$BATS_FILE_TMPDIR/talk.so" "$DIR/.new.so"
	else
		compile_module "$DIR/.new.so" "${@:2}"
	fi
	mv "$DIR/.new.so" "$DIR/$1.so"
}

# picky: the module that writes notes
picky() {
	install -m 666 /dev/null "$NOTES"
	module picky picky "-DNOTES=\"$NOTES\""
}

# service NAME MODULE [KEYS]: one worker
service() {
	echo "service $1 { handler = \"$DIR/$2.so\" workers { min = 1 } ${3-} }"
}

# a service that must go on whatever becomes of the others
other() {
	echo 'service other { handler = echo workers { min = 1 } }'
}

# ask SERVICE: standard input, and its end, go to the TCP service; its answer to standard output. The end has to come.
ask() {
	timeout 60 socat -t 60 - "TCP:$(address_of "$1")" 2>>"$DIR/socat" || echo "socat: status $?"
}

# says LINES EXPECTED: service a answers so
says() {
	local got
	got=$(printf %b "$1" | ask a)
	[ "$got" = "$(printf %b "$2")" ] || { echo "asked: $1"; echo "got: $got"; echo "expected: $2"; return 1; }
}

# field KEY TEXT: of talk's "all"
field() {
	sed -n "s/.*\b$1=\(.*\)/\1/p" <<<"$2" | sed 's/ [a-z]*=.*//'
}

# refused STATUS TEXT: preforkd -t ends so and says this, and no more than that line
refused() {
	run "$PREFORKD" -c "$CONF" -t
	echo "expected $1: $2"
	echo "got $status: $output"
	[ "$status" -eq "$1" ]
	[ "${#lines[@]}" -eq 1 ]
	[[ $output == *"$2"* ]]
}

# the config of one service is good
passes() {
	run -0 "$PREFORKD" -c "$CONF" -t
	[ "$output" = "$CONF: OK (1 service)" ]
}

# hears LINE: what descriptor 9 says next
hears() {
	local line
	read -rt 30 line <&9
	[ "$line" = "$1" ] || { echo "heard: $line"; return 1; }
}

# silent SECONDS: descriptor 9 says nothing for so long, and has no end
silent() {
	local status=0
	read -rt "$1" <&9 || status=$?
	[ "$status" -gt 128 ]
}

# none COMMAND...: it finds nothing
none() {
	! "$@"
}

worker() {
	workers_of "$MASTER" "${1:-a}"
}

# replaced PID: it is gone, and there is another worker of service a
replaced() {
	local now
	now=$(worker a)
	[ -n "$now" ] && ! grep -qx "$1" <<<"$now"
}

# exited REASON MORE [PID]: there is a line of a worker of service a that ended so
exited() {
	log_has "level=warning .*event=worker_exit service=a .*${3-}.*reason=\"?$1\"? .*$2"
}

@test "the example builds by the line in its head, installs by the next one, and serves by its config" {
	local head
	head=$(sed -n '/^ \*\/$/q; s/^ \*\t//p' "$SOURCE/examples/upper.c")
	[ "$(wc -l <"$SOURCE/examples/upper.c")" -le 66 ]
	cp "$SOURCE/examples/upper.c" "$DIR"
	(
		cd "$DIR"
		export PKG_CONFIG_PATH=$BATS_FILE_TMPDIR/prefix/lib/pkgconfig
		grep -E '^(cc|install) ' <<<"$head" >build.sh
		[ "$(wc -l <build.sh)" -eq 2 ]
		sh -eu build.sh
	)
	grep -vE '^(cc|install) ' <<<"$head" >"$CONF"
	sed -i -e "s|handler = upper|handler = \"$BATS_FILE_TMPDIR/prefix/lib/preforkd/upper.so\"|" \
		-e 's|port    = 7007|port = 0 workers { min = 1 }|' "$CONF"
	passes
	start_daemon
	got=$(printf 'one\ntwo' | ask upper)
	[[ ${got%%$'\n'*} =~ ^Hello,\ 127\.0\.0\.1:[0-9]+$ ]]
	[ "${got#*$'\n'}" = $'ONE\nTWO' ]
	stop_daemon
	[ "$(account_of upper served)" -eq 1 ]
}

@test "the example in preforkd-module(3) is examples/upper.c" {
	# as mandoc(1) shows it
	section EXAMPLES | awk '/^\.Ed/ { inside = 0 } inside { print } /^\.Bd -literal/ { inside = 1 }' |
		sed -e 's/^\\&//' -e 's/\\(dq/"/g' -e "s/\\\\(aq/'/g" -e 's/\\-/-/g' -e 's/\\e/\\/g' >"$DIR/example.c"
	[ -s "$DIR/example.c" ]
	diff -u "$SOURCE/examples/upper.c" "$DIR/example.c"
}

@test "a C99 or C++ compiler takes the header without a word" {
	echo '#include <preforkd/handler.h>' >"$DIR/h.c"
	for options in '-std=c99 -pedantic' '-std=c11 -pedantic' '-std=gnu17' '-Wc++-compat'; do
		# shellcheck disable=SC2086  # words
		cc $options -Wall -Wextra -Werror -I"$BATS_FILE_TMPDIR/prefix/include" -c -o "$DIR/h.o" "$DIR/h.c"
	done
	# every function has C's name there too
	grep -q 'extern "C"' "$SOURCE/src/handler/handler.h"
}

# section TITLE: of preforkd-module(3)
section() {
	awk -v "title=$1" '/^\.Sh / { on = $0 == ".Sh " title } on' "$SOURCE/man/preforkd-module.3.in"
}

# The functions that the header declares.
declared() {
	grep -oE '\b(conn|handler)_[a-z_]+\(' "$SOURCE/src/handler/handler.h" | tr -d '(' | sort -u
}

@test "the program exports what the header declares, and preforkd-module(3) describes it" {
	declared >"$DIR/declared"
	[ "$(wc -l <"$DIR/declared")" -ge 14 ]
	diff -u "$DIR/declared" <(sed -n 's/^\t\([a-z_]*\);$/\1/p' "$SOURCE/src/handler/exports" | sort)
	diff -u "$DIR/declared" <(section SYNOPSIS | sed -n 's/^\.Fn \([a-z_]*\).*/\1/p' | sort)
	diff -u "$DIR/declared" <(section FUNCTIONS | sed -n 's/^\.It Fn \([a-z_]*\)$/\1/p' | sort)
	# and each field of a handler
	sed -n '/^struct handler {/,/^};/p' "$SOURCE/src/handler/handler.h" |
		sed -E '/^\t (\*|Unless)/d; s|/\*.*||; s/\(\*([a-z]+)\)\(.*/\1;/' |
		grep -oE '[a-z]+[,;]' | tr -d ',;' >"$DIR/fields"
	[ "$(wc -l <"$DIR/fields")" -eq 8 ]
	diff -u "$DIR/fields" <(section 'THE HANDLER' | sed -n 's/^\.It Va //p' | sed 's/ , /\n/g')
	# a module that is linked at once with all of them can be loaded
	{
		echo '#include <preforkd/handler.h>'
		echo 'static int serve(struct conn *conn, void *state) { (void)conn; return state == NULL ? 0 : -1; }'
		echo 'const struct handler preforkd_handler = { .abi = HANDLER_ABI, .serve = serve };'
		echo 'const void *const all[] = {'
		sed 's/.*/(const void *)&,/' "$DIR/declared"
		echo '};'
	} >"$DIR/all.c"
	cc -shared -fPIC -I"$BATS_FILE_TMPDIR/prefix/include" -o "$DIR/all.so" "$DIR/all.c"
	service a all | write_config
	passes
}

@test "a module's own names stay its own, though the program has them as well" {
	module x talk
	start_with "$(service a x)"
	says 'ours\n' '4711 1 my echo'
}

# peer_of FILE: the address of socat's own end, from what it says with -dd
peer_of() {
	sed -n 's/.*successfully connected from local address AF=[0-9]* //p' "$1" | sed 's/^"\(.*\)"$/\1/'
}

@test "every public function says the truth, on every kind of socket" {
	local name address got peer pad
	module x talk
	pad=$(printf '%0250d' 0)
	start_with \
		"$(service inet-stream x 'options { greeting = "Hi there" }')" \
		"$(service inet6-stream x 'family = inet6 options { other = "=\"x\"" }')" \
		"$(service path-stream x "family = unix path = \"$DIR/stream\"")" \
		"$(service path-seqpacket x "family = unix type = seqpacket path = \"$DIR/seqpacket\"")" \
		"$(service abstract-seqpacket x "family = unix type = seqpacket path = \"$ABSTRACT\"")" \
		"$(service inet-dgram x 'type = dgram options { greeting = "" }')" \
		"$(service inet6-dgram x 'family = inet6 type = dgram')" \
		"$(service path-dgram x "family = unix type = dgram path = \"$DIR/dgram\"")"
	while read -r name family type message sock greeting; do
		echo "$name"
		address=$(address_of "$name")
		peer=
		case $name in
		inet*-stream)
			got=$(echo all | timeout 60 socat -dd -t 60 - "TCP:$address" 2>"$DIR/socat")
			peer=$(peer_of "$DIR/socat")
			[ "$name" = inet-stream ] || peer="[::1]:${peer##*:}"
			;;
		path-stream) got=$(echo all | timeout 60 socat -t 60 - "UNIX-CONNECT:$address,bind=$DIR/client") ;;
		path-seqpacket)
			got=$(echo all | timeout 60 socat -t 60 - "UNIX-CONNECT:$address,socktype=5,bind=$DIR/c2")
			;;
		abstract-seqpacket)
			got=$(echo all | timeout 60 socat -t 60 - "ABSTRACT-CONNECT:${address#@},socktype=5")
			;;
		inet-dgram) peer=127.0.0.1:$(free_port) ;;
		inet6-dgram) peer="[::1]:$(free_port)" ;;
		path-dgram) peer=$ABSTRACT-client ;;
		esac
		case $name in
		*-dgram)
			rm -f "$DIR/answer"
			"$TEST_BIN/dgram" -f "$peer" -o "$DIR/answer" "$address" "all $pad"
			got=$(cat "$DIR/answer")
			;;
		path-stream) peer=$DIR/client ;;
		path-seqpacket) peer=$DIR/c2 ;;
		abstract-seqpacket) peer=unnamed ;;
		esac
		echo "$got"
		[ -n "$peer" ]
		[ "$(field peer "$got")" = "$peer" ]
		[ "$(field family "$got")" -eq "$family" ]
		[ "$(field type "$got")" -eq "$type" ]
		[ "$(field message "$got")" -eq "$message" ]
		[ "$(field service "$got")" = "$name" ]
		[ "$(field socket "$got")" = "$sock" ]
		[ "$(field greeting "$got")" = "$greeting" ]
		workers_of "$MASTER" | grep -qx "$(field pid "$got")"
	done <<-'END'
		inet-stream 2 1 0 2,1,6 Hi there
		inet6-stream 10 1 0 10,1,6 (none)
		path-stream 1 1 0 1,1,0 (none)
		path-seqpacket 1 5 0 1,5,0 (none)
		abstract-seqpacket 1 5 0 1,5,0 (none)
		inet-dgram 2 2 1 2,2,17
		inet6-dgram 10 2 1 10,2,17 (none)
		path-dgram 1 2 1 1,2,0 (none)
	END
	[ "$(field other "$(echo all | timeout 60 socat -t 60 - "TCP:$(address_of inet6-stream)")")" = '="x"' ]
	stop_daemon
	for name in inet-stream path-seqpacket inet-dgram path-dgram; do
		[ "$(account_of "$name" served)" -eq 1 ]
		[ "$(account_of "$name" failed)" -eq 0 ]
	done
	[ "$(account_of inet-dgram bytes_in)" -eq 254 ]
	[ "$(account_of path-stream bytes_in)" -eq 4 ]
}

@test "conn_read_line reads lines of a stream: short, long, too long, without an end, with NUL in them" {
	local line
	module x talk
	start_with "$(service a x)"
	says 'lines 100\none\n\ntwo\n' '4:one\n1:\n4:two\n0 end'
	says 'lines 100\none\ntwo' '4:one\n3:two|\n0 end'
	says 'lines 100\n' '0 end'
	says 'lines 5\nabc\nabcde\n' '4:abc\n-1 Message too long\ne'
	says 'lines 5\nabcd\n' '-1 Message too long\n'
	says 'lines 6\nabcd\n\n' '5:abcd\n1:\n0 end'
	says 'lines 5\nabc' '3:abc|\n0 end'
	# the last one, as long as there is room
	says 'lines 5\nabcd' '4:abcd|\n0 end'
	printf 'lines 9\na\0b\nc\n' | ask a | cmp - <(printf '4:a\0b\n2:c\n0 end\n')
	# longer than what is read at a time, twice
	line=$(printf '%040000d' 0)
	says "lines 50000\n$line\nabc\n$line" "40001:$line\n4:abc\n40000:$line|\n0 end"
	says "lines 40001\n$line\nabc\n" '-1 Message too long\n\nabc'
}

@test "conn_read_line with no room says so, and touches nothing" {
	module x talk
	start_with "$(service a x)"
	# and of what comes nothing is lost
	says 'lines 1\nabc\nlines 0\nx\n' '-1 Message too long\nabc\n-1 Message too long\nx'
}

# in_halves ONE ANSWER TWO: the second half comes after the answer to the first one, in $DIR/got
in_halves() {
	printf %b "$1"
	wait_for 20 "the answer" grep -q "$2" "$DIR/got" >&2
	printf %b "$3"
}

@test "conn_read_line waits for the rest of a line, over segments and records" {
	local options name
	module x talk
	start_with "$(service tcp x)" "$(service record x "family = unix type = seqpacket path = \"$DIR/s\"")"
	for name in tcp record; do
		options="UNIX-CONNECT:$DIR/s,socktype=5"
		[ "$name" = record ] || options=TCP:$(address_of tcp)
		rm -f "$DIR/got"
		in_halves 'hello\nlines 100\nfirst half, ' hello 'second half\nnext\n' |
			timeout 60 socat -t 60 - "$options" >"$DIR/got"
		[ "$(cat "$DIR/got")" = $'hello\n24:first half, second half\n5:next\n0 end' ]
	done
}

@test "conn_read_line of a record that is longer than it can hold fails: nothing vanishes in silence" {
	local n
	module x talk
	start_with 'log_level = debug' "$(service a x "family = unix type = seqpacket path = \"$DIR/s\"")"
	for n in 16000 20000; do
		# socat sends what it reads at once as one record
		printf 'lines 100000\n%0*d\n' "$n" 0 >"$DIR/record"
		timeout 20 socat -b 70000 -t 30 - "UNIX-CONNECT:$DIR/s,socktype=5" <"$DIR/record" >"$DIR/got"
		[ "$n" -gt 16384 ] || [ "$(cat "$DIR/got")" = "$(printf '%d:%0*d\n0 end' $((n + 1)) "$n" 0)" ]
	done
	# the longer one as a whole, or not at all
	[ "$(wc -c <"$DIR/got")" -gt 20000 ] || log_has 'event=conn_failed service=a .*error="Message too long"'
	none grep -q '^[0-9]*:0*|$' "$DIR/got"
}

@test "conn_read and conn_read_line take turns: what one left the other finds" {
	module x talk
	start_with "$(service a x)"
	says 'rest 3\nabcdefg' '3:abc|3:def|1:g|0 end'
	says 'rest 100\nabc\ndef\n' '8:abc\ndef\n|0 end'
	# what is left over first, then what comes
	rm -f "$DIR/got"
	in_halves 'hello\nrest 100\nabc' abc def | ask a >"$DIR/got"
	[ "$(cat "$DIR/got")" = $'hello\n3:abc|3:def|0 end' ]
}

@test "a message is read and read by lines to its end, and answered as one" {
	local from to
	module x talk
	start_with "$(service a x "family = unix type = dgram path = \"$DIR/s\"")" "$(service u x 'type = dgram')"
	for to in "$DIR/s" "$(address_of u)"; do
		from=127.0.0.1:0
		[ "$to" != "$DIR/s" ] || from=$ABSTRACT
		rm -f "$DIR/got"
		# long enough for its answer
		printf 'log 7 %0200d\nlines 5\nabc\n\nab\n' 0 | "$TEST_BIN/dgram" -f "$from" -o "$DIR/got" "$to"
		[ "$(tail -n +2 "$DIR/got")" = $'4:abc\n1:\n3:ab\n0 end' ]
		rm -f "$DIR/got"
		printf 'log 7 %0200d\nfd\nrest 4\nabcdef' 0 | "$TEST_BIN/dgram" -f "$from" -o "$DIR/got" "$to"
		[ "$(tail -n +2 "$DIR/got")" = $'no fd\n4:abcd|2:ef|0 end' ]
	done
	# one message has nothing of the one before it
	rm -f "$DIR/got"
	printf 'printf 9\nabc' | "$TEST_BIN/dgram" -f "$ABSTRACT" "$DIR/s"
	printf 'xyz' | "$TEST_BIN/dgram" -f "$ABSTRACT" -o "$DIR/got" "$DIR/s"
	[ "$(cat "$DIR/got")" = xyz ]
}

@test "an answer over UDP is cut at the length of the request, one over unix is whole" {
	module x talk
	start_with "$(service a x "family = unix type = dgram path = \"$DIR/s\"")" "$(service u x 'type = dgram')"
	[[ "$(printf 'printf 100\n' | "$TEST_BIN/dgram" -f "$ABSTRACT" "$DIR/s")" = *' length=101' ]]
	[[ "$(printf 'printf 100\n' | "$TEST_BIN/dgram" "$(address_of u)")" = *' length=11' ]]
	stop_daemon
	[ "$(account_of u served)" -eq 1 ]
	[ "$(account_of u bytes_out)" -eq 11 ]
}

@test "conn_printf writes up to 4095 bytes, and of more nothing" {
	module x talk
	start_with "$(service a x)"
	says 'printf 4095\n' "$(printf '%04095d' 0)"
	says 'printf 4096\n' 'Message too long'
	says 'printf 100000\nhello\n' 'Message too long\nhello'
}

@test "conn_read ends at the idle time with ETIMEDOUT, and at the total time the conn is over" {
	local began
	module x talk
	start_with 'log_level = debug' "$(service a x 'timeouts { idle = 1s }')" \
		"$(service b x 'timeouts { idle = 0 total = 1s }')"
	for name in a b; do
		began=$(now_ms)
		exec 9<>"/dev/tcp/127.0.0.1/$(port_of $name)"
		echo 'rest 100' >&9
		# no more is written after the total time
		[ $name = b ] || hears '-1 Connection timed out'
		[ $name = a ] || [ -z "$(timeout 30 cat <&9)" ]
		release
		began=$(($(now_ms) - began))
		echo "$name: after $began ms"
		((began >= 998 && began <= 25000))
	done
	wait_for 20 "the failure" log_has 'event=conn_failed service=b .*error="Connection timed out"'
	stop_daemon
	# the end of the client came behind it
	[ "$(account_of a served)" -eq 1 ]
	[ "$(account_of b failed)" -eq 1 ]
}

# open_fd SERVICE: descriptor 9 is a connection that the module serves by read(2) and write(2)
open_fd() {
	local line
	exec 9<>"/dev/tcp/127.0.0.1/$(port_of "$1")"
	printf 'hello\nfd\n' >&9
	hears hello
	echo one >&9
	hears one
}

@test "conn_fd is the socket: its bytes come through and are not counted, what was read before is left over" {
	module x talk
	start_with "$(service a x)"
	says 'fd\nleft' 'end\nleft'
	open_fd a
	release
	stop_daemon
	[ "$(account_of a served)" -eq 2 ]
	# fd\nleft, hello\nfd\n | end\nleft\n, hello\n, end\n
	[ "$(account_of a bytes_in)" -eq 16 ]
	[ "$(account_of a bytes_out)" -eq 19 ]
}

@test "conn_fd waits for the idle time, for reading and for writing, and not for less" {
	local began line
	module x talk
	start_with "$(service a x 'timeouts { idle = 2s }')"
	open_fd a
	# the deadline of conn_read_line() before it is over in the midst of this
	silent 1
	began=$(now_ms)
	echo two >&9
	hears two
	read -rt 30 line <&9
	began=$(($(now_ms) - began))
	echo "$line after $began ms"
	[ "$line" = 'Resource temporarily unavailable' ]
	((began >= 1998))
	release
	exec 9<>"/dev/tcp/127.0.0.1/$(port_of a)"
	echo fill >&9
	wait_for 20 "the end of its patience" log_has 'event=handler_message .*text="Resource temporarily unavailable"'
	release
}

@test "conn_fd is not ended by the total time" {
	local line
	module x talk
	start_with "$(service a x 'timeouts { idle = 0 total = 1s }')"
	open_fd a
	silent 1.5
	echo two >&9
	hears two
	release
}

@test "whoever reads from conn_fd is not disturbed by a reload" {
	local line old
	module x talk
	start_with "$(service a x)"
	old=$(worker)
	open_fd a
	reload_daemon
	# the master tells the worker to leave again and again
	silent 0.5
	echo two >&9
	hears two
	release
	wait_for 20 "the end of the old worker" log_has \
		"event=worker_exit service=a .*worker_pid=$old .*reason=left .*served=1 failed=0 refused=0 lost=0"
}

@test "whoever reads from conn_fd when the master is killed has its drain time, and no more" {
	local old line
	module x talk
	start_with "$(service a x 'timeouts { idle = 0 drain = 3s }')"
	old=$(worker)
	open_fd a
	kill -KILL "$MASTER"
	wait "$MASTER" || :
	MASTER=
	echo two >&9
	hears two
	wait_for 20 "the end of the worker" process_gone "$old"
	release
}

@test "handler_log writes a line of each level, escaped, and as long as a line may be" {
	local n level line
	module x talk
	start_with 'log_level = debug' "$(service a x)"
	for n in -1 0 3 4 5 6 7 99; do
		level=$(cut -d ' ' -f $((n == 99 ? 10 : n + 2)) <<<'error error error error error warning notice info debug debug')
		says "log $n level \"$n\" \\001\n" log
		line="level=$level pid=$(worker) event=handler_message service=a worker=1 text=\"level \\\"$n\\\" \\x01\""
		grep -F "event=handler_message" "$LOG" | tail -n 1 | grep -F "$line"
	done
	[ "$(log_count event=handler_message)" -eq 8 ]
	says "log 3 $(printf '%0240d' 0)\n" log
	log_has "text=0{240}$"
	sed -i 's/= debug/= notice/' "$CONF"
	reload_daemon
	says 'log 6 not this\nlog 5 but this\n' 'log\nlog'
	log_has 'text="but this"'
	log_lacks 'text="not this"'
}

@test "handler_leave ends the worker after the conn, with fini(), and another one takes its place" {
	local old
	module x talk
	start_with "$(service a x)" "$(service b x "family = unix type = dgram path = \"$DIR/s\"")"
	old=$(worker)
	says 'leave\nstill here\n' 'leave\nstill'
	wait_for 20 "a new worker" replaced "$old"
	wait_for 20 "its line" exited left 'serving=- accepted=1 served=1 failed=0 refused=0 lost=0'
	log_has "pid=$old event=handler_message .*text=\"fini with its state\""
	says 'hello\n' hello
	old=$(worker b)
	printf 'leave' | "$TEST_BIN/dgram" -f "$ABSTRACT" -o "$DIR/got" "$DIR/s"
	[ "$(cat "$DIR/got")" = leave ]
	wait_for 20 "the end" process_gone "$old"
	printf 'again' | "$TEST_BIN/dgram" -f "$ABSTRACT" -w 10000 -o "$DIR/got2" "$DIR/s"
	[ "$(cat "$DIR/got2")" = again ]
}

@test "handler_leave during a stop loses none of those who wait" {
	local n clients=()
	module x talk
	start_with "$(service a x)"
	open_fd a
	for n in 1 2 3; do
		beside "$DIR/got$n" sh -c "printf '%s\n' leave hello | socat -t 60 - TCP:127.0.0.1:$(port_of a)"
		clients+=("$BESIDE")
	done
	wait_for 20 "three who wait" queue_is "$(port_of a)" 3
	kill -TERM "$MASTER"
	wait_for 20 "the stop" log_has event=stopping
	release
	wait_daemon
	wait "${clients[@]}"
	for n in 1 2 3; do
		[ "$(cat "$DIR/got$n")" = $'leave\nhello' ]
	done
	account_is a accepted=4 served=4
}

@test "serve() that returns -1 is counted as failed and logged with its errno; the worker stays" {
	local old
	module x talk
	start_with 'log_level = debug' "$(service a x)" \
		"$(service b x "family = unix type = dgram path = \"$DIR/s\"")"
	old=$(worker)
	says 'hello\nfail 79\n' hello
	log_has "event=conn_failed service=a worker=1 peer=127.0.0.1:[0-9]* .* error=\"Can not access a needed shared library\""
	[ "$(worker)" = "$old" ]
	# what a message that fails has written is not sent
	run -1 "$TEST_BIN/dgram" -f "$ABSTRACT" -w 300 "$DIR/s" $'hello\nfail 79'
	[ -z "$output" ]
	# who has been woken by it does not sleep again before it is dealt with
	wait_for 20 "its end" is_asleep "$(worker b)"
	stop_daemon
	[ "$(account_of a failed)" -eq 1 ]
	[ "$(account_of b failed)" -eq 1 ]
	[ "$(account_of b bytes_out)" -eq 0 ]
}

@test "options: each service has its own, what a module does not know is refused with what it knows" {
	module x talk
	module plain wrong
	start_with "$(service a x 'options { greeting = "one" }')" \
		"$(service b x "options { greeting = 'two' other = 3 }")"
	[ "$(field greeting "$(echo all | ask a)")" = one ]
	[ "$(field other "$(echo all | ask a)")" = '(none)' ]
	[ "$(field greeting "$(echo all | ask b)")" = two ]
	[ "$(field other "$(echo all | ask b)")" = 3 ]
	[ "$(field oth "$(echo all | ask b)")" = '(none)' ]
	service a x 'options { greeting = "x" Greeting = "y" }' | write_config
	refused 78 "$CONF:1: service \"a\": options: handler $DIR/x.so has no option Greeting; it has: greeting other oth"
	service a plain 'options { x = 1 }' | write_config
	refused 78 "$CONF:1: service \"a\": options: handler $DIR/plain.so has no option x; it has: none"
	service a plain 'options { }' | write_config
	passes
	service a x 'options { greeting = "x" greeting = "y" }' | write_config
	refused 78 "$CONF:1: service \"a\": options.greeting: is written twice"
	echo 'service a { handler = echo options { x = 1 } }' | write_config
	refused 78 "$CONF:1: service \"a\": options: handler echo has no option x; it has: none"
	for handler in exec persistent; do
		echo "service a { handler = $handler command = {\"/bin/cat\"} options { x = 1 } }" | write_config
		refused 78 "$CONF:1: service \"a\": options: handler $handler has none"
	done
}

@test "-T shows options as they can be read back, and loads no module" {
	picky
	service a picky 'options { check = "a \"b\" \\ c=d # e" init = "" }' | write_config
	"$PREFORKD" -c "$CONF" -T >"$DIR/printed"
	grep -qF 'check = "a \"b\" \\ c=d # e"' "$DIR/printed"
	grep -q 'init = "" ' "$DIR/printed"
	grep -v '^user' "$DIR/printed" >"$DIR/again.conf"
	diff <(sed 's/ *# [^#]*$//' "$DIR/printed") <("$PREFORKD" -c "$DIR/again.conf" -T | sed 's/ *# [^#]*$//')
	# not even one that is not there
	rm "$DIR/picky.so"
	"$PREFORKD" -c "$CONF" -T >"$DIR/printed2"
	cmp "$DIR/printed" "$DIR/printed2"
	[ ! -s "$NOTES" ]
}

@test "check() may refuse and warn: at -t, at the start, at a reload" {
	picky
	service a picky 'options { check = "too cold" }' | write_config
	refused 78 "$CONF:1: service \"a\": handler: "
	[[ $output == *": too cold of a: 2,1,6" ]]
	run -78 "$PREFORKD" -c "$CONF"
	[[ $output == *": too cold of a: 2,1,6"* ]]

	service a picky 'options { check = "warn" }' | write_config
	run -0 --separate-stderr "$PREFORKD" -c "$CONF" -t
	[ "$output" = "$CONF: OK (1 service)" ]
	[[ $stderr == "$CONF:1: warning: service \"a\": handler: "*": warn of a: 2,1,6" ]]
	start_daemon
	log_has 'level=warning .*event=config_warning .*warn of a: 2,1,6'
	service a picky 'family = unix path = "/x" options { check = "no" }' | write_config
	reload_daemon
	log_has 'level=error .*event=config_error .*no of a: 1,1,0'
	log_has 'event=reload_refused'
	[ "$(ask a </dev/null)" = picky ]
}

@test "check() that crashes, never returns or overruns its message is an error of the config, no more" {
	local check text
	# exit(3) in the midst of reading leaves what was allocated for it
	export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
	picky
	start_with "$(service a picky)"
	while read -r check text; do
		echo "$check"
		service a picky "options { check = \"$check\" }" | write_config
		run -78 "$PREFORKD" -c "$CONF" -t
		echo "$output"
		[[ $output == *"${text/DIR/${DIR#/}}"* ]]
		[ "$(LC_ALL=C tr -d '[:print:]\n' <<<"$output" | wc -c)" -eq 0 ]
		# what check() wrote, and nothing of what is behind it
		[ "$check" != long ] || [[ "${output##*: }" =~ ^([0-9]{3})\ x+$ && ${#BASH_REMATCH[0]} -eq ${BASH_REMATCH[1]} ]]
		reload_daemon
		[ "$(ask a </dev/null)" = picky ]
	done <<-'END'
		crash service "a": handler /DIR/picky.so: reading the config was ended by SIGSEGV
		loop service "a": handler /DIR/picky.so: reading the config took longer than 2 s
		exit service "a": handler /DIR/picky.so: reading the config failed with status 78
		long xxxxxxxx
	END
	[ "$(log_count 'event=reload_refused')" -eq 4 ]
	# at a reload as well
	log_has 'event=config_error error=".*handler [^ ]*/picky.so: .*SIGSEGV"'
	log_has 'event=config_error error=".*handler [^ ]*/picky.so: .*longer than 2 s"'
	[ "$(worker | wc -l)" -eq 1 ]
}

@test "handler_log in check() does no harm" {
	picky
	service a picky 'options { check = "log" }' | write_config
	run -78 "$PREFORKD" -c "$CONF" -t
	echo "$output"
	[[ $output == *": log of a: 2,1,6"* ]]
}

# failures_are N: so many workers of "a" came to nothing
failures_are() {
	[ "$(log_count 'event=worker_exit service=a .*reason=handler_init_failed')" -ge "$1" ]
}

@test "init() that fails ends a start and a reload; later on it is tried again after longer and longer, and heals" {
	local times failed
	picky
	touch "$DIR/no"
	printf '%s\n' "$(service a picky "options { init = \"$DIR/no\" }")" "$(other)" | write_config
	"$PREFORKD" -c "$CONF" -t
	start_daemon_nowait
	wait_daemon
	[ "$DAEMON_STATUS" -ne 0 ]
	log_has 'level=error .*event=worker_setup_failed service=a worker=1 step="init of the handler" error="Name not uni'
	log_has 'event=worker_exit service=a .*reason=handler_init_failed'
	log_has 'event=start_failed'

	rm "$DIR/no" "$LOG"
	start_daemon
	touch "$DIR/no"
	reload_daemon
	log_has 'event=reload_refused'
	[ "$(ask a </dev/null)" = picky ]

	failed=$(log_count 'event=worker_exit service=a .*reason=handler_init_failed')
	kill -KILL "$(worker)"
	wait_for 20 "five failures" failures_are $((failed + 5))
	mapfile -t times < <(log_ms 'event=worker_exit service=a .*reason=handler_init_failed' | tail -n +$((failed + 1)))
	echo "${times[@]}"
	((times[2] - times[1] >= 190 && times[4] - times[3] >= 790))
	[ "$(ask other <<<hello)" = hello ]
	rm "$DIR/no"
	[ "$(ask a </dev/null)" = picky ]
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}

@test "init() that crashes or exits is a dead worker: the start fails and says how" {
	local init reason
	picky
	while read -r init reason; do
		rm -f "$LOG"
		printf '%s\n' "$(service a picky "options { init = \"$init\" }")" "$(other)" | write_config
		start_daemon_nowait
		wait_daemon
		[ "$DAEMON_STATUS" -ne 0 ]
		exited "$reason" 'accepted=0'
		log_has 'event=start_failed'
	done <<-'END'
		crash (SIGSEGV|SIGSEGV \(core dumped\))
		exit handler_called_exit
	END
}

@test "init() that never returns keeps a reload from being done, not the old workers from serving" {
	local old
	picky
	start_with "$(service a picky)" "$(other)"
	old=$(worker)
	service a picky 'options { init = "hang" } timeouts { drain = 300ms }' | write_config
	other >>"$CONF"
	kill -HUP "$MASTER"
	wait_for 20 "the worker that hangs" n_workers_is 2 a
	[ "$(ask a </dev/null)" = picky ]
	[ "$(ask other <<<hello)" = hello ]
	log_lacks 'event=reload_done'
	kill -TERM "$MASTER"
	wait_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	no_process_left "$old"
}

# dies WORDS REASON: the worker that is told so dies, its conn is lost, the next one serves
dies() {
	local old
	old=$(worker)
	printf 'hello\n%s\nnot this\n' "$1" | ask a >"$DIR/got"
	[ "$(head -n 1 "$DIR/got")" = hello ]
	none grep -q 'not this' "$DIR/got"
	wait_for 20 "a new worker" replaced "$old"
	wait_for 20 "its line" exited "$2" 'serving=127.0.0.1:[0-9]* accepted=1 served=0 failed=0 refused=0 lost=1' "worker_pid=$old"
	says 'hello\n' hello
	worker="$(worker)"
	kill -KILL "$worker"
	wait_for 20 "a fresh worker" replaced "$worker"
}

@test "serve() that crashes, aborts or exits is a dead worker: explained, its conn lost, replaced at once" {
	local served
	module x talk
	start_with "$(service a x)" "$(other)"
	served=$(worker other)
	dies crash '(SIGSEGV|SIGSEGV \(core dumped\))'
	dies abort '(SIGABRT|SIGABRT \(core dumped\))'
	dies 'exit 3' 'status 3'
	dies 'exit 0' handler_called_exit
	dies 'exit 101' handler_called_exit
	[ "$(worker other)" = "$served" ]
	log_lacks 'fini with'
	stop_daemon
	[ "$(account_of a lost)" -eq 5 ]
	[ "$(account_of a served)" -eq 5 ]
}

@test "a message that kills its worker is lost alone" {
	module x talk
	start_with "$(service a x "family = unix type = dgram path = \"$DIR/s\"")"
	run -1 "$TEST_BIN/dgram" -f "$ABSTRACT" -w 300 "$DIR/s" crash
	wait_for 20 "its line" exited '(SIGSEGV|SIGSEGV \(core dumped\))' "accepted=1 served=0 .*lost=1"
	run -0 "$TEST_BIN/dgram" -f "$ABSTRACT" -w 10000 "$DIR/s" hello
	stop_daemon
	[ "$(account_of a accepted)" -eq 2 ]
	[ "$(account_of a lost)" -eq 1 ]
}

@test "serve() that closes the socket itself ends its own conn and no other" {
	local old
	module x talk
	start_with "$(service a x)"
	old=$(worker)
	for _ in 1 2 3; do
		[ "$(printf 'hello\nclose\n' | ask a | head -n 1)" = hello ]
	done
	says 'hello\n' hello
	[ "$(worker)" = "$old" ]
	# 0-2, the listening socket, the log if it has one of its own
	[ "$(find "/proc/$old/fd" -mindepth 1 | wc -l)" -le 5 ]
}

@test "serve() that never returns is not ended by timeouts; the drain time of a reload or a stop ends it" {
	local old line
	module x talk
	start_with "$(service a x 'timeouts { idle = 1s total = 1500ms drain = 400ms }')" "$(other)"
	old=$(worker)
	exec 9<>"/dev/tcp/127.0.0.1/$(port_of a)"
	printf 'hello\nloop\n' >&9
	hears hello
	# nothing more, and no end
	silent 2.5
	[ "$(worker)" = "$old" ]
	reload_daemon
	wait_for 20 "its end" exited SIGKILL 'serving=127.0.0.1:[0-9]* .*lost=1' "worker_pid=$old"
	log_has "level=warning .*event=worker_killed service=a worker=1 worker_pid=$old reason=drain_time_over"
	release
	says 'hello\n' hello
	[ "$(ask other <<<hello)" = hello ]
	exec 9<>"/dev/tcp/127.0.0.1/$(port_of a)"
	printf 'loop\n' >&9
	wait_for 20 "a busy worker" busy_worker a
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	[ "$(account_of a lost)" -eq 2 ]
}

@test "serve() that never returns does not outlive a master that was killed for longer than the drain time" {
	local old
	module x talk
	start_with "$(service a x 'timeouts { drain = 400ms }')"
	old=$(worker)
	exec 9<>"/dev/tcp/127.0.0.1/$(port_of a)"
	printf 'hello\nloop\n' >&9
	hears hello
	kill -KILL "$MASTER"
	wait_for 20 "the end of the worker" process_gone "$old" || { kill -KILL "$old"; false; }
	MASTER=
}

# wrong_modules: "NAME REASON" of each module that is there and cannot be used
wrong_modules() {
	module good wrong
	module other_abi wrong -DOTHER_ABI=1
	echo 'other_abi is for version 2 of the interface, this is 1: build it again'
	module no_abi wrong -DOTHER_ABI=-1
	echo 'no_abi is for version 0 of the interface, this is 1: build it again'
	module unnamed wrong -DUNNAMED
	echo 'unnamed has no preforkd_handler'
	module no_serve wrong -DNO_SERVE
	echo 'no_serve its handler has no serve()'
	module undefined wrong -DUNDEFINED
	echo 'undefined undefined symbol: no_such_function'
	install -m 775 "$DIR/good.so" "$DIR/group.so"
	echo 'group can be written by group or others (chmod go-w)'
	install -m 757 "$DIR/good.so" "$DIR/others.so"
	echo 'others can be written by group or others (chmod go-w)'
	echo hello >"$DIR/text.so"
	echo 'text is cut off'
	tr '\177' X <"$DIR/good.so" >"$DIR/strange.so"
	echo 'strange invalid ELF header'
	mkdir "$DIR/directory.so"
	echo 'directory is not a regular file'
	mkfifo "$DIR/fifo.so"
	echo 'fifo is not a regular file'
	ln -s nowhere "$DIR/dangling.so"
	echo 'dangling No such file or directory'
	echo 'missing No such file or directory'
	mkdir -m 777 "$DIR/open"
	cp "$DIR/good.so" "$DIR/open"
	echo 'open/good its directory can be written by group or others (chmod go-w)'
	mkdir -m 770 "$DIR/shared"
	cp "$DIR/good.so" "$DIR/shared"
	echo 'shared/good its directory can be written by group or others (chmod go-w)'
	if [ "$(id -u)" -eq 0 ]; then
		install -o daemon "$DIR/good.so" "$DIR/alien.so"
		echo 'alien belongs to neither root nor the user of the master (chown)'
	fi
}

@test "a module that cannot be used is refused, and why is said: at -t, at the start, at a reload" {
	local name reason n=0
	wrong_modules >"$DIR/table"
	[ "$(wc -l <"$DIR/table")" -ge 14 ]
	start_with "$(service a good)" "$(other)"
	while read -r name reason; do
		echo "$name: $reason"
		service a "$name" | write_config
		refused 78 "$DIR/$name.so: $reason"
		[[ $output == "$CONF:1: service \"a\": handler: "* ]]
		run -78 "$PREFORKD" -c "$CONF"
		[[ $output == *"$DIR/$name.so: $reason"* ]]
		reload_daemon
		n=$((n + 1))
		[ "$(log_count 'event=reload_refused')" -eq "$n" ]
		grep 'level=error .*event=config_error' "$LOG" | tail -n 1 | grep -qF "$DIR/$name.so: $reason"
	done <"$DIR/table"
	[ "$(ask a </dev/null)" = hello ]
	# what is checked is the file, not the link to it; who may write to a sticky directory cannot replace others' files
	ln -s good.so "$DIR/link.so"
	chmod 1777 "$DIR/open"
	for name in link open/good; do
		service a "$name" | write_config
		passes
	done
}

@test "a file that is cut off is an error of the config, with the name of the module" {
	module good wrong
	head -c 5000 "$DIR/good.so" >"$DIR/cut.so"
	service a cut | write_config
	refused 78 "$DIR/cut.so"
}

@test "a handler that is neither built in nor a file is told with what there is" {
	echo 'service a { handler = no-such-thing }' | write_config
	refused 78 "$CONF:1: service \"a\": handler: there is no handler \"no-such-thing\"; there are: echo "
	[[ $output == *"/preforkd/no-such-thing.so: No such file or directory"* ]]
}

# module_dir: where this program looks for modules
module_dir() {
	echo 'service a { handler = no-such-thing }' >"$DIR/none.conf"
	"$PREFORKD" -c "$DIR/none.conf" -t 2>&1 | sed -n 's|.*(\(/.*\)/no-such-thing\.so: .*|\1|p'
}

# in_module_dir: from now on PREFORKD sees $DIR/modules as its directory of modules, in a mount namespace of its own
in_module_dir() {
	local dir parent below
	dir=$(module_dir)
	[[ $dir == /*/preforkd ]]
	parent=$dir
	until [ -d "$parent" ]; do
		parent=${parent%/*}
	done
	below=${dir#"$parent"}
	# what is there stays visible, by links
	mkdir -p "$DIR/there" "$DIR/instead" "$DIR/modules"
	[ -z "$below" ] || find "$parent" -mindepth 1 -maxdepth 1 -printf '%f\0' |
		xargs -0 -I {} ln -s "$DIR/there/{}" "$DIR/instead/{}"
	mkdir -p "$DIR/instead$below"
	cat >"$DIR/preforkd" <<-END
		#!/bin/sh
		exec unshare -m sh -ec 'mount --bind "$parent" "$DIR/there"
			mount --bind "$DIR/modules" "$DIR/instead$below"
			mount --rbind "$DIR/instead" "$parent"
			exec "$PREFORKD" "\$@"' sh "\$@"
	END
	chmod 755 "$DIR/preforkd"
	PREFORKD=$DIR/preforkd
}

@test "a name is a module of the directory of modules; one that is built in goes before it" {
	[ "$(id -u)" -eq 0 ] || strict_skip "needs root"
	unshare -m true || strict_skip "kernel: no mount namespaces here"
	in_module_dir
	module modules/hello wrong
	module modules/echo wrong
	start_with 'service a { handler = hello workers { min = 1 } }' "$(other)"
	[ "$(ask a </dev/null)" = hello ]
	[ "$(ask other <<<'this and that')" = 'this and that' ]
	chmod g+w "$DIR/modules/hello.so"
	reload_daemon
	log_has 'event=config_error .*/preforkd/hello.so: can be written by group or others'
}

# notes WHAT: the processes that noted it, "PID PARENT UID"
notes() {
	sed -n "s/^$1 //p" "$NOTES"
}

@test "a module is loaded by who reads the config and by each worker, never by the master" {
	local pid was_master
	picky
	printf '%s\n' "$(service a picky)" "$(other)" | sed 's/min = 1/min = 2/' | write_config
	"$PREFORKD" -c "$CONF" -t
	[ "$(notes load | wc -l)" -eq 1 ]
	start_daemon
	reload_daemon
	wait_for 20 "the end of the old workers" n_workers_is 4
	# -t and its child, the start and its child, the reload's child, 2 + 2 workers
	[ "$(notes load | wc -l)" -eq 7 ]
	[ "$(notes load | cut -d ' ' -f 1 | sort -u | wc -l)" -eq 7 ]
	[ "$(notes check | wc -l)" -eq 3 ]
	[ "$(notes init | wc -l)" -eq 4 ]
	none grep -q " $MASTER " <<<" $(notes load | cut -d ' ' -f 1 | xargs) "
	none grep picky.so "/proc/$MASTER/maps"
	for pid in $(worker a); do
		grep -q picky.so "/proc/$pid/maps"
	done
	for pid in $(worker other); do
		none grep picky.so "/proc/$pid/maps"
	done
	was_master=$MASTER
	stop_daemon
	[ "$(notes fini | wc -l)" -eq 4 ]
	none grep "^[a-z]* $was_master " "$NOTES"
}

@test "a worker loads with the rights of the master, and does all else with its own" {
	[ "$(id -u)" -eq 0 ] || strict_skip "needs root"
	picky
	mkdir -m 700 "$DIR/secret"
	mv "$DIR/picky.so" "$DIR/secret"
	chmod 600 "$DIR/secret/picky.so"
	start_with "$(service a secret/picky 'run { user = daemon }')"
	[ "$(ask a </dev/null)" = picky ]
	stop_daemon
	[ "$(notes load | cut -d ' ' -f 3 | sort -u)" = 0 ]
	[ "$(notes check | cut -d ' ' -f 3 | sort -u)" = 0 ]
	for what in init serve fini; do
		[ "$(notes $what | cut -d ' ' -f 3 | sort -u)" = "$(id -u daemon)" ]
	done
}

# answers_version N: the code of service a is of this version; just after a reload an old worker may still take a conn
answers_version() {
	[ "$(field version "$(echo all | ask a)")" = "$1" ]
}

load_is_over() {
	process_gone "$LOAD"
}

@test "SIGHUP loads the changed file: new workers are new, who is being served stays, nobody is lost under load" {
	local i line old
	module one talk
	module two talk -DVERSION=2
	module x talk
	# who is being served is so for as long as all this takes
	service a x 'timeouts { idle = 10m drain = 10m }' | sed 's/min = 1/min = 3/' | write_config
	start_daemon
	[ "$(field version "$(echo all | ask a)")" = 1 ]
	exec 9<>"/dev/tcp/127.0.0.1/$(port_of a)"
	echo all >&9
	read -rt 30 line <&9
	old=$(field pid "$line")
	beside "$DIR/load" "$TEST_BIN/load" -p "$(port_of a)" -c 6 -n 6000
	LOAD=$BESIDE
	for i in 2 1 2 1 2 1 2; do
		cp "$DIR/$([ "$i" -eq 1 ] && echo one || echo two).so" "$DIR/.next.so"
		mv "$DIR/.next.so" "$DIR/x.so"
		reload_daemon
		wait_for 20 "version $i" answers_version "$i"
	done
	# four configurations may still have workers; this one is the fifth
	stat=$(field version "$line")
	[ "$stat" = 1 ]
	wait_for 120 "the end of the load" load_is_over
	cat "$DIR/load"
	grep -q '^connections=6000 ok=6000 ' "$DIR/load"
	[ "$(log_count 'event=reload_done')" -eq 7 ]
	release
	wait_for 20 "the end of the first worker" process_gone "$old"
	stop_daemon
	[ "$(account_of a failed)" -eq 0 ]
	[ "$(account_of a lost)" -eq 0 ]
}

@test "a connection that is being served goes on with the code it began with" {
	local line
	module x talk
	start_with "$(service a x)"
	exec 9<>"/dev/tcp/127.0.0.1/$(port_of a)"
	echo all >&9
	read -rt 30 line <&9
	[ "$(field version "$line")" = 1 ]
	module x talk -DVERSION=2
	reload_daemon
	wait_for 20 "version 2" answers_version 2
	echo all >&9
	read -rt 30 line <&9
	[ "$(field version "$line")" = 1 ]
	release
}

@test "a worker that finds a module gone wrong says so, is tried again, and hurts no other service" {
	local old
	module x talk
	start_with "$(service a x)" "$(other)"
	module x wrong -DOTHER_ABI=1
	old=$(worker)
	kill -KILL "$old"
	wait_for 20 "two tries" failures_are 2
	log_has "level=error .*event=module_failed service=a error=\"$DIR/x.so: is for version 2 of the interface, "
	[ "$(ask other <<<hello)" = hello ]
	reload_daemon
	log_has 'event=reload_refused'
	chmod o+w "$DIR/x.so"
	wait_for 60 "its line" log_has "event=module_failed .*$DIR/x.so: can be written by group or others"
	module x talk
	wait_for 60 "a worker again" n_workers_is 1 a
	says 'hello\n' hello
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	[ "$(account_of other failed)" -eq 0 ]
}
