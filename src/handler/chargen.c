/*
 * chargen.c - send lines of characters for as long as the client takes them
 * (RFC 864).
 *
 * Over dgram sockets the answer is one datagram of at most 512 bytes, as
 * the RFC has it.
 */
#include <errno.h>

#include "handler/handlers.h"

#define FIRST ' '
#define CHARACTERS 95 /* from ' ' to '~' */
#define WIDTH 72
#define LINE (WIDTH + 2)
#define DATAGRAM_MAX 512

/* All the lines that there are, one starting with each character. */
static char lines[CHARACTERS * LINE];

static int chargen_init(const struct handler_env *env, void **state_r)
{
	(void)env;
	(void)state_r;
	for (size_t i = 0; i < CHARACTERS; i++) {
		for (size_t j = 0; j < WIDTH; j++)
			lines[i * LINE + j] = (char)(FIRST + (i + j) % CHARACTERS);
		lines[i * LINE + WIDTH] = '\r';
		lines[i * LINE + WIDTH + 1] = '\n';
	}
	return 0;
}

static int chargen_serve(struct conn *conn, void *state)
{
	(void)state;
	if (conn_is_message(conn))
		return conn_write(conn, lines, DATAGRAM_MAX);
	while (conn_write(conn, lines, sizeof(lines)) == 0)
		;
	/* the client has had enough: that is how this service ends */
	return errno == EPIPE || errno == ECONNRESET ? 0 : -1;
}

const struct handler handler_chargen = {
	.abi = HANDLER_ABI,
	.name = "chargen",
	.summary = "send characters until the client closes (RFC 864)",
	.init = chargen_init,
	.serve = chargen_serve,
};
