#!/usr/bin/env bats
# activation.bats - sockets that systemd opens: the socket units as "make install" leaves them, and the unit without
# rights, which has no others.
# shellcheck disable=SC2030,SC2031  # a bats test is no subshell of another one
# shellcheck disable=SC2154  # MASTER, LOG, ... are set by lib/daemon and machine

bats_require_minimum_version 1.5.0
load ../lib/daemon
load ../lib/examples
load machine

setup() { machine_setup; }

# these units are not a test's own: the next one finds them as they were shipped
teardown() {
	systemctl stop "$SOCKET"
	rm -rf "/run/systemd/system/$SOCKET.d" "$confdir/services.d/hello.conf"
	machine_teardown
}

# shipped NAME: NAME.service and NAME.socket as they are installed; the directory of its config is $2
shipped() {
	SOCKET=$1.socket
	use_unit "$1.service"
	DIR=$2
	mkdir -p "$DIR"
}

# edit_socket LINE...
edit_socket() {
	mkdir -p "/run/systemd/system/$SOCKET.d"
	printf '%s\n' '[Socket]' "$@" >"/run/systemd/system/$SOCKET.d/edit.conf"
	systemctl daemon-reload
}

# started_by_client PORT: nothing runs, a client comes, is answered, and it runs
started_by_client() {
	property_is ActiveState inactive
	answers "$1"
	# a worker may be quicker than what the master says of its start
	wait_for 20 "the end of the start" property_is ActiveState active
	MASTER=$(property MainPID)
}

@test "preforkd.socket as shipped: the first client starts preforkd; after a stop, the next one does" {
	local inode
	shipped preforkd "$confdir"
	cp "$EXAMPLES/hello.conf.example" "$confdir/services.d/hello.conf"
	systemctl start preforkd.socket
	inode=$(inode_of 127.0.0.1:1337)
	started_by_client 1337
	says 'event=listener_adopted service=hello from=manager'
	log_lacks 'event=socket_refused'
	# what the socket unit keeps has no place in the store
	property_is NFileDescriptorStore 0
	systemctl reload preforkd
	answers 1337
	# a stop does not shut it: the queue is systemd's again
	systemctl stop preforkd.service 2>/dev/null
	[ "$(inode_of 127.0.0.1:1337)" = "$inode" ]
	started_by_client 1337
	answers 1337
	[ "$(inode_of 127.0.0.1:1337)" = "$inode" ]
	property_is Result success
}

@test "preforkd.socket: a service with port 0 gets the socket of its name, and the others are refused with a line" {
	shipped preforkd "$confdir"
	sed 's/port     = 1337/port     = 0/' "$EXAMPLES/hello.conf.example" >"$confdir/services.d/hello.conf"
	edit_socket 'ListenDatagram=127.0.0.1:1337' 'ListenStream=/run/preforkd-nobody.sock'
	systemctl start preforkd.socket
	started_by_client 1337
	says 'event=listener_adopted service=hello from=manager'
	log_has 'event=listening service=hello .*address=127.0.0.1:1337'
	log_has 'event=socket_refused name=hello socket="inet dgram udp 127.0.0.1:1337" error='
	log_has 'event=socket_refused name=hello socket="unix stream /run/preforkd-nobody.sock" error='
	[ "$(log_count event=socket_refused)" -eq 2 ]
	# another name: the address is what counts
	edit_socket 'FileDescriptorName=other'
	cp "$EXAMPLES/hello.conf.example" "$confdir/services.d/hello.conf"
	systemctl stop preforkd.service preforkd.socket
	systemctl start preforkd.socket
	use_unit preforkd.service
	started_by_client 1337
	says 'event=listener_adopted service=hello from=manager'
	log_lacks 'event=socket_refused'
}

@test "the units without rights as shipped: no root, no capability, no network, and they serve" {
	local exposure worker
	shipped preforkd-unprivileged "$confdir/unprivileged"
	systemd-sysusers
	cp "$EXAMPLES/hello.conf.example" "$DIR/preforkd.conf"
	run -0 systemd-analyze verify --man=no preforkd-unprivileged.service preforkd-unprivileged.socket preforkd.socket
	[ -z "$output" ]
	systemctl start preforkd-unprivileged.socket
	started_by_client 1337
	says 'event=listener_adopted service=hello from=manager'
	worker=$(workers_of "$MASTER" hello | head -n 1)
	for pid in $MASTER $worker; do
		[ "$(stat -c %U "/proc/$pid")" = preforkd ]
		grep -q '^CapPrm:[[:space:]]*0000000000000000$' "/proc/$pid/status"
		grep -q '^CapBnd:[[:space:]]*0000000000000000$' "/proc/$pid/status"
		[ "$(readlink "/proc/$pid/ns/net")" != "$(readlink /proc/1/ns/net)" ]
	done
	# it lives on by itself
	systemctl reload preforkd-unprivileged
	wait_for 20 "the end of the reload" says 'event=reload_done generation=2'
	answers 1337
	systemctl restart preforkd-unprivileged
	answers 1337
	daemon_log_is_clean
	log_lacks 'level=(warning|error)'
	# who reloads a faulty config is told so
	echo 'wrong = 1' >>"$confdir/unprivileged/preforkd.conf"
	run -1 systemctl reload preforkd-unprivileged
	systemctl status preforkd-unprivileged | grep -q 'unknown key wrong'
	sed -i '/^wrong/d' "$confdir/unprivileged/preforkd.conf"
	systemctl reload preforkd-unprivileged
	answers 1337
	exposure=$(exposure_of preforkd-unprivileged.service)
	echo "$exposure"
	[ "${exposure/./}" -le 5 ]
}
