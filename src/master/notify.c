#include "master/notify.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/text.h"
#include "master/state.h"
#include "master/stop.h"

static void send_message(const char *message)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct iovec part = { (char *)message, strlen(message) };

	/* no manager, or one that is behind: the service goes on all the same */
	if (path != NULL)
		(void)fd_send_datagram(path, &part, 1);
}

int notify_store(int fd, const char *name)
{
	const char *path = getenv("NOTIFY_SOCKET");
	char buf[256];
	struct text message = text_start(buf, sizeof(buf));
	struct iovec part = { buf, 0 };

	/* the manager would throw away one that has no listener for a moment */
	text_addf(&message, "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	part.iov_len = message.length;
	return path != NULL ? fd_send_descriptor(path, &part, 1, fd) : 0;
}

int notify_unstore(const char *name)
{
	const char *path = getenv("NOTIFY_SOCKET");
	char buf[256];
	struct text message = text_start(buf, sizeof(buf));
	struct iovec part = { buf, 0 };

	text_addf(&message, "FDSTOREREMOVE=1\nFDNAME=%s", name);
	part.iov_len = message.length;
	return path != NULL ? fd_send_datagram(path, &part, 1) : 0;
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

static unsigned count_ready(const struct generation *generation)
{
	unsigned n = 0;

	for (unsigned i = 0; i < generation->n_pools; i++)
		n += generation->pools[i].policy.count[SEAT_READY];
	return n;
}

static unsigned count_wanted(const struct generation *generation)
{
	unsigned n = 0;

	for (unsigned i = 0; i < generation->n_pools; i++)
		n += pool_wanted(&generation->pools[i].policy);
	return n;
}

/* Services whose workers are all busy while clients wait. */
static void add_full(struct text *status, const struct generation *generation)
{
	for (unsigned i = 0; i < generation->n_pools; i++) {
		const struct service_pool *pool = &generation->pools[i];

		if (pool->full_ms != 0)
			text_addf(status, "; all %u workers of %s are busy, %u wait", pool->busy,
				  conf_string(generation->conf, pool->service->name),
				  pool->policy.waiting);
	}
}

/* Workers that have not left yet, of all generations. */
static unsigned count_remaining(const struct master *master)
{
	unsigned n = 0;

	for (const struct generation *g = master->retired; g != NULL; g = g->next) {
		for (unsigned i = 0; i < g->n_pools; i++)
			n += g->pools[i].policy.n_seats - g->pools[i].policy.count[SEAT_EMPTY];
	}
	return n;
}

/* "41 s left" is true when it is said, and said again each second (stop_check()). */
static void add_drain(struct text *status, const struct master *master)
{
	static unsigned most;
	unsigned left = count_remaining(master);
	long long left_ms = master->stop_deadline_ms - STOP_KILL_GRACE_MS - clock_now_ms();

	if (left > most)
		most = left;
	text_addf(status, "STATUS=draining %u of %u, %lld s left", left, most,
		  left_ms > 0 ? (left_ms + 999) / 1000 : 0);
}

void notify_status(const struct master *master)
{
	static char last[512];
	char buf[sizeof(last)];
	struct text status = text_start(buf, sizeof(buf));
	if (master->stopping != STOP_NOT) {
		add_drain(&status, master);
	} else if (master->current != NULL) {
		unsigned ready = count_ready(master->current);
		unsigned wanted = count_wanted(master->current);

		text_addf(&status, "STATUS=%u of %u workers ready, %u services, generation %u",
			  ready, wanted > ready ? wanted : ready, master->current->n_pools,
			  master->current->id);
		if (master->retired != NULL)
			text_addf(&status, "; %u old workers finishing", count_remaining(master));
		add_full(&status, master->current);
	}
	if (buf[0] == '\0' || strcmp(buf, last) == 0)
		return;
	memcpy(last, buf, sizeof(last));
	send_message(buf);
}
