# Every event that the code can write stands in the man page with its level, and the other way round.

bats_require_minimum_version 1.5.0

setup() {
	top=$BATS_TEST_DIRNAME/..
}

# "level event" lines of the code; the event of lock.c is an argument, those of reap.c, account.c, exec.c and setup.c have several
# levels.
events_of_code() {
	grep -rhoE 'log_(bug|error|warning|notice|info|debug)\("[a-z_]+"' "$top/src" |
		sed -E 's/log_([a-z]+)\("([a-z_]+)"/\1 \2/'
	printf '%s\n' 'error lock_failed' 'error pidfile_failed' 'info worker_exit' 'info account' 'warning worker_killed' 'debug program_exit' \
		'error handler_message' 'warning log_dropped'
}

# Of each .It Cm in the list of events, with the first level behind it.
events_of_man_page() {
	awk '
		/^Further fields depend on the event/ { on = 1 }
		/^Three whole lines/ { on = 0 }
		on && /^\.It Cm / { n = split(substr($0, 8), names, " , ") }
		on && /^\((bug|error|warning|notice|info|debug)/ {
			match($0, /[a-z]+/)
			for (i = 1; i <= n; i++)
				print substr($0, RSTART, RLENGTH), names[i]
		}' "$top/man/preforkd.8.in"
}

@test "the events of the code and of preforkd(8) are the same, with their levels" {
	events_of_code | sort -u >"$BATS_TEST_TMPDIR/code"
	events_of_man_page | sort -u >"$BATS_TEST_TMPDIR/man"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/man")" -gt 25 ]
	diff "$BATS_TEST_TMPDIR/code" "$BATS_TEST_TMPDIR/man"
}
