#include "master/upgrade.h"

#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/process.h"
#include "base/text.h"
#include "master/bequeath.h"
#include "master/notify.h"
#include "master/spawn.h"
#include "master/state.h"
#include "master/takeover.h"

#define REHEARSAL_MS 10000	  /* it reads the config, which may take 2 s of them */
#define OUTPUT_LINES 10		  /* of it that are worth the log */
#define FILE_MAX_BYTES (64 << 20) /* that it may write */
#define SAFE_FD 10		  /* above those that the rehearsal is given */

struct rehearsal {
	int answer;	  /* a memfd: the config as the new binary has read it */
	int output;	  /* a memfd: what it said */
	struct stat file; /* the binary, to know it again */
	sd_event_source *timer;
	bool late, passed, cancelled;
};

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Not resolved: where it is a link, the link is what an upgrade changes. */
void upgrade_setup(struct master *master)
{
	static char path[PATH_MAX];
	/* NOLINTNEXTLINE(performance-no-int-to-ptr): getauxval(3) is like that */
	const char *given = (const char *)getauxval(AT_EXECFN);
	char directory[PATH_MAX] = "";
	struct stat by_name, running;
	ssize_t n;

	if (given[0] != '/' && getcwd(directory, sizeof(directory)) == NULL)
		directory[0] = '\0';
	n = snprintf(path, sizeof(path), "%s%s%s", directory, given[0] != '/' ? "/" : "", given);
	master->binary = path;
	if (n < (ssize_t)sizeof(path) && stat(path, &by_name) == 0 &&
	    stat("/proc/self/exe", &running) == 0 && same_file(&by_name, &running))
		return;
	n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
}

static void release(struct master *master)
{
	struct rehearsal *rehearsal = master->rehearsal;

	master->rehearsal = NULL;
	master->rehearsal_pid = 0;
	sd_event_source_disable_unref(rehearsal->timer);
	fd_close(&rehearsal->answer);
	fd_close(&rehearsal->output);
	free(rehearsal);
}

static void log_output(const struct rehearsal *rehearsal)
{
	char text[4096], *rest = text, *line;
	ssize_t n = pread(rehearsal->output, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	for (int i = 0; i < OUTPUT_LINES && (line = text_next_line(&rest)) != NULL; i++)
		log_error("upgrade_output", KV("text", line));
}

/* Nothing has happened. */
static void refuse(struct master *master, const char *why)
{
	if (master->rehearsal->output >= 0)
		log_output(master->rehearsal);
	log_error("upgrade_refused", KV("error", why), KV("binary", master->binary));
	release(master);
	notify_ready();
}

/* Whatever is behind the name answered as preforkd does, and what it wrote stays so. */
static bool answered(const struct rehearsal *rehearsal)
{
	struct conf answer;
	struct stat st;

	if (fd_seal(rehearsal->answer) < 0)
		return false;
	/* magic, version and size stand first in any conf */
	return pread(rehearsal->answer, &answer, offsetof(struct conf, services), 0) ==
		       offsetof(struct conf, services) &&
	       answer.magic == CONF_MAGIC && fstat(rehearsal->answer, &st) == 0 &&
	       st.st_size == (off_t)answer.size;
}

/* NULL: it went well. */
static const char *judge(const struct rehearsal *rehearsal, const siginfo_t *info)
{
	static char why[128];
	char name[PROCESS_SIGNAL_NAME];

	if (rehearsal->late)
		snprintf(why, sizeof(why), "the rehearsal took longer than %d s",
			 REHEARSAL_MS / 1000);
	else if (info->si_code != CLD_EXITED)
		snprintf(why, sizeof(why), "the rehearsal was ended by %s",
			 process_signal_name(info->si_status, name));
	else if (info->si_status != EX_OK)
		snprintf(why, sizeof(why), "the rehearsal failed with status %d", info->si_status);
	else if (!answered(rehearsal))
		snprintf(why, sizeof(why), "the rehearsal did not answer as preforkd does");
	else
		return NULL;
	return why;
}

void upgrade_rehearsed(struct master *master)
{
	struct rehearsal *rehearsal = master->rehearsal;
	siginfo_t info = { 0 };
	const char *why;

	while (waitid(P_PID, (id_t)master->rehearsal_pid, &info, WEXITED) < 0 && errno == EINTR)
		;
	master->rehearsal_pid = 0;
	/* what it started and left behind is ours now */
	if (master->orphans_next_ms == 0)
		master->orphans_next_ms = clock_now_ms();
	why = judge(rehearsal, &info);
	sd_event_source_set_enabled(rehearsal->timer, SD_EVENT_OFF);
	if (rehearsal->cancelled)
		release(master);
	else if (why != NULL)
		refuse(master, why);
	else
		rehearsal->passed = true;
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *data)
{
	const struct master *master = data;

	(void)source;
	(void)usec;
	master->rehearsal->late = true;
	process_signal(master->rehearsal_pid, SIGKILL);
	return 0;
}

static void place_fds(const struct rehearsal *rehearsal, int state)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int from[] = { null, rehearsal->output, rehearsal->output, state, rehearsal->answer };

	for (int i = 0; i <= TAKEOVER_CONF_FD; i++)
		from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, SAFE_FD);
	for (int i = 0; i <= TAKEOVER_CONF_FD; i++) {
		if (dup2(from[i], i) < 0)
			_exit(EX_OSERR);
	}
	close_range(TAKEOVER_CONF_FD + 1, ~0U, 0);
}

