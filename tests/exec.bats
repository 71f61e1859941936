#!/usr/bin/env bats
# exec.bats - handler exec, a program for each connection: what it is given, what becomes of what it writes, how it
# ends, and that nothing of it is left.
# shellcheck disable=SC2030,SC2031  # each test is a subshell, and sets its own PREFORKD
# shellcheck disable=SC2016  # $ is for the programs to expand

bats_require_minimum_version 1.5.0
load lib/daemon
load lib/network

setup() {
	daemon_setup
	# programs run here, whoever they are, and write down what they are in the file "pids"
	DIR=$BATS_TEST_TMPDIR/dir
	install -d -m 1777 "$DIR"
	install -m 666 /dev/null "$DIR/pids"
	# the name of unix clients that are answered: anybody may write to an abstract one
	CLIENT=@preforkd-test-client-$$-$RANDOM-$BATS_TEST_NUMBER
	script sleeper <<-'END'
		echo $$ >>pids
		exec sleep 300
	END
	script noted <<-'END'
		until [ "$(wc -l <pids)" -ge "$1" ]; do sleep 0.01; done
	END
}

teardown() {
	local status=0
	# one of them stops it
	[ -z "$MASTER" ] || kill -CONT "$MASTER" 2>/dev/null || :
	daemon_teardown || status=1
	end_programs || status=1
	return "$status"
}

# After the master's end no program of any test is left; what is, is ended.
end_programs() {
	local pid status=0
	while read -r pid; do
		process_gone "$pid" || [ "$(readlink "/proc/$pid/cwd")" != "$DIR" ] || {
			echo "a program is left: $pid"
			kill -KILL "$pid" || :
			status=1
		}
	done <"$DIR/pids"
	return "$status"
}

# script NAME: standard input becomes the program $DIR/NAME
script() {
	rm -f "$DIR/$1"
	{ echo "#!/bin/sh"; cat; } >"$DIR/$1"
	chmod 755 "$DIR/$1"
}

# service NAME [KEYS [RUN [COMMAND]]]: one worker, which runs $DIR/NAME
service() {
	echo "service $1 { handler = exec command = {${4:-"\"$DIR/$1\""}} workers { min = 1 } ${2-}"
	echo "run { directory = \"$DIR\" ${3-} } }"
}

