#include "base/clock.h"

#include <time.h>

long long clock_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000LL + ts.tv_nsec / 1000;
}

long long clock_now_ms(void)
{
	return clock_now_us() / 1000;
}
