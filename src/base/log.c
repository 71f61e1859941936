#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log_journal.h"
#include "base/text.h"

#define LINE_MAX_BYTES 4096 /* PIPE_BUF: lines of several processes do not mix */
#define SYSLOG_SOCKET "/dev/log"

enum log_kind { LOG_KIND_STDERR, LOG_KIND_FILE, LOG_KIND_SYSLOG, LOG_KIND_JOURNAL };

static struct {
	enum log_kind kind;
	enum log_level level;
	int fd;		/* of KIND_STDERR and KIND_FILE */
	bool is_socket; /* fd takes send(2), which can be told not to wait */
	char path[4096];
	unsigned long long dropped;
} log_state = { .kind = LOG_KIND_STDERR, .level = LOG_LEVEL_INFO, .fd = STDERR_FILENO };

static struct {
	enum log_level level;
	void (*function)(const char *event, const struct log_field *fields);
} listener;

static const struct {
	const char *name;
	int priority;
} levels[] = {
	[LOG_LEVEL_BUG] = { "bug", LOG_CRIT },
	[LOG_LEVEL_ERROR] = { "error", LOG_ERR },
	[LOG_LEVEL_WARNING] = { "warning", LOG_WARNING },
	[LOG_LEVEL_NOTICE] = { "notice", LOG_NOTICE },
	[LOG_LEVEL_INFO] = { "info", LOG_INFO },
	[LOG_LEVEL_DEBUG] = { "debug", LOG_DEBUG },
};

struct log_field log_field_text(const char *key, const char *text)
{
	return (struct log_field){ .key = key, .text = text != NULL ? text : "" };
}

struct log_field log_field_number(const char *key, long long number)
{
	return (struct log_field){ .key = key, .number = number };
}

void log_set_level(enum log_level level)
{
	log_state.level = level;
}

void log_listen(enum log_level level,
		void (*function)(const char *event, const struct log_field *fields))
{
	listener.level = level;
	listener.function = function;
}

const char *log_level_name(void)
{
	return levels[log_state.level].name;
}

bool log_level_parse(const char *name, enum log_level *level_r)
{
	/* "bug" cannot be asked for: it would silence errors */
	for (size_t i = LOG_LEVEL_ERROR; i < sizeof(levels) / sizeof(*levels); i++) {
		if (strcmp(levels[i].name, name) == 0) {
			*level_r = (enum log_level)i;
			return true;
		}
	}
	return false;
}

bool log_is_stderr(void)
{
	return log_state.kind == LOG_KIND_STDERR;
}

bool log_is_file(void)
{
	return log_state.kind == LOG_KIND_FILE;
}

int log_fd(void)
{
	return log_state.fd;
}

