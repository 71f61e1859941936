#!/usr/bin/env bats
# What a config means: values, strings, variables, comments, and which files are read; seen through -T. Then what only
# the system can refuse (an address in use, no permission), and that a thousand reloads cost nothing.
# shellcheck disable=SC2016,SC2030,SC2031  # ${VAR} is for preforkd; that a test is a subshell is what we want

load lib/daemon

setup() {
	daemon_setup
	export RELOAD_KEY=
	unset PREFORKD_TEST_UNSET
}

teardown() {
	daemon_teardown
}

# dumped KEY: its value in the output of -T, without the comment behind it; of the service x
dumped() {
	"$PREFORKD" -c "$CONF" -T >"$BATS_TEST_TMPDIR/dump" || return
	awk -v "path=$1" '
		BEGIN { depth = split(path, part, "."); key = part[depth]; block = depth > 1 ? part[1] : "" }
		$2 == "{" { here = $1; next }
		$1 == "}" { here = ""; next }
		$1 == "service" { here = "" }
		$1 == key && $2 == "=" && here == block {
			sub(/^[^=]*= /, ""); sub(/ *# [^#"]*$/, ""); print; found = 1; exit
		}
		END { exit !found }' "$BATS_TEST_TMPDIR/dump"
}

# means KEY WRITTEN EXPECTED [PREFIX]: "KEY = WRITTEN" in a service is shown as EXPECTED
means() {
	local key=$1 written=$2 expected=$3 prefix=${4:-} line got
	line="${key##*.} = $written"
	[[ $key != *.* ]] || line="${key%%.*} { $line }"
	printf 'service x { handler = echo %s %s }\n' "$prefix" "$line" | write_config
	got=$(dumped "$key") || got="nothing (exit status $?)"
	[ "$got" = "$expected" ] && return
	echo "$key = $written: expected $expected, got $got"
	MISTAKES=$((${MISTAKES:-0} + 1))
}

no_mistakes() {
	[ "${MISTAKES:-0}" -eq 0 ]
}

@test "durations are understood in every unit and shown in the largest that fits" {
	means timeouts.idle 0 0
	means timeouts.idle 0s 0
	means timeouts.idle 1ms 1ms
	means timeouts.idle 1500ms 1500ms
	means timeouts.idle 2000ms 2s
	means timeouts.idle 90s 90s
	means timeouts.idle 60s 1m
	means timeouts.idle 90m 90m
	means timeouts.total 3600s 1h
	means timeouts.total 24h 1d
	means timeouts.total 365d 365d
	means timeouts.drain 1ms 1ms
	means timeouts.drain '"30s"' 30s
	no_mistakes
}

@test "sizes, numbers, octal modes and bools are understood in every spelling" {
	means run.nofile 16 16
	means run.nofile 1000 1000
	means run.nofile 1024 1K
	means run.nofile 2K 2K
	means run.nofile 1M 1M
	means run.nofile 1024K 1M
	means run.nofile 1G 1G
	means port 0 0
	means port 65535 65535
	means port '"80"' 80
	means workers.max 4096 4096
	means socket.backlog 1 1
	means run.umask 0 0000
	means run.umask 77 0077
	means run.umask 0077 0077
	means socket.mode 660 0660 'family = unix  path = "/x"'
	means socket.mode 0777 0777 'family = unix  path = "/x"'
	for word in true yes on; do
		means socket.v6only "$word" true 'family = inet6'
	done
	for word in false no off; do
		means socket.v6only "$word" false 'family = inet6'
	done
	means socket.backlog somaxconn "$(cat /proc/sys/net/core/somaxconn)"
	no_mistakes
}

@test "min and max follow each other when only one is written" {
	means workers.min 7 7
	[ "$(dumped workers.max)" = 7 ]
	means workers.max 9 9
	[ "$(dumped workers.min)" = 9 ]
	no_mistakes
}

@test "every escape of a string means what the man page says" {
	means run.environment '{"A=1"}' '{"A=1"}'
	means run.environment '{"A=\\"}' '{"A=\\"}'
	means run.environment '{"A=\""}' '{"A=\""}'
	means run.environment '{"A=\$"}' '{"A=\$"}'
	means run.environment '{"A=\${HOME}"}' '{"A=\${HOME}"}'
	means run.environment '{"A=\101\x41\x4a\x4A"}' '{"A=AAJJ"}'
	means run.environment '{"A=\x7e\176"}' '{"A=~~"}'
	means run.environment '{"A=\x20b"}' '{"A= b"}'
	means run.environment "{'A=\\'\\\\\"'}" '{"A='\''\\\""}'
	means run.environment "{'A=\${HOME}'}" '{"A=\${HOME}"}'
	means run.environment "{'A=\$\$ # x'}" '{"A=\$\$ # x"}'
	means run.environment '{"A={}()+,*=/**///"}' '{"A={}()+,*=/**///"}'
	means run.environment '{"A='$'\xc3\xa4''"}' '{"A='$'\xc3\xa4''"}'
	means run.environment '{ "A=1" , "B=2" }' '{"A=1", "B=2"}'
	means run.environment '{}' '{}'
	no_mistakes
}