# target SERVICE: where it is, in socat's words
target() {
	local address
	address=$(address_of "$1")
	log_lacks "event=listening service=$1 .* type=seqpacket" || address+=,socktype=5
	case $address in
	/*) echo "UNIX-CONNECT:$address" ;;
	@*) echo "ABSTRACT-CONNECT:${address#@}" ;;
	*) echo "TCP:$address" ;;
	esac
}

# ask SERVICE: standard input goes there, the answer to standard output; the end has to come within two minutes
ask() {
	timeout 120 socat -t 120 - "$(target "$1")" || echo "socat: status $?"
}

# listen_to SERVICE: the same, but the client keeps its sending side open and sends nothing
listen_to() {
	timeout 120 socat -u "$(target "$1")" - || echo "socat: status $?"
}

# last_exit SERVICE FIELD: of its last line program_exit
last_exit() {
	grep "event=program_exit service=$1 " "$LOG" | tail -n 1 | grep -oE " $2=(\"[^\"]*\"|[^ ]*)" |
		sed -E 's/^[^=]*=//; s/"//g'
}

exits_are() {
	[ "$(log_count "event=program_exit service=$1 ")" -ge "$2" ]
}

# noted N: so many processes have said who they are
noted() {
	[ "$(wc -l <"$DIR/pids")" -ge "$1" ]
}

# none_is_left: of those that have
none_is_left() {
	local pid
	while read -r pid; do
		process_gone "$pid" || return 1
	done <"$DIR/pids"
}

has_no_children() {
	[ -z "$(cat "/proc/$1/task/$1/children")" ]
}

# ---- what a program is given ----

# env_is SERVICE: what env(1) printed to $DIR/env is standard input, PATH, and what every program of the first
# connection of its service has
env_is() {
	{
		cat
		echo "PATH=/usr/local/bin:/usr/bin:/bin"
		printf 'PREFORKD_%s\n' "SERVICE=$1" WORKER=1 GENERATION=1 CONNECTION=1
	} | sort >"$DIR/expected"
	sort "$DIR/env" | diff -u --label expected --label "$1" "$DIR/expected" -
}

# client_port: that of the socat that wrote down to $DIR/client what it did
client_port() {
	sed -n 's/.* local address AF=.*:\([0-9]*\)$/\1/p' "$DIR/client"
}

@test "the environment of a TCP connection is complete, and nothing else" {
	export PREFORKD_TEST_SECRET=1
	start_debug "$(service four '' '' '"/usr/bin/env"')" "$(service six 'family = inet6' '' '"/usr/bin/env"')"
	socat -d -d -t 30 - "TCP:$(address_of four)" >"$DIR/env" 2>"$DIR/client" </dev/null
	env_is four <<-END
		PROTO=TCP
		TCPREMOTEIP=127.0.0.1
		TCPREMOTEPORT=$(client_port)
		TCPLOCALIP=127.0.0.1
		TCPLOCALPORT=$(port_of four)
		REMOTE_ADDR=127.0.0.1
		REMOTE_PORT=$(client_port)
	END
	socat -d -d -t 30 - "TCP:$(address_of six)" >"$DIR/env" 2>"$DIR/client" </dev/null
	env_is six <<-END
		PROTO=TCP
		TCPREMOTEIP=::1
		TCPREMOTEPORT=$(client_port)
		TCPLOCALIP=::1
		TCPLOCALPORT=$(port_of six)
		REMOTE_ADDR=::1
		REMOTE_PORT=$(client_port)
	END
}

@test "the address of a connection is the one the client came to, and IPv4 is IPv4 over IPv6, too" {
	start_debug "$(service all 'address = "*"' '' '"/usr/bin/env"')" \
		"$(service both 'family = inet6 address = "*" socket { v6only = false }' '' '"/usr/bin/env"')"
	for name in all both; do
		socat -t 30 - "TCP:127.9.8.7:$(port_of $name),bind=127.6.5.4" >"$DIR/env" </dev/null
		cat "$DIR/env"
		grep -qx TCPREMOTEIP=127.6.5.4 "$DIR/env"
		grep -qx REMOTE_ADDR=127.6.5.4 "$DIR/env"
		grep -qx TCPLOCALIP=127.9.8.7 "$DIR/env"
		grep -qx "TCPLOCALPORT=$(port_of $name)" "$DIR/env"
	done
}

# ipc_env LOCAL REMOTE PID
ipc_env() {
	printf '%s\n' PROTO=IPC "IPCLOCALPATH=$1" "IPCREMOTEPATH=$2" "IPCREMOTEEUID=$(id -u)" "IPCREMOTEEGID=$(id -g)" \
		"IPCREMOTEPID=$3" "REMOTE_ADDR=$2"
}

@test "the environment of a unix connection is complete, and nothing else" {
	local abstract=@preforkd-test-$$-$RANDOM
	start_debug "$(service path "family = unix path = \"$BATS_TEST_TMPDIR/s\"" '' '"/usr/bin/env"')" \
		"$(service name "family = unix path = \"$abstract\"" '' '"/usr/bin/env"')" \
		"$(service record "family = unix type = seqpacket path = \"$BATS_TEST_TMPDIR/r\"" '' '"/usr/bin/env"')"
	beside "$DIR/env" socat -t 30 - "UNIX-CONNECT:$BATS_TEST_TMPDIR/s"
	wait_for 20 "the end of the client" process_gone "$BESIDE"
	ipc_env "$BATS_TEST_TMPDIR/s" unnamed "$BESIDE" | env_is path

	beside "$DIR/env" socat -t 30 - "ABSTRACT-CONNECT:${abstract#@},bind=${abstract#@}-client"
	wait_for 20 "the end of the client" process_gone "$BESIDE"
	ipc_env "$abstract" "$abstract-client" "$BESIDE" | env_is name

	beside "$DIR/env" socat -t 30 - "UNIX-CONNECT:$BATS_TEST_TMPDIR/r,socktype=5,bind=$BATS_TEST_TMPDIR/client"
	wait_for 20 "the end of the client" process_gone "$BESIDE"
	ipc_env "$BATS_TEST_TMPDIR/r" "$BATS_TEST_TMPDIR/client" "$BESIDE" | env_is record
}

# datagram SERVICE: standard input as one datagram; the answer to standard output. Fails if there is none.
datagram() {
	local address from=()
	address=$(address_of "$1")
	[[ $address != /* ]] || from=(-f "$CLIENT")
	rm -f "$DIR/answer"
	"$TEST_BIN/dgram" -w 20000 "${from[@]}" -o "$DIR/answer" "$address" >"$DIR/answers" || return 1
	cat "$DIR/answer"
}

# so many bytes
request() {
	head -c "$1" /dev/zero | tr '\0' x
}

@test "the environment of a datagram is complete, and nothing else" {
	local peer
	start_debug "$(service four 'type = dgram' '' '"/usr/bin/env"')" \
		"$(service six 'type = dgram family = inet6' '' '"/usr/bin/env"')" \
		"$(service path "type = dgram family = unix path = \"$BATS_TEST_TMPDIR/s\"" '' '"/usr/bin/env"')"
	# an answer is as long as the request at most
	request 2000 | datagram four >"$DIR/env"
	peer=$(last_exit four peer)
	[[ $peer =~ ^127\.0\.0\.1:[0-9]+$ ]]
	env_is four <<-END
		PROTO=UDP
		UDPREMOTEIP=127.0.0.1
		UDPREMOTEPORT=${peer##*:}
		UDPLOCALIP=127.0.0.1
		UDPLOCALPORT=$(port_of four)
		REMOTE_ADDR=127.0.0.1
		REMOTE_PORT=${peer##*:}
	END
	request 2000 | datagram six >"$DIR/env"
	peer=$(last_exit six peer)
	[[ $peer =~ ^\[::1\]:[0-9]+$ ]]
	env_is six <<-END
		PROTO=UDP
		UDPREMOTEIP=::1
		UDPREMOTEPORT=${peer##*:}
		UDPLOCALIP=::1
		UDPLOCALPORT=$(port_of six)
		REMOTE_ADDR=::1
		REMOTE_PORT=${peer##*:}
	END
	request 1 | datagram path >"$DIR/env"
	env_is path <<-END
		PROTO=IPC
		IPCLOCALPATH=$BATS_TEST_TMPDIR/s
		IPCREMOTEPATH=$CLIENT
		REMOTE_ADDR=$CLIENT
	END
}

@test "the config adds variables and passes others on, and cannot forge what is said of the connection" {
	# behind env, so that it is the master alone that has them
	behind env 'PASSED=a b=c' BOTH=passed EMPTY= HIDDEN=1 PATH=/opt/passed:/usr/bin
	start_debug "$(service own '' '
		environment = {"OTHER=x  y", "BOTH=own", "TCPREMOTEIP=1.2.3.4", "PREFORKD_SERVICE=forged"}
		pass_environment = {PASSED, BOTH, EMPTY, PATH, MISSING}' '"/usr/bin/env"')" \
		"$(service plain '' '' '"/usr/bin/env"')"
	ask own </dev/null >"$DIR/env"
	cat "$DIR/env"
	for line in 'PASSED=a b=c' BOTH=own EMPTY= PATH=/opt/passed:/usr/bin 'OTHER=x  y' TCPREMOTEIP=127.0.0.1 \
		PREFORKD_SERVICE=own; do
		grep -qx "$line" "$DIR/env"
	done
	# each once: who reads the first one and who reads the last one see the same
	[ -z "$(cut -d = -f 1 "$DIR/env" | sort | uniq -d)" ]
	[ "$(wc -l <"$DIR/env")" -eq $((5 + 7 + 4)) ]
	ask plain </dev/null >"$DIR/env"
	[ "$(wc -l <"$DIR/env")" -eq $((1 + 7 + 4)) ]
}

@test "worker, connection and generation are counted" {
	script a <<<'echo "$PREFORKD_WORKER $PREFORKD_CONNECTION $PREFORKD_GENERATION $1"'
	start_debug "$(service a '' '' "\"$DIR/a\", \"%{worker}/%{connection}/%{generation}\"")"
	[ "$(ask a </dev/null)" = "1 1 1 1/1/1" ]
	[ "$(ask a </dev/null)" = "1 2 1 1/2/1" ]
	reload_daemon
	wait_for 20 "the new worker alone" n_workers_is 1
	[ "$(ask a </dev/null)" = "1 1 2 1/1/2" ]
}

@test "words in arguments say who talks to whom; all else comes as it is written" {
	local words='%{remote_addr}, %{remote_port}, %{local_addr}, %{local_port}, %{service}' odd
	local client=$BATS_TEST_TMPDIR/client
	odd='"[%{worker}-%{worker}]%{service}", "100%", "%%{service}", "%%%{service}%%", "a  b", "\$HOME *"'
	for name in tcp path udp; do
		script $name <<<'printf "<%s>\n" "$@"'
	done
	words="\"${words//, /\", \"}\""
	start_debug "$(service tcp 'address = "*"' '' \
		"\"$DIR/tcp\", $words, \"\", $odd")" \
		"$(service path "family = unix path = \"$BATS_TEST_TMPDIR/s\"" '' "\"$DIR/path\", $words")" \
		"$(service udp 'type = dgram family = inet6' '' "\"$DIR/udp\", $words")"
	socat -d -d -t 30 - "TCP:127.9.8.7:$(port_of tcp),bind=127.6.5.4" >"$DIR/out" 2>"$DIR/client" </dev/null
	diff -u "$DIR/out" - <<-END
		<127.6.5.4>
		<$(client_port)>
		<127.9.8.7>
		<$(port_of tcp)>
		<tcp>
		<>
		<[1-1]tcp>
		<100%>
		<%{service}>
		<%tcp%>
		<a  b>
		<\$HOME *>
	END
	socat -t 30 - "UNIX-CONNECT:$BATS_TEST_TMPDIR/s,bind=$client" >"$DIR/out" </dev/null
	diff -u "$DIR/out" <(printf '<%s>\n' "$client" "" "$BATS_TEST_TMPDIR/s" "" path)
	request 200 | datagram udp >"$DIR/out"
	[[ $(last_exit udp peer) =~ ^\[::1\]:([0-9]+)$ ]]
	diff -u "$DIR/out" <(printf '<%s>\n' ::1 "${BASH_REMATCH[1]}" ::1 "$(port_of udp)" udp)
}

@test "arguments are never cut: what is too long for words is refused, or comes whole" {
	local long size
	script a <<<'for arg; do echo "${#arg}"; done'
	for size in 100 500 2000 9000 20000; do
		echo "$size"
		long=$(request "$size")
		service a '' '' "\"$DIR/a\", \"$long\", \"%{service}$long\", \"%{service}\", \"$long\"" | write_config
		if "$PREFORKD" -c "$CONF" -t >"$DIR/out" 2>&1; then
			: >"$LOG"
			start_daemon
			[ "$(ask a </dev/null | tr '\n' ' ')" = "$size $((size + 1)) 1 $size " ]
			stop_daemon
		else
			((size > 1000))
			head -c 300 "$DIR/out"
			[[ $(cat "$DIR/out") == "$CONF:1: service \"a\": command: arguments with % "* ]]
		fi
	done
}

# fds SERVICE: what ls(1) says of its own, "N TARGET" in order, without what it opened itself
fds() {
	ask "$1" </dev/null | sed -nE 's/.* ([0-9]+) -> (.*)/\1 \2/p' | grep -v ' /proc/[0-9]*/fd$' | sort -n
}

