#include "worker/rights.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "conf/conf.h"

/*
 * no_new_privs makes the bounding set unimportant, so a process that may not
 * change it (no CAP_SETPCAP, as under our unit file) goes on without.
 */
static int empty_bounding_set(void)
{
	unsigned long cap = 0;

	while (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
		cap++;
	/* EINVAL: that was the last one */
	return errno == EINVAL || errno == EPERM ? 0 : -1;
}

/* An unprivileged master may have ambient capabilities; its workers shall not. */
static int empty_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -1;
	return (int)syscall(SYS_capset, &header, none);
}

/*
 * The order: groups need CAP_SETGID, the bounding set CAP_SETPCAP, and both
 * are gone with the uid; so the uid comes after them. A master without root
 * has nothing to change but its capabilities.
 */
const char *rights_drop(const struct conf *conf, const struct conf_service *service)
{
	uid_t uid = service->uid;
	gid_t gid = service->gid;

	if (geteuid() == 0 && setgroups(service->n_groups, conf_groups(conf, service)) < 0)
		return "setgroups";
	if (setresgid(gid, gid, gid) < 0)
		return "setresgid";
	if (uid != 0 && empty_bounding_set() < 0)
		return "capability bounding set";
	if (setresuid(uid, uid, uid) < 0)
		return "setresuid";
	if (uid != 0 && empty_capabilities() < 0)
		return "capset";
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return "no_new_privs";
	return NULL;
}

static int compare_gids(const void *a, const void *b)
{
	gid_t x = *(const gid_t *)a, y = *(const gid_t *)b;

	return (x > y) - (x < y);
}

/* The groups are those of the conf, whatever their order. */
static bool has_groups(const gid_t *wanted, unsigned n)
{
	gid_t have[256], want[256];
	int count = getgroups(256, have);

	if (count != (int)n || n > 256)
		return false;
	memcpy(want, wanted, n * sizeof(*want));
	qsort(have, n, sizeof(*have), compare_gids);
	qsort(want, n, sizeof(*want), compare_gids);
	return memcmp(have, want, n * sizeof(*want)) == 0;
}

static bool has_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data) < 0)
		return true;
	for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		if (data[i].effective != 0 || data[i].permitted != 0)
			return true;
	}
	return false;
}

const char *rights_verify(const struct conf *conf, const struct conf_service *service)
{
	uid_t uid[3], wanted = service->uid;
	gid_t gid[3], wanted_gid = service->gid;

	if (getresuid(&uid[0], &uid[1], &uid[2]) < 0 || getresgid(&gid[0], &gid[1], &gid[2]) < 0)
		return "unknown ids";
	for (int i = 0; i < 3; i++) {
		if (uid[i] != wanted || gid[i] != wanted_gid)
			return "another user or group";
	}
	if (wanted == 0)
		return NULL;
	if (service->n_groups > 0 && !has_groups(conf_groups(conf, service), service->n_groups))
		return "other groups";
	if (setresuid(0, 0, 0) == 0 || (wanted_gid != 0 && setresgid(0, 0, 0) == 0))
		return "the way back to root";
	return has_capabilities() ? "capabilities" : NULL;
}
