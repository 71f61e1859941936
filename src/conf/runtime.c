#include "conf/runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/checksum.h"

void runtime_directory(char path[RUNTIME_PATH_MAX])
{
	const char *runtime = getenv("RUNTIME_DIRECTORY"), *xdg = getenv("XDG_RUNTIME_DIR");

	if (geteuid() == 0)
		snprintf(path, RUNTIME_PATH_MAX, "%s/preforkd", RUNSTATEDIR);
	else if (runtime != NULL && runtime[0] == '/')
		snprintf(path, RUNTIME_PATH_MAX, "%.*s", (int)strcspn(runtime, ":"), runtime);
	else if (xdg != NULL && xdg[0] == '/')
		snprintf(path, RUNTIME_PATH_MAX, "%s/preforkd", xdg);
	else
		snprintf(path, RUNTIME_PATH_MAX, "/tmp/preforkd-%u", (unsigned)geteuid());
}

/* A short name for a path; the file's own name stands beside it for people. */
static unsigned long long hash(const char *path)
{
	return checksum_of(path, strlen(path));
}

void runtime_lock(const char *directory, const char *config, char *path, size_t size)
{
	const char *name = strrchr(config, '/') + 1;

	snprintf(path, size, "%s/%.200s-%016llx.lock", directory, name, hash(config));
}

/* A unix address is short. */
void runtime_control(const char *directory, const char *config, char *path, size_t size)
{
	const char *name = strrchr(config, '/') + 1;

	if (strcmp(config, RUNTIME_CONFIG) == 0)
		snprintf(path, size, "%s/control.sock", directory);
	else
		snprintf(path, size, "%s/%.32s-%016llx.sock", directory, name, hash(config));
}
