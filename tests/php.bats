#!/usr/bin/env bats
# php.bats - the handler php: the Socket and the message that a script gets, what each kind of error ends, reloads, and
# the examples of examples/php.
# shellcheck disable=SC2016  # $ is for PHP to expand
# shellcheck disable=SC2154  # MASTER, LOG, ... are set by lib/daemon; run sets stderr

bats_require_minimum_version 1.5.0
load lib/daemon

EXAMPLES=$BATS_TEST_DIRNAME/../examples/php
PHP_MODULE=${PHP_MODULE:-$BATS_TEST_DIRNAME/../build/src/php.so}

setup() {
	daemon_setup
	DIR=$BATS_TEST_TMPDIR
	ABSTRACT=@preforkd-test-$$-$RANDOM-$BATS_TEST_NUMBER
	script a <"$EXAMPLES/echo.php"
}

teardown() { daemon_teardown; }

# script NAME: standard input becomes $DIR/NAME.php, at once
script() {
	cat >"$DIR/.new.php"
	mv "$DIR/.new.php" "$DIR/$1.php"
}

# function_script NAME: standard input is the body of the function
function_script() {
	{ printf '<?php return function ($client, $peer) {' && cat && echo '};'; } | script "$1"
}

# service NAME SCRIPT [OPTIONS] [KEYS]: one worker
service() {
	echo "service $1 { handler = \"$PHP_MODULE\" workers { min = 1 } options { script = \"$DIR/$2.php\" ${3-} } ${4-} }"
}

# ask [SERVICE]: standard input, and its end, go to the TCP service; its answer to standard output
ask() {
	timeout 60 socat -t 60 - "TCP:$(address_of "${1:-a}")" 2>>"$DIR/socat" || echo "socat: status $?"
}

