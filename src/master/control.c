#include "master/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "conf/runtime.h"
#include "master/control_client.h"
#include "master/lock.h"
#include "master/state.h"
#include "net/address.h"

#define CLIENTS_MAX 16	  /* at a time; see give_way() */
#define ACCEPTS_A_ROUND 4 /* then others get their turn */
#define BACKLOG 128
#define PAUSE_US 200000 /* when there are no descriptors left */

/*
 * The oldest of the process that has most: the greedy one makes room, not the one who asks for
 * the first time. Who waits for a reload is idle for good reason.
 */
static struct control_client *find_victim(const struct control *control)
{
	struct control_client *victim = NULL;
	unsigned most = 0;

	for (struct control_client *c = control->clients; c != NULL; c = c->next) {
		unsigned n = control_client_count(control, c->pid) * 2 + (c->ticket == 0);

		if (n >= most) {
			most = n;
			victim = c;
		}
	}
	return victim;
}

/* Returns false when nobody is there who could. */
static bool give_way(struct control *control)
{
	struct control_client *victim = find_victim(control);

	if (victim == NULL)
		return false;
	log_debug("control_dropped", KV("client_pid", victim->pid),
		  KV("reason", "too many clients"));
	control_client_free(victim);
	return true;
}

static int on_pause_over(sd_event_source *source, uint64_t usec, void *data)
{
	struct control *control = data;

	(void)usec;
	sd_event_source_set_enabled(source, SD_EVENT_OFF);
	return sd_event_source_set_enabled(control->accept, SD_EVENT_ON);
}

/* Without descriptors the socket stays readable: asking again at once is a busy loop. */
static void pause_accepting(struct control *control)
{
	if (give_way(control))
		return;
	sd_event_source_set_enabled(control->accept, SD_EVENT_OFF);
	sd_event_source_set_time_relative(control->pause, PAUSE_US);
	sd_event_source_set_enabled(control->pause, SD_EVENT_ONESHOT);
}

static int on_connect(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct control *control = data;

	(void)source;
	(void)events;
	for (unsigned i = 0; i < ACCEPTS_A_ROUND; i++) {
		int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (client < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
			    errno == ENOBUFS)
				pause_accepting(control);
			return 0;
		}
		control_client_new(control, client);
		while (control->n_clients > CLIENTS_MAX)
			give_way(control);
	}
	return 0;
}

void control_settle(struct master *master)
{
	struct control_client *client = master->control != NULL ? master->control->clients : NULL;

	while (client != NULL) {
		struct control_client *next = client->next;

		unsigned ended = client->plan ? master->plans : master->verdict.number;

		if (client->ticket != 0 &&
		    (client->ticket <= ended || master->stopping != STOP_NOT))
			control_client_settle(client);
		client = next;
	}
}

/* Of the master before us: its descriptor, if it is as the conf wants it; else it goes. */
static int take_left(struct control *control, const struct conf *conf)
{
	const struct control_left *left = control->master->control_left;

	control->master->control_left = NULL;
	if (left == NULL || left->fd < 0)
		return -1;
	if (strcmp(left->path, control->path) == 0 && left->mode == (mode_t)conf->control_mode &&
	    left->group == conf->control_gid) {
		control->node = left->node;
		(void)fcntl(left->fd, F_SETFD, FD_CLOEXEC);
		return left->fd;
	}
	unixpath_remove(left->path, &left->node);
	close(left->fd);
	return -1;
}

/* The descriptor of a socket that listens, or -1 with a sentence. */
static int open_socket(struct control *control, const struct conf *conf, struct text *error)
{
	const struct unixpath_rights rights = {
		.mode = (mode_t)conf->control_mode,
		.owner = (uid_t)-1,
		.group = conf->control_gid,
	};
	struct sockaddr_storage address;
	socklen_t length;
	int fd;

	if (address_from_path(control->path, &address, &length) < 0) {
		text_add(error, "the path is too long (write a shorter one as control.path)");
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || (unixpath_bind(fd, SOCK_STREAM, &address, length, &rights, &control->node,
				     error) == 0 &&
		       listen(fd, BACKLOG) == 0))
		return fd;
	if (error->length == 0)
		text_addf(error, "listen: %s", strerror(errno));
	unixpath_remove(control->path, &control->node);
	fd_close(&fd);
	return -1;
}

