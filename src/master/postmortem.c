#include "master/postmortem.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "master/state.h"

void postmortem_add(struct master *master, const struct postmortem *record)
{
	if (master->postmortems == NULL)
		master->postmortems = calloc(POSTMORTEM_KEPT, sizeof(*record));
	if (master->postmortems != NULL)
		master->postmortems[master->n_postmortems++ % POSTMORTEM_KEPT] = *record;
}

const struct postmortem *postmortem_get(const struct master *master, unsigned back)
{
	if (back >= POSTMORTEM_KEPT || back >= master->n_postmortems)
		return NULL;
	return &master->postmortems[(master->n_postmortems - 1 - back) % POSTMORTEM_KEPT];
}

/* The file of our own cgroup; -1 where there is none. */
static int open_events(void)
{
	char line[4096], path[sizeof(line) + 64];
	FILE *file = fopen("/proc/self/cgroup", "re");
	int fd = -1;

	while (file != NULL && fd < 0 && fgets(line, sizeof(line), file) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "0::", 3) != 0)
			continue;
		snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.events", line + 3);
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (file != NULL)
		fclose(file);
	return fd;
}

/* How many it has killed; -1 if nobody tells. */
static long long count_oom_kills(int fd)
{
	long long n = -1;
	char text[1024];
	const char *at;
	ssize_t length;

	if (fd < 0)
		return -1;
	length = pread(fd, text, sizeof(text) - 1, 0);
	text[length > 0 ? length : 0] = '\0';
	at = strstr(text, "oom_kill ");
	if (at != NULL)
		n = strtoll(at + strlen("oom_kill "), NULL, 10);
	return n;
}

void postmortem_setup(struct master *master)
{
	master->oom_fd = open_events();
	master->oom_kills = count_oom_kills(master->oom_fd);
}

void postmortem_free(struct master *master)
{
	fd_close(&master->oom_fd);
	free(master->postmortems);
}

enum postmortem_oom postmortem_was_oom(struct master *master)
{
	long long n = count_oom_kills(master->oom_fd);

	if (n < 0)
		return OOM_UNKNOWN;
	if (n <= master->oom_kills)
		return OOM_NO;
	master->oom_kills++;
	return OOM_YES;
}
