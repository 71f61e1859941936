/*
 * conn.h - one connection or one datagram, the worker's side of handler.h.
 */
#ifndef PREFORKD_WORKER_CONN_H
#define PREFORKD_WORKER_CONN_H

#include <stdint.h>

#include "handler/handler.h"
#include "net/listener.h"

struct conf_service;

struct conn {
	int fd;
	bool raw; /* its descriptor was given to the handler, and no signal interrupts it */
	const struct listener_spec *socket;
	struct slot *slot;  /* who the peer is, and for others to see how far we are */
	long long first_ms; /* when the first byte must be there; 0: no limit */
	long long idle_ms;  /* 0: no limit */
	long long end_ms;   /* when the total time is over; 0: never */
	uint64_t bytes_in, bytes_out;
	size_t ahead, ahead_end; /* what conn_read_line() has read beyond a line, in its buffer */

	/* datagrams only */
	const char *request;
	size_t request_left;
	char *answer;
	size_t answer_length, answer_max;
};

/* A conn for an accepted connection. now_ms: when it was accepted. */
struct conn conn_connection(int fd, const struct conf_service *service, long long now_ms);

/* A conn for one datagram; its answer is collected in answer (room for answer_max bytes). */
struct conn conn_datagram(const struct listener_spec *socket, const char *request, size_t length,
			  char *answer, size_t answer_max);

/* After serve(): signals come again, if they were held back. Only for a raw one. */
void conn_end(struct conn *conn);

#endif