@test "variables are expanded where the man page says so" {
	export PREFORKD_TEST_A=127.0.0.5 PREFORKD_TEST_N=1234
	means address '${PREFORKD_TEST_A}' '"127.0.0.5"'
	means address '"${PREFORKD_TEST_A}"' '"127.0.0.5"'
	means address '"127.${PREFORKD_TEST_UNSET:-0}.0.${PREFORKD_TEST_UNSET:-6}"' '"127.0.0.6"'
	means port '${PREFORKD_TEST_N}' 1234
	means port '${PREFORKD_TEST_N:-99}' 1234
	means port '${PREFORKD_TEST_UNSET:-99}' 99
	means timeouts.idle '"${PREFORKD_TEST_UNSET:-5}m"' 5m
	means run.environment '{"A=${PREFORKD_TEST_A}", "B=${PREFORKD_TEST_UNSET:-}"}' '{"A=127.0.0.5", "B="}'
	no_mistakes
}

@test "words need no quotes unless they have a special character" {
	means path /tmp/a.b-c_d:e@f~g%h '"/tmp/a.b-c_d:e@f~g%h"' 'family = unix'
	means path /tmp//x/y '"/tmp//x/y"' 'family = unix'
	means path @abstract '"@abstract"' 'family = unix'
	means path "'@a b'" '"@a b"' 'family = unix'
	means address ::1 '"::1"' 'family = inet6'
	no_mistakes
}

@test "comments of all three kinds are skipped and the lines still counted" {
	write_config <<-'END'
	# one { " ' ${NO} * + /*
	// two { " ' ${NO} * + /*
	/* three { " ' ${NO} * +
	   # // and a half
	 */ log_level = debug # here
	/**/ /***/ /* // */ service /* in the middle */ x { // {
		handler = echo // not "
		address = "127.0.0.1" /* not '
	*/	port = 1234
		workers { /* a
			b */ min = 2 }
		run { directory = "/" # }
			environment = { "A=1", # first
				"B=/* no comment */ // nor here # nor here" } }
	}
	END
	"$PREFORKD" -c "$CONF" -T >"$BATS_TEST_TMPDIR/dump"
	for place in log_level:5 handler:7 address:8 port:9 min:11 directory:12; do
		grep -Eq "^\s*${place%:*} = .* # $CONF:${place#*:}\$" "$BATS_TEST_TMPDIR/dump" || { echo "not so: $place"; return 1; }
	done
	grep -qF 'environment = {"A=1", "B=/* no comment */ // nor here # nor here"}' "$BATS_TEST_TMPDIR/dump"
}

# wrong_after LINES TEXT: the error of the line behind TEXT must be said for line LINES + 1
wrong_after() {
	printf '%bport = http\n}\n' "$2" | write_config
	run "$PREFORKD" -c "$CONF" -t
	[ "$status" -eq 78 ]
	[[ $output == "$CONF:$(($1 + 1)): service \"x\": port: "* ]] || { echo "$2: $output"; return 1; }
}

@test "an error behind comments, strings and empty lines is said for its line" {
	wrong_after 1 'service x {\n'
	wrong_after 2 '# a\nservice x {\n'
	wrong_after 2 '// a\nservice x {\n'
	wrong_after 4 '/* a\n\n*/\nservice x {\n'
	wrong_after 3 '/* a\n\n*/ service x { /* a\n*/'
	wrong_after 2 'service x { # a\n # b\n'
	wrong_after 2 'service x { // a\n // b\n'
	wrong_after 2 'service x { /* a */\n /* b */ \n'
	wrong_after 3 'service x {\n address = "# // /*" \n type = '"'stream'"' # "\n'
	wrong_after 5 '\n\n\nservice x {\n\t\n'
	wrong_after 2 'service x {\n workers {\n } '
	wrong_after 3 'service\n x\n {\n'
}

# ---- which files ----

more_config() {
	mkdir -p "$BATS_TEST_TMPDIR/services.d"
	cat >"$BATS_TEST_TMPDIR/services.d/$1"
}

services_of_dump() {
	"$PREFORKD" -c "$CONF" -T | awk '$1 == "service" { printf "%s ", $2 }'
}

@test "services.d is read after the main file, in C order" {
	local name
	echo 'service main { handler = echo }' | write_config
	for name in b B a-b ab a.b a_b a 10 9 Z; do
		echo "service $name { handler = echo }" | more_config "$name.conf"
	done
	LC_ALL=en_US.UTF-8 run services_of_dump
	# "-" and "." (of .conf) come before letters, capitals before small ones
	[ "$output" = "main 10 9 B Z a-b a.b a a_b ab b " ]
}

