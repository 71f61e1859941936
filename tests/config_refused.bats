#!/usr/bin/env bats
# Every broken config is refused, with its file, its line and the reason: by -t, by the start, and by the reload of a
# daemon that goes on as if nothing had happened. Three ways of one code path, so each case below goes all three.
# shellcheck disable=SC2016  # ${VAR} is for preforkd to expand

load lib/daemon

setup() {
	daemon_setup
	export RELOAD_KEY=
	unset PREFORKD_TEST_UNSET
	shopt -s extglob
}

teardown() {
	daemon_teardown
}

# ---- the three ways ----

start_good_daemon() {
	good_config | write_config
	start_daemon
	know_daemon
}

# what must stay as it is
know_daemon() {
	children_of_master
	WORKERS=$CHILDREN
	PORT=$(port_of hello)
	N_CASES=0
	exec {LOG_FD}<"$LOG"
	reload_has_ended || : # reads on from here
}

good_config() {
	echo 'service hello { handler = echo  workers { min = 2 } }'
}

# refused NAME STATUS EXPECTED: $CONF must be refused in all three ways with EXPECTED in one of the lines. A case that
# fails is said and counted; the others go on. (No process more than needed here: there are hundreds of cases.)
refused() {
	local name=$1 status=$2 expected=$3 errors
	N_CASES=$((N_CASES + 1))
	if refused_by_test && refused_by_start && refused_by_reload && daemon_is_undisturbed; then
		return
	fi
	printf 'case: %s\nexpected: %s\ngot: %s\n\n' "$name" "$expected" "$errors"
	FAILED_CASES=$((${FAILED_CASES:-0} + 1))
}

# all_refused N: what the cases of a test come to; there must be N of them
all_refused() {
	[ "${FAILED_CASES:-0}" -eq 0 ] && [ "$N_CASES" -eq "$1" ]
}

refused_by_test() {
	local got=0 start=${EPOCHREALTIME/./}
	errors=$("${RESTRICT[@]}" timeout 60 "$PREFORKD" -c "$CONF" -t 2>&1 >"$BATS_TEST_TMPDIR/stdout") || got=$?
	[ "$got" -eq "$status" ] || { echo "-t: exit status $got"; return 1; }
	[[ $errors == *"$expected"* ]] || { echo "-t: another message"; return 1; }
	[ ! -s "$BATS_TEST_TMPDIR/stdout" ] || { echo "-t: something on standard output"; return 1; }
	((${EPOCHREALTIME/./} - start < 2000000)) || { echo "-t: took longer than 2 s"; return 1; }
}

refused_by_start() {
	local got=0 text
	text=$("${RESTRICT[@]}" timeout 60 "$PREFORKD" -c "$CONF" 2>&1) || got=$?
	[ "$got" -eq "$status" ] || { echo "start: exit status $got: $text"; return 1; }
	[ "$text" = "$errors" ] || { echo "start: says something else than -t: $text"; return 1; }
}

