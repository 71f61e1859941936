/*
 * unit.h - the harness of the unit tests, in one screen.
 *
 * A check that fails is said with its place, and the test goes on; main() ends
 * with `return unit_end();`, which is 1 if one failed. automake runs the
 * programs as they are.
 */
#ifndef PREFORKD_UNIT_H
#define PREFORKD_UNIT_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static unsigned unit_checks, unit_failures;

#define CHECK(condition) unit_check(condition, __FILE__, __LINE__, #condition)

/* What was expected stands second; `about` says which case of a table it is. */
#define CHECK_TEXT(got, expected, about) unit_text(got, expected, about, __FILE__, __LINE__)
#define CHECK_NUMBER(got, expected, about) unit_number(got, expected, about, __FILE__, __LINE__)

static inline bool unit_check(bool good, const char *file, int line, const char *condition)
{
	unit_checks++;
	if (!good) {
		unit_failures++;
		fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
	}
	return good;
}

static inline void unit_text(const char *got, const char *expected, const char *about,
			     const char *file, int line)
{
	if (!unit_check(strcmp(got, expected) == 0, file, line, about))
		fprintf(stderr, "  expected %s\n  got      %s\n", expected, got);
}

static inline void unit_number(long long got, long long expected, const char *about,
			       const char *file, int line)
{
	if (!unit_check(got == expected, file, line, about))
		fprintf(stderr, "  expected %lld\n  got      %lld\n", expected, got);
}

static inline int unit_end(void)
{
	printf("%u checks, %u failed\n", unit_checks, unit_failures);
	return unit_failures > 0 || unit_checks == 0;
}

#endif
