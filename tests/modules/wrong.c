/*
 * wrong.c - what is wrong with this module is said by the compiler's options:
 * -DUNDEFINED, -DUNNAMED, -DOTHER_ABI=N, -DNO_SERVE.
 */
#include <preforkd/handler.h>

int no_such_function(struct conn *conn);

__attribute__((unused)) static int serve(struct conn *conn, void *state)
{
	(void)state;
#if defined(UNDEFINED)
	return no_such_function(conn);
#else
	return conn_printf(conn, "hello\n");
#endif
}

/* what it would be called by mistake */
#if defined(UNNAMED)
#define preforkd_handler handler
#endif

const struct handler preforkd_handler = {
#if defined(OTHER_ABI)
	.abi = HANDLER_ABI + OTHER_ABI,
#else
	.abi = HANDLER_ABI,
#endif
	.name = "wrong",
#if !defined(NO_SERVE)
	.serve = serve,
#endif
};
