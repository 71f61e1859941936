#include "master/watch.h"

#include <errno.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/fd.h"
#include "master/state.h"

#define EVENTS_A_ROUND 64

/*
 * An event of a watch that was removed by an earlier one of the same round is
 * skipped. Its memory is still there: seats are filled anew, and generations
 * freed, in reconcile() only, after the round.
 */
static int on_events(sd_event_source *source, int fd, uint32_t unused, void *data)
{
	struct epoll_event events[EVENTS_A_ROUND];
	int n = epoll_wait(fd, events, EVENTS_A_ROUND, 0);

	(void)source;
	(void)unused;
	(void)data;
	for (int i = 0; i < n; i++) {
		const struct watch *watch = events[i].data.ptr;

		if (watch->fd >= 0)
			watch->on_event(watch->owner);
	}
	return 0;
}

int watch_setup(struct master *master)
{
	sd_event_source *source;
	int r;

	master->watch_fd = epoll_create1(EPOLL_CLOEXEC);
	if (master->watch_fd < 0)
		return -errno;
	r = sd_event_add_io(master->event, &source, master->watch_fd, EPOLLIN, on_events, master);
	if (r < 0)
		return r;
	/* the loop owns both from here on */
	sd_event_source_set_io_fd_own(source, 1);
	sd_event_source_set_floating(source, 1);
	sd_event_source_unref(source);
	return 0;
}

static int add(struct master *master, struct watch *watch, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };
	int fd = watch->fd;

	if (epoll_ctl(master->watch_fd, EPOLL_CTL_ADD, fd, &event) == 0)
		return 0;
	watch->fd = -1;
	return -1;
}

int watch_add(struct master *master, struct watch *watch, int fd, void (*on_event)(void *owner),
	      void *owner)
{
	*watch = (struct watch){ .fd = fd, .on_event = on_event, .owner = owner };
	return add(master, watch, EPOLLIN);
}

int watch_add_once(struct master *master, struct watch *watch, int fd,
		   void (*on_event)(void *owner), void *owner)
{
	*watch = (struct watch){ .fd = fd, .on_event = on_event, .owner = owner };
	return add(master, watch, EPOLLIN | EPOLLONESHOT);
}

void watch_again(struct master *master, struct watch *watch)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT, .data.ptr = watch };

	/* it is there already: nothing can fail */
	(void)epoll_ctl(master->watch_fd, EPOLL_CTL_MOD, watch->fd, &event);
}

void watch_forget(struct master *master, struct watch *watch)
{
	epoll_ctl(master->watch_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->fd = -1;
}

void watch_remove(struct master *master, struct watch *watch)
{
	int fd = watch->fd;

	/* closing is not enough: a child that was just forked has it, too (epoll(7)) */
	watch_forget(master, watch);
	fd_close(&fd);
}
