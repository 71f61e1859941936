#!/usr/bin/env bats
# programs.bats - programs that nobody here wrote, unchanged, under handler exec: those of inetd, of tcpserver, and
# plain filters. Their services are the examples of etc/services.d, with other directories and ports.
# shellcheck disable=SC2016  # $ is for the programs to expand

bats_require_minimum_version 1.5.0
load lib/daemon
load lib/examples
load lib/network

setup() {
	daemon_setup
	DIR=$BATS_TEST_TMPDIR/dir
	install -d -m 755 "$DIR"
}

teardown() { daemon_teardown; }

# need PROGRAM PACKAGE
need() {
	[ -x "$1" ] || strict_skip "$1 is missing (Debian: apt-get install $2)"
}

# same_tree A B: the same names with the same contents
same_tree() {
	[ "$(find "$1" -type f | wc -l)" -gt 0 ] && diff -r "$1" "$2"
}

# ---- of inetd ----

# git_here ARGUMENT...: without anything of who runs the tests
git_here() {
	HOME=$DIR GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_TERMINAL_PROMPT=0 timeout 60 git "$@"
}

# new_repository: $DIR/git/hello.git with a few commits and some size, from $DIR/tree
new_repository() {
	git_here init -q -b main "$DIR/tree"
	head -c 300000 /dev/urandom >"$DIR/tree/random"
	cp -r "$EXAMPLES" "$DIR/tree/examples"
	git_here -C "$DIR/tree" add .
	git_here -C "$DIR/tree" -c user.name=x -c user.email=x@example.org commit -q -m one
	echo two >"$DIR/tree/two"
	git_here -C "$DIR/tree" add .
	git_here -C "$DIR/tree" -c user.name=x -c user.email=x@example.org commit -q -m two
	git_here clone -q --bare "$DIR/tree" "$DIR/git/hello.git"
	touch "$DIR/git/hello.git/git-daemon-export-ok"
	git_here clone -q --bare "$DIR/tree" "$DIR/git/hidden.git"
}

@test "git daemon --inetd: a clone, a fetch of what is new, and nothing that is not exported" {
	local url
	need /usr/bin/git git
	new_repository
	start_debug "$(example git "s|/srv/git|$DIR/git|g")"
	url=git://$(address_of git)
	git_here clone -q "$url/hello.git" "$DIR/clone"
	[ "$(git_here -C "$DIR/clone" rev-parse HEAD)" = "$(git_here -C "$DIR/tree" rev-parse HEAD)" ]
	same_tree "$DIR/tree/examples" "$DIR/clone/examples"
	cmp "$DIR/tree/random" "$DIR/clone/random"

	echo three >"$DIR/tree/three"
	git_here -C "$DIR/tree" add .
	git_here -C "$DIR/tree" -c user.name=x -c user.email=x@example.org commit -q -m three
	git_here -C "$DIR/tree" push -q "$DIR/git/hello.git" main
	git_here -C "$DIR/clone" pull -q
	[ "$(cat "$DIR/clone/three")" = three ]

	run ! git_here clone -q "$url/hidden.git" "$DIR/none"
	run ! git_here clone -q "$url/../work" "$DIR/none"
	stop_daemon
	account_is git accepted=4 served=2 failed=2 lost=0
	[ "$(account_of git bytes_out)" -gt 300000 ]
}

# rsyncd_conf: of a daemon with the module "docs" to read, and "drop" to write
rsyncd_conf() {
	cat <<-END
		use chroot = no
		[docs]
		path = $DIR/docs
		read only = yes
		[drop]
		path = $DIR/drop
		read only = no
	END
}

