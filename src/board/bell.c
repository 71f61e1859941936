#include "board/bell.h"

#include <unistd.h>

void bell_call(int fd)
{
	const uint64_t one = 1;

	/* full means that the master has been called already */
	if (write(fd, &one, sizeof(one)) < 0)
		return;
}

void bell_raise(struct bell *bell, int64_t busy, int fd)
{
	int64_t peak = atomic_load(&bell->peak), limit = atomic_load(&bell->ring_at);

	while (busy > peak && !atomic_compare_exchange_weak(&bell->peak, &peak, busy))
		;
	/* one of those who come here at the same time is enough */
	if (busy >= limit && limit != BELL_NEVER &&
	    atomic_compare_exchange_strong(&bell->ring_at, &limit, BELL_NEVER))
		bell_call(fd);
}