@test "a program has descriptors 0 to 2, and no other" {
	local ls='"/bin/ls", "-l", "/proc/self/fd"' socket stray
	exec {stray}<"$BATS_TEST_FILENAME"
	install -m 666 /dev/null "$BATS_TEST_TMPDIR/stderr"
	start_debug "log = \"$LOG\"" "pidfile = \"$BATS_TEST_TMPDIR/pid\"" \
		"$(service a '' '' "$ls")" "$(service nowhere 'stderr = null' '' "$ls")" \
		"$(service client 'stderr = connection' '' "$ls")" \
		"$(service sharded 'socket { reuse_port = per-worker }' '' "$ls")" \
		"$(service record "family = unix type = seqpacket path = \"$BATS_TEST_TMPDIR/r\"" '' "$ls")" \
		"$(service dgram "type = dgram family = unix path = \"$BATS_TEST_TMPDIR/d\"" '' "$ls")"
	exec {stray}<&-
	for name in a sharded record; do
		fds "$name" >"$DIR/fds"
		cat "$DIR/fds"
		socket=$(sed -nE 's/^0 (socket:.*)/\1/p' "$DIR/fds")
		[ -n "$socket" ]
		[[ $(cat "$DIR/fds") =~ ^"0 $socket"$'\n'"1 $socket"$'\n2 pipe:'[^$'\n']*$ ]]
	done 2>"$DIR/messages"
	[[ $(fds nowhere) =~ ^'0 socket:'[^$'\n']*$'\n1 socket:'[^$'\n']*$'\n2 /dev/null'$ ]]
	fds client >"$DIR/fds"
	[ "$(cut -d ' ' -f 2 "$DIR/fds" | uniq | wc -l)" -eq 1 ]
	[ "$(wc -l <"$DIR/fds")" -eq 3 ]
	echo | datagram dgram | sed -nE 's/.* ([0-9]+) -> (.*)/\1 \2/p' >"$DIR/fds"
	[ "$(grep -c ' pipe:' "$DIR/fds")" -eq 3 ]
	[ "$(wc -l <"$DIR/fds")" -eq 4 ]
	# and those are three pipes
	[ "$(cut -d ' ' -f 2 "$DIR/fds" | sort -u | wc -l)" -eq 4 ]
}

@test "no descriptor of a program is one that does not wait" {
	local name flags='"/bin/cat", "/proc/self/fdinfo/0", "/proc/self/fdinfo/1", "/proc/self/fdinfo/2"'
	start_debug "$(service a '' '' "$flags")" "$(service dgram 'type = dgram' '' "$flags")"
	ask a </dev/null >"$DIR/a"
	request 2000 | datagram dgram >"$DIR/dgram"
	for name in a dgram; do
		cat "$DIR/$name"
		[ "$(grep -c '^flags:' "$DIR/$name")" -eq 3 ]
		# O_NONBLOCK is 04000
		run ! grep -E '^flags:.*[4567][0-7]{3}$' "$DIR/$name"
	done
}

@test "a program leads a session and a group of its own, without a terminal" {
	# pid, command, state, parent, group, session, terminal
	start_debug "$(service a '' '' '"/bin/cat", "/proc/self/stat"')"
	read -r pid _ _ parent group session terminal _ < <(ask a </dev/null)
	[ "$parent" = "$(workers_of "$MASTER")" ]
	[ "$pid" = "$(last_exit a program_pid)" ]
	[ "$group" = "$pid" ]
	[ "$session" = "$pid" ]
	[ "$terminal" = 0 ]
}

# signals_are_default: of the service a
signals_are_default() {
	local set
	ask a </dev/null >"$DIR/status"
	grep '^Sig' "$DIR/status"
	for set in SigPnd ShdPnd SigBlk SigIgn SigCgt; do
		grep -qx "$set:[[:space:]]*0000000000000000" "$DIR/status"
	done
}

@test "no signal is ignored, blocked or caught in a program" {
	start_debug "$(service a '' '' '"/bin/cat", "/proc/self/status"')"
	signals_are_default
	# the second time, too
	signals_are_default
}

@test "no signal is ignored or blocked in a program when all are where preforkd was started" {
	behind "$TEST_BIN/hostile" sigchld,ignored,blocked
	start_debug "$(service a '' '' '"/bin/cat", "/proc/self/status"')"
	signals_are_default
}

# in_status KEY: a line of $DIR/status, blanks as one space
in_status() {
	sed -n "s/^$1:[[:space:]]*//p" "$DIR/status" | tr -s '\t' ' ' | sed 's/ *$//'
}

@test "a program is the user of the config, and has no right" {
	need_root
	start_debug "$(service a '' 'user = daemon group = bin' '"/bin/cat", "/proc/self/status"')" \
		"$(service top '' 'user = root' '"/bin/cat", "/proc/self/status"')"
	ask a </dev/null >"$DIR/status"
	cat "$DIR/status"
	[ "$(in_status Uid)" = "$(id -u daemon) $(id -u daemon) $(id -u daemon) $(id -u daemon)" ]
	[ "$(in_status Gid)" = "2 2 2 2" ]
	for set in CapInh CapPrm CapEff CapBnd CapAmb; do
		[ "$(in_status $set)" = 0000000000000000 ]
	done
	[ "$(in_status NoNewPrivs)" = 1 ]
	ask top </dev/null >"$DIR/status"
	[ "$(in_status Uid)" = "0 0 0 0" ]
	[ "$(in_status NoNewPrivs)" = 1 ]
}

@test "limits, umask and directory of a program are those of the config" {
	script a <<<'grep "Max open files" /proc/self/limits; grep Umask /proc/self/status; pwd -P'
	start_debug "$(service a '' 'umask = 0137 nofile = 77')"
	ask a </dev/null >"$DIR/out"
	cat "$DIR/out"
	grep -Eqx 'Max open files +77 +77 +files *' "$DIR/out"
	grep -Eqx 'Umask:[[:space:]]*0137' "$DIR/out"
	[ "$(tail -n 1 "$DIR/out")" = "$(readlink -f "$DIR")" ]
}

# ---- the connection ----

@test "what cat gets comes back byte for byte, on each kind of stream" {
	start_debug "$(service four '' '' '"/bin/cat"')" "$(service six 'family = inet6' '' '"/bin/cat"')" \
		"$(service path "family = unix path = \"$BATS_TEST_TMPDIR/s\"" '' '"/bin/cat"')"
	head -c 5000000 /dev/urandom >"$DIR/sent"
	for name in four six path; do
		ask "$name" <"$DIR/sent" >"$DIR/got"
		cmp "$DIR/sent" "$DIR/got"
	done
	stop_daemon
	account_is four accepted=1 served=1 failed=0 bytes_in=5000000 bytes_out=5000000
	account_is six accepted=1 served=1 failed=0 bytes_in=5000000 bytes_out=5000000
	# nobody counts them on unix sockets
	account_is path accepted=1 served=1 failed=0 bytes_in=0 bytes_out=0
}

@test "on seqpacket a read is a record of the client, a write one of the answer" {
	start_debug "$(service record "family = unix type = seqpacket path = \"$BATS_TEST_TMPDIR/r\"" '' '"/bin/cat"')"
	# two records of 3 and 2 bytes, the second one sent when the first one is back
	(printf abc; wait_for 20 "the first record" test -s "$DIR/first"; printf de) |
		timeout 120 socat -x -t 60 - "$(target record)" 2>"$DIR/hex" | (head -c 3 >"$DIR/first"; cat >"$DIR/rest")
	[ "$(cat "$DIR/first" "$DIR/rest")" = abcde ]
	[ "$(grep -c '^< .* length=3 ' "$DIR/hex")" -eq 1 ]
	[ "$(grep -c '^< .* length=2 ' "$DIR/hex")" -eq 1 ]
}

@test "three hundred clients, twenty at a time, are served by four workers, while the config is reloaded" {
	start_debug "$(service a '' '' '"/bin/cat"' | sed 's/min = 1/min = 4/')"
	beside "$DIR/load" "$TEST_BIN/load" -n 300 -c 20 -p "$(port_of a)" --timeout 60000
	for _ in 1 2 3 4; do
		reload_daemon
	done
	wait_for 120 "the end of the clients" process_gone "$BESIDE"
	[[ $(cat "$DIR/load") = *"ok=300 "* ]]
	stop_daemon
	account_is a accepted=300 served=300 failed=0 lost=0
}

@test "a program that reads to the end answers a client that has closed its sending side" {
	start_debug "$(service a '' '' '"/usr/bin/wc", "-c"')"
	[ "$(request 100000 | ask a)" = 100000 ]
	stop_daemon
	account_is a served=1 bytes_in=100000 bytes_out=7
}

@test "a program that does not read answers, and one that does not write is waited for" {
	start_debug "$(service silent '' '' '"/bin/dd", "of=/dev/null", "status=none"')" \
		"$(service deaf '' '' '"/bin/echo", "hello"')"
	[ "$(listen_to deaf)" = hello ]
	[ "$(request 100 | ask deaf | head -n 1)" = hello ]
	[ "$(last_exit deaf reason)" = "status 0" ]
	[ -z "$(request 100000 | ask silent)" ]
	[ "$(last_exit silent bytes_out)" -eq 0 ]
	stop_daemon
	account_is silent served=1 bytes_in=100000
	account_is deaf served=2
}

