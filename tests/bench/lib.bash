# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with the files around this one
# lib.bash: what each figure of the bench needs: processes, the two servers, arithmetic, the table, a run of load.
# bench reads it, and holds the constants and what is used by all.

say() {
	printf 'bench: %s\n' "$*" >&2
}

declare -A running=()      # by what signal a process ends
declare -A where=() pid=() # of a server; where: its port or path
child='' session_nice=''
cgroups=() # made here

# ---- processes: only those started here are ever signalled ----

launch() { # launch OUT ERR COMMAND...: in the background; its pid is in $child; ERR - is our own standard error
	local out=$1 err=$2

	shift 2
	if [[ $err == - ]]; then
		"$@" </dev/null >"$out" &
	else
		"$@" </dev/null >"$out" 2>"$err" &
	fi
	child=$!
	running[$child]=TERM
}

kill_at_end() { # of the last one that was launched: nothing else ends it
	running[$child]=KILL
}

gone() { # whether a child of this shell has ended
	local stat

	read -r stat 2>/dev/null <"/proc/$1/stat" || return 0
	[[ ${stat##*) } == Z* ]]
}

end() { # end PID: asks it to leave, waits, insists
	local i

	kill -"${running[$1]}" "$1" 2>/dev/null
	for ((i = 0; i < LIMIT_S * 50; i++)); do
		gone "$1" && break
		sleep 0.02
	done
	gone "$1" || kill -KILL "$1"
	wait "$1"
	unset "running[$1]"
} 2>/dev/null # where the shell tells of those that were killed

# shellcheck disable=SC2317 # the trap calls it
cleanup() {
	local p

	for p in "${!running[@]}"; do
		kill -"${running[$p]}" "$p" 2>/dev/null
	done
	for p in "${!running[@]}"; do
		end "$p"
	done
	end_cgroups
	[[ -n $session_nice ]] && echo "$session_nice" >/proc/self/autogroup
	[[ -n $tmp ]] && rm -rf "$tmp"
}

cgroup_mount() { # where a cgroup2 is mounted, if any
	awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts
}

end_cgroups() { # their processes have been killed, and are about to end
	local dir i

	for dir in "${cgroups[@]}"; do
		for ((i = 0; i < LIMIT_S * 50; i++)); do
			[[ -d $dir ]] || break
			find "$dir" -depth -type d -exec rmdir {} + 2>/dev/null && break
			sleep 0.02
		done
	done
	cgroups=()
}

# Before everybody else on this machine, where that is allowed: within the session, and where sessions have equal
# shares (sched(7), autogroup) the session itself until the end.
take_priority() {
	local nice

	if { read -r _ _ nice && echo -15 >/proc/self/autogroup; } 2>/dev/null </proc/self/autogroup; then
		session_nice=$nice
	fi
	renice -n -15 -p $$ >/dev/null 2>&1 || say 'without priority: what else runs on this machine will blur the figures'
}

end_servers() {
	local who

	for who in "${!pid[@]}"; do
		end "${pid[$who]}"
	done
	pid=() where=()
	end_cgroups
}

wait_for() { # wait_for PID FILE PATTERN [COUNT]: until so many lines match; fails when the process ends first
	local i n

	for ((i = 0; i < LIMIT_S * 50; i++)); do
		n=$(grep -c -e "$3" "$2")
		((n >= ${4:-1})) && return 0
		gone "$1" && break
		sleep 0.02
	done
	say "process $1 did not say \"$3\"; what it said:"
	tail -n 5 "$2" >&2
	return 1
}

children() {
	cat "/proc/$1/task/$1/children" 2>/dev/null
}

wait_for_workers() { # wait_for_workers WHO COUNT: until it has exactly so many
	local i workers

	for ((i = 0; i < LIMIT_S * 100; i++)); do
		read -r -a workers <<<"$(children "${pid[$1]}")"
		((${#workers[@]} == $2)) && return
		sleep 0.01
	done
	say "it has ${#workers[@]} workers after $LIMIT_S s, not $2"
	return 1
}

# ---- the two servers, A and B; with --self B is the same as A ----

# A server of kind NAME is started by start_NAME WHO WORKERS, which sets pid and where, or fails.

pinned() { # launch, on the servers' processor; all get the same environment, and so do the programs they start
	launch "$1" "$2" taskset -c "$servers_on" env -i PATH="$PATH" "${@:3}"
}

has_workers() { # has_workers WHO COUNT: whether it has said where it is, and has so many
	local workers

	read -r -a workers <<<"$(children "${pid[$1]}")"
	[[ ${where[$1]} && ${#workers[@]} -eq $2 ]] && return
	say "the server does not run as it should: ${where[$1]:-no port}, workers: ${workers[*]}"
	return 1
}

start_loop() { # start_loop WHO WORKERS [OPTION...]: the bare loop
	local log=$tmp/$1.log options

	: >"$log" # the last one's would be read before the new process empties it
	read -r -a options <<<"${KIND_OPTIONS[$kind]}"
	case $kind in
	unix-*) options+=("@preforkd-bench-$$-$1") ;;
	*) options+=(0) ;;
	esac
	pinned "$log" - "$bin/bareloop" -c "$2" "${options[@]}" "${@:3}"
	pid[$1]=$child
	wait_for "$child" "$log" '^\(port\|path\)=' || return
	where[$1]=$(sed -n 's/^\(port\|path\)=//p' "$log")
	has_workers "$1" "$2"
}

write_config() { # write_config FILE WORKERS PATH HANDLER
	local socket="family = unix type = ${kind#unix-} path = \"$3\""

	case $kind in
	tcp) socket='family = inet type = stream address = "*" port = 0' ;;
	udp) socket='family = inet type = dgram address = "*" port = 0' ;;
	esac
	cat >"$1" <<-END
	service bench {
	    $socket
	    $4
	    workers { min = $2 max = $2 }
	}
	END
}

write_service() { # write_service NAME MIN MAX [LINE...]: an elastic pool of echo
	cat <<-END
	service $1 {
	    address = "*" port = 0 handler = echo
	    workers { min = $2 max = $3 idle_timeout = 200ms }
	$(printf '    %s\n' "${@:4}")
	}
	END
}

run_preforkd() { # run_preforkd WHO [WORKERS]: with the config of WHO; where: the port of the first service that has one
	local log=$tmp/$1.log

	: >"$log"
	pinned /dev/null "$log" "$preforkd" -c "$tmp/$1.conf"
	pid[$1]=$child
	wait_for "$child" "$log" 'event=ready' || return
	where[$1]=$(sed -n 's/.*event=listening.* address="\{0,1\}[^ ]*:\([0-9]*\).*/\1/p' "$log" | head -n 1)
	[[ $kind == unix-* ]] && where[$1]=@preforkd-bench-$$-$1
	[[ -z ${2-} ]] || has_workers "$1" "$2"
}

start_preforkd() { # start_preforkd WHO WORKERS [HANDLER]: a line of the config; echo
	write_config "$tmp/$1.conf" "$2" "@preforkd-bench-$$-$1" "${3:-handler = echo}"
	run_preforkd "$1" "$2"
}

start_pair() { # start_pair KIND KIND WORKERS: A and B
	start_"$1" A "$3" || return
	((self)) && set -- "$1" "$1" "$3"
	start_"$2" B "$3"
}

load() { # load A|B OPTION...: one line of figures; fails when one connection is not answered rightly
	local who=$1 line options

	shift
	read -r -a options <<<"${KIND_OPTIONS[$kind]}"
	options+=("${where[$who]}")
	[[ $kind == tcp ]] && options+=(--spread)
	line=$(taskset -c "$client_cpu" "$bin/load" "${options[@]}" "$@") && printf '%s\n' "$line" && return
	say "connections failed: $line"
	return 1
}

field() { # field NAME LINE
	sed -n "s/.*\b$1=\([^ ]*\).*/\1/p" <<<"$2"
}

cpu_ns() { # processor time of a server, its workers and what they have waited for; the latter in ticks
	local p files=()

	for p in "$1" $(children "$1"); do
		files+=("/proc/$p/schedstat" "/proc/$p/stat")
	done
	awk -v hz="$(getconf CLK_TCK)" '
		FILENAME ~ /schedstat$/ { exact += $1; next }
		{ sub(/.*\) /, ""); own += $12 + $13; waited += $14 + $15 }
		END { printf "%.0f\n", (exact ? exact : own * 1e9 / hz) + waited * 1e9 / hz }' "${files[@]}" 2>/dev/null
}

# ---- arithmetic: a file of pairs holds one line for each pair, "A B" ----

calc() { # calc EXPRESSION [FORMAT]
	awk "BEGIN { printf \"${2:-%.3f}\", $1 }"
}

median() { # of the numbers on standard input
	sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

column() { # column FILE 1|2 [FORMAT]: its median
	local m

	m=$(awk -v n="$2" '{ print $n }' "$1" | median)
	calc "$m" "${3:-%.1f}"
}

ratio() { # ratio FILE: median of B/A
	awk '{ print $2 / $1 }' "$1" | median
}

# ---- the table ----

row() { # row FIGURE A B RATIO BAR VERDICT
	printf '%-40s %12s %12s %8s %8s  %s\n' "$@"
}

verdict() { # verdict VALUE OP BAR: sets the word
	word=PASS
	awk "BEGIN { exit !($1 $2 $3) }" || {
		word=MISS
		((missed++))
	}
}

not_measured() { # not_measured FIGURE WHY
	unmeasured=1
	say "not measured: $1: $2"
	row "$1" - - - - 'NOT MEASURED'
}

ratio_row() { # ratio_row FIGURE FILE RATIO FORMAT [OP BAR]: the medians of a file of pairs, and their ratio
	local word=-

	[[ $# -gt 4 ]] && verdict "$3" "$5" "$6"
	row "$1" "$(column "$2" 1 "$4")" "$(column "$2" 2 "$4")" "$(calc "$3")" "${5:-}${5:+ }${6:--}" "$word"
}

# ---- rate, processor time, latency ----

# A run is a line: connections of both, ratio of the rates, then A and B of the rate, processor time, how busy the
# processor was with it, p50 and p99. Of three runs the one with the fewest connections is left out: something else ran.
measure_load() { # measure_load WHAT RUNS SECONDS OPTION...
	local what=$1 runs=$2 i who name line lines both
	local -A cpu=() rate=() us=() got=()

	: >"$tmp/all_runs"
	for ((i = 0; i <= runs; i++)); do
		for who in A B; do
			cpu[$who]=$(cpu_ns "${pid[$who]}")
		done
		lines=$(load A -s "$3" "${@:4}" --beside "${where[B]}") || return
		for who in A B; do
			cpu[$who]=$(($(cpu_ns "${pid[$who]}") - cpu[$who]))
		done
		both=0
		for who in A B; do
			read -r line
			((both += $(field ok "$line")))
			name=name_$who
			rate[$who]=$(field rate "$line")
			us[$who]=$(calc "${cpu[$who]} / $(field ok "$line") / 1000")
			got[$who]="${rate[$who]} ${us[$who]} $(calc "${cpu[$who]} / $(field seconds "$line") / 1e7")"
			got[$who]+=" $(field p50_us "$line") $(field p99_us "$line")"
			(($(field timeout "$line") == 0)) || say "lost by ${!name}: $(field timeout "$line") $what"
		done <<<"$lines"
		((i)) || continue # the first one warms up
		echo "$both $(field ratio "$line") ${got[A]} ${got[B]}" >>"$tmp/all_runs"
		say "run $i of $runs: ${rate[A]} and ${rate[B]} $what/s, ${us[A]} and ${us[B]} us of server each"
	done
	sort -rg "$tmp/all_runs" | head -n $((runs - runs / 3)) >"$tmp/runs"
}

run_row() { # run_row FIGURE COLUMN RATIO FORMAT [OP BAR]: of the runs; no RATIO: the median of theirs
	local file=$tmp/pairs

	awk -v a="$2" '{ print $a, $(a + 5) }' "$tmp/runs" >"$file"
	ratio_row "$1" "$file" "${3:-$(ratio "$file")}" "${@:4}"
}

rate_row() { # rate_row FIGURE OP BAR: the ratio is of the turns, not of the medians
	run_row "$1" 3 "$(awk '{ print $2 }' "$tmp/runs" | median)" %.0f "${@:2}"
}