@test "services.d is looked for beside the main file, wherever one stands" {
	mkdir -p "$BATS_TEST_TMPDIR/elsewhere/services.d"
	echo 'service wrong { handler = echo }' >"$BATS_TEST_TMPDIR/elsewhere/services.d/a.conf"
	echo 'service right { handler = echo }' | more_config a.conf
	echo '' | write_config
	cd "$BATS_TEST_TMPDIR/elsewhere"
	[ "$(services_of_dump)" = "right " ]
	CONF=../preforkd.conf
	[ "$(services_of_dump)" = "right " ]
}

@test "dot files, backups and files of another name in services.d are skipped" {
	echo 'service main { handler = echo }' | write_config
	for name in .hidden.conf .conf conf hello.conf~ '#hello.conf#' hello.conf.example hello.conf.dpkg-old hello.CONF README; do
		echo 'this is no config {' | more_config "$name"
	done
	[ "$(services_of_dump)" = "main " ]
	echo 'service more { handler = echo }' | more_config 'with space.conf'
	[ "$(services_of_dump)" = "main more " ]
}

@test "an empty services.d, and none, are both good" {
	echo 'service main { handler = echo }' | write_config
	[ "$(services_of_dump)" = "main " ]
	mkdir "$BATS_TEST_TMPDIR/services.d"
	[ "$(services_of_dump)" = "main " ]
	: >"$BATS_TEST_TMPDIR/services.d/empty.conf"
	[ "$(services_of_dump)" = "main " ]
}

@test "a link in services.d is followed" {
	echo '' | write_config
	echo 'service linked { handler = echo }' >"$BATS_TEST_TMPDIR/elsewhere"
	mkdir "$BATS_TEST_TMPDIR/services.d"
	ln -s ../elsewhere "$BATS_TEST_TMPDIR/services.d/a.conf"
	[ "$(services_of_dump)" = "linked " ]
}

@test "a reload reads services.d anew: a service comes, another goes" {
	echo 'service one { handler = echo  workers { min = 1 } }' | write_config
	echo 'service two { handler = echo  workers { min = 1 } }' | more_config two.conf
	start_daemon
	rm "$BATS_TEST_TMPDIR/services.d/two.conf"
	echo 'service three { handler = echo  workers { min = 1 } }' | more_config three.conf
	reload_daemon
	log_has 'event=reload_done'
	log_has 'event=listening service=three '
	wait_for 20 "workers of one and three only" has_workers_of_services 'preforkd: one preforkd: three '
}

has_workers_of_services() {
	[ "$(workers_of "$MASTER" | sed 's|.*|/proc/&/comm|' | xargs cat | sort | tr '\n' ' ')" = "$1" ]
}

# ---- what only the system can refuse: one line each, that says what to do ----

# start_fails STATUS REGEX: the start ends with STATUS, and the only error is a line that matches REGEX
start_fails() {
	local got=0
	"${RESTRICT[@]}" timeout 60 "$PREFORKD" -c "$CONF" >>"$LOG" 2>&1 3>&- || got=$?
	[ "$got" -eq "$1" ] || { echo "exit status $got"; cat "$LOG"; return 1; }
	grep -E 'level=error ' "$LOG" >"$BATS_TEST_TMPDIR/errors"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/errors")" -eq 1 ] || { cat "$LOG"; return 1; }
	grep -E "$2" "$BATS_TEST_TMPDIR/errors" || { cat "$LOG"; return 1; }
}

@test "an address in use: status 69 and a line that says how to find who has it" {
	echo 'service first { handler = echo  workers { min = 1 } }' | write_config
	start_daemon
	CONF=$BATS_TEST_TMPDIR/second.conf
	echo "service second { handler = echo  port = $(port_of first) }" | write_config
	local address
	address=$(address_of first)
	LOG=$BATS_TEST_TMPDIR/second.log
	start_fails 69 "event=listen_failed service=second address=$address error=.*Address already in use \(.*ss -l"
	LOG=$BATS_TEST_TMPDIR/log
}

@test "an address of no interface: status 69 and a line that says how to see them" {
	# 192.0.2.0/24 is for documentation (RFC 5737)
	echo 'service x { handler = echo  address = 192.0.2.1  port = 1234 }' | write_config
	start_fails 69 'event=listen_failed service=x address=192.0.2.1:1234 error=.*(ip address|interface)'
}