@test "a connection ends when its program ends, not when that closes its descriptors" {
	mkfifo -m 666 "$DIR/go"
	script a <<-'END'
		echo bye
		exec <&- >&- 2>&-
		echo $$ >>pids
		read -r word <go
		echo "$word" >went
	END
	start_debug "$(service a)"
	beside "$DIR/got" socat -t 60 - "TCP:$(address_of a)"
	wait_for 20 "the answer" grep -q bye "$DIR/got"
	wait_for 20 "the program without descriptors" noted 1
	run ! process_gone "$BESIDE"
	run ! none_is_left
	echo further >"$DIR/go"
	wait_for 20 "the end of the connection" process_gone "$BESIDE"
	none_is_left
	[ "$(cat "$DIR/went")" = further ]
	[ "$(cat "$DIR/got")" = bye ]
	stop_daemon
	account_is a served=1
}

@test "a gigabyte comes whole, and is counted" {
	start_debug "$(service a '' '' '"/usr/bin/head", "-c", "1G", "/dev/zero"')"
	[ "$(ask a </dev/null | wc -c)" -eq $((1024 * 1024 * 1024)) ]
	[ "$(last_exit a bytes_out)" -eq $((1024 * 1024 * 1024)) ]
	[ "$(last_exit a bytes_in)" -eq 0 ]
	stop_daemon
	account_is a served=1 bytes_in=0 bytes_out=$((1024 * 1024 * 1024))
}

@test "a client that goes away ends a program that writes, not the worker" {
	local worker
	start_debug "$(service a '' '' '"/usr/bin/yes"')" \
		"$(service path "family = unix path = \"$BATS_TEST_TMPDIR/s\"" '' '"/usr/bin/yes"')"
	worker=$(workers_of "$MASTER")
	for name in a path; do
		[ "$( (timeout 30 socat -u "$(target "$name")" - 2>"$DIR/socat" || :) | head -c 1000 | wc -c)" -eq 1000 ]
		wait_for 20 "the end of the program" exits_are "$name" 1
		[[ $(last_exit "$name" reason) =~ ^(SIGPIPE|status 1)$ ]]
	done
	[ "$(workers_of "$MASTER")" = "$worker" ]
	stop_daemon
	account_is a accepted=1 failed=1 lost=0
	account_is path accepted=1 failed=1 lost=0
}

@test "bytes are counted to the byte, whatever either side closes first" {
	# the program shuts its side down, then waits for the client's end
	script shut <<<'exec perl -e '\''syswrite(STDOUT, "12345"); shutdown(STDOUT, 1); 1 while sysread(STDIN, $buf, 4096)'\'
	start_debug "$(service none '' '' '"/bin/true"')" "$(service five '' '' '"/usr/bin/printf", "12345"')" \
		"$(service cat '' '' '"/bin/cat"')" "$(service shut)"
	# service, what the client sends, what comes back; a client that sends nothing and closes, and one that does not close
	while read -r name in out; do
		echo "$name $in $out"
		if [ "$in" = - ]; then
			listen_to "$name" >"$DIR/got"
			in=0
		else
			request "$in" | ask "$name" >"$DIR/got"
		fi
		[ "$(wc -c <"$DIR/got")" -eq "$out" ]
		echo "counted: $(last_exit "$name" bytes_in) $(last_exit "$name" bytes_out)"
		[ "$(last_exit "$name" bytes_in) $(last_exit "$name" bytes_out)" = "$in $out" ]
	done <<-END
		none - 0
		five - 5
		cat 0 0
		cat 1 1
		cat 70000 70000
		shut 0 5
		shut 7 5
	END
}

# ---- standard error ----

# output_of SERVICE: the values of its lines program_output
output_of() {
	sed -nE "s/.*level=info .*event=program_output service=$1 worker=1 connection=[0-9]+ line=(.*)/\1/p" "$LOG"
}

@test "each line of standard error is a line of the log, escaped, and does not reach the client" {
	script a <<-'END'
		echo on stdout
		printf 'one\n\ntwo words\nsay="yes"\\\n\033[31mred\007 \377\200\ttab\r\nleft\0right\nlast' >&2
	END
	start_debug "$(service a)"
	[ "$(ask a </dev/null)" = "on stdout" ]
	output_of a >"$DIR/out"
	diff -u - "$DIR/out" <<-'END'
		one
		"two words"
		"say=\"yes\"\\"
		"\x1b[31mred\x07 \xff\x80\x09tab\x0d"
		left
		right
		last
	END
	# the first one is of the first connection, and they are there before the program's end is told
	log_has 'event=program_output service=a worker=1 connection=1 line=one$'
	[[ $(grep 'event=program_' "$LOG" | tail -n 1) == *event=program_exit* ]]
	ask a </dev/null
	log_has 'event=program_output service=a worker=1 connection=2 line=one$'
}

# log_is_well_formed: each line of the log is "key=value ...", by the grammar of preforkd(8)
log_is_well_formed() {
	local key=' [a-z][a-z0-9_]*' bare='[]!#-<>-[^-~]+' quoted='"([] !#-[^-~]|\\["\\]|\\x[0-9a-f]{2})*"'
	! grep -avE "^time=[^ ]+($key=$bare|$key=$quoted)+\$" "$LOG" || return 1
}

@test "what is not text on standard error leaves the log a log" {
	script a <<-'END'
		head -c 1500 /dev/zero | tr '\0' '\377' >&2
		head -c 3000 /dev/zero >&2
		head -c 3000 /dev/zero | tr '\0' '"' >&2
		head -c 100000 /dev/urandom >&2
	END
	start_debug "$(service a)"
	ask a </dev/null
	[ "$(output_of a | wc -l)" -eq 100 ]
	stop_daemon
	log_is_well_formed
}

@test "a line longer than 896 bytes is cut into several" {
	script a <<<'head -c 3000 /dev/zero | tr "\0" x >&2; echo; echo short >&2'
	start_debug "$(service a)"
	ask a </dev/null
	output_of a >"$DIR/out"
	[ "$(awk '{ print length }' "$DIR/out" | tr '\n' ' ')" = "896 896 896 317 " ]
	[ "$(tail -n 1 "$DIR/out")" = "$(request 312)short" ]
}

@test "a hundred lines of a connection are logged, the rest is counted" {
	script a <<<'seq 5000 >&2'
	start_debug "$(service a)"
	ask a </dev/null
	[ "$(output_of a)" = "$(seq 100)" ]
	log_has 'level=warning .*event=program_output_dropped service=a worker=1 connection=1 lines=4900$'
	# each connection has its own hundred
	ask a </dev/null
	[ "$(output_of a)" = "$(seq 100; seq 100)" ]
	log_has 'event=program_output_dropped service=a worker=1 connection=2 lines=4900$'
	# and a hundred is not too many
	script a <<<'seq 100 >&2'
	ask a </dev/null
	[ "$(output_of a)" = "$(seq 100; seq 100; seq 100)" ]
	[ "$(log_count 'event=program_output_dropped')" -eq 2 ]
}

@test "standard error without end is drained, bounded in the log, and ends with its time" {
	local began
	start_debug "$(service a 'timeouts { total = 2s }' '' '"/bin/sh", "-c", "exec yes >&2"')" \
		"$(service b '' '' '"/bin/cat"')"
	began=$(now_ms)
	beside "$DIR/got" socat -u "TCP:$(address_of a)" -
	[ "$(echo hello | ask b)" = hello ]
	wait_for 20 "the end of the connection" process_gone "$BESIDE"
	(($(now_ms) - began >= 1998))
	[ "$(output_of a | wc -l)" -eq 100 ]
	# it is not waited for: far more than a pipe holds has come
	[ "$(sed -n 's/.*event=program_output_dropped .*lines=//p' "$LOG")" -gt 100000 ]
	[ "$(last_exit a reason)" = "timeout SIGTERM" ]
}

