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

#endif
