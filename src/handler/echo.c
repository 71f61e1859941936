/*
 * echo.c - send back what was received, until the client has sent all (RFC 862).
 */
#include "handler/handlers.h"

/* One record or datagram must fit; of what is not used no page is touched. */
static char buffer[256 * 1024];

static int echo_serve(struct conn *conn, void *state)
{
	ssize_t n;

	(void)state;
	while ((n = conn_read(conn, buffer, sizeof(buffer))) > 0) {
		if (conn_write(conn, buffer, (size_t)n) < 0)
			return -1;
	}
	return n < 0 ? -1 : 0;
}

const struct handler handler_echo = {
	.abi = HANDLER_ABI,
	.name = "echo",
	.summary = "send back what was received (RFC 862)",
	.serve = echo_serve,
};
