#include "worker/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"

/* struct landlock_ruleset_attr as it is by now; an older kernel takes it when the rest is 0. */
struct ruleset {
	uint64_t files, net, scoped;
};

#define FILES_1 ((UINT64_C(1) << 13) - 1)
#define FILES_REFER (UINT64_C(1) << 13)
#define FILES_TRUNCATE (UINT64_C(1) << 14)
#define FILES_IOCTL_DEV (UINT64_C(1) << 15)
#define NET_TCP UINT64_C(3) /* bind and connect */
#define SCOPED_ABSTRACT UINT64_C(1)
#define SCOPED_SIGNALS UINT64_C(2)

/* From which version of Landlock on. */
enum { WITH_REFER = 2, WITH_TRUNCATE = 3, WITH_TCP = 4, WITH_IOCTL_DEV = 5, WITH_SCOPES = 6 };

#define READ \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define OF_FILES                                                     \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | \
	 LANDLOCK_ACCESS_FS_WRITE_FILE | FILES_TRUNCATE | FILES_IOCTL_DEV)

int landlock_version(void)
{
	long version =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return version > 0 ? (int)version : 0;
}

static uint64_t all_of_files(const struct landlock *landlock, int version)
{
	uint64_t files = landlock->files ? FILES_1 : 0;

	if (landlock->files && version >= WITH_REFER)
		files |= FILES_REFER;
	if (landlock->files && version >= WITH_TRUNCATE)
		files |= FILES_TRUNCATE;
	if (landlock->devices && version >= WITH_IOCTL_DEV)
		files |= FILES_IOCTL_DEV;
	return files;
}

int landlock_start(struct landlock *landlock)
{
	int version = landlock_version();
	struct ruleset ruleset = { .files = all_of_files(landlock, version) };

	if (landlock->tcp && version >= WITH_TCP)
		ruleset.net = NET_TCP;
	if (landlock->signals && version >= WITH_SCOPES)
		ruleset.scoped |= SCOPED_SIGNALS;
	if (landlock->abstract && version >= WITH_SCOPES)
		ruleset.scoped |= SCOPED_ABSTRACT;
	landlock->fd = -1;
	/* the kernel has no empty ones */
	if (ruleset.files == 0 && ruleset.net == 0 && ruleset.scoped == 0)
		return 0;
	landlock->fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, sizeof(ruleset), 0);
	return landlock->fd < 0 ? -1 : 0;
}

int landlock_allow(const struct landlock *landlock, const char *path, bool write)
{
	uint64_t all = all_of_files(landlock, landlock_version());
	struct landlock_path_beneath_attr rule = { .allowed_access = write ? all : READ };
	struct stat st;
	int r;

	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0 || fstat(rule.parent_fd, &st) < 0)
		return -1;
	if (!S_ISDIR(st.st_mode))
		rule.allowed_access &= OF_FILES;
	r = (int)syscall(SYS_landlock_add_rule, landlock->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	close(rule.parent_fd);
	return r;
}

int landlock_enter(struct landlock *landlock)
{
	int r = 0;

	if (landlock->fd >= 0)
		r = (int)syscall(SYS_landlock_restrict_self, landlock->fd, 0);
	fd_close(&landlock->fd);
	return r;
}
