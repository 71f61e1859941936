#!/usr/bin/env bats
# programs_persistent.bats - servers that nobody here wrote become workers, unchanged: each serves a real client.
# shellcheck disable=SC2030,SC2031  # a bats test is no subshell of another one
# shellcheck disable=SC2154  # MASTER, LOG, ... are set by lib/daemon

load lib/daemon
load lib/examples

setup() {
	daemon_setup
	WWW=$BATS_TEST_TMPDIR/www
	GATE=$BATS_TEST_TMPDIR/gate
	mkdir -m 755 "$WWW"
	echo "a page of $BATS_TEST_NUMBER" >"$WWW/page"
	head -c 300000 /dev/urandom >"$WWW/large"
	chmod 644 "$WWW/page" "$WWW/large"
}

teardown() {
	daemon_teardown
}

# needs PROGRAM PACKAGE
needs() {
	[ -x "$1" ] || strict_skip "$1 is not installed (Debian: $2)"
}

# get SERVICE PATH
get() {
	curl -sS -m 60 "http://127.0.0.1:$(port_of "$1")/$2"
}

# answers_with SERVICE TEXT: its front page; "ready = now" may mean a moment to wait, but no client is refused
answers_with() {
	[ "$(get "$1" '')" = "$2" ] || { get "$1" ''; false; }
}

n_children_is() {
	[ "$(workers_of "$MASTER" | wc -l)" -eq "$1" ]
}

# get_until URL FILE: a line for each answer until FILE is there
get_until() {
	until [ -e "$2" ]; do
		curl -sS -m 60 -o /dev/null "$1" || return 1
		echo
	done
}

# gets_all URL: a client that comes again and again until $GATE is there; its status is 1 when it was not answered once
gets_all() {
	beside "$BATS_TEST_TMPDIR/client" get_until "$1" "$GATE"
}

client_served() {
	[ "$(wc -l <"$BATS_TEST_TMPDIR/client")" -ge "$1" ]
}

# reload_under_load SERVICE TEXT: two reloads while clients come; none is lost, and the programs are other ones
reload_under_load() {
	local old n
	gets_all "http://127.0.0.1:$(port_of "$1")/"
	wait_for 60 "its first answers" client_served 3
	for _ in 1 2; do
		old=$(workers_of "$MASTER")
		reload_daemon
		log_has 'event=reload_done'
		no_process_left "$old"
		n=$(wc -l <"$BATS_TEST_TMPDIR/client")
		wait_for 60 "answers of the new ones" client_served $((n + 3))
	done
	touch "$GATE"
	wait "$BESIDE" || { cat "$BATS_TEST_TMPDIR/client"; false; }
	answers_with "$1" "$2"
}

