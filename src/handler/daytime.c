/*
 * daytime.c - send the date and time for people to read (RFC 867).
 *
 * In the local time zone; run { environment = {"TZ=..."} } chooses another.
 */
#include <time.h>

#include "handler/handlers.h"

static int daytime_serve(struct conn *conn, void *state)
{
	time_t now = time(NULL);
	struct tm tm;
	char line[64];
	size_t length;

	(void)state;
	localtime_r(&now, &tm);
	length = strftime(line, sizeof(line), "%A, %B %d, %Y %H:%M:%S-%Z\r\n", &tm);
	return conn_write(conn, line, length);
}

static int daytime_init(const struct handler_env *env, void **state_r)
{
	(void)env;
	(void)state_r;
	tzset();
	return 0;
}

const struct handler handler_daytime = {
	.abi = HANDLER_ABI,
	.name = "daytime",
	.summary = "send date and time as text (RFC 867)",
	.init = daytime_init,
	.serve = daytime_serve,
};
