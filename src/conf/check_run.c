#include "conf/check_run.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "conf/capability.h"
#include "conf/check_limits.h"
#include "conf/compile.h"
#include "conf/root.h"
#include "conf/value.h"

static void check_directory(struct compile *compile, const struct conf_service *service)
{
	const char *path = conf_string(compile->conf, service->directory);
	struct stat st;

	if (path[0] != '/')
		compile_error(compile, service, "run.directory", "must be an absolute path");
	else if (root_stat(compile->conf, service, path, &st) < 0)
		compile_error(compile, service, "run.directory", "%s: %s", path, strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		compile_error(compile, service, "run.directory", "%s is not a directory", path);
}

static void check_environment(struct compile *compile, const struct conf_service *service)
{
	for (unsigned i = 0; i < service->environment.count; i++) {
		const char *entry = conf_list_string(compile->conf, service->environment, i);
		const char *equals = strchr(entry, '=');

		if (equals == NULL || equals == entry)
			compile_error(compile, service, "run.environment",
				      "\"%s\" is not NAME=value", entry);
	}
	for (unsigned i = 0; i < service->pass_environment.count; i++) {
		const char *name = conf_list_string(compile->conf, service->pass_environment, i);

		if (name[0] == '\0' || strchr(name, '=') != NULL)
			compile_error(compile, service, "run.pass_environment",
				      "\"%s\" is no name of a variable", name);
	}
}

/* A number that may be negative; "" is none. */
static bool parse_signed(struct compile *compile, const struct conf_service *service,
			 const char *key, struct conf_text text, int min, int max, int *value_r)
{
	const char *string = conf_string(compile->conf, text);
	bool negative = string[0] == '-';
	long long value;

	if (string[0] == '\0')
		return false;
	if (!text_to_number(string + negative, 0, negative ? -(long long)min : max, &value)) {
		compile_error(compile, service, key, "\"%s\" is not a number from %d to %d", string,
			      min, max);
		return false;
	}
	*value_r = (int)(negative ? -value : value);
	return true;
}

/* RLIMIT_NICE allows 20 minus its value without the capability (getrlimit(2)). */
static void check_nice(struct compile *compile, struct conf_service *service)
{
	struct conf_run *run = &service->run;
	int now = getpriority(PRIO_PROCESS, 0);
	struct rlimit limit = { 0 };

	run->has_nice =
		parse_signed(compile, service, "run.nice", service->nice, -20, 19, &run->nice);
	if (!compile->here || !run->has_nice || run->nice >= now)
		return;
	getrlimit(RLIMIT_NICE, &limit);
	if (limit.rlim_cur < (rlim_t)(20 - run->nice))
		capability_need(compile, service, "run.nice", CAP_SYS_NICE);
}

static void check_oom_score_adj(struct compile *compile, struct conf_service *service)
{
	struct conf_run *run = &service->run;
	char buf[16] = "";
	FILE *file;

	run->has_oom_score_adj =
		parse_signed(compile, service, "run.oom_score_adj", service->oom_score_adj, -1000,
			     1000, &run->oom_score_adj);
	if (!compile->here || !run->has_oom_score_adj)
		return;
	file = fopen("/proc/self/oom_score_adj", "re");
	if (file == NULL)
		return;
	if (fgets(buf, sizeof(buf), file) != NULL && run->oom_score_adj < strtol(buf, NULL, 10))
		capability_need(compile, service, "run.oom_score_adj", CAP_SYS_RESOURCE);
	fclose(file);
}

/* "N", "N-M" or "N-M:STEP", as taskset(1) has it. Moves *at behind it. */
static bool parse_range(const char **at, cpu_set_t *cpus)
{
	unsigned long first, last, step = 1;
	char *end;

	if (**at < '0' || **at > '9')
		return false;
	first = last = strtoul(*at, &end, 10);
	if (*end == '-' && end[1] >= '0' && end[1] <= '9')
		last = strtoul(end + 1, &end, 10);
	if (*end == ':' && end[1] >= '1' && end[1] <= '9')
		step = strtoul(end + 1, &end, 10);
	if (first > last || last >= CPU_SETSIZE || step >= CPU_SETSIZE)
		return false;
	for (; first <= last; first += step)
		CPU_SET(first, cpus);
	*at = end;
	return true;
}

static bool parse_cpus(const char *string, cpu_set_t *cpus_r)
{
	CPU_ZERO(cpus_r);
	while (parse_range(&string, cpus_r)) {
		if (*string == '\0' || *string == '\n')
			return true;
		if (*string++ != ',')
			return false;
	}
	return false;
}

static bool online_cpus(cpu_set_t *cpus_r)
{
	FILE *file = fopen("/sys/devices/system/cpu/online", "re");
	char line[1024] = "";
	bool good =
		file != NULL && fgets(line, sizeof(line), file) != NULL && parse_cpus(line, cpus_r);

	if (file != NULL)
		fclose(file);
	return good;
}

static void check_cpus(struct compile *compile, struct conf_service *service)
{
	const char *string = conf_string(compile->conf, service->cpu_affinity);
	struct conf_run *run = &service->run;
	cpu_set_t online;

	if (string[0] == '\0')
		return;
	run->has_cpus = parse_cpus(string, &run->cpus);
	if (!run->has_cpus)
		compile_error(compile, service, "run.cpu_affinity",
			      "\"%s\" is not a list of CPUs such as 0-3,5", string);
	if (!run->has_cpus || !compile->here || !online_cpus(&online))
		return;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &run->cpus) || CPU_ISSET(cpu, &online))
			continue;
		compile_error(compile, service, "run.cpu_affinity", "there is no CPU %d", cpu);
		return;
	}
}

