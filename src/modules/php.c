/*
 * php.c - the module "php": a PHP function answers.
 *
 * The interpreter lives in the worker. The script of options { script } runs
 * once, when the worker starts, and returns a callable. For each connection it is
 * called with a Socket object and an array about the peer; for each datagram with
 * the string, and what it returns is the answer.
 *
 *	exception, exit()		ends the conn, a line in the log
 *	fatal error, memory or time	ends the conn and the worker, which is
 *	limit				replaced: the engine is not sound any more
 */
#include <main/php.h>

#define HAVE_SOCKETS 1 /* which PHP does not say of what it loads as an extension */

/* after php.h, which they need */
#include <Zend/zend_exceptions.h>
#include <ext/sockets/php_sockets.h>
#include <main/SAPI.h>
#include <main/php_main.h>
#include <sapi/embed/php_embed.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "handler/handler.h"

#define MESSAGE_MAX 65536
#define TIME_LIMIT "30" /* seconds of processor time, as of php.ini */

static struct {
	zval callback;
	zval close;		  /* the name of the function */
	zend_class_entry *socket; /* the class */
	bool fatal;		  /* PHP said so of an error in this conn */
	bool broken;		  /* the call did not come back */
} php;

static char message[MESSAGE_MAX];

/* What a script prints, by lines; the last one need not have an end. */
static struct {
	char text[1024];
	size_t length;
} line;

static void end_line(void)
{
	line.text[line.length] = '\0';
	if (line.length > 0)
		handler_log(LOG_INFO, line.text);
	line.length = 0;
}

/* What PHP logs, with its file and line. */
static void log_message(const char *text, int priority)
{
	static const char fatal[] = "PHP Fatal error";

	if (strncmp(text, fatal, strlen(fatal)) == 0)
		php.fatal = true;
	end_line();
	handler_log(priority, text);
}

static size_t write_output(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (text[i] == '\n' || text[i] == '\0' || line.length == sizeof(line.text) - 1)
			end_line();
		if (text[i] != '\n' && text[i] != '\0')
			line.text[line.length++] = text[i];
	}
	return length;
}

/* The worker's handlers of signals, which PHP would put its own in front of. */
static const int ours[] = { SIGTERM, SIGUSR1, SIGALRM, SIGINT, SIGQUIT, SIGHUP, SIGUSR2, SIGPIPE };
#define N_OURS (sizeof(ours) / sizeof(*ours))

/* PHP's own extensions look for its symbols among those of the whole process. */
static void open_symbols(void)
{
	Dl_info info;

	if (dladdr((void *)php_embed_init, &info) != 0)
		(void)dlopen(info.dli_fname, RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD);
}

/*
 * The opcache, which starts after this, serves those that it knows by name, and embed
 * is none. It ends a worker that cannot have its lock file: only who has a php.ini gets it.
 */
static void (*ini_defaults)(HashTable *configuration);

static void pass_as_server(HashTable *configuration)
{
	sapi_module.name = (char *)"cli-server";
	if (ini_defaults != NULL)
		ini_defaults(configuration);
}

static int start_engine(const struct handler_env *env)
{
	const char *ini = handler_option(env, "ini");
	struct sigaction saved[N_OURS];
	int r;

	for (size_t i = 0; i < N_OURS; i++)
		sigaction(ours[i], NULL, &saved[i]);
	open_symbols();
	php_embed_module.log_message = log_message;
	php_embed_module.ub_write = write_output;
	if (ini != NULL) {
		php_embed_module.php_ini_path_override = (char *)ini;
		ini_defaults = php_embed_module.ini_defaults;
		php_embed_module.ini_defaults = pass_as_server;
	}
	r = php_embed_init(0, NULL);
	sapi_module.name = php_embed_module.name;
	for (size_t i = 0; i < N_OURS; i++)
		sigaction(ours[i], &saved[i], NULL);
	return r == SUCCESS ? 0 : -1;
}

