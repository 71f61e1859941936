/*
 * time.c - send the seconds since 1900 as 32 bits in network order (RFC 868).
 */
#include <arpa/inet.h>
#include <stdint.h>
#include <time.h>

#include "handler/handlers.h"

#define SECONDS_1900_TO_1970 2208988800u

static int time_serve(struct conn *conn, void *state)
{
	/* it wraps in 2036, as the RFC has it */
	uint32_t seconds = htonl((uint32_t)time(NULL) + SECONDS_1900_TO_1970);

	(void)state;
	return conn_write(conn, &seconds, sizeof(seconds));
}

const struct handler handler_time = {
	.abi = HANDLER_ABI,
	.name = "time",
	.summary = "send the seconds since 1900 in 4 bytes (RFC 868)",
	.serve = time_serve,
};