/*
 * The same command line, and that it is a rehearsal; and our name of the config, which we
 * go on with, whatever a relative one or a link means by now.
 */
static char **arguments(const struct master *master)
{
	static char rehearse[] = "--rehearse", config[] = "--config";
	size_t n = 0;
	char **argv;

	while (master->argv[n] != NULL)
		n++;
	argv = calloc(n + 4, sizeof(*argv));
	if (argv == NULL)
		_exit(EX_OSERR);
	argv[0] = master->argv[0];
	argv[1] = rehearse;
	memcpy(argv + 2, master->argv + 1, (n - 1) * sizeof(*argv));
	argv[n + 1] = config;
	argv[n + 2] = (char *)master->config_path;
	return argv;
}

/* The soft limit only: the config is checked against the hard one. */
static void limit_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur <= FILE_MAX_BYTES)
		return;
	limit.rlim_cur = FILE_MAX_BYTES;
	setrlimit(RLIMIT_FSIZE, &limit);
}

/* The child. */
_Noreturn static void rehearse(const struct master *master, int state)
{
	char **argv = arguments(master);
	sigset_t none;

	place_fds(master->rehearsal, state);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	limit_files();
	process_default_signals();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv(master->binary, argv);
	dprintf(STDERR_FILENO, "%s: %s\n", master->binary, strerror(errno));
	_exit(EX_NOINPUT);
}

/*
 * A shell would be the master for a moment, and would take the ends of the workers as those
 * of its own children. Errors are left to execve(2).
 */
static bool is_script(const char *path)
{
	char head[2] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd >= 0 && read(fd, head, sizeof(head)) < 0)
		head[0] = '\0';
	fd_close(&fd);
	return head[0] == '#' && head[1] == '!';
}

/* Returns 0, or -1 with errno. */
static int start(struct master *master)
{
	struct rehearsal *rehearsal = master->rehearsal;
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int state, r;

	rehearsal->answer = memfd_create("preforkd-conf", flags);
	rehearsal->output = memfd_create("preforkd-output", flags);
	state = bequeath(master, -1);
	if (rehearsal->answer < 0 || rehearsal->output < 0 || state < 0 ||
	    stat(master->binary, &rehearsal->file) < 0) {
		fd_close(&state);
		return -1;
	}
	master->rehearsal_pid = fork();
	if (master->rehearsal_pid == 0)
		rehearse(master, state);
	fd_close(&state);
	if (master->rehearsal_pid < 0)
		return -1;
	r = sd_event_add_time_relative(master->event, &rehearsal->timer, CLOCK_MONOTONIC,
				       REHEARSAL_MS * 1000ULL, 1000, on_timeout, master);
	errno = -r;
	return r < 0 ? -1 : 0;
}

void upgrade_begin(struct master *master)
{
	const char *why;

	log_notice("upgrade_started", KV("binary", master->binary));
	master->rehearsal = calloc(1, sizeof(*master->rehearsal));
	if (master->rehearsal == NULL) {
		log_error("out_of_memory");
		return;
	}
	master->rehearsal->answer = master->rehearsal->output = -1;
	notify_reloading();
	if (is_script(master->binary)) {
		refuse(master, "it is a script");
		return;
	}
	if (start(master) == 0)
		return;
	why = strerror(errno);
	if (master->rehearsal_pid > 0) {
		process_signal(master->rehearsal_pid, SIGKILL);
		waitpid(master->rehearsal_pid, NULL, 0);
	}
	refuse(master, why);
}

/* Returns only if it fails, with errno. */
static void become(struct master *master)
{
	const struct rehearsal *rehearsal = master->rehearsal;
	char number[16];
	int state = bequeath(master, rehearsal->answer), saved;

	if (state < 0)
		return;
	snprintf(number, sizeof(number), "%d", state);
	if (setenv(TAKEOVER_VARIABLE, number, 1) == 0 && fcntl(state, F_SETFD, 0) == 0 &&
	    fcntl(rehearsal->answer, F_SETFD, 0) == 0 && bequeath_keep(master, true) == 0)
		execv(master->binary, master->argv);
	saved = errno;
	(void)bequeath_keep(master, false);
	unsetenv(TAKEOVER_VARIABLE);
	fd_close(&state);
	errno = saved;
}

void upgrade_check(struct master *master)
{
	const struct rehearsal *rehearsal = master->rehearsal;
	struct stat now;

	/* each worker is handed over by its number; their leader rings when all have one */
	if (!rehearsal->passed || spawn_any_forking(master))
		return;
	if (stat(master->binary, &now) < 0 || !same_file(&now, &rehearsal->file)) {
		refuse(master, "it was replaced while it was rehearsed");
		return;
	}
	become(master);
	refuse(master, strerror(errno));
}

void upgrade_cancel(struct master *master)
{
	struct rehearsal *rehearsal = master->rehearsal;

	if (rehearsal == NULL)
		return;
	rehearsal->cancelled = true;
	if (master->rehearsal_pid > 0)
		process_signal(master->rehearsal_pid, SIGKILL);
	else
		release(master);
}

void upgrade_end(struct master *master, const char *why)
{
	master->upgrading = false;
	if (why == NULL)
		log_notice("upgrade_done", KV("generation", master->current->id),
			   KV("version", PACKAGE_VERSION), KV("binary", master->binary));
	else
		log_error("upgrade_failed", KV("error", why),
			  KV("generation", master->current->id));
}