# refused TEXT: preforkd -t ends so and says this, in one line
refused() {
	run "$PREFORKD" -c "$CONF" -t
	echo "expected: $1"
	echo "got $status: $output"
	[ "$status" -eq 78 ]
	[ "${#lines[@]}" -eq 1 ]
	[[ $output == *": service \"a\": handler: php: $1" ]]
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

# message LEVEL REGEX: there is one line of it in the log
message() {
	[ "$(log_count "level=$1 pid=[0-9]* event=handler_message service=a worker=1 text=$2")" -eq 1 ] ||
		{ grep handler_message "$LOG"; return 1; }
}

# ends WORD: the client that says so gets nothing but the end
ends() {
	local got
	got=$(ask <<<"$1")
	[ -z "$got" ] || { echo "$1: got: $got"; return 1; }
}

# ends_connection WORD LEVEL REGEX: one failed connection, one line; the worker stays
ends_connection() {
	local old lines
	old=$(worker)
	lines=$(log_count event=handler_message)
	ends "$1"
	message "$2" "$3"
	[ "$(log_count event=handler_message)" -eq $((lines + 1)) ]
	[ "$(ask <<<"who")" = "$old" ]
}

# ends_worker WORD REGEX: one failed connection, one line; the worker leaves, another one serves
ends_worker() {
	local old lines
	old=$(worker)
	lines=$(log_count event=handler_message)
	ends "$1"
	wait_for 20 "a new worker" replaced "$old"
	wait_for 20 "its line" log_has "level=warning .*event=worker_exit service=a .*worker_pid=$old .*reason=left .* failed=1 refused=0 lost=0"
	message error "$2"
	[ "$(log_count event=handler_message)" -eq $((lines + 1)) ]
	[ "$(ask <<<"who")" = "$(worker)" ]
}

# errors: a script that does by each word something wrong, in a line of its own
errors() {
	function_script a <<-'END'
		$word = is_string($client) ? $client : trim(socket_read($client, 100));
		switch ($word) {
		case 'who': socket_write($client, getmypid() . "\n"); return;
		case 'throw': throw new Exception('thrown');
		case 'undefined': no_such_function();
		case 'type': strlen([]);
		case 'exit': exit(3);
		case 'user': trigger_error('on purpose', E_USER_ERROR);
		case 'memory': return str_repeat('x', 1 << 30);
		case 'deep': $f = function () use (&$f) { return 1 + $f(); }; return $f();
		case 'loop': while (true);
		case 'warn': echo $none; socket_write($client, "warned\n"); return;
		case 'say': return 'said so';
		}
	END
}

@test "a Socket on stream and seqpacket: socket_read, socket_recv, socket_write, socket_getpeername, socket_close" {
	local name address got start
	function_script a <<-'END'
		$one = socket_read($client, 3);
		$n = socket_recv($client, $two, 100, 0);
		socket_getpeername($client, $address, $port);
		$kind = socket_get_option($client, SOL_SOCKET, SO_TYPE);
		$all = json_encode([get_class($client), $one, $two, $n, $kind, $address, $port ?? 0, $peer], JSON_UNESCAPED_SLASHES);
		if (socket_write($client, $all) !== strlen($all)) {
			throw new Exception('short');
		}
		socket_close($client);
		try {
			socket_write($client, 'more');
		} catch (Error $error) {
			echo $error->getMessage();
		}
	END
	start_with "$(service tcp a)" "$(service tcp6 a '' 'family = inet6')" \
		"$(service stream a '' "family = unix path = \"$DIR/stream\"")" \
		"$(service packet a '' "family = unix type = seqpacket path = \"$DIR/packet\"")"
	for name in tcp tcp6 stream packet; do
		address=$(address_of "$name")
		case $name in
		tcp*) address=TCP:$address ;;
		stream) address=UNIX-CONNECT:$address,bind=$DIR/c1 ;;
		packet) address=UNIX-CONNECT:$address,socktype=5,bind=$DIR/c2 ;;
		esac
		got=$(printf abcdef | timeout 60 socat -t 60 - "$address")
		echo "$name: $got"
		start='["Socket","abc","def",3,1'
		case $name in
		tcp) [[ $got =~ ^"$start"',"127.0.0.1",'([0-9]+)',{"peer":"127.0.0.1:'([0-9]+)'","family":2,"type":1}]'$ ]] ;;
		tcp6) [[ $got =~ ^"$start"',"::1",'([0-9]+)',{"peer":"[::1]:'([0-9]+)'","family":10,"type":1}]'$ ]] ;;
		stream) [ "$got" = "$start"',"'"$DIR/c1"'",0,{"peer":"'"$DIR/c1"'","family":1,"type":1}]' ] ;;
		# what did not fit of a record is gone, and the next one is the end
		packet) [ "$got" = '["Socket","abc",null,0,5,"'"$DIR/c2"'",0,{"peer":"'"$DIR/c2"'","family":1,"type":5}]' ] ;;
		esac
		[[ $name != tcp* ]] || [ "${BASH_REMATCH[1]}" = "${BASH_REMATCH[2]}" ]
	done
	[ "$(log_count 'text="socket_write\(\): Argument #1 \(\$socket\) has already been closed"')" -eq 4 ]
	stop_daemon
	[ "$(account_of packet served)" -eq 1 ]
}

@test "the example echo.php, on every kind of socket" {
	local name to got big
	start_with "$(service tcp a)" "$(service stream a '' "family = unix path = \"$DIR/stream\"")" \
		"$(service packet a '' "family = unix type = seqpacket path = \"$DIR/packet\"")" \
		"$(service udp a '' 'type = dgram')" "$(service dgram a '' "family = unix type = dgram path = \"$DIR/dgram\"")"
	big=$(printf '%0300000d' 7)
	[ "$(printf %s "$big" | ask tcp)" = "$big" ]
	[ "$(printf %s "$big" | timeout 60 socat -t 60 - "UNIX-CONNECT:$DIR/stream")" = "$big" ]
	[ "$(echo hello | timeout 60 socat -t 60 - "UNIX-CONNECT:$DIR/packet,socktype=5")" = hello ]
	for name in udp dgram; do
		to=$(address_of "$name")
		for text in hello "$(printf '%05000d' 1)"; do
			rm -f "$DIR/got"
			"$TEST_BIN/dgram" -f "$([ "$name" = udp ] && echo 127.0.0.1:0 || echo "$ABSTRACT")" -o "$DIR/got" "$to" "$text"
			[ "$(cat "$DIR/got")" = "$text" ]
		done
	done
	log_lacks event=handler_message
}

