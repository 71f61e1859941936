#include "worker/conn.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "board/board.h"
#include "conf/conf.h"
#include "net/address.h"
#include "worker/deadline.h"
#include "worker/stop.h"

struct conn conn_connection(int fd, const struct conf_service *service, long long now_ms)
{
	return (struct conn){
		.fd = fd,
		.socket = &service->spec,
		.first_ms = clock_limit(now_ms, service->first_byte_ms),
		.idle_ms = service->idle_ms,
		.end_ms = clock_limit(now_ms, service->total_ms),
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
static int start_wait(const struct conn *conn, long long first_ms, long long *limit_r)
{
	long long now_ms = conn->idle_ms != 0 || conn->end_ms != 0 ? clock_now_ms() : 0;

	if (conn->end_ms != 0 && now_ms >= conn->end_ms) {
		errno = ETIMEDOUT;
		return -1;
	}
	*limit_r = clock_limit(now_ms, conn->idle_ms);
	clock_earlier(limit_r, first_ms);
	clock_earlier(limit_r, conn->end_ms);
	deadline_set(*limit_r);
	return 0;
}

/*
 * After a call that returned -1: true if it shall be made again. A signal that
 * was not the deadline (the master repeats its stop signal) changes nothing.
 */
static bool try_again(long long limit_ms)
{
	if (errno == EAGAIN) /* of a raw one */
		errno = ETIMEDOUT;
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

/* Of conn_read_line(); one conn at a time has it. */
static char ahead[256 * 1024];

static ssize_t read_ahead(struct conn *conn, void *buf, size_t size)
{
	size_t n = conn->ahead_end - conn->ahead;

	n = n < size ? n : size;
	memcpy(buf, ahead + conn->ahead, n);
	conn->ahead += n;
	return (ssize_t)n;
}

ssize_t conn_read(struct conn *conn, void *buf, size_t size)
{
	long long limit_ms;
	ssize_t n;

	if (conn->ahead < conn->ahead_end)
		return read_ahead(conn, buf, size);

	if (conn_is_message(conn))
		return read_datagram(conn, buf, size);
	if (start_wait(conn, conn->bytes_in == 0 ? conn->first_ms : 0, &limit_ms) < 0)
		return -1;
	do {
		n = read(conn->fd, buf, size);
	} while (n < 0 && try_again(limit_ms));
	if (n > 0) {
		conn->bytes_in += (uint64_t)n;
		atomic_store_explicit(&conn->slot->conn_in, conn->bytes_in, memory_order_relaxed);
	}
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
		if (start_wait(conn, 0, &limit_ms) < 0)
			return -1;
		do {
			n = write(conn->fd, p, size);
		} while (n < 0 && try_again(limit_ms));
		if (n < 0)
			return -1;
		conn->bytes_out += (uint64_t)n;
		atomic_store_explicit(&conn->slot->conn_out, conn->bytes_out, memory_order_relaxed);
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

void handler_leave(void)
{
	stop_leave();
}

/* See that there is a byte more: 1, 0 at the end, -1 with errno. */
static ssize_t look_ahead(struct conn *conn)
{
	ssize_t n;

	if (conn->ahead < conn->ahead_end)
		return 1;
	n = conn_read(conn, ahead, sizeof(ahead));
	if (n <= 0)
		return n;
	conn->ahead = 0;
	conn->ahead_end = (size_t)n;
	return 1;
}

ssize_t conn_read_line(struct conn *conn, char *buf, size_t size)
{
	size_t length = 0;
	ssize_t n;

	if (size > 0)
		buf[0] = '\0';
	while ((n = look_ahead(conn)) > 0) {
		if (length + 1 >= size) {
			errno = EMSGSIZE;
			return -1;
		}
		buf[length++] = ahead[conn->ahead++];
		buf[length] = '\0';
		if (buf[length - 1] == '\n')
			break;
	}
	return n < 0 ? -1 : (ssize_t)length;
}

int conn_printf(struct conn *conn, const char *format, ...)
{
	char text[4096];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (n >= 0 && (size_t)n < sizeof(text))
		return conn_write(conn, text, (size_t)n);
	errno = EMSGSIZE;
	return -1;
}

static void hold_signals(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	sigprocmask(how, &set, NULL);
}

/*
 * Code that reads and writes by itself does not expect to be interrupted: the
 * master's signals, which it repeats, wait until it is done.
 */
int conn_fd(struct conn *conn)
{
	struct timeval limit = { conn->idle_ms / 1000, conn->idle_ms % 1000 * 1000 };

	if (conn->fd < 0 || conn->raw)
		return conn->fd;
	conn->raw = true;
	hold_signals(SIG_BLOCK);
	deadline_stop();
	setsockopt(conn->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(conn->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	return conn->fd;
}

void conn_end(struct conn *conn)
{
	conn->raw = false;
	hold_signals(SIG_UNBLOCK);
}

const char *conn_peer(struct conn *conn)
{
	static char text[ADDRESS_TEXT_MAX];

	return address_text(&conn->slot->peer, conn->slot->peer_length, text);
}