@test "stderr = connection sends it to the client, stderr = null nowhere" {
	local name
	for name in client nowhere dgram; do
		script $name <<<'echo one; echo two >&2; echo three; echo four >&2'
	done
	start_debug "$(service client 'stderr = connection')" "$(service nowhere 'stderr = null')" \
		"$(service dgram "stderr = connection type = dgram family = unix path = \"$BATS_TEST_TMPDIR/d\"")"
	[ "$(ask client </dev/null | tr '\n' ' ')" = "one two three four " ]
	[ "$(ask nowhere </dev/null | tr '\n' ' ')" = "one three " ]
	[ "$(echo | datagram dgram | tr '\n' ' ')" = "one two three four " ]
	log_lacks 'event=program_output'
}

@test "what a program does to its standard error, the next one does not notice" {
	script a <<-'END'
		exec perl -e 'use Fcntl; my $flags = fcntl(STDERR, F_GETFL, 0);
			print $flags & O_NONBLOCK ? "does not wait" : "waits"; fcntl(STDERR, F_SETFL, $flags | O_NONBLOCK)'
	END
	start_debug "$(service a)"
	[ "$(ask a </dev/null)" = waits ]
	[ "$(ask a </dev/null)" = waits ]
}

# ---- its end ----

@test "status and signal of a program stand in the log and in the account" {
	script a <<<'read -r word; case $word in [0-9]*) exit "$word" ;; esac; kill -s "$word" $$'
	start_debug "$(service a)"
	while read -r word level reason; do
		echo "$word"
		echo "$word" | ask a
		[[ $(last_exit a reason) =~ ^$reason( \(core dumped\))?$ ]]
		[[ $(grep 'event=program_exit' "$LOG" | tail -n 1) == *" level=$level "* ]]
	done <<-'END'
		0 debug status 0
		1 info status 1
		255 info status 255
		TERM warning SIGTERM
		KILL warning SIGKILL
		SEGV warning SIGSEGV
		PIPE warning SIGPIPE
		40 info status 40
	END
	stop_daemon
	account_is a accepted=8 served=1 failed=7 lost=0
}

@test "a connection that failed has a true reason, or none where its program's end is one" {
	script a <<<'read -r word; [ "$word" = wait ] && sleep 30; exit 3'
	cp "$DIR/a" "$DIR/b"
	start_debug "$(service a)" "$(service b 'timeouts { total = 300ms }')"
	echo now | ask a
	wait_for 20 "a status" log_has 'event=conn_failed service=a .* bytes_out=0$'
	rm "$DIR/a"
	echo again | ask a
	wait_for 20 "no program" log_has 'event=conn_failed service=a .* error="No such file or directory"$'
	echo wait | ask b
	wait_for 20 "its time" log_has 'event=conn_failed service=b .* error="Connection timed out"$'
	[ "$(log_count event=conn_failed)" -eq 3 ]
}

@test "a real-time signal has a name, too" {
	script a <<<'exec perl -e "kill 40, $$"'
	start_debug "$(service a)"
	ask a </dev/null
	[[ $(last_exit a reason) =~ ^(SIG)?(RTMIN\+6|RTMAX-24|40)$ ]]
}

@test "the line of a program's end has all that it did" {
	# burns CPU time, partly in a child, and idles
	script a <<-'END'
		perl -e 'do { for (1 .. 100000) {} } while (times)[0] < 0.3'
		perl -e 'select(undef, undef, undef, 0.2)'
		echo hello
	END
	start_debug "$(service a)"
	[ "$(printf 1234567 | ask a)" = hello ]
	grep 'event=program_exit' "$LOG"
	log_has ' event=program_exit service=a worker=1 connection=1 peer=127.0.0.1:[0-9]+ program_pid=[0-9]+ '
	log_has ' reason="status 0" age_ms=[0-9]+ cpu_ms=[0-9]+ bytes_in=7 bytes_out=6$'
	(($(last_exit a cpu_ms) >= 300 && $(last_exit a cpu_ms) < 3000))
	(($(last_exit a age_ms) >= 500 && $(last_exit a age_ms) >= $(last_exit a cpu_ms)))
}

@test "the total time ends a program: TERM to its group, which may still say good-bye" {
	script child <<-'END'
		trap 'echo child >>ended; exit' TERM
		echo $$ >>pids
		while :; do sleep 0.05; done
	END
	script a <<-'END'
		trap 'echo leader >>ended; ./noted 1; until grep -q child ended; do sleep 0.01; done; echo bye; exit 0' TERM
		./child &
		while :; do sleep 0.05; done
	END
	start_debug "$(service a 'timeouts { total = 3s }')"
	[ "$(listen_to a)" = bye ]
	none_is_left
	[ "$(sort "$DIR/ended" | tr '\n' ' ')" = "child leader " ]
	[ "$(last_exit a reason)" = "timeout status 0" ]
	(($(last_exit a age_ms) >= 3000))
	grep 'event=program_exit' "$LOG" | grep -q ' level=warning '
	stop_daemon
	account_is a served=0 failed=1 lost=0
}

@test "who ignores TERM is killed two seconds later" {
	# also in a group of its own: a session leader cannot leave, but a child can
	script child <<-'END'
		trap '' TERM
		echo $$ >>pids
		while :; do sleep 0.05; done
	END
	script a <<-'END'
		trap '' TERM
		echo $$ >>pids
		./child &
		setsid ./child &
		while :; do sleep 0.05; done
	END
	start_debug "$(service a 'timeouts { total = 3s }')"
	listen_to a
	none_is_left
	noted 3
	[ "$(last_exit a reason)" = "timeout SIGKILL" ]
	# far from the time that the client would have had
	(($(last_exit a age_ms) >= 5000 && $(last_exit a age_ms) < 30000))
	stop_daemon
	account_is a failed=1 lost=0
}

@test "a program that has stopped itself is killed as well" {
	script a <<<'echo $$ >>pids; kill -STOP $$'
	start_debug "$(service a 'timeouts { total = 3s }')"
	listen_to a
	none_is_left
	noted 1
	# TERM waits until it goes on
	[ "$(last_exit a reason)" = "timeout SIGKILL" ]
}

@test "a time that was over for one connection is not over for the next one" {
	script a <<<'read -r word; exec sleep "$word"'
	start_debug "$(service a 'timeouts { total = 2s }')"
	echo 30 | ask a
	[ "$(last_exit a reason)" = "timeout SIGTERM" ]
	echo 0.2 | ask a
	[ "$(last_exit a reason)" = "status 0" ]
	echo 30 | ask a
	[ "$(last_exit a reason)" = "timeout SIGTERM" ]
	(($(last_exit a age_ms) >= 2000))
	stop_daemon
	account_is a accepted=3 served=1 failed=2
}

@test "the idle time does not hold for programs" {
	start_debug "$(service a 'timeouts { idle = 200ms }' '' '"/bin/sleep", "1"')"
	listen_to a
	[ "$(last_exit a reason)" = "status 0" ]
	stop_daemon
	account_is a served=1
}

# ---- nothing survives ----

# Each leaves processes, waits until they have said who they are, and ends; the number is how many.
leavers() {
	cat <<-'END'
		1 ./sleeper &
		1 ./sleeper <&- >&- 2>&- &
		1 nohup ./sleeper >&- 2>&- &
		1 setsid ./sleeper &
		1 setsid setsid -f ./sleeper
		1 (./sleeper &) &
		1 (setsid sh -c './sleeper & exit' &)
		1 (trap "" TERM HUP INT; setsid ./sleeper &)
		1 setsid sh -c 'echo $$ >>pids; kill -STOP $$' &
		3 setsid sh -c 'echo $$ >>pids; setsid sh -c "echo \$\$ >>pids; setsid ./sleeper; :"; :' &
		60 i=0; while [ $i -lt 30 ]; do ./sleeper & setsid -f ./sleeper; i=$((i + 1)); done
	END
}

@test "what a program starts ends with its connection, however it hides" {
	local n commands count=0 worker
	script a <<<'read -r n commands; eval "$commands"; ./noted "$n"; echo done'
	start_debug "$(service a)"
	worker=$(workers_of "$MASTER")
	while read -r n commands; do
		echo "$commands"
		: >"$DIR/pids"
		[ "$(echo "$n $commands" | ask a)" = "done" ]
		noted "$n"
		none_is_left
		has_no_children "$worker"
		count=$((count + 1))
	done < <(leavers)
	[ "$count" -eq 11 ]
	[ "$(log_count 'event=program_exit .*reason="status 0"')" -eq "$count" ]
	stop_daemon
	account_is a served="$count" failed=0
	log_lacks 'event=orphan_killed'
}

