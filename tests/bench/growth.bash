# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with the files around this one
# growth.bash: pools that grow at once, beside their peers, and a very large one. On all processors: how fast the
# machine makes processes is what is measured.
#
# A peer starts anew for each round, as those that shrink at all take half a minute for it; preforkd shrinks meanwhile.

readonly HELD=64 LARGE=4000 ASKED=20 SAMPLE=40

everywhere() { # the processors that there are
	local IFS=,

	echo "${cpus[*]}"
}

# ---- from 2 workers to 64 ----

start_apache() { # start_apache WHO: prefork and mod_echo, alone; at its end it signals the whole process group
	local log=$tmp/$1.log port modules=/usr/lib/apache2/modules

	port=$(free_port)
	: >"$log"
	cat >"$tmp/$1.conf" <<-END
	ServerRoot "$tmp"
	ServerName localhost
	DefaultRuntimeDir "$tmp"
	PidFile "$tmp/$1.pid"
	ErrorLog "$log"
	LoadModule mpm_prefork_module $modules/mod_mpm_prefork.so
	LoadModule echo_module $modules/mod_echo.so
	$( ((EUID)) || printf 'User nobody\nGroup %s\n' "$(id -gn nobody)")
	Listen 127.0.0.1:$port
	ProtocolEcho On
	StartServers 2
	MinSpareServers 1
	MaxSpareServers 2
	ServerLimit $HELD
	MaxRequestWorkers $HELD
	END
	pinned /dev/null "$log.err" setsid /usr/sbin/apache2 -f "$tmp/$1.conf" -DFOREGROUND
	pid[$1]=$child
	wait_for_port "$1" "$port" "$log"
}

start_net_server() {
	local log=$tmp/$1.log port

	port=$(free_port)
	: >"$log"
	pinned "$log" "$log.err" perl "$here/prefork.pl" "$port"
	pid[$1]=$child
	wait_for_port "$1" "$port" "$log.err" && wait_for_workers "$1" 2
}

start_tcpserver_64() {
	local log=$tmp/$1.log

	: >"$log"
	pinned "$log" - tcpserver -1 -HR -l 0 -c "$HELD" -b "$HELD" 127.0.0.1 0 "$CAT"
	pid[$1]=$child
	wait_for "$child" "$log" '^[0-9]' && where[$1]=$(<"$log")
}

start_elastic() {
	write_service bench 2 "$HELD" >"$tmp/$1.conf"
	run_preforkd "$1" 2
}

hold() { # hold WHO COUNT: so many connections; what it says when all have been answered into answered; $child holds
	: >"$tmp/held" # the last one's would be read before the new process empties it
	launch "$tmp/held" - "$bin/hold" "${where[$1]}" "$2"
	wait_for "$child" "$tmp/held" '^ms=' && answered=$(<"$tmp/held")
}

grow() { # grow WHO KIND ROUNDS: a file of milliseconds, a line for each round
	local i answered

	: >"$tmp/grown.$1"
	for ((i = 0; i < $3; i++)); do
		if [[ -z ${pid[$1]-} ]]; then
			start_"$2" "$1" || return
		fi
		hold "$1" "$HELD" && [[ $answered == *again=0* ]] || return
		field ms "$answered" >>"$tmp/grown.$1"
		end "$child"
		if [[ $2 == elastic ]]; then
			wait_for_workers "$1" 2 || return
		else
			end_servers
		fi
	done
	end_servers
}

growth_row() { # growth_row FIGURE KIND: a peer, beside what has been measured of preforkd
	local a b

	say "$1: $peer_rounds rounds"
	if ! grow A "$2" "$peer_rounds" || { ((self)) && ! grow B "$2" "$peer_rounds"; }; then
		not_measured "$1" 'see above'
		end_servers
		return
	fi
	a=$(median <"$tmp/grown.A") b=$(median <"$tmp/grown.B")
	row "$1" "$(calc "$a" %.1f)" "$(calc "$b" %.1f)" "$(calc "$b / $a")" - -
}

figures_of_growth() {
	local b word servers_on figure="$HELD held from 2 workers, ms"

	servers_on=$(everywhere)
	if ((!self)); then
		say "$figure: $rounds rounds"
		if ! grow B elastic "$rounds"; then
			not_measured "$figure" 'see above'
			end_servers
			return
		fi
		b=$(median <"$tmp/grown.B")
		verdict "$b" '<=' 25
		row "$figure" - "$(calc "$b" %.1f)" - '<= 25' "$word"
	fi
	figure='  by Apache prefork with mod_echo'
	has /usr/sbin/apache2 apache2-bin "$figure" && growth_row "$figure" apache
	figure='  by Net::Server::PreFork'
	if perl -MNet::Server::PreFork -e 1 2>/dev/null; then
		growth_row "$figure" net_server
	else
		not_measured "$figure" 'apt-get install libnet-server-perl'
	fi
	figure='  by tcpserver'
	has tcpserver ucspi-tcp "$figure" && growth_row "$figure" tcpserver_64
}

# ---- thousands ----

took_ms() { # took_ms COMMAND...: prints the milliseconds
	local before=$EPOCHREALTIME

	"$@" >/dev/null || return
	calc "($EPOCHREALTIME - $before) * 1000" '%.3f\n'
}

ask() { # ask COUNT COMMAND...: a line of milliseconds for each time
	local i

	for ((i = 0; i < $1; i++)); do
		took_ms "$preforkctl" -c "$tmp/B.conf" -w "$LIMIT_S" "${@:2}" || return
		# the next one shall not pay for the end of the old workers
		[[ $2 != reload ]] || wait_for_workers B "$LARGE" || return
	done
}

large_row() { # large_row FIGURE BAR COUNT COMMAND...: the median
	local word b

	if ! ask "${@:3}" >"$tmp/asked"; then
		not_measured "$1" 'see above'
		return
	fi
	b=$(median <"$tmp/asked")
	verdict "$b" '<=' "$2"
	row "$1" - "$(calc "$b" %.1f)" - "<= $2" "$word"
}

# Of every so many workers, as the kernel looks at each page of them.
large_memory() {
	local word most

	# shellcheck disable=SC2046 # words are wanted
	if ! private_kib $(children "${pid[B]}" | tr ' ' '\n' | awk -v n="$SAMPLE" 'NR % n == 1') >"$tmp/private"; then
		not_measured "  private memory per worker" '/proc/PID/smaps_rollup cannot be read'
		return
	fi
	most=$(sort -g "$tmp/private" | tail -n 1)
	verdict "$most" '<=' 100
	row '  private memory per worker, KiB, most' - "$most" - '<= 100' "$word"
}

figures_of_large() {
	local servers_on

	servers_on=$(everywhere)
	start_row "start of $LARGE workers, ms" "$LARGE" "$large_pairs" '<=' 2.0
	((self)) && return
	{
		echo 'reload = all'
		write_service bench "$LARGE" "$LARGE"
	} >"$tmp/B.conf"
	say "$LARGE workers: status, reload, memory"
	if ! run_preforkd B "$LARGE"; then
		not_measured "$LARGE workers" 'see above'
		return
	fi
	large_memory
	large_row '  preforkctl status, ms' 100 "$ASKED" status
	large_row '  reload of all of them, ms' 3000 "$large_pairs" reload --wait
}
