/*
 * log.h - one line an event, in one grammar, written without ever waiting.
 *
 *	time=... level=info pid=123 event=listening service=hello address=127.0.0.1:1337
 *
 * The master opens the log; workers are told of it (log_join()). A line that cannot
 * be written at once is dropped and counted, and the count is reported with
 * the next line that gets through: a stuck reader never stops the service.
 *
 * Where lines go: stderr, the journal (native protocol, each key a field),
 * syslog, or a file.
 */
#ifndef PREFORKD_BASE_LOG_H
#define PREFORKD_BASE_LOG_H

#include <stdbool.h>

struct text;

/* In rising order of detail. "bug" is for broken promises of our own. */
enum log_level {
	LOG_LEVEL_BUG,
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_NOTICE,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

/* One key=value; made by KV(). text is NULL for a number. A NULL key ends a list. */
struct log_field {
	const char *key;
	const char *text;
	long long number;
};

struct log_field log_field_text(const char *key, const char *text);
struct log_field log_field_number(const char *key, long long number);

#define KV(key, value) \
	_Generic((value), char *: log_field_text, const char *: log_field_text, \
		 default: log_field_number)(key, value)

/* Write one event with its fields. errno is kept. */
void log_write(enum log_level level, const char *event, const struct log_field *fields);

#define LOG_FIELDS_MAX 16
#define LOG_FIELDS(...) ((const struct log_field[LOG_FIELDS_MAX + 1]){ __VA_ARGS__ })
#define log_bug(event, ...) log_write(LOG_LEVEL_BUG, event, LOG_FIELDS(__VA_ARGS__))
#define log_error(event, ...) log_write(LOG_LEVEL_ERROR, event, LOG_FIELDS(__VA_ARGS__))
#define log_warning(event, ...) log_write(LOG_LEVEL_WARNING, event, LOG_FIELDS(__VA_ARGS__))
#define log_notice(event, ...) log_write(LOG_LEVEL_NOTICE, event, LOG_FIELDS(__VA_ARGS__))
#define log_info(event, ...) log_write(LOG_LEVEL_INFO, event, LOG_FIELDS(__VA_ARGS__))
#define log_debug(event, ...) log_write(LOG_LEVEL_DEBUG, event, LOG_FIELDS(__VA_ARGS__))

/*
 * Have each event of level or above told to somebody as well, whether it is logged or
 * not; NULL: to nobody. One at a time, in this process.
 */
void log_listen(enum log_level level,
		void (*listener)(const char *event, const struct log_field *fields));

/* Add " key=value" of each field, as a line of the log has it. */
void log_add_fields(struct text *text, const struct log_field *fields);

/*
 * Send lines to target: "stderr", "journal", "syslog" or the absolute path of
 * a file. "stderr" means the journal when stderr is connected to it. Returns
 * 0, or -1 with errno (of open(2), or EPERM when the file belongs to somebody
 * else), and then the old target stays.
 */
int log_open(const char *target);

/* Open the file of the present target again (after a rotation). As log_open(). */
int log_reopen(void);

/*
 * Keep the socket of the target open (to_syslog: of syslog, which standard error will
 * become), for a process that will not be able to make one, or find it, any more.
 */
void log_keep(bool to_syslog);

void log_set_level(enum log_level level);

/* The name of the present level. */
const char *log_level_name(void);

/* The level of a name; false if there is no such level. */
bool log_level_parse(const char *name, enum log_level *level_r);

/* Where lines go, for another program that inherits fd (-1: none) and joins. */
struct log_target {
	int kind, level, fd;
	bool is_socket;
};

struct log_target log_target(void);
void log_join(const struct log_target *target);

/* True when lines go to standard error as it is, and not to the journal behind it. */
bool log_is_stderr(void);

/* True when lines go to a file, which workers without rights cannot open again. */
bool log_is_file(void);

/* The descriptor that lines are written to, for fd_close_except(); -1 when there is none. */
int log_fd(void);

#endif
