/*
 * talk.c - a module that does what its client says, a line each: the public
 * functions, and all that a handler must not do.
 *
 * A message is a list of such lines; its answer is what they say together.
 */
#include <preforkd/handler.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#ifndef VERSION
#define VERSION 1
#endif

static const struct handler_env *service;

/* Names that preforkd has as well: here they are ours. */
long long clock_now_ms(void);
bool stop_draining(void);
extern const struct handler handler_echo;

long long clock_now_ms(void)
{
	return 4711;
}

bool stop_draining(void)
{
	return true;
}

const struct handler handler_echo = { .name = "my echo" };

static int talk_init(const struct handler_env *env, void **state_r)
{
	service = env;
	*state_r = strdup("state");
	return *state_r != NULL ? 0 : -1;
}

static void talk_fini(void *state)
{
	handler_log(LOG_INFO,
		    strcmp(state, "state") == 0 ? "fini with its state" : "fini: no state");
	free(state);
}

/* What an option says, or which there is not. */
static const char *option(const char *name)
{
	const char *value = handler_option(service, name);

	return value != NULL ? value : "(none)";
}

static int say_all(struct conn *conn)
{
	struct handler_socket sock = handler_socket(service);

	return conn_printf(conn,
			   "version=%d peer=%s family=%d type=%d message=%d service=%s "
			   "socket=%d,%d,%d greeting=%s other=%s oth=%s uid=%d pid=%d\n",
			   VERSION, conn_peer(conn), conn_family(conn), conn_type(conn),
			   conn_is_message(conn), handler_service(service), sock.family, sock.type,
			   sock.protocol, option("greeting"), option("other"), option("oth"),
			   (int)getuid(), (int)getpid());
}

/* "lines SIZE": the rest, by conn_read_line() into so small a buffer. */
static int say_lines(struct conn *conn, size_t size)
{
	char *buf = malloc(size + 1), guard = 'g';
	ssize_t n;
	int r = 0;

	buf[size] = guard;
	errno = 0;
	while (r == 0 && (n = conn_read_line(conn, buf, size)) > 0) {
		r = strlen(buf) <= (size_t)n ? conn_printf(conn, "%zd:", n) : -1;
		if (r == 0)
			r = conn_write(conn, buf, (size_t)n);
		if (r == 0 && buf[n - 1] != '\n')
			r = conn_printf(conn, "|\n");
	}
	if (r == 0)
		r = conn_printf(conn, "%zd %s%s\n", n, n < 0 ? strerror(errno) : "end",
				buf[size] == guard ? "" : " overrun");
	free(buf);
	return r;
}

/* "rest SIZE": all that comes, by conn_read(). */
static int say_rest(struct conn *conn, size_t size)
{
	char *buf = malloc(size);
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = conn_read(conn, buf, size)) > 0)
		r = conn_printf(conn, "%zd:%.*s|", n, (int)n, buf);
	if (r == 0)
		r = conn_printf(conn, "%zd %s\n", n, n < 0 ? strerror(errno) : "end");
	free(buf);
	return r;
}

/* "printf N": N bytes at once. */
static int say_long(struct conn *conn, int length)
{
	errno = 0;
	if (conn_printf(conn, "%0*d", length, 0) == 0)
		return conn_printf(conn, "\n");
	return conn_printf(conn, "%s\n", strerror(errno));
}

/* "fd": by read(2) and write(2) until the client is silent for too long. */
static int use_fd(struct conn *conn)
{
	int fd = conn_fd(conn);
	char buf[512];
	ssize_t n;

	if (fd < 0)
		return conn_printf(conn, "no fd\n");
	while ((n = read(fd, buf, sizeof(buf))) > 0 && write(fd, buf, (size_t)n) == n)
		;
	return conn_printf(conn, "%s\n", n < 0 ? strerror(errno) : "end");
}

/* "fill": write(2) to a client who does not read. */
static int fill_fd(struct conn *conn)
{
	static char zeros[65536];
	int fd = conn_fd(conn);

	while (write(fd, zeros, sizeof(zeros)) > 0)
		;
	handler_log(LOG_NOTICE, strerror(errno));
	return 0;
}

static int fail(int error)
{
	errno = error;
	return -1;
}

static int do_words(struct conn *conn, const char *word, const char *rest)
{
	int number = atoi(rest);

	if (strcmp(word, "all") == 0)
		return say_all(conn);
	if (strcmp(word, "lines") == 0)
		return say_lines(conn, (size_t)number);
	if (strcmp(word, "rest") == 0)
		return say_rest(conn, (size_t)number);
	if (strcmp(word, "printf") == 0)
		return say_long(conn, number);
	if (strcmp(word, "ours") == 0)
		return conn_printf(conn, "%lld %d %s\n", clock_now_ms(), stop_draining(),
				   handler_echo.name);
	if (strcmp(word, "fd") == 0)
		return use_fd(conn);
	if (strcmp(word, "fill") == 0)
		return fill_fd(conn);
	if (strcmp(word, "fail") == 0)
		return fail(number);
	if (strcmp(word, "log") == 0)
		handler_log(number, strchr(rest + 1, ' ') + 1);
	if (strcmp(word, "leave") == 0)
		handler_leave();
	if (strcmp(word, "crash") == 0)
		*(volatile char *)NULL = 0;
	if (strcmp(word, "abort") == 0)
		abort();
	if (strcmp(word, "exit") == 0)
		exit(number);
	if (strcmp(word, "close") == 0)
		close(conn_fd(conn));
	while (strcmp(word, "loop") == 0)
		;
	return conn_printf(conn, "%s\n", word);
}

static int do_line(struct conn *conn, const char *line, size_t length)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
	size_t n = strspn(line, letters);
	char word[256], rest[256];

	/* what is no word of ours comes back as it is */
	if (n == 0 || (line[n] != ' ' && line[n] != '\n' && line[n] != '\0'))
		return conn_write(conn, line, length);
	memcpy(word, line, n);
	word[n] = '\0';
	snprintf(rest, sizeof(rest), "%.*s", (int)strcspn(line + n, "\n"), line + n);
	return do_words(conn, word, rest);
}

static int talk_serve(struct conn *conn, void *state)
{
	char line[256];
	ssize_t n;

	if (strcmp(state, "state") != 0)
		return fail(EXDEV);
	while ((n = conn_read_line(conn, line, sizeof(line))) > 0) {
		if (do_line(conn, line, (size_t)n) < 0)
			return -1;
	}
	return n < 0 ? -1 : 0;
}

static const char *const options[] = { "greeting", "other", "oth", NULL };

const struct handler preforkd_handler = {
	.abi = HANDLER_ABI,
	.name = "talk",
	.summary = "do what the client says",
	.options = options,
	.init = talk_init,
	.serve = talk_serve,
	.fini = talk_fini,
};
