#include "worker/conn.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "worker/deadline.h"

struct conn conn_connection(int fd, const struct listener_spec *socket, long long idle_ms,
			    long long total_ms, long long now_ms)
{
	return (struct conn){
		.fd = fd,
		.socket = socket,
		.idle_ms = idle_ms,
		.end_ms = total_ms > 0 ? now_ms + total_ms : 0,
	};
}

struct conn conn_datagram(const struct listener_spec *socket, const char *request, size_t length,
			  char *answer, size_t answer_max)
{
	return (struct conn){
		.fd = -1,
		.socket = socket,
		.request = request,
		.request_left = length,
		.answer = answer,
		.answer_max = answer_max,
	};
}

int conn_family(const struct conn *conn)
{
	return conn->socket->family;
}

int conn_type(const struct conn *conn)
{
	return conn->socket->type;
}

bool conn_is_message(const struct conn *conn)
{
	return conn->fd < 0;
}

/*
 * Until when the next call may wait (0: for ever), and set the timer for it.
 * -1 with ETIMEDOUT when the total time is over, since a call that succeeds at
 * once would never notice.
 */
static int start_wait(const struct conn *conn, long long *limit_r)
{
	long long now_ms = conn->idle_ms != 0 || conn->end_ms != 0 ? clock_now_ms() : 0;

	if (conn->end_ms != 0 && now_ms >= conn->end_ms) {
		errno = ETIMEDOUT;
		return -1;
	}
	*limit_r = conn->idle_ms != 0 ? now_ms + conn->idle_ms : conn->end_ms;
	if (conn->end_ms != 0 && conn->end_ms < *limit_r)
		*limit_r = conn->end_ms;
	deadline_set(*limit_r);
	return 0;
}

/*
 * After a call that returned -1: true if it shall be made again. A signal that
 * was not the deadline (the master repeats its stop signal) changes nothing.
 */
static bool try_again(long long limit_ms)
{
	if (errno != EINTR)
		return false;
	if (limit_ms == 0 || clock_now_ms() < limit_ms)
		return true;
	errno = ETIMEDOUT;
	return false;
}

static ssize_t read_datagram(struct conn *conn, void *buf, size_t size)
{
	size_t n = conn->request_left < size ? conn->request_left : size;

	memcpy(buf, conn->request, n);
	conn->request += n;
	conn->request_left -= n;
	return (ssize_t)n;
}

ssize_t conn_read(struct conn *conn, void *buf, size_t size)
{
	long long limit_ms;
	ssize_t n;

	if (conn_is_message(conn))
		return read_datagram(conn, buf, size);
	if (start_wait(conn, &limit_ms) < 0)
		return -1;
	do {
		n = read(conn->fd, buf, size);
	} while (n < 0 && try_again(limit_ms));
	if (n > 0)
		conn->bytes_in += (uint64_t)n;
	return n;
}

static int write_datagram(struct conn *conn, const void *buf, size_t size)
{
	size_t room = conn->answer_max - conn->answer_length;
	size_t n = size < room ? size : room;

	memcpy(conn->answer + conn->answer_length, buf, n);
	conn->answer_length += n;
	return 0;
}

int conn_write(struct conn *conn, const void *buf, size_t size)
{
	const char *p = buf;
	long long limit_ms;
	ssize_t n;

	if (conn_is_message(conn))
		return write_datagram(conn, buf, size);
	while (size > 0) {
		if (start_wait(conn, &limit_ms) < 0)
			return -1;
		do {
			n = write(conn->fd, p, size);
		} while (n < 0 && try_again(limit_ms));
		if (n < 0)
			return -1;
		conn->bytes_out += (uint64_t)n;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}