@test "rsync --daemon: a list, a directory from it, and one to it" {
	local url
	need /usr/bin/rsync rsync
	rsyncd_conf >"$DIR/rsyncd.conf"
	mkdir "$DIR/docs"
	install -d -m 777 "$DIR/drop"
	cp -r "$EXAMPLES" "$DIR/docs/examples"
	head -c 3000000 /dev/urandom >"$DIR/docs/random"
	start_debug "$(example rsync "s|/etc/rsyncd.conf|$DIR/rsyncd.conf|")"
	url=rsync://$(address_of rsync)
	timeout 60 rsync "$url/" >"$DIR/list"
	[ "$(awk '{ print $1 }' "$DIR/list" | tr '\n' ' ')" = "docs drop " ]
	timeout 60 rsync -a "$url/docs/" "$DIR/copy"
	same_tree "$DIR/docs" "$DIR/copy"
	timeout 60 rsync -rz "$DIR/docs/" "$url/drop/new/"
	same_tree "$DIR/docs" "$DIR/drop/new"
	# what arrives belongs to the user of the workers
	[ "$(stat -c %u "$DIR/drop/new/random")" = "$([ "$(id -u)" -eq 0 ] && id -u nobody || id -u)" ]
	run ! timeout 60 rsync -r "$DIR/docs/" "$url/docs/"
	[[ $output == *"read only"* ]]
	stop_daemon
	# rsync ends a mere list with status 255
	account_is rsync accepted=4 served=2 failed=2 lost=0
}

# start_ssh UID GID USER: the service ssh of the example, run as USER. It sees a user "visitor" with these numbers and a
# home of its own: libnss_wrapper stands between it and /etc/passwd, and the accounts of this machine are left alone.
start_ssh() {
	local uid=$1 gid=$2 user=$3 wrapper passwd
	need /usr/sbin/dropbear dropbear-bin
	wrapper=$(find /usr/lib /usr/lib64 -name libnss_wrapper.so 2>/dev/null | head -n 1)
	[ -n "$wrapper" ] || strict_skip "libnss_wrapper is missing (Debian: apt-get install libnss-wrapper)"
	dropbearkey -t ed25519 -f "$DIR/hostkey" >"$DIR/keygen" 2>&1
	dropbearkey -t ed25519 -f "$DIR/key" >"$DIR/public" 2>&1
	install -d -m 700 "$DIR/home" "$DIR/home/.ssh"
	grep '^ssh-ed25519 ' "$DIR/public" >"$DIR/home/.ssh/authorized_keys"
	echo "visitor:x:$uid:$gid::$DIR/home:/bin/sh" >"$DIR/passwd"
	echo "visitors:x:$gid:" >"$DIR/group"
	if [ "$(id -u)" -eq 0 ]; then
		chown -R "$uid:$gid" "$DIR/home"
	fi
	if [ "$user" != root ]; then
		chmod 644 "$DIR/hostkey"
	fi
	passwd="\"LD_PRELOAD=$wrapper\", \"NSS_WRAPPER_PASSWD=$DIR/passwd\", \"NSS_WRAPPER_GROUP=$DIR/group\""
	start_debug "$(example ssh "s|/etc/dropbear/dropbear_ed25519_host_key|$DIR/hostkey|" \
		"s|user = root|user = \"$user\" environment = {$passwd}|")"
}

# ssh COMMAND: as the visitor
ssh() {
	HOME=$DIR timeout 60 dbclient -y -y -i "$DIR/key" -p "$(port_of ssh)" visitor@127.0.0.1 "$@" 2>"$DIR/dbclient"
}

@test "dropbear -i: a login with a key, as who runs the workers; what the session leaves ends with it" {
	local pid uid gid user=""
	uid=$(id -u) gid=$(id -g)
	if [ "$uid" -eq 0 ]; then
		user=nobody uid=$(id -u nobody) gid=$(id -g nobody)
	fi
	start_ssh "$uid" "$gid" "$user"
	[ "$(ssh 'echo "hello $USER $(id -u)"')" = "hello visitor $uid" ]
	[ "$(head -c 1000000 /dev/zero | ssh 'wc -c')" -eq 1000000 ]
	run -3 ssh 'exit 3'
	# the session is over when its shell is, and takes along what it left
	pid=$(ssh 'nohup setsid sleep 300 >/dev/null 2>&1 </dev/null & echo $!')
	[ -n "$pid" ]
	wait_for 60 "the end of the fourth connection" exits_are ssh 4
	wait_for 20 "the end of what it left" process_gone "$pid"
	# another key opens nothing
	dropbearkey -t ed25519 -f "$DIR/other" >"$DIR/keygen" 2>&1
	mv "$DIR/other" "$DIR/key"
	run ! ssh 'echo hello'
	[ -z "$output" ]
	stop_daemon
	account_is ssh accepted=5 lost=0
}

