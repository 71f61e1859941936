#include "worker/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "conf/conf.h"

static int set_oom_score_adj(int value)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	char text[16];
	int r;

	if (fd < 0)
		return -1;
	snprintf(text, sizeof(text), "%d", value);
	r = fd_write_all(fd, text, strlen(text));
	fd_close(&fd);
	return r;
}

static const char *set_priorities(const struct conf_run *run)
{
	if (run->has_nice && setpriority(PRIO_PROCESS, 0, run->nice) < 0)
		return "run.nice";
	if (run->has_oom_score_adj && set_oom_score_adj(run->oom_score_adj) < 0)
		return "run.oom_score_adj";
	if (run->has_cpus && sched_setaffinity(0, sizeof(run->cpus), &run->cpus) < 0)
		return "run.cpu_affinity";
	return NULL;
}

const char *limits_set(const struct conf_service *service)
{
	const char *failed = set_priorities(&service->run);

	if (failed != NULL)
		return failed;
	umask((mode_t)service->umask);
	for (int resource = 0; resource < RLIM_NLIMITS; resource++) {
		const struct conf_limit *wanted = &service->run.limits[resource];
		struct rlimit limit = { wanted->soft, wanted->hard };

		if (!wanted->set || setrlimit(resource, &limit) == 0)
			continue;
		if (resource == RLIMIT_NOFILE)
			return "run.nofile (more than the master's own limit?)";
		return "run.limits";
	}
	return NULL;
}

const char *limits_chroot(const struct conf *conf, const struct conf_service *service)
{
	const char *root = conf_string(conf, service->chroot);

	if (root[0] == '\0')
		return NULL;
	/* a working directory outside would be a way out */
	return chroot(root) < 0 || chdir("/") < 0 ? "run.chroot" : NULL;
}
