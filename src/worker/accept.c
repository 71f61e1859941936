/*
 * accept.c - the hot path: accept a connection, let the handler answer, close.
 *
 * Between accept4(2) and close(2) there is no system call but the handler's
 * own: the peer's address comes with accept4, time from the vdso, counters are
 * stores into the slot, deadlines share one timer that is rarely set.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "board/bell.h"
#include "board/board.h"
#include "conf/conf.h"
#include "net/address.h"
#include "worker/conn.h"
#include "worker/deadline.h"
#include "worker/serve.h"
#include "worker/stop.h"

static void log_failure(const struct serve *serve, const struct conn *conn, long long since_ms)
{
	const struct slot *slot = serve->slot;
	char peer[ADDRESS_TEXT_MAX];
	int error = errno;

	log_debug("conn_failed", KV("service", conf_string(serve->conf, serve->service->name)),
		  KV("worker", serve->index),
		  KV("peer", address_text(&slot->peer, slot->peer_length, peer)),
		  KV("age_ms", clock_now_ms() - since_ms), KV("bytes_in", conn->bytes_in),
		  KV("bytes_out", conn->bytes_out),
		  /* of a program the line of its end says what it was */
		  KV(error != 0 ? "error" : NULL, strerror(error)));
}

static void serve_one(struct serve *serve, int fd)
{
	const struct conf_service *service = serve->service;
	struct slot *slot = serve->slot;
	long long now_ms = clock_now_ms();
	struct conn conn = conn_connection(fd, service, now_ms);
	unsigned priority = service->spec.options.value[SOCKOPT_PRIORITY];
	int r;

	conn.slot = slot;
	atomic_store_explicit(&slot->since_ms, now_ms, memory_order_relaxed);
	atomic_store_explicit(&slot->conn_in, 0, memory_order_relaxed);
	atomic_store_explicit(&slot->conn_out, 0, memory_order_relaxed);
	board_count(&slot->accepted, 1);
	bell_begin(serve->bell, serve->bell_fd);
	/* the only option that a connection does not inherit */
	if (priority != 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &priority, sizeof(priority));
	errno = 0;
	r = serve->handler->serve(&conn, serve->state);
	deadline_set(0);
	if (conn.raw)
		conn_end(&conn);
	if (r < 0)
		log_failure(serve, &conn, now_ms);
	board_count(&slot->bytes_in, conn.bytes_in);
	board_count(&slot->bytes_out, conn.bytes_out);
	board_count(r < 0 ? &slot->failed : &slot->served, 1);
	bell_end(serve->bell);
	close(fd);
}

int serve_connections(struct serve *serve)
{
	struct slot *slot = serve->slot;

	while (stop_may_take()) {
		int fd;

		slot->peer_length = sizeof(slot->peer);
		fd = accept4(serve->listener, (struct sockaddr *)&slot->peer, &slot->peer_length,
			     SOCK_CLOEXEC);
		if (fd >= 0) {
			serve->trouble = 0;
			stop_took(1);
			serve_one(serve, fd);
			serve_ask_replacement(serve);
			continue;
		}
		if (!serve_goes_on(serve))
			break;
	}
	return serve->status;
}
