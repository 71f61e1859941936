/*
 * picky.c - a module that says no: at the check of the config, or when a worker
 * starts. It writes down which processes load it and what they call.
 */
#include <preforkd/handler.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* "WHAT PID PARENT UID" into the file of -DNOTES='"FILE"'. */
static void note(const char *what)
{
	int fd = open(NOTES, O_WRONLY | O_APPEND | O_CLOEXEC);

	if (fd >= 0) {
		dprintf(fd, "%s %d %d %d\n", what, (int)getpid(), (int)getppid(), (int)getuid());
		close(fd);
	}
}

__attribute__((constructor)) static void on_load(void)
{
	note("load");
}

/* What option NAME says, else "". */
static const char *option(const struct handler_env *env, const char *name)
{
	const char *value = handler_option(env, name);

	return value != NULL ? value : "";
}

static int picky_check(const struct handler_env *env, char *message, size_t size)
{
	const char *check = option(env, "check");
	struct handler_socket sock = handler_socket(env);

	note("check");
	while (strcmp(check, "loop") == 0)
		;
	if (strcmp(check, "crash") == 0)
		*(volatile char *)NULL = 0;
	if (strcmp(check, "exit") == 0)
		exit(78);
	if (strcmp(check, "log") == 0)
		handler_log(3, "said in check()");
	/* all of it, without the NUL */
	if (strcmp(check, "long") == 0)
		memset(message + snprintf(message, size, "%zu ", size), 'x', size - 4);
	else
		snprintf(message, size, "%s of %s: %d,%d,%d", check, handler_service(env),
			 sock.family, sock.type, sock.protocol);
	return strcmp(check, "warn") == 0 ? 1 : check[0] != '\0' ? -1 : 0;
}

static int picky_init(const struct handler_env *env, void **state_r)
{
	const char *init = option(env, "init");

	(void)state_r;
	note("init");
	while (strcmp(init, "hang") == 0)
		pause();
	if (strcmp(init, "crash") == 0)
		*(volatile char *)NULL = 0;
	if (strcmp(init, "exit") == 0)
		exit(0);
	errno = ENOTUNIQ;
	/* a file that is there: no */
	return init[0] == '/' && access(init, F_OK) == 0 ? -1 : 0;
}

static int picky_serve(struct conn *conn, void *state)
{
	(void)state;
	note("serve");
	return conn_printf(conn, "picky\n");
}

static void picky_fini(void *state)
{
	(void)state;
	note("fini");
}

static const char *const options[] = { "check", "init", NULL };

const struct handler preforkd_handler = {
	.abi = HANDLER_ABI,
	.name = "picky",
	.summary = "say no",
	.options = options,
	.check = picky_check,
	.init = picky_init,
	.serve = picky_serve,
	.fini = picky_fini,
};