@test "python3: http.server on descriptor 3" {
	needs /usr/bin/python3 python3
	needs /usr/bin/curl curl
	example files "s|/usr/share/doc|$WWW|" | write_config
	start_daemon
	[ "$(get files page)" = "$(cat "$WWW/page")" ]
	get files large | cmp - "$WWW/large"
	[ "$(curl -s -m 60 -o /dev/null -w '%{http_code}' "http://127.0.0.1:$(port_of files)/nothing")" = 404 ]
	reload_daemon
	log_has 'event=reload_done'
	wait_for 20 "the new ones alone" n_children_is 2
	[ "$(get files page)" = "$(cat "$WWW/page")" ]
	log_lacks worker_killed
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	log_lacks worker_killed
}

@test "gunicorn: LISTEN_FDS, READY=1, a status, and no request lost at a reload" {
	needs /usr/bin/gunicorn gunicorn
	needs /usr/bin/curl curl
	cat >"$WWW/hello.py" <<-'END'
	def app(environ, start_response):
	    start_response('200 OK', [('Content-Type', 'text/plain')])
	    return [b'hello of wsgi\n']
	END
	example gunicorn "s|/srv/app|$WWW|" | write_config
	start_daemon
	wait_for 20 "its status" log_has 'event=program_status service=gunicorn worker=1 status="Gunicorn arbiter booted"'
	answers_with gunicorn 'hello of wsgi'
	reload_under_load gunicorn 'hello of wsgi'
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	log_lacks 'worker_killed|orphan_killed|level=warning'
}

@test "node: http.listen({fd: 3})" {
	needs /usr/bin/node nodejs
	needs /usr/bin/curl curl
	example_file node /srv/app/hello.js >"$WWW/hello.js"
	example node "s|/srv/app|$WWW|" | write_config
	start_daemon
	for _ in 1 2 3 4; do
		answers_with node hello
	done
	reload_daemon
	log_has 'event=reload_done'
	wait_for 20 "the new ones alone" n_children_is 2
	answers_with node hello
	# what node leaves of the socket is for others: libuv made it non-blocking
	printf 'service node { address = "localhost" port = 0 handler = echo }' | write_config
	reload_daemon
	wait_for 20 "4 workers" n_workers_is 4 node
	answers "$(port_of node)"
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	log_lacks 'worker_killed|level=warning'
}

@test "systemd-socket-proxyd: to an echo service of the same preforkd" {
	local proxy=/lib/systemd/systemd-socket-proxyd
	needs "$proxy" systemd
	{
		printf 'service inner { family = unix path = "%s" handler = echo socket { mode = 0666 } }\n' "$BATS_TEST_TMPDIR/inner"
		# only root can choose the group
		example proxy "s|/run/preforkd/hello.sock|$BATS_TEST_TMPDIR/inner|" '/run +\{/d'
	} | write_config
	start_daemon
	for _ in 1 2 3 4; do
		answers "$(port_of proxy)"
	done
	hold "$(port_of proxy)"
	serve_on 9
	release
	reload_daemon
	answers "$(port_of proxy)"
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	[ "$(account_of inner accepted)" -eq 6 ]
	[ "$(account_of proxy accepted)" -eq 0 ]
	# nothing but that both services have one user
	log_all 'worker_killed|level=warning' 'event=config_warning'
}

@test "starlet: a program of the family of Server::Starter, and no request lost at a reload" {
	needs /usr/bin/plackup libplack-perl
	perl -MPlack::Handler::Starlet -e 1 || strict_skip "Starlet is not installed (Debian: starlet)"
	needs /usr/bin/curl curl
	cat >"$WWW/hello.psgi" <<-'END'
	sub { [200, ['Content-Type' => 'text/plain'], ["hello of psgi, generation $ENV{SERVER_STARTER_GENERATION}\n"]] }
	END
	example starlet "s|/srv/app|$WWW|" | write_config
	start_daemon
	answers_with starlet 'hello of psgi, generation 1'
	reload_under_load starlet 'hello of psgi, generation 3'
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	log_lacks 'worker_killed|level=warning'
}

@test "in.tftpd: a wait program of inetd, its socket is standard input" {
	local tftpd=${PREFORKD_TFTPD:-/usr/sbin/in.tftpd}
	needs "$tftpd" tftpd-hpa
	needs /usr/bin/curl curl
	need_root # for it changes its root directory and its user by itself
	install -m 755 "$tftpd" "$BATS_TEST_TMPDIR/in.tftpd"
	example tftp "s|/srv/tftp|$WWW|" "s|/usr/sbin/in.tftpd|$BATS_TEST_TMPDIR/in.tftpd|" | write_config
	start_daemon
	for _ in 1 2 3; do
		curl -sS -m 60 -o "$BATS_TEST_TMPDIR/got" "tftp://127.0.0.1:$(port_of tftp)/large"
		cmp "$BATS_TEST_TMPDIR/got" "$WWW/large"
	done
	[ "$(curl -sS -m 60 "tftp://127.0.0.1:$(port_of tftp)/page")" = "$(cat "$WWW/page")" ]
	reload_daemon
	log_has 'event=reload_done'
	curl -sS -m 60 -o "$BATS_TEST_TMPDIR/got" "tftp://127.0.0.1:$(port_of tftp)/large"
	cmp "$BATS_TEST_TMPDIR/got" "$WWW/large"
	stop_daemon
	[ "$DAEMON_STATUS" -eq 0 ]
	log_lacks worker_killed
}
