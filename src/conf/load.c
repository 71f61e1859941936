#include "conf/load.h"

#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/process.h"
#include "conf/check.h"
#include "conf/compile.h"
#include "conf/conf.h"
#include "conf/read.h"
#include "conf/report.h"
#include "conf/share.h"

/* ASan reserves terabytes of address space, so it cannot be limited there. */
#if PREFORKD_SANITIZERS
#define MEMORY_MAX RLIM_INFINITY
#else
#define MEMORY_MAX (256u << 20)
#endif

/* The soft limit only: the hard one is what services are checked against. */
static void limit(int resource, rlim_t soft)
{
	struct rlimit ours;

	if (getrlimit(resource, &ours) < 0)
		return;
	ours.rlim_cur = soft < ours.rlim_max ? soft : ours.rlim_max;
	setrlimit(resource, &ours);
}

static void limit_child(void)
{
	sigset_t none;

	limit(RLIMIT_AS, MEMORY_MAX);
	limit(RLIMIT_CPU, CONF_LOAD_MS / 1000 + 1);
	process_default_signals();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static int seal(int memfd, size_t size)
{
	if (ftruncate(memfd, (off_t)size) < 0)
		return -1;
	return fd_seal(memfd);
}

/* Of the memfd while the child works: the conf, and behind it the note. */
#define SHARED_SIZE (CONF_SIZE_MAX + COMPILE_NOTE_SIZE)

static int compile_into(const char *path, bool here, struct report *report, struct conf *conf)
{
	static char warning_lines[REPORT_SIZE];
	struct report warnings = { .lines = text_start(warning_lines, REPORT_SIZE) };
	static struct read_result result;
	struct compile compile = {
		.conf = conf,
		.report = report,
		.warnings = &warnings,
		.here = here,
		.note = (char *)conf + CONF_SIZE_MAX,
	};
	int status = read_config(path, report, &result);

	if (status != 0)
		return status;
	compile_config(&compile, &result);
	/* a value that could not be read makes follow-up errors */
	if (report->errors == 0)
		check_config(&compile);
	return report->errors == 0 ? 0 : EX_CONFIG;
}

/* The child: a conf or an error text into the memfd; the exit status says which. */
_Noreturn static void child_main(const char *path, bool here, int memfd)
{
	static char lines[REPORT_SIZE];
	struct report report = { .lines = text_start(lines, sizeof(lines)) };
	struct conf *conf;
	size_t size;
	int status;

	fd_close_except(&memfd, 1);
	limit_child();
	if (ftruncate(memfd, SHARED_SIZE) < 0)
		_exit(EX_OSERR);
	conf = mmap(NULL, SHARED_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	if (conf == MAP_FAILED)
		_exit(EX_OSERR);
	status = compile_into(path, here, &report, conf);
	if (status != 0)
		memcpy(conf, lines, report.lines.length);
	size = status != 0 ? report.lines.length : conf->size;
	/* a writable mapping would forbid the seal */
	munmap(conf, SHARED_SIZE);
	_exit(seal(memfd, size) < 0 ? EX_OSERR : status);
}

int conf_load_start(const char *path, bool here, struct conf_load *load_r)
{
	int saved;

	load_r->out_of_time = false;
	load_r->memfd = memfd_create("preforkd-conf", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (load_r->memfd < 0)
		return -1;
	load_r->pid = fork();
	if (load_r->pid == 0)
		child_main(path, here, load_r->memfd);
	if (load_r->pid > 0)
		return 0;
	saved = errno;
	fd_close(&load_r->memfd);
	errno = saved;
	return -1;
}

static char *take_errors(int memfd)
{
	char *errors = calloc(1, REPORT_SIZE + 1);

	if (errors != NULL && pread(memfd, errors, REPORT_SIZE, 0) < 0)
		errors[0] = '\0';
	return errors;
}

/* "what it was at: ", or empty: whoever came to the end has cut it off. */
static void read_note(const struct conf_load *load, char note_r[COMPILE_NOTE_SIZE + 2])
{
	char note[COMPILE_NOTE_SIZE] = "";

	note_r[0] = '\0';
	if (pread(load->memfd, note, sizeof(note) - 1, CONF_SIZE_MAX) > 0 && note[0] != '\0')
		snprintf(note_r, COMPILE_NOTE_SIZE + 2, "%s: ", note);
}

char *conf_load_too_long(const struct conf_load *load)
{
	char note[COMPILE_NOTE_SIZE + 2], *text = NULL;

	read_note(load, note);
	(void)!asprintf(&text, "%sreading the config took longer than 2 s%s\n", note,
			note[0] == '\0' ? " (a silent name server?)" : "");
	return text;
}

/* What to say when the child could not say it itself. */
static char *explain_death(const struct conf_load *load, const siginfo_t *info)
{
	char note[COMPILE_NOTE_SIZE + 2], name[PROCESS_SIGNAL_NAME], *text = NULL;

	read_note(load, note);
	if (load->out_of_time)
		return conf_load_too_long(load);
	if (info->si_code == CLD_EXITED)
		(void)!asprintf(&text, "%sreading the config failed with status %d\n", note,
				info->si_status);
	else
		(void)!asprintf(&text, "%sreading the config was ended by %s\n", note,
				process_signal_name(info->si_status, name));
	return text;
}

void conf_load_kill(struct conf_load *load)
{
	load->out_of_time = true;
	process_signal(load->pid, SIGKILL);
}

struct conf_result conf_load_end(struct conf_load *load)
{
	struct conf_result result = { .status = EX_CONFIG };
	char note[COMPILE_NOTE_SIZE + 2];
	siginfo_t info = { 0 };
	bool exited;

	while (waitid(P_PID, (id_t)load->pid, &info, WEXITED) < 0 && errno == EINTR)
		;
	/* with a note left it was not we who called exit(3) */
	read_note(load, note);
	exited = !load->out_of_time && info.si_code == CLD_EXITED && note[0] == '\0';
	if (exited && info.si_status == 0)
		result.conf = conf_map(load->memfd);
	else if (exited && (info.si_status == EX_CONFIG || info.si_status == EX_NOINPUT))
		result.errors = take_errors(load->memfd);
	if (result.conf == NULL && result.errors != NULL)
		result.status = info.si_status;
	if (result.conf == NULL && result.errors == NULL)
		result.errors = explain_death(load, &info);
	fd_close(&load->memfd);
	return result;
}

static struct conf_result not_started(void)
{
	struct conf_result failed = { .status = EX_OSERR };

	(void)!asprintf(&failed.errors, "the process that reads the config cannot be started: %s\n",
			strerror(errno));
	return failed;
}

struct conf_result conf_load(const char *path, bool here)
{
	struct conf_load load;
	long long deadline = clock_now_ms() + CONF_LOAD_MS, left;
	struct conf_result failed;
	struct pollfd gone;

	if (conf_load_start(path, here, &load) < 0)
		return not_started();
	gone = (struct pollfd){ .fd = pidfd_open(load.pid, 0), .events = POLLIN };
	if (gone.fd < 0) {
		failed = not_started();
		process_signal(load.pid, SIGKILL);
		waitpid(load.pid, NULL, 0);
		fd_close(&load.memfd);
		return failed;
	}
	do {
		left = deadline - clock_now_ms();
	} while (left > 0 && poll(&gone, 1, (int)left) < 0 && errno == EINTR);
	if ((gone.revents & POLLIN) == 0)
		conf_load_kill(&load);
	fd_close(&gone.fd);
	return conf_load_end(&load);
}
