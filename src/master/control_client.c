#include "master/control_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "master/control_command.h"
#include "master/control_reply.h"
#include "master/plan.h"
#include "master/state.h"

#define REQUEST_US 5000000 /* from the connection to the end of the line */
#define ANSWER_US 10000000 /* from the answer to its last byte */
#define GROUPS_MAX 1024

static bool is_member(int fd, gid_t gid, gid_t group)
{
	gid_t groups[GROUPS_MAX];
	socklen_t size = sizeof(groups);

	if (group == (gid_t)-1)
		return false;
	if (gid == group)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
		return false;
	for (size_t i = 0; i < size / sizeof(*groups); i++) {
		if (groups[i] == group)
			return true;
	}
	return false;
}

/* Who it is: the kernel says so, and it cannot be changed after the connection. */
static void identify(struct control_client *client)
{
	struct ucred who = { 0, (uid_t)-1, (gid_t)-1 };
	socklen_t size = sizeof(who);

	if (getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0)
		return;
	client->pid = who.pid;
	client->uid = who.uid;
	client->may_change = who.uid == 0 || who.uid == geteuid() ||
			     is_member(client->fd, who.gid, client->control->group);
}

static void set_deadline(struct control_client *client, uint64_t usec)
{
	sd_event_source_set_time_relative(client->deadline, usec);
	sd_event_source_set_enabled(client->deadline, SD_EVENT_ONESHOT);
}

/* Send what the socket takes. Frees the client when it is done, or gone. */
static void send_answer(struct control_client *client)
{
	ssize_t n = send(client->fd, client->answer + client->sent, client->size - client->sent,
			 MSG_DONTWAIT | MSG_NOSIGNAL);

	client->sent += n > 0 ? (size_t)n : 0;
	if ((n < 0 && errno != EAGAIN && errno != EINTR) || client->sent == client->size) {
		control_client_free(client);
		return;
	}
	sd_event_source_set_io_events(client->io, EPOLLOUT);
}

/* Nothing is known of a client without memory for the answer: it sees the end. */
static void answer(struct control_client *client, struct control_reply *reply)
{
	client->ticket = 0;
	client->answer = control_reply_take(reply, &client->size);
	if (client->answer == NULL) {
		control_client_free(client);
		return;
	}
	set_deadline(client, ANSWER_US);
	send_answer(client);
}

/* The line is complete. */
static void obey(struct control_client *client)
{
	struct control_call call = {
		.master = client->control->master,
		.may_change = client->may_change,
		.uid = client->uid,
		.pid = client->pid,
	};

	if (control_reply_start(&call.reply) < 0) {
		control_client_free(client);
		return;
	}
	control_command(&call, client->line);
	if (call.ticket == 0) {
		answer(client, &call.reply);
		return;
	}
	control_reply_drop(&call.reply);
	client->ticket = call.ticket;
	client->plan = call.plan;
	/* who waits may do so for as long as a reload takes; going away is noticed (EPOLLHUP) */
	sd_event_source_set_enabled(client->deadline, SD_EVENT_OFF);
	sd_event_source_set_io_events(client->io, 0);
}

static void refuse_line(struct control_client *client)
{
	struct control_reply reply;

	if (control_reply_start(&reply) < 0) {
		control_client_free(client);
		return;
	}
	control_reply_error(&reply, CONTROL_BAD_REQUEST,
			    "a request is one line of at most %d bytes", CONTROL_LINE_MAX - 1);
	answer(client, &reply);
}

static void take_line(struct control_client *client)
{
	ssize_t n = recv(client->fd, client->line + client->received,
			 sizeof(client->line) - client->received, MSG_DONTWAIT);
	char *end;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		control_client_free(client);
		return;
	}
	client->received += (size_t)n;
	end = memchr(client->line, '\n', client->received);
	if (end != NULL) {
		*end = '\0';
		/* a NUL before it would hide the rest of the words */
		if (strlen(client->line) == (size_t)(end - client->line))
			obey(client);
		else
			refuse_line(client);
	} else if (client->received == sizeof(client->line)) {
		refuse_line(client);
	}
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct control_client *client = data;

	(void)source;
	(void)fd;
	(void)events;
	if (client->answer != NULL)
		send_answer(client);
	else if (client->ticket != 0)
		control_client_free(client); /* it has gone */
	else
		take_line(client);
	return 0;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *data)
{
	struct control_client *client = data;

	(void)source;
	(void)usec;
	log_debug("control_dropped", KV("client_pid", client->pid),
		  KV("reason", client->answer != NULL ? "it does not take its answer" :
							"its request has no end"));
	control_client_free(client);
	return 0;
}

static int add_sources(struct control_client *client)
{
	sd_event *event = client->control->master->event;
	int r = sd_event_add_io(event, &client->io, client->fd, EPOLLIN, on_io, client);

	if (r >= 0)
		r = sd_event_source_set_priority(client->io, CONTROL_PRIORITY);
	if (r >= 0)
		r = sd_event_add_time_relative(event, &client->deadline, CLOCK_MONOTONIC,
					       REQUEST_US, 10000, on_deadline, client);
	if (r >= 0)
		r = sd_event_source_set_priority(client->deadline, CONTROL_PRIORITY);
	return r;
}

unsigned control_client_count(const struct control *control, pid_t pid)
{
	unsigned n = 0;

	for (const struct control_client *c = control->clients; c != NULL; c = c->next)
		n += c->pid == pid;
	return n;
}

void control_client_new(struct control *control, int fd)
{
	struct control_client *client = calloc(1, sizeof(*client));

	if (client == NULL) {
		close(fd);
		return;
	}
	client->control = control;
	client->fd = fd;
	client->next = control->clients;
	control->clients = client;
	control->n_clients++;
	identify(client);
	if (add_sources(client) < 0)
		control_client_free(client);
	else if (control_client_count(control, client->pid) == 1)
		take_line(client); /* it is most likely there */
	else
		sd_event_source_set_priority(client->io, CONTROL_PRIORITY + 1);
}

void control_client_settle(struct control_client *client)
{
	struct control_reply reply;

	if (control_reply_start(&reply) < 0) {
		control_client_free(client);
		return;
	}
	if (client->plan && client->ticket <= client->control->master->plans)
		plan_tell(client->control->master, &reply);
	else if (client->plan)
		control_reply_error(&reply, EX_TEMPFAIL, "the master is stopping");
	else
		control_verdict(client->control->master, client->ticket, &reply);
	answer(client, &reply);
}

void control_client_free(struct control_client *client)
{
	struct control *control = client->control;
	struct control_client **at = &control->clients;

	while (*at != client)
		at = &(*at)->next;
	*at = client->next;
	control->n_clients--;
	sd_event_source_disable_unref(client->io);
	sd_event_source_disable_unref(client->deadline);
	close(client->fd);
	free(client->answer);
	free(client);
}
