#include "worker/rights.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "conf/conf.h"

static bool is_kept(uint64_t kept, unsigned long capability)
{
	return capability < 64 && (kept >> capability & 1) != 0;
}

/*
 * no_new_privs makes the bounding set unimportant, so a process that may not
 * change it (no CAP_SETPCAP, as under our unit file) goes on without.
 */
static int reduce_bounding_set(uint64_t kept)
{
	unsigned long cap = 0;

	while (is_kept(kept, cap) || prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
		cap++;
	/* EINVAL: that was the last one */
	return errno == EINVAL || errno == EPERM ? 0 : -1;
}

/*
 * Exactly those that are kept; ambient, so that programs have them, too. An
 * unprivileged master may have ambient capabilities of its own; its workers shall not.
 */
static int set_capabilities(uint64_t kept)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		uint32_t half = (uint32_t)(kept >> 32 * i);

		data[i] = (struct __user_cap_data_struct){ half, half, half };
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
	    syscall(SYS_capset, &header, data) < 0)
		return -1;
	for (unsigned long cap = 0; cap < 64; cap++) {
		if (is_kept(kept, cap) &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return -1;
	}
	return prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
}

/* A program that is setuid needs the bounding set, where it may be that. */
static bool has_bounding_set(const struct conf_service *service)
{
	return service->run.all_capabilities || (!service->no_new_privileges && service->uid != 0);
}

/* Who changed its user dumps no core, unless it says so. */
static int allow_core(const struct conf_service *service)
{
	if (service->run.limits[RLIMIT_CORE].soft == 0)
		return 0;
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

int rights_reduce(const struct conf_service *service)
{
	return has_bounding_set(service) ? 0 : reduce_bounding_set(service->run.capabilities);
}

/*
 * The order: groups need CAP_SETGID, which is gone with the uid; so the uid comes after.
 * A master without root has nothing to change but its capabilities, and under a filter of
 * system calls (systemd/preforkd-unprivileged.service) may not even try: rights_verify()
 * looks what it has.
 */
const char *rights_drop(const struct conf *conf, const struct conf_service *service)
{
	const struct conf_run *run = &service->run;
	uid_t uid = service->uid;
	gid_t gid = service->gid;
	bool root = geteuid() == 0;

	if (root && setgroups(service->n_gids, conf_groups(conf, service)) < 0)
		return "setgroups";
	if (setresgid(gid, gid, gid) < 0 && root)
		return "setresgid";
	if (run->capabilities != 0 && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return "PR_SET_KEEPCAPS";
	if (setresuid(uid, uid, uid) < 0 && root)
		return "setresuid";
	if (!run->all_capabilities && set_capabilities(run->capabilities) < 0 && root)
		return "run.capabilities";
	if (allow_core(service) < 0)
		return "run.core";
	if (service->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
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

/* What is kept, and no other. */
static bool has_capabilities(uint64_t kept)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		uint32_t half = (uint32_t)(kept >> 32 * i);

		if (data[i].effective != half || data[i].permitted != half)
			return false;
	}
	return true;
}

/* True if it worked, which it may only for who keeps the capability to. */
static bool way_back(const struct conf_service *service)
{
	uint64_t kept = service->run.capabilities;

	if (service->uid != 0 && !is_kept(kept, CAP_SETUID) && setresuid(0, 0, 0) == 0)
		return true;
	return service->uid != 0 && service->gid != 0 && !is_kept(kept, CAP_SETGID) &&
	       setresgid(0, 0, 0) == 0;
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
	if (service->run.all_capabilities)
		return NULL;
	if (service->n_gids > 0 && !has_groups(conf_groups(conf, service), service->n_gids))
		return "other groups";
	if (way_back(service))
		return "the way back to root";
	return has_capabilities(service->run.capabilities) ? NULL : "other capabilities";
}