/* 0, or -1 after a line in the log. */
static int set_ini(const char *name, const char *value)
{
	zend_string *key = zend_string_init(name, strlen(name), 0);
	int r = SUCCESS;

	if (value != NULL)
		r = zend_alter_ini_entry_chars(key, value, strlen(value), PHP_INI_SYSTEM,
					       PHP_INI_STAGE_RUNTIME);
	zend_string_release(key);
	if (r == SUCCESS)
		return 0;
	handler_log(LOG_ERR, name); /* PHP itself has said more, or nothing */
	return -1;
}

/* Of an exception: its message, file and line; exit() is one, too, without a message. */
static void log_exception(void)
{
	if (EG(exception) == NULL)
		return;
	end_line();
	if (zend_is_unwind_exit(EG(exception)) && php.fatal)
		; /* how it ends after a fatal error; that is in the log */
	else if (zend_is_unwind_exit(EG(exception)))
		handler_log(LOG_NOTICE, "exit() ended the connection, not the worker");
	else
		zend_exception_error(EG(exception), E_WARNING);
	zend_clear_exception();
}

/* Run the script; what it returns is in php.callback. 0, or -1 after a line in the log. */
static int run_script(const char *path)
{
	zend_file_handle file;
	volatile int r = -1;

	zend_stream_init_filename(&file, path);
	zend_first_try
	{
		if (zend_execute_scripts(ZEND_REQUIRE, &php.callback, 1, &file) == SUCCESS &&
		    EG(exception) == NULL) {
			if (zend_is_callable(&php.callback, 0, NULL))
				r = 0;
			else
				handler_log(LOG_ERR, "the script returns no function");
		}
		log_exception();
	}
	zend_end_try();
	zend_destroy_file_handle(&file);
	end_line();
	return r;
}

static const char *const php_options[] = { "script", "ini", "memory_limit", "time_limit", NULL };

static bool is_number(const char *text, const char *units)
{
	size_t digits = strspn(text, "0123456789");

	return digits > 0 && digits < 10 &&
	       (text[digits] == '\0' ||
		(strchr(units, text[digits]) != NULL && text[digits + 1] == '\0'));
}

static const char *find_wrong_value(const struct handler_env *env)
{
	const char *memory = handler_option(env, "memory_limit");
	const char *seconds = handler_option(env, "time_limit");

	if (memory != NULL && strcmp(memory, "-1") != 0 && !is_number(memory, "KMG"))
		return "memory_limit is not a number, with K, M or G, or -1";
	if (seconds != NULL && !is_number(seconds, ""))
		return "time_limit is not a number of seconds";
	return NULL;
}

static int php_check(const struct handler_env *env, char *text, size_t size)
{
	const char *script = handler_option(env, "script"), *ini = handler_option(env, "ini");
	const char *wrong = find_wrong_value(env);

	if (script == NULL || script[0] != '/')
		snprintf(text, size, "options { script = \"/...\" } is required, an absolute path");
	else if (access(script, R_OK) < 0)
		snprintf(text, size, "%s: %s", script, strerror(errno));
	else if (ini != NULL && ini[0] != '/')
		snprintf(text, size, "ini is not an absolute path");
	else if (ini != NULL && access(ini, R_OK) < 0)
		snprintf(text, size, "%s: %s", ini, strerror(errno));
	else if (wrong != NULL)
		snprintf(text, size, "%s", wrong);
	else
		return 0;
	return -1;
}

static int configure_engine(const struct handler_env *env)
{
	const char *seconds = handler_option(env, "time_limit");

	if (set_ini("display_errors", "0") < 0 || set_ini("log_errors", "1") < 0)
		return -1;
	if (set_ini("memory_limit", handler_option(env, "memory_limit")) < 0)
		return -1;
	/* embed has none by default, and a loop without end would hold its worker for ever */
	return set_ini("max_execution_time", seconds != NULL ? seconds : TIME_LIMIT);
}

static int php_init(const struct handler_env *env, void **state_r)
{
	(void)state_r;
	if (start_engine(env) < 0) {
		errno = ELIBBAD;
		return -1;
	}
	ZVAL_STRING(&php.close, "socket_close");
	php.socket = zend_hash_str_find_ptr(CG(class_table), "socket", strlen("socket"));
	if (php.socket == NULL) {
		handler_log(LOG_ERR, "PHP has no extension sockets");
		errno = ENOPKG;
		return -1;
	}
	if (configure_engine(env) == 0 && run_script(handler_option(env, "script")) == 0)
		return 0;
	errno = EINVAL; /* what is wrong stands in the log */
	return -1;
}

