# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with the files around this one
# handlers.bash: handlers that are programs, PHP and modules, each beside what people use instead, or did so far.
#
# A program takes a millisecond, a unit of systemd three: the turns are longer than those of echo, so that a server does
# not clean up in the turn of the other one. bench pins all of them; each starts /bin/cat with few variables.

readonly CAT=/bin/cat
readonly TURN_MS=50 LONG_TURN_MS=250

# ---- peers ----

free_port() { # below those that the kernel gives to clients
	local port tries

	for ((tries = 0; tries < 100; tries++)); do
		port=$((20000 + RANDOM % 10000))
		is_listening "$port" || break
	done
	echo "$port"
}

is_listening() { # is_listening PORT: whether somebody does, without a connection
	awk -v port="$(printf '%04X' "$1")" '$4 == "0A" && $2 ~ ":" port "$" { n++ } END { exit !n }' \
		/proc/net/tcp /proc/net/tcp6 2>/dev/null
}

wait_for_port() { # wait_for_port WHO PORT LOG: for those that do not say that they are ready
	local i

	for ((i = 0; i < LIMIT_S * 50; i++)); do
		gone "${pid[$1]}" && break
		is_listening "$2" && where[$1]=$2 && return
		sleep 0.02
	done
	say "process ${pid[$1]} does not listen; what it said:"
	tail -n 5 "$3" >&2
	return 1
}

start_spawn() { # start_spawn WHO WORKERS: the bare loop again, with a posix_spawn and a wait
	start_loop "$1" "$2" --exec "$CAT"
}

start_tcpserver() { # start_tcpserver WHO: no look-ups; a process for each connection, as with those below
	local log=$tmp/$1.log

	: >"$log"
	pinned "$log" - tcpserver -1 -HR -l 0 0 0 "$CAT"
	pid[$1]=$child
	wait_for "$child" "$log" '^[0-9]' && where[$1]=$(<"$log")
}

start_xinetd() { # start_xinetd WHO: no limits of its own, no log
	local log=$tmp/$1.log port

	port=$(free_port)
	cat >"$tmp/$1.conf" <<-END
	service bench
	{
	    type = UNLISTED
	    port = $port
	    socket_type = stream
	    protocol = tcp
	    wait = no
	    user = $(id -un)
	    server = $CAT
	    instances = UNLIMITED
	    per_source = UNLIMITED
	    cps = 1000000 1
	}
	END
	pinned /dev/null "$log.err" xinetd -dontfork -f "$tmp/$1.conf" -filelog "$log" -pidfile "$tmp/$1.pid"
	pid[$1]=$child
	wait_for_port "$1" "$port" "$log"
}

start_accept_yes() { # start_accept_yes WHO: a systemd of its own, with a socket unit
	local port dir=$tmp/units-$1

	port=$(free_port)
	mkdir -p "$dir"
	cat >"$dir/bench.socket" <<-END
	[Socket]
	ListenStream=0.0.0.0:$port
	Accept=yes
	MaxConnections=1000
	TriggerLimitIntervalSec=0
	END
	cat >"$dir/bench@.service" <<-END
	[Unit]
	CollectMode=inactive-or-failed
	[Service]
	ExecStart=$CAT
	StandardInput=socket
	StandardError=null
	END
	cgroups+=("$(cgroup_mount)/preforkd-bench-$$-$1")
	pinned /dev/null "$tmp/$1.log" bash "$here/boot" "${cgroups[-1]}" "$dir" bench.socket
	pid[$1]=$child
	kill_at_end
	wait_for_port "$1" "$port" "$tmp/$1.log"
}

start_php_by_hand() { # start_php_by_hand WHO WORKERS
	local log=$tmp/$1.log

	: >"$log"
	pinned "$log" - php "$here/prefork.php" "$2"
	pid[$1]=$child
	wait_for "$child" "$log" '^port=' && where[$1]=$(sed -n 's/^port=//p' "$log") && has_workers "$1" "$2"
}

# ---- handlers of preforkd ----

start_exec() {
	start_preforkd "$1" "$2" "handler = exec command = {\"$CAT\"}"
}

start_php_process() {
	start_preforkd "$1" "$2" "handler = exec command = {\"$(command -v php)\", \"$here/stdin.php\"}"
}

start_php() {
	start_preforkd "$1" "$2" "handler = \"$php_module\" options { script = \"$here/../../examples/php/echo.php\" }"
}

start_module() {
	start_preforkd "$1" "$2" "handler = \"$bin/echo.so\""
}

# ---- figures ----

has() { # has PROGRAM PACKAGE FIGURE: whether it is installed; says how to get it
	command -v "$1" >/dev/null && return
	not_measured "$3" "apt-get install $2"
	return 1
}

beside() { # beside FIGURE A B TURN_MS OP BAR [CPU-BAR]: rates of two servers
	local bar=("${@:5:2}") cpu=(${7:+'<=' "$7"})

	((self)) && bar=() cpu=()
	say "$1: $side_runs runs of $side_s s, $PROCESSES processes, $CLIENTS clients"
	if ! { start_pair "$2" "$3" "$PROCESSES" &&
		measure_load connections "$side_runs" "$side_s" -c "$CLIENTS" --slice "$4"; }; then
		not_measured "$1" 'see above'
	else
		rate_row "$1" "${bar[@]}"
		[[ ${7+set} ]] && run_row '  server CPU per connection, us' 4 '' %.2f "${cpu[@]}"
	fi
	end_servers
}

figures_of_exec() {
	local figure

	beside 'exec cat/s, by a bare posix_spawn loop' spawn exec "$TURN_MS" '>=' 0.95 ''
	figure='exec cat/s, by tcpserver'
	has tcpserver ucspi-tcp "$figure" && beside "$figure" tcpserver exec "$TURN_MS" '>=' 1.0
	figure='exec cat/s, by xinetd'
	has xinetd xinetd "$figure" && beside "$figure" xinetd exec "$TURN_MS" '>=' 1.2
	figure='exec cat/s, by systemd with Accept=yes'
	if [[ ! -x /lib/systemd/systemd ]]; then
		not_measured "$figure" 'apt-get install systemd'
	elif ((EUID)) || [[ -z $(cgroup_mount) ]]; then
		not_measured "$figure" 'a systemd of its own needs root, and a mounted cgroup2'
	else
		beside "$figure" accept_yes exec "$LONG_TURN_MS" '>=' 3.0
	fi
}

figures_of_php() {
	local figure='php echo/s, by pcntl_fork and accept'

	if [[ -z $php_module ]]; then
		not_measured 'php echo' 'apt-get install php-dev libphp-embed, then ./configure again'
		return
	fi
	has php php-cli 'php echo' || return
	beside "$figure" php_by_hand php 5 '>=' 0.9 ''
	beside 'php echo/s, by a PHP process each' php_process php "$LONG_TURN_MS" '>=' 100
}

figures_of_modules() {
	beside 'echo/s: built in, as a module' preforkd module 5 '>=' 0.97 1.03
}
