#!/usr/bin/env bats
# handlers.bats - each kind of handler under the unit as it is shipped, with the examples of etc/services.d as they are:
# copied, and edited where their heads tell to. Programs are those that other tests run without a unit.
# shellcheck disable=SC2030,SC2031  # a bats test is no subshell of another one
# shellcheck disable=SC2154  # MASTER, LOG, ... are set by lib/daemon and machine

bats_require_minimum_version 1.5.0
load ../lib/daemon
load ../lib/examples
load machine

TOP=$BATS_TEST_DIRNAME/../..

setup() { machine_setup; }
teardown() { machine_teardown; }

# ask PORT: standard input there, and what comes back
ask() {
	timeout 60 socat -t 60 - "TCP4:127.0.0.1:$1"
}

# datagram PORT TEXT: over UDP, and what comes back
datagram() {
	rm -f "$BATS_TEST_TMPDIR/answer"
	"$TEST_BIN/dgram" -w 20000 -o "$BATS_TEST_TMPDIR/answer" "127.0.0.1:$1" "$2" >"$BATS_TEST_TMPDIR/answers"
	cat "$BATS_TEST_TMPDIR/answer"
}

# gets PORT PATH TEXT: over HTTP
gets() {
	[ "$(curl -sS -m 60 "http://127.0.0.1:$1/$2")" = "$3" ]
}

no_complaint() {
	read_log
	# but that services of one config have one user
	! grep -E 'level=(warning|error)' "$LOG" | grep -v 'event=config_warning .*runs as the same user' || return 1
}

# ---- built in ----

@test "built in: tcp, udp, unix with a path and without, and the classic ones" {
	start_example hello echo-udp unix classic
	answers 1337
	[ "$(datagram 10007 hello)" = hello ]
	[ "$(timeout 30 socat -t 30 - UNIX-CONNECT:/run/preforkd/hello.sock <<<hello)" = hello ]
	[ "$(timeout 30 socat -t 30 - ABSTRACT-CONNECT:preforkd/records,type=5 <<<hello)" = hello ]
	[ -n "$(ask 10013 </dev/null)" ]
	[ "$(stat -c '%U %G %a' /run/preforkd/hello.sock)" = "root daemon 660" ]
	no_complaint
}

@test "built in: ping, on raw sockets" {
	sysctl -q -w net.ipv4.icmp_echo_ignore_all=1 net.ipv6.icmp.echo_ignore_all=1
	start_example ping
	ping -c 3 -i 0.2 -W 5 127.0.0.1
	ping -c 3 -i 0.2 -W 5 ::1
	sysctl -q -w net.ipv4.icmp_echo_ignore_all=0 net.ipv6.icmp.echo_ignore_all=0
	no_complaint
}

@test "built in: a port below 1024, another user, a log file in /var/log/preforkd" {
	start_with 'log = "/var/log/preforkd/handlers"' \
		'service low { port = 7 handler = echo run { user = daemon } }'
	answers 7
	[ "$(stat -c %U "/proc/$(workers_of "$MASTER" low | head -n 1)")" = daemon ]
	grep -q 'event=ready' /var/log/preforkd/handlers
}

@test "built in: a family that the unit does not have, and the line that gives it" {
	preforkd --probe | grep -Eq '^vsock +stream .* works' || strict_skip "kernel: no vsock"
	cp "$EXAMPLES/vsock.conf.example" "$DIR/services.d/vsock.conf"
	run ! systemctl start "$UNIT"
	property_is ExecMainStatus 78
	start_example vsock
	no_complaint
}

# ---- exec ----

@test "exec: the example script; each is who the workers are, with no way to become more" {
	start_example script
	[[ $(ask 10100 </dev/null) == "You are 127.0.0.1, port "* ]]
	[ "$(echo hello | ask 10101)" = "Hello 127.0.0.1, you said: hello" ]
	[ "$(datagram 10102 hello)" = HELLO ]
	[ "$(echo hello | ask 10103)" = hello ]
	wait_for 30 "what it said on standard error" says 'event=program_output service=greeting .*line="from 127.0.0.1"'
}

@test "exec: what the unit keeps from programs: the system, homes, the files of others in /tmp" {
	echo secret >/tmp/secret
	mkdir -p /home/somebody
	chmod 644 /tmp/secret
	cat >/srv/look <<-'END'
		#!/bin/sh
		ls /tmp/secret /home/somebody
		touch /etc/x /usr/x
		echo mine >/tmp/mine && cat /tmp/mine
	END
	chmod 755 /srv/look
	start_with 'service a { port = 10200 handler = exec command = {"/srv/look"} stderr = connection run { user = root } }'
	ask 10200 </dev/null >"$BATS_TEST_TMPDIR/got"
	cat "$BATS_TEST_TMPDIR/got"
	[ "$(grep -c 'Read-only file system' "$BATS_TEST_TMPDIR/got")" -eq 2 ]
	[ "$(grep -cE 'cannot access|Permission denied' "$BATS_TEST_TMPDIR/got")" -eq 2 ]
	[ "$(tail -n 1 "$BATS_TEST_TMPDIR/got")" = mine ]
	[ ! -e /tmp/mine ]
}

@test "exec: git, rsync and a web server, which read what they serve" {
	need /usr/bin/git git
	need /usr/bin/rsync rsync
	need /usr/bin/busybox busybox
	mkdir -p /srv/git /srv/www
	git init -q --bare /srv/git/hello.git
	git init -q -b main "$BATS_TEST_TMPDIR/tree"
	git -C "$BATS_TEST_TMPDIR/tree" -c user.name=x -c user.email=x@example.org commit -q --allow-empty -m 'the first'
	git -C "$BATS_TEST_TMPDIR/tree" push -q /srv/git/hello.git main
	touch /srv/git/hello.git/git-daemon-export-ok
	echo page >/srv/www/page
	printf '%s\n' 'use chroot = no' '[docs]' 'path = /srv/www' >/etc/rsyncd.conf
	chmod -R a+rX /srv /etc/rsyncd.conf
	start_example git rsync web
	timeout 60 git clone -q -b main git://localhost/hello.git "$BATS_TEST_TMPDIR/clone"
	[ "$(git -C "$BATS_TEST_TMPDIR/clone" log --format=%s)" = 'the first' ]
	timeout 60 rsync -r rsync://localhost:10873/docs/ "$BATS_TEST_TMPDIR/docs"
	[ "$(cat "$BATS_TEST_TMPDIR/docs/page")" = page ]
	gets 10080 page page
	no_complaint
}

@test "exec: dropbear as root: a login with a key as another user, with a terminal and without" {
	local ssh=(timeout 60 ssh -p 10022 -i "$BATS_TEST_TMPDIR/key" -o BatchMode=yes -o LogLevel=ERROR
		-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null)
	need /usr/sbin/dropbear dropbear-bin
	need /usr/bin/ssh openssh-client
	mkdir -p /etc/dropbear
	dropbearkey -t ed25519 -f /etc/dropbear/dropbear_ed25519_host_key >"$BATS_TEST_TMPDIR/keygen" 2>&1
	useradd --create-home --shell /bin/sh visitor
	ssh-keygen -q -t ed25519 -N '' -f "$BATS_TEST_TMPDIR/key"
	install -d -m 700 -o visitor /home/visitor/.ssh
	install -m 600 -o visitor "$BATS_TEST_TMPDIR/key.pub" /home/visitor/.ssh/authorized_keys
	start_example ssh
	# shellcheck disable=SC2016  # for the shell there
	[ "$("${ssh[@]}" visitor@localhost 'echo "$USER $(id -u) $PWD"')" = "visitor $(id -u visitor) /home/visitor" ]
	[[ $("${ssh[@]}" -tt visitor@localhost tty) == /dev/pts/* ]]
}

# ---- persistent ----

@test "persistent: python3, gunicorn, node and starlet, and a reload of all of them" {
	need /usr/bin/gunicorn gunicorn
	need /usr/bin/node nodejs
	need /usr/bin/plackup libplack-perl
	put_file gunicorn /srv/app/hello.py
	put_file node /srv/app/hello.js
	put_file starlet /srv/app/hello.psgi
	chmod -R a+rX /srv
	start_example files gunicorn node starlet
	all_serve
	systemctl reload "$UNIT"
	wait_for 60 "the end of the reload" says 'event=reload_(done|refused)'
	log_has 'event=reload_done'
	all_serve
	no_complaint
}

all_serve() {
	curl -sS -m 60 http://127.0.0.1:10082/ | grep -q 'Directory listing'
	gets 10081 '' hello
	gets 10083 '' hello
	gets 10084 '' hello
}

@test "persistent: systemd-socket-proxyd, to a unix socket of the same unit" {
	start_example proxy unix
	hold 10085
	serve_on 9
	release
}

@test "persistent: in.tftpd, which changes its root directory" {
	# its package, installed, would start a daemon on the machine itself
	[ -z "${PREFORKD_TFTPD:-}" ] || install -m 755 "$PREFORKD_TFTPD" /usr/sbin/in.tftpd
	need /usr/sbin/in.tftpd tftpd-hpa
	mkdir -p /srv/tftp
	echo page >/srv/tftp/page
	chmod -R a+rX /srv
	start_example tftp
	[ "$(curl -sS -m 60 tftp://localhost:10069/page)" = page ]
}

# ---- modules ----

@test "module: the example, built and installed by the lines in its head" {
	cd "$BATS_TEST_TMPDIR"
	cp "$TOP/examples/upper.c" .
	sed -n '/^ \*\t\(cc\|install\) /s/^ \*\t//p' upper.c >lines
	[ "$(wc -l <lines)" -eq 2 ]
	sh -e lines
	start_example module
	[[ $(echo hello | ask 7007) == "Hello, 127.0.0.1:"*$'\n'HELLO ]]
	no_complaint
}

@test "php: the examples; and regular expressions and opcache, which make code as they run" {
	local module_dir
	module_dir=$(pkg-config --variable=moduledir preforkd)
	[ -e "$module_dir/php.so" ] || strict_skip "php was not built (Debian: apt-get install php-dev libphp-embed)"
	mkdir -p /srv/php
	cp "$TOP"/examples/php/*.php /srv/php/
	cat >/srv/php/match.php <<-'PHP'
	<?php
	return function ($client, array $peer) {
		socket_write($client, preg_replace('/(h)(e)/', '$2$1', socket_read($client, 100)));
	};
	PHP
	printf '%s\n' 'zend_extension=opcache' 'opcache.enable=1' 'opcache.jit=tracing' 'opcache.jit_buffer_size=8M' \
		'opcache.lockfile_path=/tmp' 'extension=sockets' >/srv/php/jit.ini
	chmod -R a+rX /srv
	printf 'service %s { port = %s handler = php options { script = "/srv/php/%s.php" %s } }\n' \
		echo 7008 echo '' match 7010 match '' jit 7011 match 'ini = "/srv/php/jit.ini"' | configure
	start_example php
	[[ $(printf 'add 2\nadd 3\nquit\n' | ask 7009) == *$'\nsum 2\nsum 5\nbye' ]]
	[ "$(echo hello | ask 7008)" = hello ]
	[ "$(echo hello | ask 7010)" = ehllo ]
	[ "$(echo hello | ask 7011)" = ehllo ]
	no_complaint
}