@test "what a program left may finish for a second: the end of an answer, of a datagram and of its words" {
	local command='(sleep 0.1; echo one; (setsid sh -c \"sleep 0.05; echo two; echo three >&2\" &) ) &'
	command="\"/bin/sh\", \"-c\", \"cat >/dev/null; $command\""
	start_debug "$(service a '' '' "$command")" \
		"$(service d "type = dgram family = unix path = \"$BATS_TEST_TMPDIR/s\"" '' "$command")"
	# a loaded machine may be too slow for that second now and then
	wait_for 60 "both words from a connection" both_words ask a
	wait_for 60 "both words by a datagram" both_words datagram d
	for name in a d; do
		log_has "event=program_output service=$name .*line=three"
	done
}

# both_words COMMAND SERVICE: the answer has its end, and nobody waited longer than for that
both_words() {
	[ "$(echo hello | "$@")" = $'one\ntwo' ] && (($(last_exit "$2" age_ms) < 1000))
}

@test "what a program left at its deadline or its crash ends as well" {
	script a <<-'END'
		./sleeper & setsid ./sleeper & setsid -f ./sleeper
		./noted 3
		read -r word
		[ "$word" = wait ] || kill -SEGV $$
		sleep 30
	END
	start_debug "$(service a 'timeouts { total = 5s }')"
	for word in wait crash; do
		: >"$DIR/pids"
		echo "$word" | ask a
		noted 3
		none_is_left
	done
	[[ $(last_exit a reason) == SIGSEGV* ]]
	[ "$(log_count 'event=program_exit .*reason="timeout SIGTERM"')" -eq 1 ]
}

@test "a child that holds the connection open does not hold the client" {
	local began
	# it would write on and on
	script a <<<'sh -c "echo \$\$ >>pids; exec sleep 300" & ./noted 1; echo bye'
	script b <<<'setsid sh -c "echo \$\$ >>pids; exec yes" & ./noted 1; echo bye >&2'
	start_debug "$(service a)" "$(service b)"
	began=$(now_ms)
	[ "$(listen_to a)" = bye ]
	none_is_left
	: >"$DIR/pids"
	listen_to b >"$DIR/got"
	none_is_left
	# far from the time that the client would have had
	(($(now_ms) - began < 60000))
	[ "$(last_exit a reason)" = "status 0" ]
}

@test "a process that forks faster than it can be seen ends, too" {
	# always one of them lives, in a session of its own; the last one gives up after 20 s
	script a <<-'END'
		exec perl -MPOSIX -e '
			exit if fork;
			my $end = time + 20;
			for (my $i = 0; time < $end; $i++) {
				POSIX::setsid();
				if ($i == 20) { open(my $mark, ">", "runs"); close($mark) }
				if ($i % 50 == 0) { open(my $mark, ">", "alive"); print $mark $i; close($mark) }
				my $pid = fork;
				exit if $pid;
			}' &
		until [ -e runs ]; do sleep 0.01; done
	END
	start_debug "$(service a)"
	for _ in 1 2 3; do
		rm -f "$DIR/runs" "$DIR/alive"
		ask a </dev/null
		[ -e "$DIR/runs" ]
		rm -f "$DIR/alive"
		has_no_children "$(workers_of "$MASTER")"
		# time enough for thousands
		ask a </dev/null >"$DIR/out" && rm -f "$DIR/runs"
	done
	rm -f "$DIR/alive"
	read -rt 0.5 <> <(:) || :
	[ ! -e "$DIR/alive" ]
}

# leave_three: a program of service a that waits for its client, and two that it started; the client is fd 9
leave_three() {
	script a <<<'echo $$ >leader; echo $$ >>pids; ./sleeper & setsid -f ./sleeper; cat'
	start_debug "$(service a "${1-}")" "$(service b '' '' '"/bin/cat"')"
	exec 9<>"/dev/tcp/127.0.0.1/$(port_of a)"
	wait_for 20 "three processes" noted 3
}

@test "when a worker is killed, all that its program started is killed" {
	local worker other
	leave_three
	worker=$(workers_of "$MASTER" a)
	other=$(workers_of "$MASTER" b)
	kill -KILL "$worker"
	wait_for 20 "their end" none_is_left
	# the client sees the end of the connection
	read -rt 20 -u 9 || [ $? -eq 1 ]
	wait_for 20 "another worker" n_workers_is 1 a
	wait_for 20 "the line of the worker" log_has "event=worker_exit service=a .*worker_pid=$worker .*lost=1"
	[ "$(echo hello | ask b)" = hello ]
	# no worker was taken for an orphan
	[ "$(workers_of "$MASTER" b)" = "$other" ]
	stop_daemon
	[ "$(log_count 'event=worker_exit .*reason=SIGKILL')" -eq 1 ]
	account_is a accepted=1 lost=1
	account_is b accepted=1 served=1
}

@test "when a worker is killed, its program does not wait for the master" {
	leave_three
	kill -STOP "$MASTER"
	kill -KILL "$(workers_of "$MASTER" a)"
	wait_for 20 "the end of the program" process_gone "$(cat "$DIR/leader")"
	kill -CONT "$MASTER"
	wait_for 20 "the end of the others" none_is_left
}

@test "when the master is killed, workers and programs go" {
	local workers
	leave_three 'timeouts { drain = 1s }'
	workers=$(workers_of "$MASTER")
	kill -KILL "$MASTER"
	wait "$MASTER" || :
	MASTER=
	wait_for 20 "the end of the programs" none_is_left
	no_process_left "$workers"
}

@test "a worker that is to leave at a reload lets its program finish, and ends what that left" {
	local old
	leave_three
	old=$(workers_of "$MASTER" a)
	reload_daemon
	[ "$(echo hello | ask b)" = hello ]
	# the stop signal is repeated every 100 ms, and disturbs nobody
	for i in 1 2 3 4 5; do
		echo "line $i" >&9
		read -rt 20 -u 9 line
		[ "$line" = "line $i" ]
		read -rt 0.15 <> <(:) || :
	done
	run ! process_gone "$old"
	exec 9>&-
	wait_for 20 "the end of the old worker" process_gone "$old"
	none_is_left
	# the master may not have reaped it yet
	wait_for 20 "its line" log_has "event=worker_exit service=a .*worker_pid=$old generation=1 reason=left .*served=1 failed=0 refused=0 lost=0"
	[ "$(last_exit a reason)" = "status 0" ]
}

@test "a program that is longer than the drain time is killed with its worker, and all it started" {
	local old
	leave_three 'timeouts { drain = 500ms }'
	old=$(workers_of "$MASTER" a)
	reload_daemon
	wait_for 20 "the end of the old worker" process_gone "$old"
	wait_for 20 "the end of the programs" none_is_left
	wait_for 20 "its line" log_has "event=worker_exit .*worker_pid=$old .*reason=SIGKILL serving=127.0.0.1:[0-9]+ .*lost=1"
	(($(log_ms 'event=worker_killed') - $(log_ms 'event=reload_done') >= 490))
	stop_daemon
	account_is a accepted=1 lost=1
}

@test "a graceful stop lets a program finish, and ends what that left" {
	leave_three
	kill -TERM "$MASTER"
	wait_for 20 "the stop" log_has 'event=stopping'
	echo hello >&9
	read -rt 20 -u 9 line
	[ "$line" = hello ]
	run ! none_is_left
	exec 9>&-
	wait_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	none_is_left
	account_is a accepted=1 served=1 lost=0
}

@test "a stop now and a drain time that is over kill programs, and all they started" {
	leave_three
	stop_daemon INT
	none_is_left
	account_is a accepted=1 lost=1
	: >"$LOG"
	: >"$DIR/pids"
	exec 9>&-
	leave_three 'timeouts { drain = 500ms }'
	stop_daemon TERM
	[ "$DAEMON_STATUS" -eq 0 ]
	none_is_left
	account_is a accepted=1 lost=1
}

# ---- datagrams ----

