#!/usr/bin/env bats
# One table of options, told three times: by the program (-T), by preforkd.conf(5) and by the sample etc/preforkd.conf.
# The keys, their defaults, types and units must be the same everywhere.

load lib/daemon

MAN=$BATS_TEST_DIRNAME/../man/preforkd.conf.5.in
SAMPLE=$BATS_TEST_DIRNAME/../etc/preforkd.conf

# base SERVICE: what a service of the config below has besides its handler; together they have every key there is. -T
# opens no socket, so it does not matter what this kernel has.
base() {
	case $1 in
	ip) ;;
	ip6) echo 'family = inet6' ;;
	udp) echo 'type = dgram' ;;
	path) echo 'family = unix  path = "/x"' ;;
	path-dgram) echo 'family = unix  type = dgram  path = "/y"' ;;
	vsock) echo 'family = vsock' ;;
	tipc) echo 'family = tipc  type = rdm  address = "1000:1"' ;;
	program) echo 'handler = exec  command = {"/bin/cat"}' ;;
	stays) echo 'handler = persistent  command = {"/bin/cat"}' ;;
	esac
}

# service NAME [KEYS]: with that base, and a handler
service() {
	echo "service $1 { $(base "$1") ${2-}"
	[ "$1" = program ] || [ "$1" = stays ] || echo 'handler = echo'
	echo '}'
}

setup() {
	local name
	daemon_setup
	export RELOAD_KEY=
	TABLES=$BATS_TEST_TMPDIR
	for name in ip ip6 udp path path-dgram vsock tipc program stays; do
		service "$name"
	done | write_config
}

# keys: config syntax, one key a line, to lines "SERVICE KEY VALUE|COMMENT"; a key in blocks is "BLOCK.BLOCK.KEY", one of
# the top level "global.KEY"
keys() {
	awk '
		$1 == "service" { service = $2; next }
		$2 == "{" { block[++depth] = $1; next }
		$1 == "}" { if (depth > 0) depth--; else service = ""; next }
		$2 == "=" {
			key = service ? "" : "global."
			for (i = 1; i <= depth; i++)
				key = key block[i] "."
			key = key $1; sub(/^[^=]*= /, "")
			comment = ""
			if (match($0, / *# [^"#]*$/)) {
				comment = substr($0, RSTART)
				sub(/ *# /, "", comment)
				$0 = substr($0, 1, RSTART - 1)
			}
			print (service ? service : "-"), key, $0 "|" comment
		}'
}

# program: "KEY|DEFAULT" of the program, "written" where the config has to write it
program() {
	"$PREFORKD" -c "$CONF" -T | keys | awk '
		{ service = $1; key = $2; sub(/^[^ ]* [^ ]* /, ""); split($0, part, "|") }
		part[2] != "default" { if (!(key in value)) value[key] = "written"; next }
		(key in value) && value[key] != "written" && value[key] != part[1] { value[key] = "not the same everywhere"; next }
		{ value[key] = part[1] }
		END { for (key in value) print key "|" value[key] }' |
		sed "s/^socket\.backlog|$(cat /proc/sys/net/core/somaxconn)\$/socket.backlog|somaxconn/" | sort
}

# manual: "KEY|DEFAULT|TYPE|UNIT|EFFECT" in the order of the page
manual() {
	awk '
		/^\.Sh / { prefix = /GLOBAL KEYS/ ? "global." : ""; on = /(GLOBAL|SERVICE) KEYS/ }
		on && /^\.It Ic / {
			key = prefix $3; getline
			if (!match($0, /^Type: [a-z]+\.( Unit: [a-z ]+\.)? Default: .*\. Takes effect at: [a-z]+\.$/)) {
				print key "|a line of another shape: " $0; next }
			split("", field)
			n = split($0, part, /\.? ?(Type|Unit|Default|Takes effect at): /)
			unit = /Unit: / ? part[3] : ""; at = part[n]; sub(/\.$/, "", at)
			print key "|" part[n - 1] "|" part[2] "|" unit "|" at
		}' "$MAN"
}

# sample: the sample config with every key switched on
sample() {
	sed -E 's/^#([^ #]|$)/\1/' "$SAMPLE"
}

# same WHAT FILE OTHER: no difference
same() {
	diff -u --label program --label "$1" "$2" "$3"
}

@test "the man page has every key of the program and no other, with its default" {
	# what has to be written has a default of its own word
	manual | sed -E -e 's/^handler\|none \(required\)\|/handler|written|/' -e 's/^path\|""\|/path|written|/' -e 's/^command\|\{\}\|/command|written|/' |
		cut -d '|' -f 1,2 | sort >"$TABLES/manual"
	program >"$TABLES/program"
	[ "$(wc -l <"$TABLES/program")" -ge 50 ]
	same manual "$TABLES/program" "$TABLES/manual"
}

@test "the man page has the keys in the order of the program" {
	"$PREFORKD" -c "$CONF" -T | keys | awk '{ print $1, $2 }' >"$TABLES/order"
	run awk -F '[| ]' '
		NR == FNR { place[$1] = FNR; next }
		$1 != service { service = $1; last = 0 }
		place[$2] < last { print $2 " is not where -T has it" }
		{ last = place[$2] }' <(manual) "$TABLES/order"
	[ -z "$output" ] || { echo "$output"; false; }
}

@test "the sample has every key of the program and no other, with its default" {
	sample | keys | awk '
		{ service = $1; key = $2; sub(/^[^ ]* [^ ]* /, ""); sub(/\|.*/, "") }
		key == "handler" || key == "path" || key == "command" { print key "|written"; next }
		service != "-" && service != "example" && key ~ /^(family|type|address)$/ { next }	# what makes it what it is
		{ print key "|" $0 }' | sort -u >"$TABLES/sample"
	program >"$TABLES/program"
	same sample "$TABLES/program" "$TABLES/sample"
}

@test "every key of the sample stands below its comment" {
	# in all services but the first, family and type are two lines that say what it is
	run awk '
		/^#service / { services++ }
		services > 1 && /^#(family|type) = / && !/"/ { next }
		/^#[a-z0-9_]+ (=|\{)/ && before !~ /^# / { print FILENAME ":" FNR ": " $0 }
		/^#[a-z0-9_]+ (=|\{)/ && $1 != "#service" { keys++ }
		{ before = $0 }
		END { if (keys < 50) print "only " keys " keys" }' "$SAMPLE"
	[ -z "$output" ] || { echo "$output"; false; }
}

# with_wrong KEY VALUE: a config where KEY has a value that is no number, word, mode ... of any kind; only a text
with_wrong() {
	local key=$1 service line
	service=$("$PREFORKD" -c "$CONF" -T | keys | awk -v "key=$key" '$2 == key { print $1; exit }')
	line="${key##*.} = \"$2\""
	case $key in
	global.*.*)
		key=${key#global.}
		echo "${key%.*} { $line } service x { handler = echo }"
		return
		;;
	global.*)
		echo "$line service x { handler = echo }"
		return
		;;
	command) # which its base has already
		echo "service x { handler = exec $line }"
		return
		;;
	esac
	while [[ $key == *.* ]]; do
		key=${key%.*}
		line="${key##*.} { $line }"
	done
	service "$service" "$line" | sed 's/^service [^ ]*/service x/'
}

