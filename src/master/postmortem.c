#include "master/postmortem.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "master/state.h"

#define OOM_END_MS 5000	  /* who the kernel has killed for memory is gone after that */
#define EVENTS_A_SECOND 5 /* a group at its limit has many, which count nobody */

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

/*
 * The kernel counts, and tells nobody whom. Those of long ago are none of the worker that
 * dies now: they were programs, or somebody else in the group. False if it does not count.
 */
static bool update(struct master *master)
{
	long long n = count_oom_kills(master->oom_fd), now_ms = clock_now_ms();

	if (now_ms - master->oom_seen_ms > OOM_END_MS && master->oom_kills < master->oom_seen)
		master->oom_kills = master->oom_seen;
	if (n > master->oom_seen) {
		master->oom_seen = n;
		master->oom_seen_ms = now_ms;
	}
	return n >= 0 && master->oom_kills >= 0;
}

static int on_events(sd_event_source *source, int fd, uint32_t events, void *data)
{
	(void)source;
	(void)fd;
	(void)events;
	(void)update(data);
	return 0;
}

/* The kernel says when a number changes; a file that only plays its part does not. */
static void watch_events(struct master *master)
{
	if (sd_event_add_io(master->event, &master->oom_events, master->oom_fd, EPOLLPRI, on_events,
			    master) < 0)
		return;
	(void)sd_event_source_set_ratelimit(master->oom_events, 1000000, EVENTS_A_SECOND);
}

void postmortem_setup(struct master *master)
{
	master->oom_fd = open_events();
	master->oom_kills = master->oom_seen = count_oom_kills(master->oom_fd);
	if (master->oom_kills >= 0)
		watch_events(master);
}

void postmortem_free(struct master *master)
{
	master->oom_events = sd_event_source_disable_unref(master->oom_events);
	fd_close(&master->oom_fd);
	free(master->postmortems);
}

enum postmortem_oom postmortem_was_oom(struct master *master)
{
	if (!update(master))
		return OOM_UNKNOWN;
	if (master->oom_seen <= master->oom_kills)
		return OOM_NO;
	master->oom_kills++;
	return OOM_YES;
}