@test "dropbear -i as root: a login with a key, as another user" {
	[ "$(id -u)" -eq 0 ] || strict_skip "root: only root can become who logs in"
	start_ssh 54321 43210 root
	[ "$(ssh 'echo "$(id -u) $(id -g) $(pwd)"')" = "54321 43210 $DIR/home" ]
	stop_daemon
	account_is ssh accepted=1 lost=0
}

exits_are() {
	[ "$(log_count "event=program_exit service=$1 ")" -ge "$2" ]
}

# httpds: commands of those that inetd can start, @ for the files
httpds() {
	cat <<-END
		"/usr/bin/busybox", "httpd", "-i", "-h", "@"
		"$DIR/micro-httpd", "@"
	END
}

@test "a web server of inetd: files over HTTP, as many at a time as there are clients" {
	local micro=${PREFORKD_MICRO_HTTPD:-/usr/sbin/micro-httpd} command url
	mkdir "$DIR/www"
	head -c 2000000 /dev/urandom >"$DIR/www/random.bin"
	echo hello >"$DIR/www/hello.txt"
	chmod 644 "$DIR/www/"*
	need /usr/bin/busybox busybox
	command -v curl >"$DIR/found" || strict_skip "curl is missing"
	need "$micro" micro-httpd
	install -m 755 "$micro" "$DIR/micro-httpd"
	while read -r command; do
		echo "$command"
		: >"$LOG"
		start_debug "$(example web "s|command *=.*|command = {${command//@/$DIR/www}}|")"
		url=http://$(address_of web)
		[ "$(curl -sS -m 60 "$url/hello.txt")" = hello ]
		[ "$(curl -sS -m 60 -o "$DIR/answer" -w '%{http_code}' "$url/nothing")" = 404 ]
		for i in 1 2 3 4 5 6; do
			beside "$DIR/curl$i" curl -sS -m 60 -o "$DIR/got$i" "$url/random.bin"
		done
		for i in 1 2 3 4 5 6; do
			wait_for 60 "a client" is_copied "$DIR/got$i"
		done
		stop_daemon
		account_is web accepted=8 lost=0
		rm "$DIR"/got*
	done < <(httpds)
}

is_copied() {
	cmp -s "$1" "$DIR/www/random.bin"
}

@test "the example web is the first of these" {
	local command
	read -r command < <(httpds)
	example web | grep -qF "command  = {${command//@//srv/www}}"
}

# ---- of tcpserver ----

@test "recordio of tcpserver: the dialogue of the program behind it stands in the log" {
	local got
	need /usr/bin/recordio ucspi-tcp
	start_debug 'service a { handler = exec workers { min = 1 }
		command = {"/usr/bin/recordio", "/bin/sed", "-u", "s/.*/\\U&/"} }'
	# its child, which copies, ends after the program
	got=$(printf '%s\n' hello you | socat -t 60 - "TCP:127.0.0.1:$(port_of a)")
	[ "$got" = $'HELLO\nYOU' ]
	wait_for 20 "the end of the program" exits_are a 1
	for line in '[0-9]* < hello ' '[0-9]* < you ' '[0-9]* > HELLO ' '[0-9]* > YOU '; do
		wait_for 20 "a line of it" log_has "event=program_output service=a worker=1 connection=1 line=\"$line\""
	done
	stop_daemon
	account_is a served=1 bytes_out=10
}

# A name server that knows no name, and says on standard error which one it was asked for: the same message with the
# bits for "an answer" (QR) and "no such name" (RCODE 3).
name_server() {
	cat <<-'END'
		#!/usr/bin/perl
		binmode(STDIN);
		read(STDIN, $message, 65535);
		($name = substr($message, 12)) =~ s/\0.*//s;
		$name =~ s/[\x01-\x1f]/./g;
		print STDERR "asked for $name\n";
		substr($message, 2, 2) = pack("n", unpack("n", substr($message, 2, 2)) | 0x8003);
		print $message;
	END
}

@test "rblsmtpd of tcpserver: it looks TCPREMOTEIP up, then lets the program behind it talk" {
	need /usr/bin/rblsmtpd ucspi-tcp
	need /usr/bin/perl perl-base
	need_networks
	own_network
	name_server >"$DIR/names"
	chmod 755 "$DIR/names"
	start_debug "service dns { type = dgram address = \"127.0.0.1\" port = 53 handler = exec command = {\"$DIR/names\"} }" \
		'service smtp { address = "*" handler = exec
			command = {"/usr/bin/rblsmtpd", "-r", "rbl.example", "/bin/sh", "-c", "echo 220 $PROTO $TCPLOCALIP $TCPREMOTEIP"}
			run { environment = {"DNSCACHEIP=127.0.0.1"} } }'
	net timeout 60 socat -t 30 - "TCP:127.9.8.7:$(port_of smtp),bind=127.6.5.4" >"$DIR/got" </dev/null
	[ "$(cat "$DIR/got")" = "220 TCP 127.9.8.7 127.6.5.4" ]
	wait_for 20 "its line" log_has 'event=program_output service=dns .* line="asked for \.4\.5\.6\.127\.rbl\.example"'
	stop_daemon
	account_is smtp accepted=1 served=1
}