@test "the program takes for each key values of the type that the man page says" {
	local key type wrong text n=0 config=$CONF
	shopt -s extglob
	declare -A expected=(
		[number]='is not a number@(, or somaxconn| without)' [size]='is not a number, with K, M or G' [octal]='is not an octal mode'
		[bool]='is not true or false' [word]='is not one of' [duration]='is not a duration with its unit'
		[list]='@( is not NAME=value| is no name of a variable| is no group| is none of capabilities| is no absolute path|: must begin with an absolute path)'
	)
	while IFS='|' read -r key type; do
		[ "$type" != text ] || continue
		n=$((n + 1))
		# of a list it is the one member
		wrong=$([ "$type" = list ] && echo '=?' || echo '?')
		CONF=$config with_wrong "$key" "$wrong" >"$TABLES/wrong.conf"
		text=$("$PREFORKD" -c "$TABLES/wrong.conf" -t 2>&1) || :
		[[ -n ${expected[$type]} && $text == *"${key#global.}: \"$wrong\""*( )${expected[$type]}* ]] ||
			{ echo "$key is of type $type in the man page; the program says: $text"; return 1; }
	done < <(manual | cut -d '|' -f 1,3)
	[ "$n" -ge 30 ]
}

@test "what -T prints of every key is a config, and has the same values" {
	"$PREFORKD" -c "$CONF" -T | tee "$TABLES/printed" | grep -v '^user = ' >"$TABLES/printed.conf" # which only root may write
	"$PREFORKD" -c "$TABLES/printed.conf" -T >"$TABLES/again"
	diff -u <(keys <"$TABLES/printed" | sed 's/|.*//') <(keys <"$TABLES/again" | sed 's/|.*//')
}

@test "each default in the man page has the form of its type, each unit is one of that type" {
	run awk -F '|' '
		BEGIN {
			form["text"] = "^\".*\"$|^none \\(required\\)$"; form["word"] = "^[a-z0-9]+$"; form["list"] = "^{.*}$"
			form["number"] = "^(0|[1-9][0-9]*|somaxconn)$"; form["size"] = "^(0|[1-9][0-9]*[KMG]?)$"
			form["octal"] = "^0[0-7]+$"; form["bool"] = "^(true|false)$"; form["duration"] = "^(0|[1-9][0-9]*(ms|[smhd]))$"
		}
		!($3 in form) || $2 !~ form[$3] { print $1 ": the default " $2 " is no " $3 }
		($3 == "duration") != ($4 == "ms s m h d") { print $1 ": unit " $4 " for a " $3 }
		$3 != "number" && $3 != "size" && $3 != "duration" && $4 != "" { print $1 ": unit " $4 " for a " $3 }
		$5 != "reload" && $5 != "restart" { print $1 ": takes effect at " $5 }' <(manual)
	[ -z "$output" ] || { echo "$output"; false; }
}
