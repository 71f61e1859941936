# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with the files around this one
# trouble.bash: what it costs the others when workers die, or when clients of the control socket misbehave.

# ---- all workers are killed ----

# Each worker has served before, and all that is asked for is there when as many clients as workers have been answered
# at the same time: the time from the signal to that goes into a file.
kill_all() {
	local answered before workers

	hold B "$HELD" || return
	end "$child"
	read -r -a workers <<<"$(children "${pid[B]}")"
	before=$EPOCHREALTIME
	kill -KILL "${workers[@]}" || return
	hold B "$HELD" || return
	calc "($(field at "$answered") - $before) * 1000" '%.3f\n' >>"$tmp/killed"
	end "$child"
}

# Others come and go meanwhile; those whose worker is killed are reset, but nobody may find no server.
kill_for_a_while() {
	local client

	: >"$tmp/load"
	launch "$tmp/load" - "$bin/load" -p "${where[B]}" -c 4 -s "$RUN_S"
	client=$child
	while ! gone "$client"; do
		kill_all || return
	done
	wait_for "$client" "$tmp/load" '^connections='
	end "$client"
}

figures_of_killing() {
	local figure="SIGKILL of $HELD workers, all back, ms" word b servers_on

	servers_on=$(everywhere)
	say "$figure: again and again for $RUN_S s"
	: >"$tmp/killed"
	if ! { start_preforkd B "$HELD" && kill_for_a_while; }; then
		not_measured "$figure" 'see above'
		return
	fi
	b=$(median <"$tmp/killed")
	verdict "$b" '<=' 100
	row "$figure" - "$(calc "$b" %.1f)" - '<= 100' "$word"
	b=$(field refused "$(<"$tmp/load")")
	verdict "$b" == 0
	row "  clients refused, of $(field connections "$(<"$tmp/load")")" - "$b" - 0 "$word"
}

# ---- a crash loop beside a healthy service ----

# The workers of "bad" need a directory, which is taken away once they are there.
start_with_bad() {
	mkdir -p "$tmp/dir" || return
	chmod 711 "$tmp" # for its user
	{
		write_service bench "$PROCESSES" "$PROCESSES"
		write_service bad 2 2 "run { directory = \"$tmp/dir\" }"
	} >"$tmp/B.conf"
	run_preforkd B $((PROCESSES + 2))
}

break_bad() {
	local p name

	rmdir "$tmp/dir" || return
	for p in $(children "${pid[B]}"); do
		name=
		read -r name <"/proc/$p/comm"
		[[ $name != *bad ]] || kill -KILL "$p"
	done
}

# forks_of_bad: how many in the first 10 s after the kill, and in how many seconds how many others; two ended otherwise
forks_of_bad() {
	sed -n 's/^time=\([^ ]*\) .*event=worker_exit service=bad .*/\1/p' "$tmp/B.log" | date -f - +%s.%3N |
		awk 'NR == 1 { first = $1 } NR > 2 { n[$1 - first <= 10]++ } END { print n[1] + 0, n[0] + 0 }'
}

crash_loop_rows() {
	local early late word

	read -r early late <<<"$(forks_of_bad)"
	verdict "$early" '<=' 20
	row '  forks of the crash loop in 10 s' - "$early" - '<= 20' "$word"
	late=$(calc "$late * 60 / ($loop_s - 10)" %.0f)
	verdict "$late" '<=' 12
	row "  then in a minute (of $((loop_s - 10)) s)" - "$late" - '<= 12' "$word"
}

figures_of_crash_loop() {
	local figure='p99 beside a crash loop, us' end_s runs

	start_preforkd A "$PROCESSES" || return
	if ((self)); then
		start_preforkd B "$PROCESSES" || return
	else
		start_with_bad && break_bad || return
	fi
	end_s=$((SECONDS + loop_s + 1))
	runs=$(calc "$loop_s * 0.8 / $side_s" %.0f) # a tail differs much from run to run
	say "crash loop: $loop_s s, $runs runs of $side_s s meanwhile"
	measure_load connections "$runs" "$side_s" -c "$CLIENTS" || return
	run_row "$figure" 7 '' %.1f '<=' 1.1
	((self)) && return
	sleep $((end_s > SECONDS ? end_s - SECONDS : 0))
	crash_loop_rows
}

figures_of_failures() {
	if ((!self)); then
		figures_of_killing
		end_servers
	fi
	figures_of_crash_loop || not_measured 'crash loop' 'see above'
}

# ---- clients of the control socket ----

# The worst of so many answers, alone and beside the clients; those do it until they are ended.
control_row() { # control_row FIGURE COMMAND...
	local a b abuser word

	a=$(ask "$ASKED" status | sort -g | tail -n 1)
	: >"$tmp/abuser"
	launch "$tmp/abuser" - "${@:2}"
	abuser=$child
	wait_for "$abuser" "$tmp/abuser" 'held\|flooded' || return
	b=$(ask "$ASKED" status | sort -g | tail -n 1)
	gone "$abuser" && say "the other client has ended" && return 1
	end "$abuser"
	[[ $a && $b ]] || return
	verdict "$b" '<=' 100
	row "$1" "$(calc "$a" %.1f)" "$(calc "$b" %.1f)" "$(calc "$b / $a")" '<= 100' "$word"
}

figures_of_control() {
	local figure socket client=(perl "$here/../lib/control.pl")

	((self)) && return
	say "control: $ASKED answers each"
	write_config "$tmp/B.conf" "$HELD" '' 'handler = echo'
	socket=$tmp/control.sock
	echo "control { path = \"$socket\" }" >>"$tmp/B.conf"
	run_preforkd B "$HELD" || return
	figure='preforkctl status, ms: a flood beside it'
	control_row "$figure" perl -e 'while (1) { system("perl", @ARGV) == 0 or die }' \
		"$here/../lib/control.pl" flood "$socket" 1000 || not_measured "$figure" 'see above'
	figure='  half a line'
	control_row "$figure" "${client[@]}" hold "$socket" 10 stat || not_measured "$figure" 'see above'
	figure='  never reads'
	control_row "$figure" "${client[@]}" hold "$socket" 10 'workers\n' || not_measured "$figure" 'see above'
}
