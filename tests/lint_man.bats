#!/usr/bin/env bats
# What the documents say is tried: every example of the man page and of etc/, and the lists of what there is.

load lib/daemon

MAN_CONF=$BATS_TEST_DIRNAME/../man/preforkd.conf.5.in
MAN=$BATS_TEST_DIRNAME/../man/preforkd.8.in
ETC=$BATS_TEST_DIRNAME/../etc

setup() {
	daemon_setup
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

# is_good NAME: $CONF passes -t; without root, one that needs root may be refused for that
is_good() {
	run "$PREFORKD" -c "$CONF" -t
	[ "$status" -eq 0 ] && [[ $output == "$CONF: OK ("* ]] && return
	[ "$(id -u)" -ne 0 ] && ! grep -v 'only root can run workers as' <<<"$output" && return
	echo "$1: $output"
	return 1
}

@test "every example of preforkd.conf(5) is a config that passes" {
	local n=0 blocks
	blocks=$(awk '/^\.Sh / { on = /EXAMPLES/ } on && /^\.Bd -literal/' "$MAN_CONF" | wc -l)
	[ "$blocks" -ge 5 ]
	while [ "$n" -lt "$blocks" ]; do
		n=$((n + 1))
		block "$n" | write_config
		[ -s "$CONF" ]
		is_good "example $n"
	done
}

@test "every example of etc/services.d passes, alone and all together" {
	local example
	mkdir "$BATS_TEST_TMPDIR/services.d"
	for example in "$ETC"/services.d/*.conf.example; do
		write_config <"$example"
		is_good "$example"
	done
	for example in "$ETC"/services.d/*.conf.example; do
		cat "$example" >"$BATS_TEST_TMPDIR/services.d/$(basename "$example" .example)"
	done
	write_config <"$ETC/preforkd.conf"
	is_good "all together"
	run "$PREFORKD" -c "$CONF" -T
	[ "$(grep -c '^service ' <<<"$output")" -eq "$(cat "$ETC"/services.d/*.example | grep -c '^service ')" ]
}

@test "the sample is a config without a service, and a good one with every key switched on" {
	write_config <"$ETC/preforkd.conf"
	run "$PREFORKD" -c "$CONF" -t
	[ "$status" -eq 78 ]
	[[ $output == "$CONF: there is no service"* ]]
	sed -E 's/^#([^ #]|$)/\1/' "$ETC/preforkd.conf" | write_config
	is_good "every key"
	[ "$output" = "$CONF: OK (3 services)" ]
}

# listed SECTION: what "preforkd -m" says there, the first word of each line
listed() {
	"$PREFORKD" -m | awk -v "section=[$1]" 'NF == 0 { on = 0 } on { sub(/:.*/, ""); print } $0 == section { on = 1 }' | sort
}

# section TITLE FILE: of a man page
section() {
	awk -v "title=$1" '/^\.Sh / { on = $0 == ".Sh " title } on' "$2"
}

@test "both man pages describe the handlers that are compiled in, and no other" {
	local page
	[ "$(listed handlers | wc -l)" -ge 6 ]
	for page in "$MAN" "$MAN_CONF"; do
		[ "$(section HANDLERS "$page" | sed -n 's/^\.It Cm //p' | sort)" = "$(listed handlers)" ] || { echo "$page"; false; }
	done
}

@test "preforkd.conf(5) lists the sockets that are compiled in, and no other" {
	[ "$(section SOCKETS "$MAN_CONF" | sed -n 's/^\.It Cm \([a-z0-9]*\) Ta Cm \([a-z]*\) Ta Cm \([a-z0-9]*\)$/\1 \2 \3/p' | sort)" = \
		"$(listed protocols | sed 's/ none$/ 0/')" ]
}

@test "preforkd(8) names the sections of -m" {
	local name
	while IFS= read -r name; do
		section OPTIONS "$MAN" | awk '/^\.It / { on = /Fl m/ } on' | grep -qw "$name" || { echo "not named: $name"; false; }
	done < <("$PREFORKD" -m | sed -n 's/^\[\(.*\)\]$/\1/p')
}

@test "mandoc finds nothing to complain about in the man pages" {
	command -v mandoc >/dev/null || strict_skip "mandoc is not installed"
	run mandoc -Tlint -W warning "$MAN" "$MAN_CONF"
	[ "$status" -eq 0 ] || { echo "$output"; false; }
	[ -z "$output" ]
}