@test "a port below 1024 without the right: status 77 and a line that names the right" {
	local lowest
	lowest=$(cat /proc/sys/net/ipv4/ip_unprivileged_port_start)
	[ "$lowest" -gt 80 ] || strict_skip "kernel: net.ipv4.ip_unprivileged_port_start lets everybody have port 80"
	RESTRICT=()
	if [ "$(id -u)" -eq 0 ]; then
		RESTRICT=(setpriv --bounding-set=-net_bind_service --inh-caps=-net_bind_service)
	fi
	echo 'service x { handler = echo  port = 80 }' | write_config
	start_fails 77 'event=listen_failed service=x address=127.0.0.1:80 error=.*Permission denied \(.*(root|CAP_NET_BIND_SERVICE)'
}

@test "a missing directory of a unix path: status 73 and a line that says to create it" {
	echo "service x { handler = echo  family = unix  path = \"$BATS_TEST_TMPDIR/no/s\" }" | write_config
	start_fails 73 "event=listen_failed service=x address=$BATS_TEST_TMPDIR/no/s error=.*directory does not exist: create it"
}

@test "a unix path with a file in it: status 73, a line that names it, and the file is left alone" {
	echo "service x { handler = echo  family = unix  path = \"$BATS_TEST_TMPDIR/s\" }" | write_config
	echo precious >"$BATS_TEST_TMPDIR/s"
	start_fails 73 "event=listen_failed service=x address=$BATS_TEST_TMPDIR/s error=.*is not a socket \(remove it"
	[ "$(cat "$BATS_TEST_TMPDIR/s")" = precious ]
}

@test "an address that a reload cannot have is one line, and the old workers go on" {
	local workers port
	echo 'service x { handler = echo  workers { min = 2 } }' | write_config
	start_daemon
	workers=$(workers_of "$MASTER")
	port=$(port_of x)
	echo "service x { handler = echo  family = unix  path = \"$BATS_TEST_TMPDIR/no/s\" }" | write_config
	reload_daemon
	log_has 'event=reload_refused'
	[ "$(log_count 'event=listen_failed service=x .*create it')" -eq 1 ]
	[ "$(workers_of "$MASTER")" = "$workers" ]
	exec 5<>"/dev/tcp/127.0.0.1/$port"
	echo still >&5
	read -rt 30 -u 5 answer
	exec 5>&-
	[ "$answer" = still ]
}

# ---- a thousand reloads ----

# reload_is DONE|REFUSED: quick, since there are thousands: fd 6 reads the log, fd 7 is a FIFO with nothing in it
reload_is() {
	local line end=$((${EPOCHREALTIME/./} + 20000000))
	kill -HUP "$MASTER"
	while ((${EPOCHREALTIME/./} < end)); do
		if ! IFS= read -ru 6 line; then
			read -rt 0.001 -u 7 || :
		elif [[ $line == *" event=reload_"@(done|refused)* ]]; then
			[[ $line == *" event=reload_$1 "* ]]
			return
		fi
	done
	return 1
}

reload_pairs() {
	local i kinds=('prot = 1' 'port = http' '' 'run { user = no-such-user }' 'address = "' 'path = "/x"')
	for ((i = 0; i < $1; i++)); do
		printf 'service x { handler = echo workers { min = 1 } %s ' "${kinds[i % 6]}" >"$CONF"
		[ $((i % 6)) -eq 2 ] || echo '}' >>"$CONF"
		reload_is refused || return
		echo 'service x { handler = echo workers { min = 1 } }' >"$CONF"
		reload_is 'done' || return
	done
}

open_files() {
	find "/proc/$MASTER/fd" -mindepth 1 | wc -l
}

resident_kib() {
	# not VmRSS: pages of the binary come and go as the machine likes
	awk '$1 == "RssAnon:" { print $2 }' "/proc/$MASTER/status"
}

settled() {
	[ "$(open_files)" -eq "$1" ] && n_workers_is 1
}

@test "a thousand bad reloads between good ones cost no descriptor and no memory" {
	local files before after limit=256 n=${PREFORKD_TEST_RELOADS:-1000}
	if "$PREFORKD" -m | grep -qx sanitizers; then
		# else freed memory is kept for a while
		export ASAN_OPTIONS="${ASAN_OPTIONS:-}:quarantine_size_mb=0:thread_local_quarantine_size_kb=0"
		limit=2048
	fi
	shopt -s extglob
	echo 'service x { handler = echo workers { min = 1 } }' | write_config
	start_daemon -l notice
	mkfifo "$BATS_TEST_TMPDIR/fifo"
	exec 6<"$LOG" 7<>"$BATS_TEST_TMPDIR/fifo"
	files=$(open_files)
	reload_pairs $((n / 10 + 20))
	wait_for 20 "$files descriptors and one worker" settled "$files"
	before=$(resident_kib)
	reload_pairs "$n"
	wait_for 20 "$files descriptors and one worker" settled "$files"
	after=$(resident_kib)
	echo "$before KiB before, $after KiB after $n pairs"
	[ $((after - before)) -le "$limit" ]
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
}