@test "the example counter.php has state, of a connection and of a worker" {
	local got
	script a <"$EXAMPLES/counter.php"
	start_with "$(service a a)"
	# the end of this comes by quit, not by the client
	exec 9<>"/dev/tcp/127.0.0.1/$(port_of a)"
	printf 'add 2\nadd -5\nadd x\n\nwhat\nquit\n' >&9
	got=$(timeout 30 cat <&9 | tail -n +2)
	[ "$got" = $'sum 2\nsum -3\nerror: add takes a number\nerror: there is add, total and quit\nbye' ]
	got=$(printf 'add 1\r\ntotal\n' | ask)
	[[ ${got%%$'\n'*} =~ ^hello\ 127\.0\.0\.1:[0-9]+$ ]]
	[ "${got#*$'\n'}" = $'sum 1\ntotal 3' ]
}

@test "the examples are clean for php -l" {
	local file
	command -v php >/dev/null || strict_skip "php is missing (Debian: php-cli)"
	for file in "$EXAMPLES"/*.php; do
		run -0 php -n -d display_errors=1 -l "$file"
		[ "$output" = "No syntax errors detected in $file" ]
	done
}

@test "a message: the string, and what is returned is the answer; an error answers nothing" {
	errors
	start_with "$(service a a '' "family = unix type = dgram path = \"$DIR/s\"")"
	run -1 "$TEST_BIN/dgram" -f "$ABSTRACT" -w 200 "$DIR/s" throw
	wait_for 20 "its line" log_has event=handler_message
	message warning '"PHP Warning:  Uncaught Exception: thrown in .*'
	# what is no string neither
	run -1 "$TEST_BIN/dgram" -f "$ABSTRACT" -w 200 "$DIR/s" nothing
	"$TEST_BIN/dgram" -f "$ABSTRACT" -o "$DIR/got" "$DIR/s" say
	[ "$(cat "$DIR/got")" = 'said so' ]
	stop_daemon
	[ "$(account_of a failed)" -eq 1 ]
	[ "$(account_of a served)" -eq 2 ]
}

@test "an exception, an error that is thrown, and exit end the connection, not the worker" {
	local file="$DIR/a.php"
	errors
	start_with "$(service a a)"
	ends_connection throw warning "\"PHP Warning:  Uncaught Exception: thrown in $file:4.* in $file on line 4\""
	ends_connection undefined warning \
		"\"PHP Warning:  Uncaught Error: Call to undefined function no_such_function\(\) in $file:5.*"
	ends_connection type warning "\"PHP Warning:  Uncaught TypeError: strlen\(\).* in $file:6.*"
	ends_connection exit notice '"exit\(\) ended the connection, not the worker"'
	# and a warning nothing
	[ "$(ask <<<warn)" = warned ]
	message warning "\"PHP Warning:  Undefined variable \\\$none in $file on line 12\""
	stop_daemon
	[ "$(account_of a failed)" -eq 4 ]
	[ "$(account_of a served)" -eq 5 ]
}

@test "a fatal error, memory_limit and time_limit end the connection and the worker, which is replaced" {
	local file="$DIR/a.php"
	errors
	start_with "$(service a a 'memory_limit = "16M" time_limit = "1"')"
	ends_worker user "\"PHP Fatal error:  on purpose in $file on line 8\""
	ends_worker memory "\"PHP Fatal error:  Allowed memory size of 16777216 bytes exhausted .*\) in $file on line 9\""
	ends_worker deep "\"PHP Fatal error:  Allowed memory size of 16777216 bytes exhausted .*\) in $file on line 10\""
	ends_worker loop "\"PHP Fatal error:  Maximum execution time of 1 second exceeded in $file on line 11\""
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	[ "$(account_of a failed)" -eq 4 ]
	[ "$(account_of a lost)" -eq 0 ]
}

@test "time_limit counts the processor time of each connection anew" {
	local i
	function_script a <<-'END'
		$used = function () { $u = getrusage(); return $u['ru_utime.tv_sec'] + $u['ru_utime.tv_usec'] / 1e6 +
			$u['ru_stime.tv_sec'] + $u['ru_stime.tv_usec'] / 1e6; };
		for ($end = $used() + 0.4; $used() < $end;);
		socket_write($client, socket_read($client, 9));
	END
	start_with "$(service a a 'time_limit = "1"')"
	for i in 1 2 3 4; do
		[ "$(echo "$i" | ask)" = "$i" ]
	done
	log_lacks event=handler_message
}

@test "what a script prints goes to the log, line by line, in its order" {
	script a <<-'END'
		<?php
		echo "loaded";
		register_shutdown_function(function () { echo "left"; });
		return function () { echo "one\n\n", "two", "\nthr"; print("ee"); error_log("four"); echo "five"; exit("six"); };
	END
	start_with "$(service a a)"
	[ -z "$(ask </dev/null)" ]
	stop_daemon
	[ "$(sed -n 's/.*level=\([a-z]*\) .*event=handler_message .*text=/\1 /p' "$LOG")" = "$(cat <<-'END'
		info loaded
		info one
		info two
		info three
		notice four
		info fivesix
		notice "exit() ended the connection, not the worker"
		info left
	END
	)" ]
}

@test "a Socket that the script keeps is closed" {
	function_script a <<<'static $kept = []; $kept[] = $client; socket_write($client, count($kept));'
	start_with "$(service a a)"
	[ "$(ask </dev/null)" = 1 ]
	[ "$(ask </dev/null)" = 2 ]
	[ "$(sockets_of "$(worker)")" -eq 1 ]
	log_lacks event=handler_message
}

@test "a program that the script starts does not get the connection" {
	function_script a <<<'socket_write($client, shell_exec("readlink /proc/self/fd/* | grep -c socket:"));'
	start_with "$(service a a)"
	[ "$(ask </dev/null)" = 0 ]
}

@test "PHP waits for the client as long as timeouts.idle" {
	local began
	function_script a <<-'END'
		var_dump(@socket_read($client, 9));
		socket_write($client, socket_strerror(socket_last_error($client)));
	END
	start_with "$(service a a '' 'timeouts { idle = 300ms }')"
	began=$(now_ms)
	exec 9<>"/dev/tcp/127.0.0.1/$(port_of a)"
	[ "$(timeout 30 cat <&9)" = 'Resource temporarily unavailable' ]
	began=$(($(now_ms) - began))
	echo "$began ms"
	((began >= 290 && began <= 20000))
	message info 'bool\(false\)$'
}

@test "SIGHUP loads the changed script, and no connection is lost" {
	local i load body
	body='while (($s = socket_read($client, 99)) != "") socket_write($client, $s == "?" ? "version 0" : $s);'
	function_script a <<<"$body"
	start_with "$(service a a | sed 's/min = 1/min = 3/')"
	beside "$DIR/load" "$TEST_BIN/load" -p "$(port_of a)" -c 4 -s 3
	load=$BESIDE
	for i in 1 2 3; do
		function_script a <<<"${body/version 0/version $i}"
		reload_daemon
		log_has "event=reload_done .*generation=$((i + 1))"
		wait_for 20 "version $i" version_is "version $i"
	done
	wait_for 20 "the end of the load" process_gone "$load"
	wait "$load" || { cat "$DIR/load"; false; }
	cat "$DIR/load"
	stop_daemon
	[ "$(account_of a failed)" -eq 0 ]
	[ "$(account_of a lost)" -eq 0 ]
	[ "$(account_of a served)" -gt 100 ]
}

version_is() {
	[ "$(printf '?' | ask)" = "$1" ]
}

@test "a script that has an error fails the reload, with a line that says where; the old one serves on" {
	local old text
	start_with "$(service a a)"
	old=$(worker)
	while IFS='|' read -r text level line; do
		echo "$text"
		echo "$text" | script a
		reload_daemon
		log_has 'event=reload_refused'
		log_has "level=$level .*event=handler_message service=a .*text=\"$line\"$"
		[ "$(echo hello | ask)" = hello ]
		[ "$(worker)" = "$old" ]
	done <<-END
		<?php return function () { oops oops };|[a-z]+|PHP [A-Za-z ]+: .*syntax error, unexpected .* in $DIR/a.php on line 1
		<?php return 1;|error|the script returns no function
		<?php return 'no_such_function';|error|the script returns no function
		<?php|error|the script returns no function
		<?php no_such_function();|[a-z]+|PHP [A-Za-z ]+:  Uncaught Error: Call to undefined function .* in $DIR/a.php.*
		<?php require 'no_such_file';|error|PHP [A-Za-z ]+:  Uncaught .*no_such_file.* in $DIR/a.php.*
		<?php while (true) \$a[] = 1;|error|PHP Fatal error:  Allowed memory size .* in $DIR/a.php on line 1
	END
	[ "$(log_count 'event=reload_refused')" -eq 7 ]
	script a <"$EXAMPLES/echo.php"
	reload_daemon
	log_has 'event=reload_done'
	[ "$(echo again | ask)" = again ]
	wait_for 20 "a new worker" replaced "$old"
}

@test "options that are wrong are errors of the config" {
	local key
	service a none | write_config
	refused "$DIR/none.php: No such file or directory"
	echo "service a { handler = \"$PHP_MODULE\" }" | write_config
	refused 'options { script = "/..." } is required, an absolute path'
	echo "service a { handler = \"$PHP_MODULE\" options { script = \"a.php\" } }" | write_config
	refused 'options { script = "/..." } is required, an absolute path'
	for key in -2 10X M 1MM 9999999999 ''; do
		service a a "memory_limit = \"$key\"" | write_config
		refused 'memory_limit is not a number, with K, M or G, or -1'
	done
	for key in -1 5s x ''; do
		service a a "time_limit = \"$key\"" | write_config
		refused 'time_limit is not a number of seconds'
	done
	service a a "ini = \"$DIR/none.ini\"" | write_config
	refused "$DIR/none.ini: No such file or directory"
	service a a "ini = \"php.ini\"" | write_config
	refused 'ini is not an absolute path'
	service a a "memory_limit = \"-1\" time_limit = \"0\" ini = \"/dev/null\"" | write_config
	run -0 "$PREFORKD" -c "$CONF" -t
	[ "$output" = "$CONF: OK (1 service)" ]
}

@test "ini: another php.ini; its opcache holds the script, an option of the service comes first" {
	local got
	install -d -m 1777 "$DIR/lock"
	printf '%s\n' 'memory_limit = 33M' 'max_execution_time = 44' 'display_errors = 1' 'log_errors = 0' \
		"opcache.lockfile_path = $DIR/lock" 'opcache.file_update_protection = 0' >"$DIR/php.ini"
	function_script a <<-'END'
		$cached = function_exists('opcache_is_script_cached') ? (int)opcache_is_script_cached(__FILE__) : 'none';
		$all = array_map('ini_get', ['memory_limit', 'max_execution_time', 'display_errors', 'log_errors']);
		socket_write($client, implode(' ', [php_ini_loaded_file(), PHP_SAPI, php_sapi_name(), $cached, ...$all]));
	END
	start_with "$(service a a "ini = \"$DIR/php.ini\"")" \
		"$(service b a "ini = \"$DIR/php.ini\" memory_limit = \"34M\" time_limit = \"45\"")"
	got=$(ask a </dev/null)
	echo "$got"
	[[ $got =~ ^"$DIR/php.ini embed embed "(1|none)" 33M 30 0 1"$ ]]
	[ "${BASH_REMATCH[1]}" = 1 ] || ! find "$(php-config --extension-dir)" -name opcache.so | grep .
	[[ $(ask b </dev/null) == *' 34M 45 0 1' ]]
}

# memory: of the worker, in KiB
memory() {
	awk '$1 == "RssAnon:" { print $2 }' "/proc/$(worker)/status"
}

@test "2000 connections, some with errors, leave the memory of the worker as it was" {
	local before after
	function_script a <<-'END'
		$all = '';
		while (($s = socket_read($client, 99)) != "") { socket_write($client, $s); $all .= $s; }
		if (random_int(0, 3) == 0) throw new Exception($all);
	END
	start_with "$(service a a)"
	timeout 120 "$TEST_BIN/load" -p "$(port_of a)" -n 200 -c 2
	before=$(memory)
	timeout 120 "$TEST_BIN/load" -p "$(port_of a)" -n 2000 -c 2
	after=$(memory)
	echo "$before KiB, then $after KiB"
	((after - before < 256))
	[ "$(sockets_of "$(worker)")" -eq 1 ]
	stop_daemon
	((2200 == $(account_of a served) + $(account_of a failed)))
	(($(account_of a failed) > 50))
}
