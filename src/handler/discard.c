/*
 * discard.c - read and forget, until the client has sent all (RFC 863).
 */
#include "handler/handlers.h"

static char buffer[256 * 1024];

static int discard_serve(struct conn *conn, void *state)
{
	ssize_t n;

	(void)state;
	do {
		n = conn_read(conn, buffer, sizeof(buffer));
	} while (n > 0);
	return n < 0 ? -1 : 0;
}

const struct handler handler_discard = {
	.abi = HANDLER_ABI,
	.name = "discard",
	.summary = "read and forget (RFC 863)",
	.serve = discard_serve,
};