/* After the rest of a round, so that no flood of requests keeps the master from its work. */
static int add_sources(struct control *control, int fd)
{
	sd_event *event = control->master->event;
	int r = sd_event_add_io(event, &control->accept, fd, EPOLLIN, on_connect, control);

	if (r >= 0)
		r = sd_event_source_set_io_fd_own(control->accept, 1);
	if (r >= 0)
		r = sd_event_source_set_priority(control->accept, CONTROL_PRIORITY);
	if (r >= 0)
		r = sd_event_add_time_relative(event, &control->pause, CLOCK_MONOTONIC, 0, 1000,
					       on_pause_over, control);
	if (r >= 0)
		r = sd_event_source_set_enabled(control->pause, SD_EVENT_OFF);
	return r;
}

static int listen_at(struct control *control, const struct conf *conf)
{
	char buf[512];
	struct text error = text_start(buf, sizeof(buf));
	int fd = take_left(control, conf), r;

	if (fd < 0)
		fd = open_socket(control, conf, &error);
	if (fd >= 0) {
		r = add_sources(control, fd);
		if (r >= 0)
			return 0;
		text_add(&error, strerror(-r));
		if (control->accept == NULL)
			fd_close(&fd);
	} else if (error.length == 0) {
		text_addf(&error, "socket: %s", strerror(errno));
	}
	log_error("control_failed", KV("path", control->path), KV("error", buf));
	return -1;
}

static char *choose_path(const struct master *master, const struct conf *conf)
{
	const char *path = conf_string(conf, conf->control_path);
	char directory[RUNTIME_PATH_MAX], derived[RUNTIME_PATH_MAX + 64];

	if (strcmp(path, CONF_CONTROL_AUTO) != 0)
		return strdup(path);
	runtime_directory(directory);
	runtime_control(directory, master->config_path, derived, sizeof(derived));
	return strdup(derived);
}

int control_setup(struct master *master, const struct conf *conf, int *status_r)
{
	const char *path = conf_string(conf, conf->control_path);
	struct control *control;

	if (path[0] == '\0') {
		struct control none = { .master = master, .path = "" };

		(void)take_left(&none, conf);
		return lock_note(master->lock_fd, "");
	}
	control = calloc(1, sizeof(*control));
	if (control != NULL)
		control->path = choose_path(master, conf);
	if (control == NULL || control->path == NULL) {
		free(control);
		*status_r = EX_OSERR;
		return -1;
	}
	control->master = master;
	control->mode = (mode_t)conf->control_mode;
	control->group = conf->control_gid;
	master->control = control;
	if (listen_at(control, conf) == 0) {
		log_info("control_listening", KV("path", control->path));
		return lock_note(master->lock_fd, control->path);
	}
	control_free(master);
	*status_r = EX_CANTCREAT;
	/* nobody asked for the one by default: its absence is no reason not to serve */
	return strcmp(path, CONF_CONTROL_AUTO) == 0 ? 0 : -1;
}

struct control_left control_leave(const struct master *master)
{
	const struct control *control = master->control;
	struct control_left left = { .fd = -1 };

	if (control == NULL)
		return left;
	left.fd = sd_event_source_get_io_fd(control->accept);
	left.node = control->node;
	left.mode = control->mode;
	left.group = control->group;
	snprintf(left.path, sizeof(left.path), "%s", control->path);
	return left;
}

void control_free(struct master *master)
{
	struct control *control = master->control;

	if (control == NULL)
		return;
	while (control->clients != NULL)
		control_client_free(control->clients);
	/* before the descriptor goes: then nobody else can have the path yet */
	unixpath_remove(control->path, &control->node);
	sd_event_source_disable_unref(control->accept);
	sd_event_source_disable_unref(control->pause);
	free(control->path);
	free(control);
	master->control = NULL;
}