static void add_time(struct text *line)
{
	struct timespec now;
	struct tm tm;
	char date[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	text_addf(line, "time=%s.%03ldZ ", date, now.tv_nsec / 1000000);
}

void log_add_fields(struct text *line, const struct log_field *fields)
{
	for (; fields->key != NULL; fields++) {
		text_addf(line, " %s=", fields->key);
		if (fields->text != NULL)
			text_add_value(line, fields->text);
		else
			text_addf(line, "%lld", fields->number);
	}
}

static int send_syslog(enum log_level level, struct text *line)
{
	char head[64];
	int n = snprintf(head, sizeof(head),
			 "<%d>preforkd[%d]: ", LOG_DAEMON | levels[level].priority, (int)getpid());
	struct iovec parts[] = { { head, (size_t)n }, { line->buf, line->length } };

	return fd_send_datagram(SYSLOG_SOCKET, parts, 2);
}

static int send_stream(struct text *line)
{
	struct pollfd writable = { .fd = log_state.fd, .events = POLLOUT };
	ssize_t n;

	if (line->length + 1 == line->size)
		line->length--;
	line->buf[line->length++] = '\n';
	if (log_state.is_socket) {
		n = send(log_state.fd, line->buf, line->length, MSG_DONTWAIT | MSG_NOSIGNAL);
	} else {
		/* POLLOUT of a pipe or terminal means that PIPE_BUF bytes fit */
		if (poll(&writable, 1, 0) != 1 || (writable.revents & POLLOUT) == 0)
			return -1;
		n = write(log_state.fd, line->buf, line->length);
	}
	return n < 0 ? -1 : 0;
}

static int write_line(enum log_level level, const char *event, const struct log_field *fields)
{
	char buf[LINE_MAX_BYTES];
	struct text line = text_start(buf, sizeof(buf));

	if (log_state.kind == LOG_KIND_STDERR || log_state.kind == LOG_KIND_FILE)
		add_time(&line);
	text_addf(&line, "level=%s pid=%d event=%s", levels[level].name, (int)getpid(), event);
	log_add_fields(&line, fields);
	switch (log_state.kind) {
	case LOG_KIND_JOURNAL:
		return log_journal_send(levels[level].priority, buf, event, fields);
	case LOG_KIND_SYSLOG:
		return send_syslog(level, &line);
	default:
		return send_stream(&line);
	}
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
	int saved = errno;

	if (listener.function != NULL && level <= listener.level)
		listener.function(event, fields);
	if (level > log_state.level)
		return;
	if (write_line(level, event, fields) < 0)
		log_state.dropped++;
	else if (log_state.dropped > 0 &&
		 write_line(LOG_LEVEL_WARNING, "log_dropped",
			    LOG_FIELDS(KV("lines", log_state.dropped))) == 0)
		log_state.dropped = 0;
	errno = saved;
}

/*
 * O_NONBLOCK would reach everybody who shares our stderr (the user's shell,
 * for one), so it is set on an open file description of our own.
 */
static int open_stderr(void)
{
	struct stat st;
	int fd;

	log_state.is_socket = false;
	if (fstat(STDERR_FILENO, &st) < 0)
		return STDERR_FILENO;
	if (S_ISSOCK(st.st_mode))
		log_state.is_socket = true;
	if (!S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode))
		return STDERR_FILENO;
	fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return fd >= 0 ? fd : STDERR_FILENO;
}

/* A file of somebody else's, or one that is no file, is not ours to fill. */
static int open_file(const char *path)
{
	int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW;
	struct stat st;
	int fd = open(path, flags, 0640);

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
	    st.st_nlink != 1) {
		fd_close(&fd);
		errno = EPERM;
	}
	return fd;
}

/* See worker/persist.c. */
static int move_up(int fd)
{
	int high = fd > STDERR_FILENO ? fd_duplicate_high(fd) : -1;

	if (high >= 0)
		close(fd);
	return high >= 0 ? high : fd;
}

static void set_target(enum log_kind kind, int fd)
{
	fd = move_up(fd);
	if (log_state.fd != STDERR_FILENO && log_state.fd != fd)
		fd_close(&log_state.fd);
	log_state.kind = kind;
	log_state.fd = fd;
}

int log_open(const char *target)
{
	int fd;

	if (strcmp(target, "syslog") == 0) {
		set_target(LOG_KIND_SYSLOG, -1);
	} else if (strcmp(target, "journal") == 0 ||
		   (strcmp(target, "stderr") == 0 && log_journal_is_stderr())) {
		set_target(LOG_KIND_JOURNAL, -1);
	} else if (strcmp(target, "stderr") == 0) {
		set_target(LOG_KIND_STDERR, open_stderr());
	} else {
		fd = open_file(target);
		if (fd < 0)
			return -1;
		log_state.is_socket = false;
		set_target(LOG_KIND_FILE, fd);
		if (target != log_state.path)
			snprintf(log_state.path, sizeof(log_state.path), "%s", target);
	}
	return 0;
}

struct log_target log_target(void)
{
	return (struct log_target){ (int)log_state.kind, (int)log_state.level, log_state.fd,
				    log_state.is_socket };
}

void log_join(const struct log_target *target)
{
	log_state.kind = (enum log_kind)target->kind;
	log_state.level = (enum log_level)target->level;
	log_state.fd = target->fd;
	log_state.is_socket = target->is_socket;
}

void log_keep(bool to_syslog)
{
	if (log_state.kind == LOG_KIND_JOURNAL)
		(void)log_journal_keep();
	else if (log_state.kind == LOG_KIND_SYSLOG || (to_syslog && log_is_stderr()))
		(void)fd_keep_datagram(SYSLOG_SOCKET);
}

int log_reopen(void)
{
	return log_is_file() ? log_open(log_state.path) : 0;
}