refused_by_reload() {
	local line
	RELOAD=
	kill -HUP "$MASTER"
	wait_for 20 "the end of the reload" reload_has_ended || return
	[[ $RELOAD == *"level=error "*" event=reload_refused "* ]] || { echo "reload: not refused"; return 1; }
	while IFS= read -r line; do
		line=${line//\\/\\\\}
		line=${line//\"/\\\"}
		[[ $RELOAD == *" event=config_error error=\"$line\""* ]] ||
			{ printf 'reload: not logged: %s\n%s' "$line" "$RELOAD"; return 1; }
	done <<<"$errors"
}

# adds what is new in the log to $RELOAD
reload_has_ended() {
	local line
	while IFS= read -ru "$LOG_FD" line; do
		RELOAD+=$line$'\n'
	done
	[[ $RELOAD == *event=reload_@(done|refused)* ]]
}

children_of_master() {
	# the file has no line feed
	read -r CHILDREN <"/proc/$MASTER/task/$MASTER/children" || [ -n "$CHILDREN" ]
}

daemon_is_undisturbed() {
	local answer
	children_of_master
	[ "$CHILDREN" = "$WORKERS" ] || { echo "other workers than before: $WORKERS, now $CHILDREN"; return 1; }
	exec 5<>"/dev/tcp/127.0.0.1/$PORT" && echo "$N_CASES" >&5 && read -rt 30 answer <&5
	exec 5>&-
	[ "$answer" = "$N_CASES" ] || { echo "hello does not answer any more"; return 1; }
}

# A process of root's may read everything: not so these.
restrict() {
	RESTRICT=()
	if [ "$(id -u)" -eq 0 ]; then
		RESTRICT=(setpriv "--bounding-set=$1" "--inh-caps=$1")
		"${RESTRICT[@]}" true || strict_skip "root: without the right to give up capabilities"
	fi
}

# ---- the tables: "what is wrong ~ what is said about it" ----

# each_row BEFORE AFTER PREFIX: the rows of standard input; what is wrong stands between BEFORE and AFTER
each_row() {
	local wrong expected
	while IFS= read -r wrong; do
		expected=${wrong##* ~ }
		wrong=${wrong% ~ *}
		printf '%b%b%b' "$1" "$wrong" "$2" >"$CONF"
		refused "$wrong" 78 "$CONF:$3$expected"
	done
}

service_rows() {
	each_row 'service x {\n\thandler = echo\n\t' '\n}\n' '3: service "x": '
}

# where the syntax is wrong, nobody can tell to whom a line belongs
syntax_rows() {
	each_row 'service x {\n\thandler = echo\n\t' '\n}\n' '3: '
}

global_rows() {
	each_row '' '\nservice x {\n\thandler = echo\n}\n' '1: '
}

file_rows() {
	each_row '' '' ''
}

root() {
	[ "$(id -u)" -eq 0 ]
}

@test "a file that is cut off is refused" {
	start_good_daemon
	file_rows <<-'END'
	service x {\n\thandler = echo\n ~ 3: the file ends inside of the block of line 1
	service x {\n\thandler = echo\n\tworkers {\n\t\tmin = 1\n ~ 5: the file ends inside of the block of line 3
	service x {\n\thandler = echo\n\tworkers {\n\t\tmin = 1\n}\n ~ 6: the file ends inside of the block of line 1
	service x {\n\thandler = ~ 2: the file ends inside of the block of line 1
	service x {\n\thandler = "ec ~ 2: this string has no closing "
	service x\n ~ 2: 
	service x {\n\thandler = echo\n\trun { environment = {"A=1", ~ 3: the file ends inside of the block of line 3
	service x {\n\thandler = echo\n}\nuser = ~ 4: 
	END
	all_refused 8
}

@test "braces, strings and comments that are not closed, or not opened, are refused" {
	start_good_daemon
	syntax_rows <<-'END'
	address = "abc ~ this string has no closing "
	address = 'abc ~ this string has no closing '
	address = "abc\\ ~ this string has no closing "
	/* to the end ~ this comment is never closed with */
	port = 1 }} ~ } without {
	END
	file_rows <<-'END'
	}\nservice x {\n\thandler = echo\n}\n ~ 1: } without {
	service x {\n\thandler = echo\n}\n}\n ~ 4: } without {
	service x {\n\thandler = echo\n\tworkers { workers { workers {\n ~ 4: the file ends inside of the block of line 3
	{\nservice x {\n\thandler = echo\n}\n ~ 5: the file ends inside of the block of line 1
	a{b{c{d{e{f{g{h{i{j{k{l{m{n{o{p{q{r{s{t{u{v{w{x{y{z{ ~ 1: too many {
	END
	all_refused 10
}

@test "what is written twice is refused" {
	start_good_daemon
	file_rows <<-'END'
	service x {\n\thandler = echo\n}\nservice x {\n\thandler = discard\n}\n ~ 4: service "x"
	service x {\n\thandler = echo\n\tport = 1\n\tport = 2\n}\n ~ 4: service "x": port: 
	service x {\n\thandler = echo\n\thandler = echo\n}\n ~ 3: service "x": handler: 
	service x {\n\thandler = echo\n\tworkers {\n\t\tmin = 1\n\t\tmin = 1\n\t}\n}\n ~ 5: service "x": workers.min: 
	service x {\n\thandler = echo\n\tworkers { min = 1 }\n\tworkers { max = 1 }\n}\n ~ 4: service "x": workers: 
	service x {\n\thandler = echo\n\trun { environment = {"A=1"}\n environment = {"B=2"} }\n}\n ~ 4: service "x": run.environment: 
	service x {\n\thandler = echo\n\trun { environment = {}\n environment = {"B=2"} }\n}\n ~ 4: service "x": run.environment: 
	service x {\n\thandler = echo\n\trun { environment = {"A=1"}\n environment = {} }\n}\n ~ 4: service "x": run.environment: 
	log = stderr\nlog = stderr\nservice x {\n\thandler = echo\n}\n ~ 2: log: 
	END
	all_refused 9
}

@test "an unknown key is refused, and the one that may be meant is named" {
	start_good_daemon
	service_rows <<-'END'
	prot = 1 ~ unknown key prot; did you mean port?
	addres = localhost ~ unknown key addres; did you mean address?
	worker { min = 1 } ~ unknown key worker; did you mean workers?
	user = nobody ~ unknown key user
	zzzzzz = 1 ~ unknown key zzzzzz
	service y { handler = echo } ~ unknown key service
	garbage ~ unknown key garbage
	address = a b ~ unknown key b
	workers { mim = 1 } ~ workers: unknown key mim; did you mean min?
	workers { service = 1 } ~ workers: unknown key service
	END
	global_rows <<-'END'
	log_lvel = info ~ unknown key log_lvel; did you mean log_level?
	servce y { handler = echo } ~ unknown key servce; did you mean service?
	include("/etc/passwd") ~ unknown key include
	garbage ~ unknown key garbage
	END
	all_refused 14
	run -1 log_has 'unknown key (user|zzzzzz|service|garbage|b); did you mean'
}

@test "a key that is nowhere near the word written is not proposed" {
	printf 'service x {\n\thandler = echo\n\tmin = 1\n}\n' | write_config
	run "$PREFORKD" -c "$CONF" -t
	[ "$status" -eq 78 ]
	[[ $output == "$CONF:3: service \"x\": unknown key min"* ]]
	[[ $output != *'did you mean run'* ]]
}

@test "a value of the wrong type is refused" {
	start_good_daemon
	service_rows <<-'END'
	port = http ~ port: "http" is not a number
	port = -1 ~ port: "-1" is not a number
	port = "+1" ~ port: "+1" is not a number
	port = 010 ~ port: "010" is not a number
	port = 00 ~ port: "00" is not a number
	port = 0x10 ~ port: "0x10" is not a number
	port = 1.5 ~ port: "1.5" is not a number
	port = 1e3 ~ port: "1e3" is not a number
	port = nan ~ port: "nan" is not a number
	port = "" ~ port: "" is not a number
	port = " 1" ~ port: " 1" is not a number
	port = 1; ~ port: "1;" is not a number
	port = 1K ~ port: "1K" is not a number
	workers { min = four } ~ workers.min: "four" is not a number
	workers { max = 010 } ~ workers.max: "010" is not a number
	socket { backlog = many } ~ socket.backlog: "many" is not a number, or somaxconn
	socket { backlog = 0128 } ~ socket.backlog: "0128" is not a number, or somaxconn
	family = ipx ~ family: "ipx" is not one of inet inet6 unix
	family = INET ~ family: "INET" is not one of inet inet6 unix
	type = packet ~ type: "packet" is not one of stream dgram seqpacket raw rdm
	family = inet6 socket { v6only = maybe } ~ socket.v6only: "maybe" is not true or false
	family = inet6 socket { v6only = 1 } ~ socket.v6only: "1" is not true or false
	family = unix path = "@x" socket { mode = 0888 } ~ socket.mode: "0888" is not an octal mode
	family = unix path = "/x" socket { mode = rw } ~ socket.mode: "rw" is not an octal mode
	family = unix path = "/x" socket { mode = -1 } ~ socket.mode: "-1" is not an octal mode
	family = unix path = "/x" socket { mode = "" } ~ socket.mode: "" is not an octal mode
	run { umask = 9 } ~ run.umask: "9" is not an octal mode
	timeouts { idle = 30 } ~ timeouts.idle: "30" is not a duration with its unit
	timeouts { idle = 00 } ~ timeouts.idle: "00" is not a duration with its unit
	timeouts { idle = 030s } ~ timeouts.idle: "030s" is not a duration with its unit
	timeouts { idle = 30S } ~ timeouts.idle: "30S" is not a duration with its unit
	timeouts { idle = 30sec } ~ timeouts.idle: "30sec" is not a duration with its unit
	timeouts { idle = "30 s" } ~ timeouts.idle: "30 s" is not a duration with its unit
	timeouts { idle = 1h30m } ~ timeouts.idle: "1h30m" is not a duration with its unit
	timeouts { total = s } ~ timeouts.total: "s" is not a duration with its unit
	timeouts { drain = -1s } ~ timeouts.drain: "-1s" is not a duration with its unit
	run { nofile = 1T } ~ run.nofile: "1T" is not a number, with K, M or G
	run { nofile = 1k } ~ run.nofile: "1k" is not a number, with K, M or G
	run { nofile = 0256 } ~ run.nofile: "0256" is not a number, with K, M or G
	run { environment = {"A"} } ~ run.environment: "A" is not NAME=value
	run { environment = {"A=1", "=B"} } ~ run.environment: "=B" is not NAME=value
	END
	global_rows <<-'END'
	log_level = loud ~ log_level: "loud" is not one of error warning notice info debug
	log_level = bug ~ log_level: "bug" is not one of error warning notice info debug
	END
	all_refused 43
}

@test "a list, a block or nothing where a value belongs is refused, and the other way round" {
	start_good_daemon
	syntax_rows <<-'END'
	port = { 1 } ~ 
	port = { 1, 2 } ~ 
	port { 1 } ~ 
	port 1 ~ 
	workers = 4 ~ 
	workers { min = } ~ 
	run { environment = A=1 } ~ 
	port = 1, 2 ~ 
	= 1 ~ 
	workers += 5 ~ + must stand in quotes
	run { environment += {"A=1"} } ~ + must stand in quotes (and += is not offered
	address = * ~ * must stand in quotes: "*"
	address = *:80 ~ * must stand in quotes: "*"
	END
	all_refused 13
}

@test "a value out of range is refused" {
	start_good_daemon
	service_rows <<-'END'
	port = 65536 ~ port: 65536 is out of range: must be from 0 to 65535
	port = 99999999999999999999 ~ port: 
	workers { min = 0 } ~ workers.min: 0 workers until somebody comes: how many then? Write workers.max
	workers { min = 4097 } ~ workers.min: 4097 is out of range: must be from 0 to 4096
	workers { max = 4097 } ~ workers.max: 4097 is out of range: must be from 1 to 4096
	workers { min = 5 max = 4 } ~ workers.min: 5 is more than workers.max, 4
	workers { max = 4 spare = 5 } ~ workers.spare: 5 is more than workers.max, 4
	socket { backlog = 0 } ~ socket.backlog: 0 is out of range: must be from 1 to 65535
	socket { backlog = 65536 } ~ socket.backlog: 65536 is out of range: must be from 1 to 65535
	timeouts { idle = 366d } ~ timeouts.idle: 366d is out of range: must be from 0 to 365d
	timeouts { total = 8761h } ~ timeouts.total: 8761h is out of range: must be from 0 to 365d
	timeouts { drain = 0 } ~ timeouts.drain: 0 is out of range: must be from 1ms to 1d
	timeouts { drain = 0s } ~ timeouts.drain: 0s is out of range: must be from 1ms to 1d
	timeouts { drain = 25h } ~ timeouts.drain: 25h is out of range: must be from 1ms to 1d
	timeouts { idle = 9223372036854775807d } ~ timeouts.idle: 
	timeouts { idle = 213503982335d } ~ timeouts.idle: 
	run { umask = 01000 } ~ run.umask: 01000 is out of range: must be from 0000 to 0777
	run { nofile = 15 } ~ run.nofile: 15 is out of range: must be from 16 to 1G
	run { nofile = 2G } ~ run.nofile: 2G is out of range: must be from 16 to 1G
	run { nofile = 17179869184G } ~ run.nofile: 
	protocol = 65536 ~ protocol: "65536" is no name of /etc/protocols and no number
	protocol = 06 ~ protocol: "06" is no name of /etc/protocols and no number
	family = unix path = "/x" socket { mode = 1777 } ~ socket.mode: 1777 is out of range: must be from 0000 to 0777
	END
	all_refused 23
}

@test "NUL and control characters are refused" {
	start_good_daemon
	syntax_rows <<-'END'
	address = "a\0b" ~ control character \x00
	\0 ~ control character \x00
	address = "a\x01b" ~ control character \x01
	# a comment with \x1b[31m ~ control character \x1b
	address = "a\x7fb" ~ control character \x7f
	port = 1\r ~ control character \x0d (a file with DOS line ends
	address = "a\\x00b" ~ a NUL character in a string
	address = "a\\x0" ~ a NUL character in a string
	address = "a\\0b" ~ a NUL character in a string
	address = "a\\000b" ~ a NUL character in a string
	address = "a\\x" ~ \x without hexadecimal digits
	address = "a\\xzz" ~ \x without hexadecimal digits
	END
	service_rows <<-'END'
	run { directory = "/\\x01" } ~ run.directory: control characters are not allowed
	run { directory = "/\\001" } ~ run.directory: control characters are not allowed
	run { directory = "/\\n" } ~ run.directory: control characters are not allowed
	run { directory = "/\\x7f" } ~ run.directory: control characters are not allowed
	run { environment = {"A=1", "A=\\x1b[31m"} } ~ run.environment: control characters are not allowed
	END
	all_refused 17
}

@test "a variable that is not set is refused" {
	start_good_daemon
	syntax_rows <<-'END'
	port = ${PREFORKD_TEST_UNSET} ~ the environment has no variable PREFORKD_TEST_UNSET
	address = "${PREFORKD_TEST_UNSET}" ~ the environment has no variable PREFORKD_TEST_UNSET
	address = "a${PREFORKD_TEST_UNSET:}" ~ 
	port = ${} ~ 
	port = ${PREFORKD_TEST_UNSET ~ ${ without } on the same line
	address = "${PREFORKD_TEST_UNSET" ~ ${ without } on the same line
	END
	service_rows <<-'END'
	address = "\\${PREFORKD_TEST_UNSET}" ~ address: "${PREFORKD_TEST_UNSET}" is no address
	address = '${PREFORKD_TEST_UNSET}' ~ address: "${PREFORKD_TEST_UNSET}" is no address
	port = ${PREFORKD_TEST_UNSET:-http} ~ port: "http" is not a number
	END
	all_refused 9
}

@test "an unknown user, group, protocol, address or handler is refused" {
	local no_user='there is no user' no_group='there is no group'
	local no_entry='user 4294967290 has no entry and so no group'
	if ! root; then
		no_user='only root can run workers as user'
		no_group='only root can run workers as group'
		no_entry='only root can run workers as user "4294967290"'
	fi
	start_good_daemon
	service_rows <<-END
	run { user = no-such-user } ~ run.user: $no_user "no-such-user"
	run { group = no-such-group } ~ run.group: $no_group "no-such-group"
	run { user = 4294967295 } ~ run.user: $no_user "4294967295"
	run { user = -1 } ~ run.user: $no_user "-1"
	family = unix path = "/x" socket { owner = no-such-user } ~ socket.owner: there is no user "no-such-user"
	family = unix path = "/x" socket { group = no-such-group } ~ socket.group: there is no group "no-such-group"
	protocol = no-such-protocol ~ protocol: "no-such-protocol" is no name of /etc/protocols
	address = 1.2.3.4.5 ~ address: "1.2.3.4.5" is no address of family inet
	address = "" ~ address: "" is no address of family inet
	address = "::1" ~ address: "::1" is no address of family inet
	family = inet6 address = 127.0.0.1 ~ address: "127.0.0.1" is no address of family inet6
	END
	global_rows <<-END
	user = no-such-user ~ user: $no_user "no-such-user"
	group = no-such-group ~ group: $no_group "no-such-group"
	END
	file_rows <<-'END'
	service x {\n\thandler = ecko\n}\n ~ 2: service "x": handler: there is no handler "ecko"; there are: echo 
	service x {\n\thandler = ""\n}\n ~ 2: service "x": handler: there is no handler ""
	END
	global_rows <<-END
	user = 4294967290 ~ user: $no_entry
	END
	all_refused 16
}

@test "family, type and protocol that do not go together are refused, and those that do are named" {
	start_good_daemon
	service_rows <<-'END'
	type = seqpacket protocol = tcp ~ protocol: protocol 6 does not go with family inet and type seqpacket; these do: sctp
	family = inet6 type = seqpacket protocol = 17 ~ protocol: protocol 17 does not go with family inet6 and type seqpacket; these do: sctp
	protocol = udp ~ protocol: protocol 17 does not go with family inet and type stream; these do: tcp, mptcp, sctp
	protocol = 17 ~ protocol: protocol 17 does not go with family inet and type stream; these do: tcp, mptcp, sctp
	type = dgram protocol = tcp ~ protocol: protocol 6 does not go with family inet and type dgram; these do: udp, udplite, icmp
	type = dgram protocol = ipv6-icmp ~ protocol: protocol 58 does not go with family inet and type dgram; these do: udp, udplite, icmp
	family = inet6 type = dgram protocol = icmp ~ protocol: protocol 1 does not go with family inet6 and type dgram; these do: udp, udplite, ipv6-icmp
	family = inet6 type = raw protocol = icmp ~ protocol: protocol 1 does not go with family inet6 and type raw; these do: ipv6-icmp, other
	type = raw ~ type: type raw needs a protocol: a name or a number from 1 to 254
	type = raw protocol = 0 ~ protocol: type raw needs a protocol: a name or a number from 1 to 254
	type = raw protocol = 255 ~ protocol: a socket of protocol raw (255) only sends
	type = raw protocol = 256 ~ protocol: protocol 256 does not go with family inet and type raw; these do: icmp, other
	type = rdm ~ type: family inet has no rdm; on Linux rdm lives in family tipc
	family = inet6 type = rdm ~ type: family inet6 has no rdm; on Linux rdm lives in family tipc
	family = unix path = "@x" type = rdm ~ type: family unix has no rdm (its dgram is reliable); on Linux rdm lives in family tipc
	family = unix path = "@x" type = raw ~ type: the kernel takes unix and raw for dgram without a word: write type = dgram
	family = unix path = "@x" protocol = tcp ~ protocol: family unix has no protocols; leave the key out or write 0
	family = unix path = "@x" protocol = icmp ~ protocol: family unix has no protocols; leave the key out or write 0
	family = vsock type = rdm ~ type: family vsock has no type rdm; it has: stream, seqpacket, dgram
	family = vsock protocol = tcp ~ protocol: family vsock has no protocols
	family = tipc address = "100:0" type = raw ~ type: family tipc has no type raw; it has: rdm, dgram, seqpacket, stream
	END
	all_refused 21
}

@test "a key that does not go with the family or the type is refused" {
	start_good_daemon
	service_rows <<-'END'
	path = "/x" ~ path: only family unix has it
	socket { mode = 0660 } ~ socket.mode: only family unix has it
	socket { owner = root } ~ socket.owner: only family unix has it
	socket { group = "" } ~ socket.group: only family unix has it
	socket { v6only = true } ~ socket.v6only: only family inet6 has it
	type = dgram socket { backlog = 10 } ~ socket.backlog: a socket that receives does not listen
	family = unix path = "@x" type = dgram socket { backlog = 10 } ~ socket.backlog: a socket that receives does not listen
	family = unix path = "@x" port = 0 ~ port: family unix has a path instead
	family = unix path = "@x" address = localhost ~ address: family unix has a path instead
	family = unix path = "@x" socket { v6only = true } ~ socket.v6only: only family inet6 has it
	family = unix path = "@x" socket { mode = 0660 } ~ socket.mode: an abstract name has no permissions
	family = unix path = "@x" socket { owner = root } ~ socket.owner: an abstract name has no permissions
	family = unix path = "@x" socket { group = root } ~ socket.group: an abstract name has no permissions
	END
	all_refused 13
}

@test "a path, a directory or a file name that cannot be meant is refused" {
	local long
	long=$(printf '%0107d' 0)
	start_good_daemon
	service_rows <<-END
	family = unix path = relative ~ path: must begin with / or, for an abstract name, with @
	family = unix path = "@" ~ path: an abstract name is @ and at least one character
	family = unix path = "/$long" ~ path: is longer than 107 bytes
	family = unix path = "@$long" ~ path: is longer than 107 bytes
	run { directory = tmp } ~ run.directory: must be an absolute path
	run { directory = "" } ~ run.directory: must be an absolute path
	run { directory = "$CONF-no" } ~ run.directory: $CONF-no: No such file or directory
	run { directory = "$CONF" } ~ run.directory: $CONF is not a directory
	END
	global_rows <<-'END'
	log = relative ~ log: "relative" is none of stderr, journal, syslog, or an absolute path
	log = "" ~ log: "" is none of stderr, journal, syslog, or an absolute path
	pidfile = relative ~ pidfile: must be an absolute path
	END
	all_refused 11
}

@test "what cannot be meant in the block run is refused" {
	local groups='"no-such-group" is no group' nr_open
	nr_open=$(cat /proc/sys/fs/nr_open)
	root || groups='only root can choose them'
	start_good_daemon
	service_rows <<-END
	run { groups = {no-such-group} } ~ run.groups: $groups
	run { groups = {"-1"} } ~ run.groups: ${groups/no-such-group/-1}
	run { chroot = tmp } ~ run.chroot: must be an absolute path
	run { chroot = "$CONF" } ~ run.chroot: $CONF: is not a directory
	run { chroot = "$CONF-no" } ~ run.chroot: $CONF-no: No such file or directory
	run { chroot = "/tmp" } ~ run.chroot: /tmp: can be written by others (chmod o-w)
	run { nice = 20 } ~ run.nice: "20" is not a number from -20 to 19
	run { nice = -21 } ~ run.nice: "-21" is not a number from -20 to 19
	run { nice = 1x } ~ run.nice: "1x" is not a number from -20 to 19
	run { nice = - } ~ run.nice: "-" is not a number from -20 to 19
	run { nice = --1 } ~ run.nice: "--1" is not a number from -20 to 19
	run { oom_score_adj = 1001 } ~ run.oom_score_adj: "1001" is not a number from -1000 to 1000
	run { oom_score_adj = -1001 } ~ run.oom_score_adj: "-1001" is not a number from -1000 to 1000
	run { cpu_affinity = "a" } ~ run.cpu_affinity: "a" is not a list of CPUs such as 0-3,5
	run { cpu_affinity = "0," } ~ run.cpu_affinity: "0," is not a list of CPUs such as 0-3,5
	run { cpu_affinity = "0,,1" } ~ run.cpu_affinity: "0,,1" is not a list of CPUs such as 0-3,5
	run { cpu_affinity = "1-0" } ~ run.cpu_affinity: "1-0" is not a list of CPUs such as 0-3,5
	run { cpu_affinity = "0-1:0" } ~ run.cpu_affinity: "0-1:0" is not a list of CPUs such as 0-3,5
	run { cpu_affinity = "-1" } ~ run.cpu_affinity: "-1" is not a list of CPUs such as 0-3,5
	run { cpu_affinity = "1024" } ~ run.cpu_affinity: "1024" is not a list of CPUs such as 0-3,5
	run { cpu_affinity = "0,1023" } ~ run.cpu_affinity: there is no CPU 1023
	run { core = maybe } ~ run.core: "maybe" is not a number, with K, M or G if you like, nor unlimited
	run { no_new_privileges = false } ~ run.no_new_privileges: only handlers exec and persistent have it
	run { no_new_privileges = true } ~ run.no_new_privileges: only handlers exec and persistent have it
	run { capabilities = {net_raw, root} } ~ run.capabilities: "root" is none of capabilities(7)
	run { capabilities = {"cap_"} } ~ run.capabilities: "cap_" is none of capabilities(7)
	run { limits { as = 1T } } ~ run.limits.as: "1T" is not a number, with K, M or G if you like, nor unlimited
	run { limits { as = ":1G" } } ~ run.limits.as: "" is not a number, with K, M or G if you like, nor unlimited
	run { limits { as = "1G:" } } ~ run.limits.as: "" is not a number, with K, M or G if you like, nor unlimited
	run { limits { as = "1:2:3" } } ~ run.limits.as: "2:3" is not a number, with K, M or G if you like, nor unlimited
	run { limits { as = "2:1" } } ~ run.limits.as: "2:1": the soft limit is more than the hard one
	run { limits { as = "unlimited:1" } } ~ run.limits.as: "unlimited:1": the soft limit is more than the hard one
	run { limits { cpu = 10 } } ~ run.limits.cpu: "10" is not a duration with its unit
	run { limits { cpu = 1500ms } } ~ run.limits.cpu: "1500ms" is not in whole seconds
	run { limits { nofile = 15 } } ~ run.limits.nofile: must be at least 16
	run { limits { nofile = "$((nr_open + 1))" } } ~ run.limits.nofile: is more than the system has, $nr_open (sysctl fs.nr_open)
	run { nofile = 20 limits { nofile = 20 } } ~ run.nofile: stands in run.limits, too; write one of them
	run { limits { nofiles = 20 } } ~ run.limits: unknown key nofiles; did you mean nofile?
	limits { nofile = 20 } ~ unknown key limits; it stands in a block run { }
	run { sandbox = hard } ~ run.sandbox: "hard" is not one of off default strict
	run { read = {"/"} } ~ run.read: a handler that is built in has no files
	run { write = {"/"} } ~ run.write: a handler that is built in has no files
	END
	each_row 'service x {\n\thandler = exec command = {"/bin/cat"}\n\t' '\n}\n' '3: service "x": ' <<-END
	run { read = {tmp} } ~ run.read: "tmp" is no absolute path
	run { write = {"$CONF-no"} } ~ run.write: $CONF-no: No such file or directory
	run { read = {"/usr"} sandbox = off } ~ run.sandbox: cannot be off with run.read or run.write
	run { sandbox = strict } ~ run.sandbox: a strict one of a program needs run.read or run.write
	run { sandbox = strict write = {"/tmp"} no_new_privileges = no } ~ run.no_new_privileges: cannot be false with
	run { read = {"/tmp"} no_new_privileges = no } ~ run.no_new_privileges: cannot be false with
	END
	all_refused 48
}

@test "what is missing is named" {
	start_good_daemon
	file_rows <<-'END'
	\n\nservice x {\n\tport = 0\n}\n ~ 3: service "x": handler: is required
	service x {\n} ~ 1: service "x": handler: is required
	service x {\n\thandler = echo\n\tfamily = unix\n}\n ~ 1: service "x": path: is required by family unix
	service {\n\thandler = echo\n}\n ~ 1: missing title
	END
	for nothing in '' '\n\n' '# only a comment\n' 'log_level = info\n'; do
		printf '%b' "$nothing" | write_config
		refused "no service: $nothing" 78 "$CONF: there is no service: write "
	done
	all_refused 8
}

@test "a name that a service cannot have is refused" {
	local name shown
	start_good_daemon
	for name in -a .a _a 'a b' '' 'a/b' 'a"b' 'a=b' $'\xc3\xa4' "$(printf '%033d' 0)"; do
		printf 'service "%s" {\n\thandler = echo\n}\n' "${name//\"/\\\"}" | write_config
		shown=${name//$'\xc3\xa4'/'\xc3\xa4'}
		refused "service $name" 78 "$CONF:1: service \"$shown\": a name "
	done
	all_refused 10
}

@test "two services on one address are refused" {
	local path=$BATS_TEST_TMPDIR/s
	start_good_daemon
	each_row 'service x {\n\thandler = echo\n\t' '\n}\n' '6: service "y": ' <<-END
	port = 1234\n}\nservice y {\n\thandler = echo port = 1234 ~ port: 127.0.0.1:1234 is taken by service "x" ($CONF:1)
	port = 1234\n}\nservice y {\n\thandler = echo port = 1234 protocol = tcp ~ port: 127.0.0.1:1234 is taken by service "x" ($CONF:1)
	port = 1234\n}\nservice y {\n\thandler = echo port = 1234 address = 127.0.0.1 ~ port: 127.0.0.1:1234 is taken by service "x" ($CONF:1)
	type = dgram port = 1234\n}\nservice y {\n\thandler = echo type = dgram port = 1234 ~ port: 127.0.0.1:1234 is taken
	family = inet6 port = 1234\n}\nservice y {\n\thandler = echo family = inet6 port = 1234 ~ port: [::1]:1234 is taken
	family = unix path = "$path"\n}\nservice y {\n\thandler = echo family = unix path = "$path" ~ path: $path is taken
	family = unix path = "$path"\n}\nservice y {\n\thandler = echo family = unix type = dgram path = "$path" ~ path: $path is taken
	family = unix path = "@x"\n}\nservice y {\n\thandler = echo family = unix path = "@x" ~ path: @x is taken
	END
	all_refused 8
}

@test "services that only look as if they shared an address are accepted" {
	write_config <<-'END'
	service a { handler = echo  port = 1234 }
	service b { handler = echo  port = 1234  type = dgram }
	service c { handler = echo  port = 1234  family = inet6 }
	service d { handler = echo }
	service e { handler = echo }
	service f { handler = echo  port = 1234  address = 127.0.0.2 }
	service g { handler = echo  family = unix  path = "@x" }
	service h { handler = echo  family = unix  path = "/x" }
	END
	run "$PREFORKD" -c "$CONF" -t
	[ "$output" = "$CONF: OK (8 services)" ]
	[ "$status" -eq 0 ]
}

# ---- files that are none, or that nobody should believe ----

# other_file NAME STATUS EXPECTED COMMAND...: COMMAND puts something else in the place of $CONF
other_file() {
	local name=$1 status=$2 expected=$3
	shift 3
	rm -rf "$CONF"
	"$@"
	refused "$name" "$status" "$expected"
	rm -rf "$CONF"
}

make_socket() {
	local pid
	socat -u "UNIX-LISTEN:$CONF,unlink-close=0" /dev/null 3>&- &
	pid=$!
	wait_for 20 "the socket" test -S "$CONF"
	kill "$pid"
}

big_config() {
	{ good_config; head -c 1048576 /dev/zero | tr '\0' '#'; } >"$CONF"
}

open_config() {
	good_config | write_config
	chmod "$1" "$CONF"
}

@test "a directory, FIFO, device, socket or huge file as config is refused at once" {
	start_good_daemon
	other_file directory 78 "$CONF: is not a regular file" mkdir "$CONF"
	other_file FIFO 78 "$CONF: is not a regular file" mkfifo "$CONF"
	other_file socket 78 "$CONF: " make_socket
	other_file 'huge file' 78 "$CONF: is larger than 1 MiB" big_config
	other_file 'huge file with a hole' 78 "$CONF: is larger than 1 MiB" truncate -s 100G "$CONF"
	for device in /dev/zero /dev/null; do
		run timeout 60 "$PREFORKD" -c "$device" -t
		[ "$status" -eq 78 ]
		[ "$output" = "$device: is not a regular file" ]
	done
	all_refused 5
}

@test "a file just below 1 MiB is no huge file" {
	{ good_config; head -c 1000000 /dev/zero | tr '\0' '#'; } >"$CONF"
	run "$PREFORKD" -c "$CONF" -t
	[ "$status" -eq 0 ]
}

@test "a file that cannot be read is refused with status 66" {
	restrict -dac_override,-dac_read_search
	good_config | write_config
	# the reload is one of the same, restricted, daemon
	"${RESTRICT[@]}" "$PREFORKD" -c "$CONF" >>"$LOG" 2>&1 3>&- &
	MASTER=$!
	wait_for 20 "event=ready" log_has event=ready
	know_daemon
	other_file unreadable 66 "$CONF: cannot be read: Permission denied" open_config 000
	all_refused 1
}

@test "a file that is not there is status 66 at the start, and a refused reload" {
	start_good_daemon
	rm "$CONF"
	for mode in -t -T -m; do
		run "$PREFORKD" -c "$CONF" "$mode"
		[ "$mode" = -m ] && [ "$status" -eq 0 ] && continue
		[ "$status" -eq 66 ]
		[[ $output == *"$CONF: No such file or directory"* ]]
	done
	run "$PREFORKD" -c "$CONF"
	[ "$status" -eq 66 ]
	reload_daemon
	log_has "event=config_error error=\"$CONF: cannot be read: No such file or directory\""
	log_has 'level=error .*event=reload_refused'
	daemon_is_undisturbed
}

@test "root refuses a file that its group or others can write to" {
	root || strict_skip "root: only root has something to lose here"
	start_good_daemon
	local message="$CONF: can be written by group or others, and preforkd runs as root (chmod go-w)"
	other_file 'group' 78 "$message" open_config 620
	other_file 'others' 78 "$message" open_config 602
	other_file 'both' 78 "$message" open_config 666
	mkdir "$BATS_TEST_TMPDIR/services.d"
	good_config | write_config
	echo 'service more { handler = echo }' >"$BATS_TEST_TMPDIR/services.d/more.conf"
	chmod g+w "$BATS_TEST_TMPDIR/services.d/more.conf"
	refused 'services.d' 78 "services.d/more.conf: can be written by group or others"
	all_refused 4
}

# ---- more files ----

more_config() {
	mkdir -p "$BATS_TEST_TMPDIR/services.d"
	cat >"$BATS_TEST_TMPDIR/services.d/$1"
}

@test "what is wrong in services.d is refused with the file it stands in" {
	local more=$BATS_TEST_TMPDIR/services.d
	start_good_daemon
	more_config a.conf <<<$'\nservice hello { handler = echo }'
	refused 'a service of the main file' 78 "$more/a.conf:2: service \"hello\" is there already ($CONF:1)"
	echo 'service x { handler = echo }' | more_config a.conf
	echo 'service x { handler = echo }' | more_config b.conf
	refused 'a service of another file' 78 "$more/b.conf:1: service \"x\" is there already ($more/a.conf:1)"
	rm "$more/b.conf"
	printf 'service x { handler = echo }\n# and\nlog_level = info\n' | more_config a.conf
	refused 'a global key' 78 "$more/a.conf:3: log_level belongs into the main file"
	printf 'service x {\n\thandler = echo\n' | more_config a.conf
	refused 'cut off' 78 "$more/a.conf:3: the file ends inside of the block of line 1"
	printf 'service x {\n\thandler = echo\n\tport = http\n}\n' | more_config a.conf
	refused 'a wrong value' 78 "$more/a.conf:3: service \"x\": port: \"http\" is not a number"
	rm "$more/a.conf"
	mkfifo "$more/a.conf"
	refused 'a FIFO' 78 "$more/a.conf: is not a regular file"
	rm "$more/a.conf"
	mkdir "$more/a.conf"
	refused 'a directory' 78 "$more/a.conf: is not a regular file"
	rmdir "$more/a.conf"
	ln -s nowhere "$more/a.conf"
	refused 'a link to nowhere' 78 "$more/a.conf: cannot be read: No such file or directory"
	rm -r "$more"
	echo 'no directory' >"$more"
	refused 'services.d is a file' 78 "$more: cannot be read: Not a directory"
	all_refused 9
}

@test "every wrong value of a config is said, not only the first" {
	write_config <<-'END'
	log_level = loud
	service a {
		handler = echo
		port = http
		workers { min = 4097  max = 010 }
	}
	service b {
		timeouts { idle = 5 }
	}
	END
	run "$PREFORKD" -c "$CONF" -t
	[ "$status" -eq 78 ]
	[ "$(sed "s|^$CONF:||; s|\(: [a-z_.]*\): .*|\1|" <<<"$output" | sort)" = \
		$'1: log_level\n4: service "a": port\n5: service "a": workers.max\n5: service "a": workers.min\n7: service "b": handler\n8: service "b": timeouts.idle' ]
}
