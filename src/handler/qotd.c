/*
 * qotd.c - send the quote of the day, another one each day (RFC 865).
 */
#include <string.h>
#include <time.h>

#include "handler/handlers.h"

#define DAY 86400

static const char *const quotes[] = {
	"Be liberal in what you accept, and conservative in what you send.\r\n",
	"Make it work, make it right, make it fast.\r\n",
	"Programs must be written for people to read.\r\n",
	"The cheapest, fastest and most reliable components are those that are not there.\r\n",
	"Simplicity is prerequisite for reliability.\r\n",
	"When in doubt, leave it out.\r\n",
	"A chain is as strong as its weakest link.\r\n",
};

static int qotd_serve(struct conn *conn, void *state)
{
	size_t count = sizeof(quotes) / sizeof(*quotes);
	const char *quote = quotes[(size_t)(time(NULL) / DAY) % count];

	(void)state;
	return conn_write(conn, quote, strlen(quote));
}

const struct handler handler_qotd = {
	.abi = HANDLER_ABI,
	.name = "qotd",
	.summary = "send the quote of the day (RFC 865)",
	.serve = qotd_serve,
};
