#include "worker/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/process.h"
#include "board/board.h"
#include "conf/conf.h"
#include "handler/env.h"
#include "worker/deadline.h"
#include "worker/exec.h"
#include "worker/limits.h"
#include "worker/rights.h"
#include "worker/sandbox.h"
#include "worker/seat.h"
#include "worker/serve.h"
#include "worker/stop.h"
#include "worker/worker.h"

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

_Noreturn void setup_failed(const struct worker_seat *seat, const char *step, int status)
{
	log_error("worker_setup_failed",
		  KV("service", conf_string(seat->conf, seat->service->name)),
		  KV("worker", seat->index + 1), KV("step", step), KV("error", strerror(errno)));
	_exit(status);
}

static void setup_slot(const struct worker_seat *seat, struct slot **slot_r, struct bell **bell_r)
{
	*slot_r = board_attach(seat->board, seat->index);
	*bell_r = board_attach_bell(seat->board);
	if (*slot_r == NULL || *bell_r == NULL)
		setup_failed(seat, "mapping of the slot", WORKER_EXIT_SETUP);
}

/* Standard input and output may be somebody's terminal; standard error is for the log. */
static void setup_standard(const struct worker_seat *seat)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		setup_failed(seat, "/dev/null", WORKER_EXIT_SETUP);
	close(null);
}

static void setup_fds(const struct worker_seat *seat)
{
	int keep[] = { seat->listener, seat->ready_fd, seat->bell_fd, log_fd() };

	fd_close_except(keep, sizeof(keep) / sizeof(*keep));
	/* a root of its own may have no /proc; what programs leave behind has to be found */
	if (seat->service->kind == CONF_EXEC)
		(void)process_keep_children();
	log_keep(seat->detach);
}

/* "NAME=value" of a variable of the master's; NULL if there is none. */
static char *copy_variable(const char *name)
{
	const char *value = getenv(name);
	char *entry = NULL;

	if (value != NULL && asprintf(&entry, "%s=%s", name, value) < 0)
		return NULL;
	return entry;
}

/* A clean environment: what the config says, and a PATH. */
static void setup_environment(const struct worker_seat *seat)
{
	struct conf_list list = seat->service->environment;
	struct conf_list pass = seat->service->pass_environment;
	char **passed = calloc(pass.count + 1, sizeof(char *));

	if (passed == NULL)
		setup_failed(seat, "environment", WORKER_EXIT_SETUP);
	for (unsigned i = 0; i < pass.count; i++)
		passed[i] = copy_variable(conf_list_string(seat->conf, pass, i));
	if (clearenv() != 0 || setenv("PATH", DEFAULT_PATH, 1) < 0)
		setup_failed(seat, "environment", WORKER_EXIT_SETUP);
	for (unsigned i = 0; i < pass.count; i++) {
		if (passed[i] != NULL && putenv(passed[i]) != 0)
			setup_failed(seat, "environment", WORKER_EXIT_SETUP);
	}
	free(passed);
	for (unsigned i = 0; i < list.count; i++) {
		/* the conf is mapped as long as we live, and nobody writes to it */
		if (putenv((char *)conf_list_string(seat->conf, list, i)) != 0)
			setup_failed(seat, "environment", WORKER_EXIT_SETUP);
	}
}

static void setup_limits(const struct worker_seat *seat)
{
	const char *failed = limits_set(seat->service);

	if (failed != NULL)
		setup_failed(seat, failed, WORKER_EXIT_SETUP);
}

static void setup_root(const struct worker_seat *seat)
{
	const char *failed = limits_chroot(seat->conf, seat->service);

	if (failed != NULL)
		setup_failed(seat, failed, WORKER_EXIT_SETUP);
}

static void setup_rights(const struct worker_seat *seat)
{
	const char *failed = rights_drop(seat->conf, seat->service);

	if (failed != NULL)
		setup_failed(seat, failed, WORKER_EXIT_SETUP);
	failed = rights_verify(seat->conf, seat->service);
	if (failed != NULL) {
		log_bug("rights_not_dropped",
			KV("service", conf_string(seat->conf, seat->service->name)),
			KV("still_has", failed));
		_exit(WORKER_EXIT_SETUP);
	}
}

static void setup_directory(const struct worker_seat *seat)
{
	if (chdir(conf_string(seat->conf, seat->service->directory)) < 0)
		setup_failed(seat, "run.directory (can run.user enter it?)", WORKER_EXIT_SETUP);
}

/* The master may have died before the signal was asked for: so look afterwards. */
static void setup_parent_death(const struct worker_seat *seat)
{
	bool program = seat->service->kind == CONF_PERSISTENT;

	if (prctl(PR_SET_PDEATHSIG, program ? SIGTERM : STOP_ORPHANED) < 0)
		setup_failed(seat, "PR_SET_PDEATHSIG", WORKER_EXIT_SETUP);
	if (getppid() != seat->master)
		_exit(WORKER_EXIT_ORPHAN);
}

