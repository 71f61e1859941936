# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with the files around this one
# pool.bash: what a pool costs: system calls of each connection, an idle pool, a start.

readonly IDLE_WORKERS=64 START_WORKERS=1000 TRACED=1000

# ---- system calls ----

trace() { # trace OUT OPTION... -- PID...: attaches strace, returns when every process is traced; its pid is in $child
	local out=$1 options=() p

	shift
	while [[ $1 != -- ]]; do
		options+=("$1")
		shift
	done
	shift
	local targets=()
	for p; do
		targets+=(-p "$p")
	done
	: >"$out.err"
	launch /dev/null "$out.err" strace "${options[@]}" -o "$out" "${targets[@]}"
	wait_for "$child" "$out.err" 'attached' $#
}

count_calls() { # count_calls A|B: a file with a line "NAME PER-CONNECTION" for each call of the workers
	local workers

	read -r -a workers <<<"$(children "${pid[$1]}")"
	trace "$tmp/count.$1" -f -c -- "${workers[@]}" || return
	load "$1" -n "$TRACED" -c "$PROCESSES" >/dev/null || return
	end "$child"
	# a tenth of a percent is what the attaching itself may leave
	awk -v n="$TRACED" '$4 + 0 > 0 && $NF != "total" && $4 > n / 1000 { printf "%s %.2f\n", $NF, $4 / n }' \
		"$tmp/count.$1" | sort >"$tmp/calls.$1"
}

figures_of_calls() {
	local name a b word=PASS

	say "system calls: $TRACED connections each under strace"
	if ! { command -v strace >/dev/null && count_calls A && count_calls B && [[ -s $tmp/calls.A ]]; }; then
		not_measured 'system calls per connection' 'strace is missing or may not attach'
		return
	fi
	a=$(awk '{ sum += $2 } END { printf "%.2f", sum }' "$tmp/calls.A")
	b=$(awk '{ sum += $2 } END { printf "%.2f", sum }' "$tmp/calls.B")
	cmp -s "$tmp/calls.A" "$tmp/calls.B" || {
		word=MISS
		((missed++))
	}
	row 'system calls per connection' "$a" "$b" "$(calc "$b / $a")" equal "$word"
	while read -r name a b; do
		row "  $name" "$a" "$b" - - -
	done < <(join -a 1 -a 2 -e 0.00 -o 0,1.2,2.2 "$tmp/calls.A" "$tmp/calls.B")
}

# ---- an idle pool: system calls, memory ----

idle_calls() { # idle_calls PID SECONDS: how many lines a trace of the master and its workers has meanwhile
	local all from to

	read -r -a all <<<"$1 $(children "$1")"
	trace "$tmp/idle" -f -ttt -- "${all[@]}" || return
	sleep 1 # what the attaching interrupted has been called again
	from=$EPOCHREALTIME
	sleep "$2"
	to=$EPOCHREALTIME
	load B -n 1 >/dev/null || return # and this must be seen, or nothing was watched
	end "$child"
	awk -v from="$from" -v to="$to" '/detached/ { next } $2 >= from && $2 < to { n++ } $2 >= to { seen++ }
		END { if (!seen) exit 1; print n + 0 }' "$tmp/idle"
}

private_kib() { # private_kib PID...: private memory of each, a line each
	local p

	for p; do
		awk '/^Private_(Clean|Dirty):/ { sum += $2 } END { if (NR == 0) exit 1; print sum }' \
			"/proc/$p/smaps_rollup" || return
	done
}

memory() { # memory A|B: "MEDIAN MAX" of the workers, after each has served
	load "$1" -n $((IDLE_WORKERS * 8)) -c "$IDLE_WORKERS" --hold 20 >/dev/null || return
	# shellcheck disable=SC2046 # words are wanted
	private_kib $(children "${pid[$1]}") >"$tmp/private" || return
	echo "$(median <"$tmp/private") $(sort -g "$tmp/private" | tail -n 1)"
}

