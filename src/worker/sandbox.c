#include "worker/sandbox.h"

#include <config.h>

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "board/board.h"
#include "conf/conf.h"
#include "worker/calls.h"
#include "worker/landlock.h"
#include "worker/serve.h"
#include "worker/worker.h"

/* What a program needs to begin at all; none of it is secret. */
static const char *const read_always[] = {
	"/usr",
	"/bin",
	"/sbin",
	"/lib",
	"/lib64",
	"/etc/ld.so.cache",
	"/etc/ld.so.preload",
	"/dev/zero",
	"/dev/full",
	"/dev/random",
	"/dev/urandom",
	NULL,
};

static struct slot *slot; /* of on_refused_call() */

/*
 * The number is for the master, which says why we died. Nothing else is safe here: the
 * call may have come from the middle of libc, with its locks held. The signal comes
 * again when we return, and its action is the default one by then.
 */
static void on_refused_call(int number, siginfo_t *info, void *context)
{
	(void)context;
	atomic_store_explicit(&slot->refused_call, (uint32_t)info->si_syscall + 1,
			      memory_order_relaxed);
	raise(number);
}

static int explain_refused_calls(struct slot *ours)
{
	struct sigaction action = {
		.sa_sigaction = on_refused_call,
		.sa_flags = SA_SIGINFO | SA_RESETHAND,
	};

	slot = ours;
	sigfillset(&action.sa_mask);
	return sigaction(SIGSYS, &action, NULL);
}

static bool is_program(const struct conf_service *service)
{
	return service->kind == CONF_EXEC || service->kind == CONF_PERSISTENT;
}

static bool has_paths(const struct conf_service *service)
{
	return service->read_paths.count + service->write_paths.count > 0;
}

static struct landlock choose_landlock(const struct conf_service *service)
{
	bool strict = service->sandbox == CONF_SANDBOX_STRICT, program = is_program(service);

	if (service->kind == CONF_BUILT_IN || (strict && !program))
		return (struct landlock){
			.files = true,
			.devices = true,
			.tcp = true,
			.signals = true,
			/* the clients of a unix service have such sockets */
			.abstract = service->spec.family != AF_UNIX,
		};
	return (struct landlock){
		.files = has_paths(service),
		.signals = strict,
		/* a persistent program talks to the master through one */
		.abstract = strict && service->kind == CONF_EXEC && service->spec.family != AF_UNIX,
	};
}

/* What is missing is no error here: conf/check_run.c has looked for what is written. */
static int allow_list(const struct landlock *landlock, const struct conf *conf,
		      struct conf_list paths, bool write)
{
	for (unsigned i = 0; i < paths.count; i++) {
		if (landlock_allow(landlock, conf_list_string(conf, paths, i), write) < 0)
			return -1;
	}
	return 0;
}

static int allow_paths(const struct landlock *landlock, const struct serve *serve)
{
	const struct conf_service *service = serve->service;

	for (size_t i = 0; read_always[i] != NULL; i++) {
		if (landlock_allow(landlock, read_always[i], false) < 0 && errno != ENOENT)
			return -1;
	}
	if (landlock_allow(landlock, "/dev/null", true) < 0 && errno != ENOENT)
		return -1;
	if (is_program(service) &&
	    landlock_allow(landlock, conf_list_string(serve->conf, service->command, 0), false) < 0)
		return -1;
	if (allow_list(landlock, serve->conf, service->read_paths, false) < 0)
		return -1;
	return allow_list(landlock, serve->conf, service->write_paths, true);
}

static const char *enter_landlock(const struct serve *serve)
{
	struct landlock landlock = choose_landlock(serve->service);

	if (landlock_version() == 0)
		return NULL;
	if (landlock_start(&landlock) < 0)
		return "Landlock";
	if (has_paths(serve->service) && allow_paths(&landlock, serve) < 0)
		return "run.read, run.write (can run.user reach them?)";
	return landlock_enter(&landlock) < 0 ? "Landlock" : NULL;
}

static bool prepared; /* the same filter for each worker took a fifth of its start */

static const char *enter_seccomp(const struct serve *serve)
{
	const struct conf_service *service = serve->service;
	bool strict = service->sandbox == CONF_SANDBOX_STRICT;
	enum calls_level level = CALLS_NO_ATTACKS;

	if (!calls_possible() || (is_program(service) && !strict))
		return NULL;
	if (strict && !is_program(service))
		level = CALLS_SERVING_ONLY;
	else if (service->kind == CONF_BUILT_IN)
		level = prepared ? CALLS_NO_NEW_NOW : CALLS_NO_NEW;
	if (level == CALLS_SERVING_ONLY && explain_refused_calls(serve->slot) < 0)
		return "SIGSYS";
	return calls_restrict(level) < 0 ? "seccomp" : NULL;
}

/* The sanitizers look into /proc, and map what they like. */
static bool is_off(const struct conf_service *service)
{
	return PREFORKD_SANITIZERS || service->sandbox == CONF_SANDBOX_OFF;
}

const char *sandbox_prepare(const struct conf_service *service)
{
	prepared = service->kind == CONF_BUILT_IN && service->sandbox == CONF_SANDBOX_DEFAULT &&
		   service->no_new_privileges && !is_off(service) && calls_possible();
	if (!prepared)
		return NULL;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || calls_restrict(CALLS_NO_NEW_LATER) < 0)
		return "seccomp";
	return NULL;
}

const char *sandbox_enter(const struct serve *serve)
{
	const char *failed;

	if (is_off(serve->service))
		return NULL;
	failed = enter_landlock(serve);
	return failed != NULL ? failed : enter_seccomp(serve);
}

const char *worker_sandbox_lacks(const struct conf_service *service)
{
	bool landlock, seccomp;

	if (is_off(service))
		return NULL;
	landlock = landlock_version() > 0;
	seccomp = calls_possible();
	if (landlock && seccomp)
		return NULL;
	return landlock ? "seccomp" : seccomp ? "Landlock" : "Landlock, seccomp";
}

const char *worker_refused_call(unsigned number)
{
	return calls_name(number);
}