# kinds of services of datagrams, all of them with the program cat
datagram_services() {
	service four 'type = dgram' '' "$1"
	service six 'type = dgram family = inet6' '' "$1"
	service path "type = dgram family = unix path = \"$BATS_TEST_TMPDIR/s\"" '' "$1"
}

@test "a datagram is the whole of standard input, and all that is written is the answer" {
	local size
	start_debug "$(datagram_services '"/bin/cat"')"
	head -c 65000 /dev/urandom >"$DIR/random"
	for name in four six path; do
		for size in 1 100 65000; do
			head -c "$size" "$DIR/random" >"$DIR/sent"
			datagram "$name" <"$DIR/sent" >"$DIR/got"
			cmp "$DIR/sent" "$DIR/got"
		done
	done
	stop_daemon
	for name in four six path; do
		account_is "$name" accepted=3 served=3 failed=0 bytes_in=65101 bytes_out=65101
	done
}

@test "an answer in pieces is one datagram, cut at the length of the request where senders can be forged" {
	local script='"/bin/sh", "-c", "for i in 1 2 3 4; do printf 12345; sleep 0.05; done; cat >rest"'
	start_debug "$(datagram_services "$script")"
	for name in four six; do
		[ "$(request 13 | datagram "$name")" = 1234512345123 ]
		[ "$(cat "$DIR/rest")" = "$(request 13)" ]
		[ "$(request 100 | datagram "$name")" = 12345123451234512345 ]
		[ "$(wc -l <"$DIR/answers")" -eq 1 ]
	done
	[ "$(request 1 | datagram path)" = 12345123451234512345 ]
}

@test "an answer without end is cut, and the program goes on" {
	start_debug "$(datagram_services '"/bin/sh", "-c", "head -c 5000000 /dev/zero; echo over >&2"')"
	[ "$(request 50 | datagram four | wc -c)" -eq 50 ]
	[ "$(output_of four)" = over ]
	[ "$(request 1 | datagram path | wc -c)" -ge 65000 ]
	[ "$(output_of path)" = over ]
}

# tell SERVICE TEXT: a datagram that nobody answers
tell() {
	"$TEST_BIN/dgram" -w 1 "$(address_of "$1")" "$2" >"$DIR/answers" || :
}

@test "a program that writes nothing, or fails, answers no datagram" {
	script a <<<'read -r word; [ "$word" = quiet ] || echo "$word"; [ "$word" != fail ]'
	start_debug "$(service a 'type = dgram')"
	for text in quiet fail; do
		run -1 "$TEST_BIN/dgram" -w 500 "$(address_of a)" "$text"
		[ -z "$output" ]
	done
	# an empty one, too, is a datagram
	run -1 "$TEST_BIN/dgram" -w 500 "$(address_of a)" ''
	[ "$(echo last | datagram a)" = last ]
	stop_daemon
	account_is a accepted=4 served=3 failed=1 bytes_in=14 bytes_out=5
}

@test "programs of datagrams have a deadline and leave nothing, either" {
	script a <<-'END'
		read -r word
		./sleeper & setsid -f ./sleeper
		./noted 2
		[ "$word" != wait ] || sleep 60
		echo ok
	END
	start_debug "$(service a 'type = dgram timeouts { total = 5s }')"
	tell a wait
	wait_for 30 "the end of the program" exits_are a 1
	[ "$(last_exit a reason)" = "timeout SIGTERM" ]
	none_is_left
	: >"$DIR/pids"
	[ "$(echo hello | datagram a)" = ok ]
	none_is_left
	stop_daemon
	account_is a accepted=2 served=1 failed=1
}

@test "datagrams that wait are for whichever worker is idle" {
	local workers
	# each program waits for the other one
	script a <<<'echo $$ >>pids; ./noted 2; echo ok'
	start_debug "$(service a 'type = dgram timeouts { total = 60s }' | sed 's/min = 1/min = 2/')"
	mapfile -t workers < <(workers_of "$MASTER" a)
	# they find both at once
	stop_processes "${workers[@]}"
	beside "$DIR/one" "$TEST_BIN/dgram" -w 20000 "$(address_of a)" one
	beside "$DIR/two" "$TEST_BIN/dgram" -w 20000 "$(address_of a)" two
	wait_for 20 "both datagrams" n_waiting 2 "$(port_of a)"
	kill -CONT "${workers[@]}"
	wait_for 40 "two programs" exits_are a 2
	log_lacks 'event=program_exit .*timeout'
	stop_daemon
	account_is a accepted=2 served=2
}

# n_waiting N PORT: the receive queue of the UDP port holds at least so many (a datagram takes 512 bytes or more there)
n_waiting() {
	[ "$(ss -Huan "sport = :$2" | awk '{ print $2 }')" -ge $(($1 * 512)) ]
}

# ---- what cannot be started ----

@test "a program that is gone, or cannot be run any more, fails alone, and is back when it is" {
	local worker
	cp /bin/cat "$DIR/a"
	start_debug "$(service a)" "$(service b '' '' '"/bin/cat"')"
	worker=$(workers_of "$MASTER")
	[ "$(echo hello | ask a)" = hello ]
	while IFS='~' read -r what commands message; do
		echo "$what"
		(cd "$DIR" && eval "$commands")
		[[ $(echo hello | ask a 2>"$DIR/socat") =~ ^(socat: .*)?$ ]]
		grep 'event=program_failed' "$LOG" | tail -n 1 |
			grep "level=error .*service=a worker=1 program=$DIR/a error=\"$message"
		[ "$(echo hello | ask b)" = hello ]
	done <<-'END'
		gone~rm a~No such file
		not executable~cp /bin/cat a; chmod 644 a~Permission denied
		a directory~rm a; mkdir a~Permission denied
		no program~rmdir a; printf 'hello\n' >a; chmod 755 a~Exec format error
		without its interpreter~printf '#!/no/such/shell\n' >a; chmod 755 a~No such file
	END
	rm "$DIR/a"
	cp /bin/cat "$DIR/a"
	[ "$(echo hello | ask a)" = hello ]
	[ "$(workers_of "$MASTER")" = "$worker" ]
	[ "$(log_count 'event=program_failed')" -eq 5 ]
	[ "$(log_count 'event=program_exit service=a')" -eq 2 ]
	stop_daemon
	account_is a accepted=7 served=2 failed=5 lost=0
}

@test "a datagram for a program that is gone fails, and is not answered" {
	cp /bin/cat "$DIR/a"
	start_debug "$(service a 'type = dgram')"
	rm "$DIR/a"
	run -1 "$TEST_BIN/dgram" -w 500 "$(address_of a)" hello
	wait_for 20 "its line" log_has 'event=program_failed service=a worker=1 .*error="No such file'
	cp /bin/cat "$DIR/a"
	[ "$(echo hello | datagram a)" = hello ]
	stop_daemon
	account_is a accepted=2 served=1 failed=1
}

@test "a reload with a program that is gone is refused" {
	cp /bin/cat "$DIR/a"
	start_debug "$(service a)"
	mv "$DIR/a" "$DIR/b"
	reload_daemon
	log_has "event=config_error .*command: $DIR/a: No such file"
	log_has 'event=reload_refused'
	mv "$DIR/b" "$DIR/a"
	reload_daemon
	log_has 'event=reload_done'
	[ "$(echo hello | ask a)" = hello ]
}

# fds_of SERVICE: what its one worker has open, without the numbers of pipes and sockets
fds_of() {
	local fd
	for fd in "/proc/$(workers_of "$MASTER" "$1")/fd/"*; do
		readlink "$fd"
	done | sed 's/:.*//' | sort
}

@test "a worker has nothing more open after fifty programs, those that could not be started among them" {
	local before
	for name in a d; do
		script $name <<<'read -r word; echo hello >&2; [ "$word" != sleep ] || sleep 30; [ "$word" != fail ]'
	done
	start_debug "$(service a 'timeouts { total = 3s }')" "$(service d 'type = dgram')"
	before=$(fds_of a; fds_of d)
	for i in {1..16}; do
		echo hello | ask a
		echo fail | ask a
		tell d hello
		tell d fail
	done
	echo sleep | ask a
	# no datagram waits for its program still
	wait_for 60 "the datagrams" exits_are d 32
	mv "$DIR/a" "$DIR/b"
	rm "$DIR/d"
	for i in {1..8}; do
		echo | ask a 2>"$DIR/socat"
		tell d hello
		tell d fail
	done
	mv "$DIR/b" "$DIR/a"
	echo hello | ask a
	wait_for 30 "the last datagram" failed_is d 16
	wait_for 20 "nothing more" has_open_what "$before"
	stop_daemon
	account_is a accepted=42 served=17 failed=25
	account_is d accepted=48 served=16 failed=32
}

