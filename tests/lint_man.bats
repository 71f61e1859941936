#!/usr/bin/env bats
# What the documents say is tried: every example of the man page and of etc/, and the lists of what there is.
# shellcheck disable=SC2154  # run sets stderr
# shellcheck disable=SC2094  # what is read and what is written are two directories

bats_require_minimum_version 1.5.0
load lib/daemon

MAN_CONF=$BATS_TEST_DIRNAME/../man/preforkd.conf.5.in
MAN=$BATS_TEST_DIRNAME/../man/preforkd.8.in
MAN_CTL=$BATS_TEST_DIRNAME/../man/preforkctl.1.in
MAN_MODULE=$BATS_TEST_DIRNAME/../man/preforkd-module.3.in
ETC=$BATS_TEST_DIRNAME/../etc
PREFORKCTL=${PREFORKCTL:-${PREFORKD%/*}/preforkctl}

setup() {
	daemon_setup
	export RELOAD_KEY=
}

# block N: the Nth ".Bd -literal" of the section EXAMPLES of preforkd.conf(5), as mandoc(1) would show it
block() {
	awk -v "n=$1" '
		/^\.Sh / { on = /EXAMPLES/ }
		/^\.Ed/ { inside = 0 }
		inside { print }
		on && /^\.Bd -literal/ { inside = ++count == n }' "$MAN_CONF" |
		sed -e 's/\\(dq/"/g' -e "s/\\\\(aq/'/g" -e 's/\\&//g' -e 's/\\-/-/g' -e 's/\\e/\\/g'
}

# is_good NAME: $CONF passes -T and -t. -t may refuse sockets that this kernel does not give, and warn that it answers pings
# itself, or that examples together have one user; without root both may refuse other users. Programs may be missing, but
# not in strict mode. The handler php may be missing where it is not built, and upper, which whoever copies the example builds.
is_good() {
	local option excused=': this system gives no socket of |: warning: .*echo_ignore_all|: warning: .*runs as the same user'
	excused+='|: there is no handler "upper"; '
	[ "$(id -u)" -eq 0 ] || excused+='|only root can run workers as'
	[ -n "${PHP_MODULE:-}" ] || excused+='|: there is no handler "php"; '
	[ -n "${PREFORKD_TEST_STRICT:-}" ] || excused+='|: command: /[^ ]*: No such file or directory$'
	for option in -T -t; do
		run --separate-stderr "$PREFORKD" -c "$CONF" "$option"
		! grep -Ev "$excused" <<<"$stderr" | grep . || { echo "$1: refused by $option"; return 1; }
	done
	if grep -v ': warning: ' <<<"$stderr" | grep -q .; then
		[ "$status" -eq 78 ]
	else
		[ "$status" -eq 0 ] && [[ $output == "$CONF: OK ("* ]]
	fi || { echo "$1: exit status $status: $output$stderr"; return 1; }
}

# n_services_is N: so many are in $CONF and beside it; without root there may be errors instead
n_services_is() {
	[ "$(id -u)" -ne 0 ] || [ "$("$PREFORKD" -c "$CONF" -T | grep -c '^service ')" -eq "$1" ]
}

@test "every example of preforkd.conf(5) is a config that passes" {
	local n=0 blocks
	blocks=$(awk '/^\.Sh / { on = /EXAMPLES/ } on && /^\.Bd -literal/' "$MAN_CONF" | wc -l)
	[ "$blocks" -ge 15 ]
	while [ "$n" -lt "$blocks" ]; do
		n=$((n + 1))
		block "$n" | write_config
		[ -s "$CONF" ]
		is_good "example $n"
	done
}

# as_installed: standard input, where the handler php and its script are those of here, and the programs those that were
# unpacked for the tests
as_installed() {
	sed -E ${PHP_MODULE:+-e "s|^(.*handler *= )php\$|\1\"$PHP_MODULE\"|"} \
		${PREFORKD_TFTPD:+-e "s|/usr/sbin/in.tftpd|$PREFORKD_TFTPD|"} \
		${PREFORKD_MICRO_HTTPD:+-e "s|/usr/sbin/micro-httpd|$PREFORKD_MICRO_HTTPD|"} \
		-e "s|/srv/php/|$BATS_TEST_DIRNAME/../examples/php/|"
}

@test "every example of etc/services.d passes, alone and all together" {
	local example
	mkdir "$BATS_TEST_TMPDIR/services.d"
	for example in "$ETC"/services.d/*.conf.example; do
		as_installed <"$example" | write_config
		is_good "$example"
	done
	for example in "$ETC"/services.d/*.conf.example; do
		as_installed <"$example" >"$BATS_TEST_TMPDIR/services.d/$(basename "$example" .example)"
	done
	write_config <"$ETC/preforkd.conf"
	is_good "all together"
	n_services_is "$(cat "$ETC"/services.d/*.example | grep -c '^service ')"
}

@test "the sample is a config without a service, and a good one with every key switched on" {
	write_config <"$ETC/preforkd.conf"
	run "$PREFORKD" -c "$CONF" -t
	[ "$status" -eq 78 ]
	[[ $output == "$CONF: there is no service"* ]]
	sed -E 's/^#([^ #]|$)/\1/' "$ETC/preforkd.conf" | write_config
	is_good "every key"
	n_services_is "$(grep -c '^#service ' "$ETC/preforkd.conf")"
}

# listed SECTION: what "preforkd -m" says there, the first word of each line
listed() {
	"$PREFORKD" -m | awk -v "section=[$1]" 'NF == 0 { on = 0 } on { sub(/:.*/, ""); print } $0 == section { on = 1 }' | sort
}

