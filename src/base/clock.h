/*
 * clock.h - the one time preforkd decides by: CLOCK_MONOTONIC in milliseconds.
 *
 * Wall clock time appears only in log lines (base/log) and in the answers of
 * the daytime and time handlers; no decision depends on it, so a clock that
 * jumps changes nothing.
 */
#ifndef PREFORKD_BASE_CLOCK_H
#define PREFORKD_BASE_CLOCK_H

/* Milliseconds since an arbitrary point (boot). Never fails; no system call (vdso). */
long long clock_now_ms(void);

/* The same clock in microseconds, as sd_notify(3) wants it in MONOTONIC_USEC=. */
long long clock_now_us(void);

/* A moment of 0 is never: the earlier of both into *at_ms. */
static inline void clock_earlier(long long *at_ms, long long other_ms)
{
	if (other_ms != 0 && (*at_ms == 0 || other_ms < *at_ms))
		*at_ms = other_ms;
}

/* The moment in so many milliseconds; a limit of 0 is none: never. */
static inline long long clock_limit(long long now_ms, long long limit_ms)
{
	return limit_ms > 0 ? now_ms + limit_ms : 0;
}

#endif
