#include "conf/check_limits.h"

#include <ctype.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/text.h"
#include "conf/capability.h"
#include "conf/compile.h"
#include "conf/options.h"
#include "conf/value.h"

#define NOFILE_MIN 16 /* what a worker itself needs */

static const struct kind {
	const char *name;
	enum option_kind kind;
	long long per_unit; /* of a value, in the kernel's unit: 1; or 1/1000 as -1000 */
} kinds[RLIM_NLIMITS] = {
	[RLIMIT_AS] = { "as", OPTION_SIZE, 1 },
	[RLIMIT_CORE] = { "core", OPTION_SIZE, 1 },
	[RLIMIT_CPU] = { "cpu", OPTION_DURATION, -1000 },
	[RLIMIT_DATA] = { "data", OPTION_SIZE, 1 },
	[RLIMIT_FSIZE] = { "fsize", OPTION_SIZE, 1 },
	[RLIMIT_LOCKS] = { "locks", OPTION_NUMBER, 1 },
	[RLIMIT_MEMLOCK] = { "memlock", OPTION_SIZE, 1 },
	[RLIMIT_MSGQUEUE] = { "msgqueue", OPTION_SIZE, 1 },
	[RLIMIT_NICE] = { "nice", OPTION_NUMBER, 1 },
	[RLIMIT_NOFILE] = { "nofile", OPTION_SIZE, 1 },
	[RLIMIT_NPROC] = { "nproc", OPTION_SIZE, 1 },
	[RLIMIT_RSS] = { "rss", OPTION_SIZE, 1 },
	[RLIMIT_RTPRIO] = { "rtprio", OPTION_NUMBER, 1 },
	[RLIMIT_RTTIME] = { "rttime", OPTION_DURATION, 1000 },
	[RLIMIT_SIGPENDING] = { "sigpending", OPTION_SIZE, 1 },
	[RLIMIT_STACK] = { "stack", OPTION_SIZE, 1 },
};

/* One side of the colon. False with the reason in why. */
static bool parse_side(const struct kind *kind, const char *string, rlim_t *limit_r,
		       struct text *why)
{
	const struct option option = { .kind = kind->kind };
	long long value;

	if (strcmp(string, "unlimited") == 0) {
		*limit_r = RLIM_INFINITY;
		return true;
	}
	if (!value_parse(&option, string, &value, why)) {
		text_add(why, ", nor unlimited");
		return false;
	}
	if (kind->per_unit < 0 && value % -kind->per_unit != 0) {
		text_addf(why, "\"%s\" is not in whole seconds", string);
		return false;
	}
	if (kind->per_unit > 0 && value > INT64_MAX / kind->per_unit) {
		text_addf(why, "\"%s\" is too large", string);
		return false;
	}
	*limit_r = (rlim_t)(kind->per_unit < 0 ? value / -kind->per_unit : value * kind->per_unit);
	return true;
}

/* "SOFT:HARD", or one for both. */
static bool parse_limit(const struct kind *kind, const char *string, struct conf_limit *limit_r,
			struct text *why)
{
	const char *colon = strchr(string, ':');
	char soft[64];

	limit_r->set = true;
	snprintf(soft, sizeof(soft), "%.*s", (int)(colon != NULL ? colon - string : 63), string);
	if (!parse_side(kind, soft, &limit_r->soft, why) ||
	    !parse_side(kind, colon != NULL ? colon + 1 : soft, &limit_r->hard, why))
		return false;
	if (limit_r->soft > limit_r->hard) {
		text_addf(why, "\"%s\": the soft limit is more than the hard one", string);
		return false;
	}
	return true;
}

/* Only a privileged process raises a hard limit, and nobody this one above fs.nr_open. */
static void check_possible(struct compile *compile, const struct conf_service *service,
			   const char *key, int resource)
{
	rlim_t wanted = service->run.limits[resource].hard;
	long long nr_open = value_from_file("/proc/sys/fs/nr_open", INT64_MAX);
	struct rlimit ours;
	char name[16] = "";

	if (!compile->here || getrlimit(resource, &ours) < 0)
		return;
	if (resource == RLIMIT_NOFILE && wanted > (rlim_t)nr_open) {
		compile_error(compile, service, key,
			      "is more than the system has, %lld (sysctl "
			      "fs.nr_open)",
			      nr_open);
		return;
	}
	if (wanted <= ours.rlim_max || capability_have(CAP_SYS_RESOURCE))
		return;
	for (size_t i = 0; kinds[resource].name[i] != '\0'; i++)
		name[i] = (char)toupper((unsigned char)kinds[resource].name[i]);
	compile_error(compile, service, key,
		      "is more than the hard limit of preforkd itself, %llu (ulimit -H before its "
		      "start; of a unit: systemctl edit, Limit%s=)",
		      (unsigned long long)ours.rlim_max, name);
}

static void check_text(struct compile *compile, struct conf_service *service, const char *key,
		       const char *string, int resource)
{
	char buf[256];
	struct text why = text_start(buf, sizeof(buf));
	struct conf_limit *limit = &service->run.limits[resource];

	if (!parse_limit(&kinds[resource], string, limit, &why))
		compile_error(compile, service, key, "%s", buf);
	else if (resource == RLIMIT_NOFILE && limit->soft < NOFILE_MIN)
		compile_error(compile, service, key, "must be at least %d", NOFILE_MIN);
	else
		check_possible(compile, service, key, resource);
}

/* true or false, or a limit. */
static void check_core(struct compile *compile, struct conf_service *service)
{
	static const struct option boolean = { .kind = OPTION_BOOL };
	const char *core = conf_string(compile->conf, service->core);
	char buf[128];
	struct text why = text_start(buf, sizeof(buf));
	long long on;

	if (value_parse(&boolean, core, &on, &why))
		core = on != 0 ? "unlimited" : "0";
	check_text(compile, service, "run.core", core, RLIMIT_CORE);
}

void check_limits(struct compile *compile, struct conf_service *service)
{
	const char *nofile = conf_string(compile->conf, service->limits[RLIMIT_NOFILE]);
	char key[32];

	check_core(compile, service);
	if (nofile[0] != '\0' && compile_is_set(compile, service, "run.nofile"))
		compile_error(compile, service, "run.nofile",
			      "stands in run.limits, too; write one of them");
	for (int resource = 0; resource < RLIM_NLIMITS; resource++) {
		const char *string = conf_string(compile->conf, service->limits[resource]);

		snprintf(key, sizeof(key), "run.limits.%s", kinds[resource].name);
		if (service->limits[resource].offset != 0 && string[0] != '\0')
			check_text(compile, service, key, string, resource);
	}
	if (nofile[0] != '\0')
		return;
	service->run.limits[RLIMIT_NOFILE] =
		(struct conf_limit){ true, (rlim_t)service->nofile, (rlim_t)service->nofile };
	check_possible(compile, service, "run.nofile", RLIMIT_NOFILE);
}