@test "a script for tcpserver finds TCPREMOTEIP, one for inetd and CGI finds REMOTE_ADDR" {
	cat >"$DIR/script" <<-'END'
		#!/bin/sh
		echo "$PROTO from $TCPREMOTEIP:$TCPREMOTEPORT to $TCPLOCALIP:$TCPLOCALPORT, $REMOTE_ADDR"
	END
	chmod 755 "$DIR/script"
	start_debug "service a { address = \"*\" handler = exec command = {\"$DIR/script\"} workers { min = 1 } }"
	# the number of the client's port is its own word
	timeout 60 socat -d -d -t 60 - "TCP:127.9.8.7:$(port_of a),bind=127.6.5.4" >"$DIR/got" 2>"$DIR/client" </dev/null
	port=$(sed -n 's/.* local address AF=.*:\([0-9]*\)$/\1/p' "$DIR/client")
	[ "$(cat "$DIR/got")" = "TCP from 127.6.5.4:$port to 127.9.8.7:$(port_of a), 127.6.5.4" ]
}

# ---- filters and scripts: the example ----

@test "a shell, an awk, a tr and a cat: the services of the example script" {
	start_debug "$(example script)"
	[[ $(timeout 60 socat -t 60 - "TCP:$(address_of whoami)" </dev/null) =~ ^'You are 127.0.0.1, port '[0-9]+\.$'\n'.+ ]]
	echo 'good day' | timeout 60 socat -t 60 - "TCP:$(address_of greeting)" >"$DIR/got"
	[ "$(cat "$DIR/got")" = "Hello 127.0.0.1, you said: good day" ]
	wait_for 20 "its line" log_has 'event=program_output service=greeting .* line="from 127.0.0.1"'
	"$TEST_BIN/dgram" -w 60000 -o "$DIR/answer" "$(address_of upper)" 'hello, world' >"$DIR/answers"
	[ "$(cat "$DIR/answer")" = 'HELLO, WORLD' ]
	[ "$(echo 'good day' | timeout 60 socat -t 60 - "TCP:$(address_of cat)")" = 'good day' ]
	stop_daemon
	for name in whoami greeting upper cat; do
		account_is "$name" accepted=1 served=1
	done
}

@test "cat and sort, which do not know of any network" {
	start_debug 'service cat { handler = exec command = {"/bin/cat", "-n"} }' \
		"service sort { family = unix path = \"$BATS_TEST_TMPDIR/s\" handler = exec command = {\"/usr/bin/sort\", \"-u\"} }"
	[ "$(printf 'a\nb\n' | timeout 60 socat -t 60 - "TCP:$(address_of cat)")" = $'     1\ta\n     2\tb' ]
	[ "$(printf 'b\na\nb\n' | timeout 60 socat -t 60 - "UNIX-CONNECT:$BATS_TEST_TMPDIR/s")" = $'a\nb' ]
}