static void check_capabilities(struct compile *compile, struct conf_service *service)
{
	struct conf_run *run = &service->run;

	run->all_capabilities =
		service->uid == 0 && !compile_is_set(compile, service, "run.capabilities");
	for (unsigned i = 0; i < service->capabilities.count; i++) {
		const char *name = conf_list_string(compile->conf, service->capabilities, i);
		int capability = capability_find(name);

		if (capability < 0) {
			compile_error(compile, service, "run.capabilities",
				      "\"%s\" is none of capabilities(7)", name);
			continue;
		}
		run->capabilities |= UINT64_C(1) << capability;
		if (compile->here)
			capability_need(compile, service, "run.capabilities", capability);
	}
}

static void check_paths(struct compile *compile, const struct conf_service *service,
			const char *key, struct conf_list paths)
{
	for (unsigned i = 0; i < paths.count; i++) {
		const char *path = conf_list_string(compile->conf, paths, i);
		struct stat st;

		if (path[0] != '/')
			compile_error(compile, service, key, "\"%s\" is no absolute path", path);
		else if (compile->here && root_stat(compile->conf, service, path, &st) < 0)
			compile_error(compile, service, key, "%s: %s", path, strerror(errno));
	}
}

/* Neither Landlock nor seccomp are for who may still become more (prctl(2)). */
static void check_sandbox(struct compile *compile, struct conf_service *service)
{
	bool has_paths = service->read_paths.count + service->write_paths.count > 0;
	bool strict = service->sandbox == CONF_SANDBOX_STRICT;

	check_paths(compile, service, "run.read", service->read_paths);
	check_paths(compile, service, "run.write", service->write_paths);
	if (!service->no_new_privileges && (strict || has_paths))
		compile_error(compile, service, "run.no_new_privileges",
			      "cannot be false with run.sandbox = strict, run.read or run.write");
	else if (!service->no_new_privileges)
		service->sandbox = CONF_SANDBOX_OFF;
	else if (has_paths && service->sandbox == CONF_SANDBOX_OFF)
		compile_error(compile, service, "run.sandbox",
			      "cannot be off with run.read or run.write");
	else if (has_paths && strict && service->kind == CONF_MODULE)
		compile_error(compile, service, "run.sandbox",
			      "a strict one lets a module open no file; leave out run.read and "
			      "run.write, or write default");
	else if (!has_paths && strict && service->kind != CONF_BUILT_IN &&
		 service->kind != CONF_MODULE)
		compile_error(compile, service, "run.sandbox",
			      "a strict one of a program needs run.read or run.write: what it may "
			      "use besides /usr");
}

void check_run(struct compile *compile, struct conf_service *service)
{
	root_check(compile, service);
	check_directory(compile, service);
	check_nice(compile, service);
	check_oom_score_adj(compile, service);
	check_cpus(compile, service);
	check_limits(compile, service);
	check_capabilities(compile, service);
	check_sandbox(compile, service);
	check_environment(compile, service);
}

/* How many services have this one's user; is there code among them that is not ours? */
static unsigned count_others(const struct conf *conf, unsigned first, unsigned *second_r,
			     bool *foreign_r)
{
	uid_t uid = conf_service(conf, first)->uid;
	unsigned n = 0;

	*foreign_r = conf_service(conf, first)->kind != CONF_BUILT_IN;
	for (unsigned i = first + 1; i < conf->n_services; i++) {
		const struct conf_service *service = conf_service(conf, i);

		if (service->uid != uid)
			continue;
		if (n++ == 0)
			*second_r = i;
		*foreign_r = *foreign_r || service->kind != CONF_BUILT_IN;
	}
	return n;
}

static bool is_first(const struct conf *conf, unsigned index)
{
	for (unsigned i = 0; i < index; i++) {
		if (conf_service(conf, i)->uid == conf_service(conf, index)->uid)
			return false;
	}
	return true;
}

/*
 * One line for each user, at the first service that has it. None where all are handlers of
 * our own: they send no signals and trace nobody, and two of them as nobody are the usual
 * beginning. None for root either, whom another uid would not hold back, nor for a master
 * without root, which has no choice.
 */
void check_users(struct compile *compile)
{
	const struct conf *conf = compile->conf;

	for (unsigned i = 0; i < conf->n_services; i++) {
		const struct conf_service *service = conf_service(conf, i);
		unsigned second = 0, others;
		bool foreign;

		if (geteuid() != 0 || service->uid == 0 || !is_first(conf, i))
			continue;
		others = count_others(conf, i, &second, &foreign);
		if (others == 0 || !foreign)
			continue;
		compile_warning(compile, service, "run.user",
				"service \"%s\" (%u in all) runs as the same user, %u: programs "
				"and modules of one can signal and trace workers of the other",
				conf_string(conf, conf_service(conf, second)->name), others + 1,
				(unsigned)service->uid);
	}
}