# section TITLE FILE: of a man page
section() {
	awk -v "title=$1" '/^\.Sh / { on = $0 == ".Sh " title } on' "$2"
}

# handlers: those that are compiled in, and those that are programs
handlers() {
	{ listed handlers; printf "%s\n" exec persistent; } | sort -u
}

@test "both man pages describe the handlers that are compiled in, and those that are programs, and no other" {
	local page
	[ "$(listed handlers | wc -l)" -ge 6 ]
	for page in "$MAN" "$MAN_CONF"; do
		diff -u --label "$page" --label 'preforkd -m' <(section HANDLERS "$page" | sed -n 's/^\.It Cm //p' | sort) <(handlers)
	done
}

# words: the %{words} that preforkd.conf(5) says arguments may hold
words() {
	awk '/^\.It / { on = /^\.It Ic command/ } on' "$MAN_CONF" | grep -o '%{[a-z_]*}' | tr -d '%{}'
}

@test "preforkd.conf(5) lists the words that arguments may hold, and no other" {
	echo 'service x { handler = exec command = {"/bin/cat", "%{?}"} }' | write_config
	run "$PREFORKD" -c "$CONF" -t
	diff -u --label preforkd.conf.5 --label 'preforkd -t' <(words) <(tr ' ' '\n' <<<"${output##*they are: }")
}

# sockets: the table of preforkd.conf(5), "FAMILY TYPE PROTOCOL SERVES"; 0 is the protocol of a family that has none
sockets() {
	section SOCKETS "$MAN_CONF" |
		sed -En 's/^\.It Cm ([a-z0-9]+) Ta Cm ([a-z]+) Ta Cm ([a-z0-9-]+) Ta (accept|receive) Ta .+$/\1 \2 \3 \4/p' |
		sed 's/^\([^ ]* [^ ]*\) 0 /\1 none /' | sort
}

@test "preforkd.conf(5) lists the sockets that are compiled in, and no other" {
	[ "$(sockets | wc -l)" -ge 25 ]
	diff -u --label preforkd.conf.5 --label 'preforkd -m' <(sockets | cut -d ' ' -f 1-3) <(listed protocols)
}

@test "preforkd.conf(5) says of each socket what --probe says it does" {
	diff -u --label preforkd.conf.5 --label 'preforkd --probe' <(sockets) \
		<("$PREFORKD" --probe | awk 'NR > 1 { print $1, $2, $3, $4 }' | sort)
}

# options_of PAGE: the options that the page describes, as -h has them: "-t, --test", one a line
options_of() {
	section OPTIONS "$1" | sed -n 's/^\.It Fl //p' | sed -E 's/ (Ar [a-z]+ )?, Fl -/, --/; s/ Ar .*//; s/^-/--/; s/^([a-zA-Z]),/-\1,/' | sort
}

# options_in_help: the same of what is read from standard input; one in brackets goes with the one before it
options_in_help() {
	sed -En 's/^ +((-[a-zA-Z], )?--[a-z-]+)( \[(--[a-z]+)\])?.*/\1\n\4/p' | grep . | sort
}

@test "preforkd(8) and preforkctl(1) describe the options that -h lists, and no other" {
	[ "$(options_of "$MAN" | wc -l)" -ge 10 ]
	diff -u --label preforkd.8 --label 'preforkd -h' <(options_of "$MAN") <("$PREFORKD" -h | options_in_help)
	diff -u --label preforkctl.1 --label 'preforkctl -h' <(options_of "$MAN_CTL") <("$PREFORKCTL" -h | options_in_help)
}

@test "the commands of preforkctl(1) are those of preforkctl -h" {
	diff -u --label preforkctl.1 --label 'preforkctl -h' \
		<(section COMMANDS "$MAN_CTL" | sed -En 's/^\.It Cm ([a-z-]+).*/\1/p' | sort) \
		<("$PREFORKCTL" -h | sed -n '/^commands:/I,/^$/s/^ \{1,\}\([a-z-]\{1,\}\) .*/\1/p' | sort)
}

@test "preforkd(8) names the sections of -m" {
	local name
	while IFS= read -r name; do
		section OPTIONS "$MAN" | awk '/^\.It / { on = /Fl m/ } on' | grep -qw "$name" || { echo "not named: $name"; false; }
	done < <("$PREFORKD" -m | sed -n 's/^\[\(.*\)\]$/\1/p')
}

@test "mandoc finds nothing to complain about in the man pages" {
	command -v mandoc >/dev/null || strict_skip "mandoc is not installed"
	run mandoc -Tlint -W warning "$MAN" "$MAN_CONF" "$MAN_CTL" "$MAN_MODULE"
	[ "$status" -eq 0 ] || { echo "$output"; false; }
	[ -z "$output" ]
}