static void setup_signals(const struct worker_seat *seat)
{
	if (deadline_setup() < 0)
		setup_failed(seat, "timer_create", WORKER_EXIT_SETUP);
	if (stop_setup(seat->master, seat->listener, (int)seat->service->backlog,
		       seat->service->drain_ms) < 0)
		setup_failed(seat, "signals", WORKER_EXIT_SETUP);
}

static const struct serve *speaker; /* of handler_log() */

void handler_log(int priority, const char *text)
{
	enum log_level level = priority <= LOG_ERR     ? LOG_LEVEL_ERROR :
			       priority == LOG_WARNING ? LOG_LEVEL_WARNING :
			       priority == LOG_NOTICE  ? LOG_LEVEL_NOTICE :
			       priority == LOG_INFO    ? LOG_LEVEL_INFO :
							 LOG_LEVEL_DEBUG;

	/* while a config is checked there is nobody to speak of */
	if (speaker == NULL)
		return;
	board_note(speaker->slot, text);
	log_write(level, "handler_message",
		  LOG_FIELDS(KV("service", conf_string(speaker->conf, speaker->service->name)),
			     KV("worker", speaker->index), KV("text", text)));
}

static pid_t own_pid;

/*
 * A worker leaves by _exit(2): who comes here is a handler that called exit(3), or its
 * child. Its status is told, unless that is one of our own and means something else.
 */
static void on_exit_called(int status, void *data)
{
	(void)data;
	if (getpid() == own_pid)
		_exit(worker_exit_text(status & 0xff) != NULL ? WORKER_EXIT_CALLED : status);
}

static void setup_handler(const struct worker_seat *seat, struct serve *serve)
{
	const struct handler *handler = serve->handler;
	const struct listener_spec *spec = &seat->service->spec;
	/* kept: a handler may look at its options later on */
	static struct handler_env env;

	speaker = serve;
	own_pid = getpid();
	if (on_exit(on_exit_called, NULL) != 0)
		setup_failed(seat, "on_exit", WORKER_EXIT_SETUP);

	env = (struct handler_env){
		.service = conf_string(seat->conf, seat->service->name),
		.socket = { spec->family, spec->type, spec->protocol },
		.options = conf_list_pointers(seat->conf, seat->service->options),
	};
	if (handler == NULL) {
		return; /* a program, soon */
	} else if (handler == &handler_exec) {
		serve->state = exec_setup(serve);
		if (serve->state == NULL)
			setup_failed(seat, "preparing programs", WORKER_EXIT_HANDLER);
	} else if (handler->init != NULL && handler->init(&env, &serve->state) < 0) {
		setup_failed(seat, "init of the handler", WORKER_EXIT_HANDLER);
	}
}

/*
 * Once for all workers of a batch, before there is another one:
 *	environment	before anything of libc reads it
 *	time zone	what libc reads by itself it shall have read outside of a root of
 *			the service's own; it does not look again
 *	bounding set	as long as we may, and since it takes 41 system calls
 *	sandbox		that part of it which does not stand in the way of what follows
 */
void setup_batch(const struct worker_seat *seat)
{
	const char *failed;

	process_title_set("preforkd: %s", conf_string(seat->conf, seat->service->name));
	setup_standard(seat);
	setup_environment(seat);
	tzset();
	if (rights_reduce(seat->service) < 0)
		setup_failed(seat, "capability bounding set", WORKER_EXIT_SETUP);
	failed = sandbox_prepare(seat->service);
	if (failed != NULL)
		setup_failed(seat, failed, WORKER_EXIT_SETUP);
}

/*
 * The order matters:
 *	slot		while the board's descriptor is there
 *	fds		all others go: nothing of another worker's may be used by mistake
 *	limits		before the rights go that are needed to raise them, and while
 *			there is a /proc: priorities, CPUs, umask, rlimits
 *	root		after all files of the machine: its log, its /dev/null, its time zone
 *	rights		before the directory, so that it is entered as the user
 *	parent death	after the change of uid, which clears it (prctl(2))
 *	signals		the master's signals were blocked since before we began, so
 *			that one sent meanwhile waits for our handlers
 *			(not for one that becomes a program, which has them as they are)
 *	handler		last: it runs with the rights it will serve with
 *	sandbox		(setup_sandbox()) after its init, which may open what it likes
 */
void setup_worker(const struct worker_seat *seat, struct serve *serve)
{
	setup_slot(seat, &serve->slot, &serve->bell);
	setup_fds(seat);
	setup_limits(seat);
	setup_root(seat);
	setup_rights(seat);
	setup_directory(seat);
	setup_parent_death(seat);
	if (serve->handler != NULL)
		setup_signals(seat);
	setup_handler(seat, serve);
}

void setup_sandbox(const struct worker_seat *seat, const struct serve *serve)
{
	const char *failed = sandbox_enter(serve);

	if (failed != NULL)
		setup_failed(seat, failed, WORKER_EXIT_SETUP);
}
