/*
 * upper.c - a handler for preforkd: send back each line in capitals.
 *
 *	cc -O2 -shared -fPIC $(pkg-config --cflags preforkd) -o upper.so upper.c
 *	install upper.so $(pkg-config --variable=moduledir preforkd)
 *
 *	service upper {
 *		port    = 7007
 *		handler = upper
 *		options { greeting = "Hello" }
 *	}
 */
#include <preforkd/handler.h>

#include <ctype.h>

static const char *greeting;

static int upper_init(const struct handler_env *env, void **state_r)
{
	(void)state_r;
	greeting = handler_option(env, "greeting");
	return 0;
}

static int upper_serve(struct conn *conn, void *state)
{
	char line[1024];
	ssize_t n;

	(void)state;
	if (greeting != NULL && !conn_is_message(conn) &&
	    conn_printf(conn, "%s, %s\n", greeting, conn_peer(conn)) < 0)
		return -1;
	while ((n = conn_read_line(conn, line, sizeof(line))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			line[i] = (char)toupper((unsigned char)line[i]);
		if (conn_write(conn, line, (size_t)n) < 0)
			return -1;
	}
	return n < 0 ? -1 : 0;
}

static const char *const upper_options[] = { "greeting", NULL };

const struct handler preforkd_handler = {
	.abi = HANDLER_ABI,
	.name = "upper",
	.summary = "send back each line in capitals",
	.options = upper_options,
	.init = upper_init,
	.serve = upper_serve,
};