has_open_what() {
	[ "$(fds_of a; fds_of d)" = "$1" ]
}

# failed_is SERVICE N: so many of its programs could not be started
failed_is() {
	[ "$(log_count "event=program_failed service=$1 ")" -eq "$2" ]
}

# ---- what -t says ----

# refused: each line of standard input "KEYS ~ MESSAGE" is a service a that -t refuses with that message. @ is $DIR.
refused() {
	local keys message status count=0 errors bad=0
	while IFS='~' read -r keys message; do
		count=$((count + 1))
		echo "service a { ${keys//@/$DIR} }" | write_config
		status=0
		errors=$("$PREFORKD" -c "$CONF" -t 2>&1 >"$DIR/out") || status=$?
		message="$CONF:1: service \"a\": ${message//@/$DIR}"
		if [ "$status" -ne 78 ] || [ "${errors:0:${#message}}" != "$message" ]; then
			printf 'config: %s\nexpected: %s\nstatus %s: %s\n\n' "$(cat "$CONF")" "$message" "$status" "$errors"
			bad=$((bad + 1))
		fi
	done
	[ "$bad" -eq 0 ] && [ "$count" -eq "$1" ]
}

@test "-t refuses commands that cannot be run, and says why" {
	cd "$DIR"
	for name in plain open suid sgid good; do
		cp /bin/cat "$name"
	done
	chmod 644 plain
	chmod 757 open
	chmod 4755 suid
	chmod 2755 sgid
	mkdir dir
	mkfifo fifo
	printf '#!/no/such/shell -e\n' >lost
	printf '#! %s/plain\n' "$DIR" >dull
	printf '#!%s/suid\n' "$DIR" >raised
	# a program for another C library
	sed 's/ld-linux/ld-lacks/' /bin/cat >alien
	chmod 755 lost dull raised alien
	ln -s nowhere dangling
	ln -s open link
	mkdir -m 777 wide
	cp good wide
	refused 26 <<-'END'
		handler = exec~command: is required by handler exec
		handler = exec command = {}~command: is required by handler exec
		handler = exec command = {""}~command: "": must begin with an absolute path
		handler = exec command = {"cat"}~command: "cat": must begin with an absolute path
		handler = exec command = {"bin/cat"}~command: "bin/cat": must begin with an absolute path
		handler = exec command = {"/no/such/program"}~command: /no/such/program: No such file or directory
		handler = exec command = {"/bin/cat/x"}~command: /bin/cat/x: Not a directory
		handler = exec command = {"@/dangling"}~command: @/dangling: No such file or directory
		handler = exec command = {"@/dir"}~command: @/dir: is not a regular file
		handler = exec command = {"@/fifo"}~command: @/fifo: is not a regular file
		handler = exec command = {"/dev/null"}~command: /dev/null: is not a regular file
		handler = exec command = {"@/plain"}~command: @/plain: cannot be executed by the user of the workers
		handler = exec command = {"@/open"}~command: @/open: can be written by everybody
		handler = exec command = {"@/link"}~command: @/link: can be written by everybody
		handler = exec command = {"@/wide/good"}~command: @/wide/good: everybody can write to its directory
		handler = exec command = {"@/suid"}~command: @/suid: is setuid or setgid
		handler = exec command = {"@/sgid"}~command: @/sgid: is setuid or setgid
		handler = exec command = {"@/lost"}~command: @/lost: its interpreter /no/such/shell: No such file
		handler = exec command = {"@/dull"}~command: @/dull: its interpreter @/plain: cannot be executed
		handler = exec command = {"@/alien"}~command: @/alien: its interpreter /lib
		handler = exec command = {"@/raised"}~command: @/raised: its interpreter @/suid: is setuid
		handler = exec command = {"@/good", "%{nothing}"}~command: %{nothing} is no word that it knows; they are: remote_addr
		handler = exec command = {"@/good", "a", "%{service}%{}"}~command: %{} is no word
		handler = exec command = {"@/good"} stderr = file~stderr: "file" is not one of log connection null
		handler = exec command = {"@/good"} run { pass_environment = {"A=B"} }~run.pass_environment: "A=B" is no name
		handler = exec command = {"@/good"} run { pass_environment = {""} }~run.pass_environment: "" is no name
	END
}

@test "the account says how long the programs ran, what they used, and how many ended badly" {
	start_debug "service a { handler = exec workers { min = 1 } timeouts { total = 2s }
		command = {\"/bin/sh\", \"-c\", \"read w; case \$w in kill) kill -9 \$\$;; sleep) exec sleep 60;; esac\"} }"
	for what in kill kill sleep quit; do
		echo "$what" | timeout 60 socat -t 60 - "TCP:127.0.0.1:$(port_of a)" || :
	done
	wait_for 20 "all ends" eval '[ "$(log_count event=program_exit)" -eq 4 ]'
	stop_daemon
	account_is a accepted=4 served=1 failed=3 by_signal=2 timed_out=1
	(($(account_of a programs_ms) >= 2000 && $(account_of a programs_ms) < 60000))
	[ -n "$(account_of a programs_cpu_ms)" ]
}

@test "-t warns of a file that the kernel may not know how to run" {
	echo 'echo hello' >"$DIR/a"
	chmod 755 "$DIR/a"
	service a | write_config
	run -0 "$PREFORKD" -c "$CONF" -t
	[[ $output == *"command: $DIR/a: is neither an ELF program nor a script that begins with #!"* ]]
	cp /bin/cat "$DIR/a"
	run -0 "$PREFORKD" -c "$CONF" -t
	[ "${#lines[@]}" -eq 1 ]
}

@test "-t refuses the keys of programs where there is no program" {
	refused 3 <<-'END'
		handler = echo command = {"/bin/cat"}~command: only handlers exec
		handler = echo stderr = log~stderr: only handlers exec
		handler = exe~handler: there is no handler "exe"; there are: echo
	END
	# and tells of the one that was meant
	run "$PREFORKD" -c "$CONF" -t
	[[ $output == *" exec"* ]]
}

@test "-t asks for the user of the workers" {
	need_root
	cd "$DIR"
	for name in mine group theirs; do
		cp /bin/cat "$name"
	done
	chown daemon mine && chmod 700 mine
	chown daemon:bin group && chmod 710 group
	chown daemon theirs && chmod 075 theirs
	mkdir closed
	cp /bin/cat closed/cat
	chmod 700 closed
	refused 5 <<-'END'
		handler = exec command = {"@/mine"}~command: @/mine: cannot be executed by the user of the workers
		handler = exec command = {"@/group"}~command: @/group: cannot be executed by the user of the workers
		handler = exec command = {"@/theirs"} run { user = daemon }~command: @/theirs: cannot be executed by the user
		handler = exec command = {"@/closed/cat"}~command: @/closed/cat: 
		handler = exec command = {"/bin/cat"} run { user = daemon directory = "@/nowhere" }~run.directory: 
	END
	while read -r name run; do
		service a '' "$run" "\"$DIR/$name\"" | write_config
		run -0 "$PREFORKD" -c "$CONF" -t
	done <<-'END'
		mine user = daemon
		mine user = root
		group group = bin
		group user = root
		closed/cat user = root
	END
}

@test "what is right passes -t, and -T looks at no program" {
	cp /bin/cat "$DIR/with space"
	chmod 511 "$DIR/with space"
	service a 'stderr = null' 'pass_environment = {TZ, "LANG"}' \
		"\"$DIR/with space\", \"%{remote_addr}%%{x}%\", \"%{\", \"\"" | write_config
	run -0 "$PREFORKD" -c "$CONF" -t
	[ "$output" = "$CONF: OK (1 service)" ]
	sed -i 's/with space/without/' "$CONF"
	run -78 "$PREFORKD" -c "$CONF" -t
	run -0 "$PREFORKD" -c "$CONF" -T
	[[ $output == *"command = {\"$DIR/without\", \"%{remote_addr}%%{x}%\", \"%{\", \"\"}"* ]]
}
