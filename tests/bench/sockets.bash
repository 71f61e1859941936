# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with the files around this one
# sockets.bash: preforkd's echo beside the bare loop, for each kind of socket.

# of load: datagrams that saturate a server and still fit into its receive buffer; after that silence they are lost
readonly SATURATE='-c 4 --window 32 --timeout 50' ONE_EACH='-c 64 --timeout 50' ONE='-c 1 --timeout 50'

figures_of_load() {
	say "connections: $all_runs runs of $RUN_S s, $PROCESSES processes, $CLIENTS clients"
	if ! { start_pair loop preforkd "$PROCESSES" &&
		measure_load connections "$all_runs" "$RUN_S" -c "$CLIENTS"; }; then
		not_measured 'connections' 'see above'
	else
		rate_row 'connections/s' '>=' 0.95
		run_row 'server CPU per connection, us' 4 '' %.2f '<=' 1.07
		run_row '  server busy, % of its processor' 5 '' %.1f
		run_row 'latency p50, us' 6 '' %.1f
		run_row 'latency p99, us' 7 '' %.1f
	fi
}

figures_of_unix() { # figures_of_unix stream|seqpacket
	kind=unix-$1
	say "unix $1: $side_runs runs of $side_s s, $PROCESSES processes, $CLIENTS clients"
	if ! { start_pair loop preforkd "$PROCESSES" &&
		measure_load connections "$side_runs" "$side_s" -c "$CLIENTS"; }; then
		not_measured "unix $1" 'see above'
	else
		rate_row "unix $1, connections/s" '>=' 0.95
		run_row '  server CPU per connection, us' 4 '' %.2f
	fi
}

# ---- datagrams ----

measure_datagrams() { # measure_datagrams FIGURE OPTIONS
	local options

	read -r -a options <<<"$2"
	say "$1: $side_runs runs of $side_s s"
	measure_load datagrams "$side_runs" "$side_s" "${options[@]}" && return
	not_measured "$1" 'see above'
	return 1
}

busy_row() { # and whether B had to wait for the client where A did not
	local idle

	run_row '  server busy, % of its processor' 5 '' %.1f
	idle=$(awk '{ print $10 / $5 }' "$tmp/runs" | median)
	awk "BEGIN { exit !($idle < 0.92) }" && row '  (the client is the limit, look at the CPU)' - - - - -
}

figures_of_datagrams() { # figures_of_datagrams WORKERS
	local figure="UDP datagrams/s, workers: $1" faster=('>=' 1.3) cheaper=('<=' 0.77)

	((self)) && faster=() cheaper=() # no loop is faster than itself
	kind=udp
	if ! start_pair loop preforkd "$1"; then
		not_measured "$figure" 'see above'
		return
	fi
	if measure_datagrams "$figure" "$SATURATE"; then
		rate_row "$figure" "${faster[@]}"
		run_row '  server CPU per datagram, us' 4 '' %.3f "${cheaper[@]}"
		busy_row
	fi
	(($1 == 1)) || return
	figure='UDP datagrams/s, 64 clients, one each'
	if measure_datagrams "$figure" "$ONE_EACH"; then
		rate_row "$figure"
		run_row '  server CPU per datagram, us' 4 '' %.3f
	fi
	figure='UDP p50, us, one datagram at a time'
	measure_datagrams "$figure" "$ONE" && run_row "$figure" 6 '' %.1f '<=' 1.05
}