/* address, port, family: what the callback may want to know. */
static void make_peer(struct conn *conn, zval *peer)
{
	array_init(peer);
	add_assoc_string(peer, "peer", conn_peer(conn));
	add_assoc_long(peer, "family", conn_family(conn));
	add_assoc_long(peer, "type", conn_type(conn));
}

/*
 * A Socket object of a descriptor of its own: PHP closes it, the worker the other one.
 * What socket_import_stream() would ask the kernel is known.
 */
static int make_socket(struct conn *conn, zval *socket)
{
	int fd = fcntl(conn_fd(conn), F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	object_init_ex(socket, php.socket);
	Z_SOCKET_P(socket)->bsd_socket = fd;
	Z_SOCKET_P(socket)->type = conn_family(conn);
	Z_SOCKET_P(socket)->blocking = 1;
	return 0;
}

static int make_argument(struct conn *conn, zval *argument)
{
	ssize_t n;

	if (!conn_is_message(conn))
		return make_socket(conn, argument);
	n = conn_read(conn, message, sizeof(message));
	ZVAL_STRINGL(argument, message, n > 0 ? (size_t)n : 0);
	return 0;
}

/* A script that keeps its Socket would keep the connection open. */
static void end_socket(zval *socket)
{
	zval nothing;

	if (Z_TYPE_P(socket) != IS_OBJECT || Z_REFCOUNT_P(socket) == 1)
		return;
	ZVAL_UNDEF(&nothing);
	(void)call_user_function(NULL, NULL, &php.close, &nothing, 1, socket);
	zend_clear_exception(); /* it is closed already */
}

/* The answer to a message is what the callback returns, as a string. */
static int answer(struct conn *conn, zval *result)
{
	if (!conn_is_message(conn) || Z_TYPE_P(result) != IS_STRING)
		return 0;
	return conn_write(conn, Z_STRVAL_P(result), Z_STRLEN_P(result));
}

static int call(struct conn *conn)
{
	zval arguments[2], result;
	int r = -1;

	ZVAL_UNDEF(&arguments[0]);
	ZVAL_UNDEF(&result);
	if (make_argument(conn, &arguments[0]) < 0)
		return -1;
	make_peer(conn, &arguments[1]);
	if (call_user_function(NULL, NULL, &php.callback, &result, 2, arguments) == SUCCESS &&
	    EG(exception) == NULL)
		r = answer(conn, &result);
	log_exception();
	zval_ptr_dtor(&result);
	end_socket(&arguments[0]);
	zval_ptr_dtor(&arguments[1]);
	zval_ptr_dtor(&arguments[0]);
	return r;
}

static int php_serve(struct conn *conn, void *state)
{
	/* with nobody below it on the stack, an exception would be a fatal error */
	static zend_execute_data bottom;
	volatile int r = -1;

	(void)state;
	php.broken = true;
	php.fatal = false;
	EG(current_execute_data) = &bottom;
	if (EG(timeout_seconds) != 0)
		zend_set_timeout(EG(timeout_seconds), 1);
	zend_first_try
	{
		r = call(conn);
		php.broken = false;
	}
	zend_end_try();
	zend_unset_timeout();
	end_line();
	EG(current_execute_data) = NULL;
	if (php.broken || php.fatal)
		handler_leave();
	errno = EPROTO;
	return r;
}

static void php_fini(void *state)
{
	(void)state;
	if (php.broken)
		return;
	zval_ptr_dtor(&php.callback);
	zval_ptr_dtor(&php.close);
	php_embed_shutdown();
	end_line();
}

const struct handler preforkd_handler = {
	.abi = HANDLER_ABI,
	.name = "php",
	.summary = "call a PHP function",
	.options = php_options,
	.check = php_check,
	.init = php_init,
	.serve = php_serve,
	.fini = php_fini,
};