idle_row() { # idle_row FIGURE SECONDS
	local n word

	if ! n=$(idle_calls "${pid[B]}" "$2"); then
		not_measured "$1" 'strace is missing or may not attach'
		return
	fi
	verdict "$n" == 0
	row "$1 in $2 s" - "$n" - 0 "$word"
	((n)) && awk '{ print "bench:   " $0 }' "$tmp/idle" | tail -n 10 >&2
}

# Two pools that could shrink, and have: to 2 workers, and to none.
figures_of_elastic() {
	local figure='system calls of elastic pools' seconds=$((idle_s / 3))

	{
		write_service bench 0 64
		write_service other 2 64
	} >"$tmp/B.conf"
	if run_preforkd B && wait_for_workers B 2; then
		idle_row "$figure" "$seconds"
	else
		not_measured "$figure" 'see above'
	fi
	end_servers
}

figures_of_idle() {
	local a b word

	say "idle pool: $IDLE_WORKERS workers, watched for $idle_s s"
	if ! start_pair loop preforkd "$IDLE_WORKERS"; then
		not_measured 'idle pool' 'see above'
		return
	fi
	idle_row 'system calls of an idle pool' "$idle_s"
	if a=$(memory A) && b=$(memory B); then
		row 'private memory per worker, KiB, median' "${a% *}" "${b% *}" "$(calc "${b% *} / ${a% *}")" - -
		verdict "${b#* }" '<=' 100
		row 'private memory per worker, KiB, most' "${a#* }" "${b#* }" "$(calc "${b#* } / ${a#* }")" '<= 100' "$word"
	else
		not_measured 'private memory per worker' '/proc/PID/smaps_rollup cannot be read'
	fi
	end_servers
	((self)) || figures_of_elastic
}

# ---- start ----

time_start() { # time_start A|B WORKERS: milliseconds until so many run, into took
	local before after line fifo drain cat

	took=
	exec {fifo}<>"$tmp/fifo"
	before=$EPOCHREALTIME
	if [[ $1 == A || $self -eq 1 ]]; then
		launch "$tmp/fifo" - "$bin/bareloop" --forks -c "$2"
	else
		launch /dev/null "$tmp/fifo" "$preforkd" -c "$tmp/start.conf"
	fi
	while read -r -t "$LIMIT_S" -u "$fifo" line; do
		after=$EPOCHREALTIME
		[[ $line == *event=ready* || $line == ready=* ]] || continue
		took=$(calc "($after - $before) * 1000")
		break
	done
	# what it says at the end is for nobody, but it shall not wait for a reader
	exec {drain}<"$tmp/fifo"
	cat <&"$drain" >/dev/null {fifo}>&- &
	cat=$!
	exec {fifo}>&- {drain}<&-
	end "$child"
	wait "$cat"
	[[ $took ]] && return
	say "no $2 workers after $LIMIT_S s"
	return 1
}

measure_start() { # measure_start WORKERS PAIRS: a file of pairs
	local i order what took
	local -A ms=()

	[[ -p $tmp/fifo ]] || mkfifo "$tmp/fifo" || return
	: >"$tmp/start"
	write_config "$tmp/start.conf" "$1" '' 'handler = echo'
	for ((i = 0; i <= $2; i++)); do
		order='A B'
		((RANDOM % 2)) && order='B A' # so that no rhythm of the machine favours one
		for what in $order; do
			time_start "$what" "$1" || return
			ms[$what]=$took
		done
		((i)) || continue
		echo "${ms[A]} ${ms[B]}" >>"$tmp/start"
		say "start $i of $2: ${ms[A]} and ${ms[B]} ms"
	done
}

start_row() { # start_row FIGURE WORKERS PAIRS [OP BAR]
	say "$1: $3 pairs of $2 processes"
	if measure_start "$2" "$3"; then
		ratio_row "$1" "$tmp/start" "$(ratio "$tmp/start")" %.1f "${@:4}"
	else
		not_measured "$1" 'see above'
	fi
}

figures_of_start() {
	start_row "start of $START_WORKERS workers, ms" "$START_WORKERS" "$start_pairs" '<=' 2.0
}
