#include "master/notify.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/text.h"
#include "master/state.h"

static void send_message(const char *message)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct iovec part = { (char *)message, strlen(message) };

	/* no manager, or one that is behind: the service goes on all the same */
	if (path != NULL)
		(void)fd_send_datagram(path, &part, 1);
}

void notify_watchdog(void)
{
	send_message("WATCHDOG=1");
}

void notify_ready(void)
{
	send_message("READY=1");
}

void notify_reloading(void)
{
	char buf[64];
	struct text message = text_start(buf, sizeof(buf));

	text_addf(&message, "RELOADING=1\nMONOTONIC_USEC=%lld", clock_now_us());
	send_message(buf);
}

void notify_stopping(long long timeout_ms)
{
	char buf[64];
	struct text message = text_start(buf, sizeof(buf));

	text_addf(&message, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%lld", timeout_ms * 1000);
	send_message(buf);
}

void notify_waiting(long long timeout_ms)
{
	char buf[64];
	struct text message = text_start(buf, sizeof(buf));

	/* beyond what is left of TimeoutStartSec= */
	text_addf(&message, "EXTEND_TIMEOUT_USEC=%lld", timeout_ms * 1000);
	send_message(buf);
}

static void add_workers(const struct generation *generation, enum seat_phase phase, unsigned *n,
			unsigned *of)
{
	for (unsigned i = 0; generation != NULL && i < generation->n_pools; i++) {
		*n += pool_count(&generation->pools[i].policy, phase);
		*of += generation->pools[i].policy.n_seats;
	}
}

/* Workers that have not left yet, of all generations. */
static unsigned count_remaining(const struct master *master)
{
	unsigned empty = 0, seats = 0;

	for (const struct generation *g = master->retired; g != NULL; g = g->next)
		add_workers(g, SEAT_EMPTY, &empty, &seats);
	return seats - empty;
}

void notify_status(const struct master *master)
{
	static char last[128];
	char buf[sizeof(last)];
	struct text status = text_start(buf, sizeof(buf));
	unsigned ready = 0, seats = 0;

	if (master->stopping != STOP_NOT) {
		text_addf(&status, "STATUS=stopping: %u workers have not finished",
			  count_remaining(master));
	} else if (master->current != NULL) {
		add_workers(master->current, SEAT_READY, &ready, &seats);
		text_addf(&status, "STATUS=%u of %u workers ready, %u services, generation %u",
			  ready, seats, master->current->n_pools, master->current->id);
		if (master->retired != NULL)
			text_addf(&status, "; %u old workers finishing", count_remaining(master));
	}
	if (buf[0] == '\0' || strcmp(buf, last) == 0)
		return;
	memcpy(last, buf, sizeof(last));
	send_message(buf);
}
