/*
 * control_client.h - one client of the control socket: its line, its answer, and
 * the time it has for each.
 */
#ifndef PREFORKD_MASTER_CONTROL_CLIENT_H
#define PREFORKD_MASTER_CONTROL_CLIENT_H

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "master/control.h"

#define CONTROL_LINE_MAX 512 /* of a request, with its line feed */

/* After on_round() of the loop (SD_EVENT_PRIORITY_IDLE), which obeys what was asked for. */
#define CONTROL_PRIORITY (SD_EVENT_PRIORITY_IDLE + 10)

struct control_client {
	struct control *control;
	struct control_client *next;
	int fd;
	pid_t pid; /* who it was when it connected */
	uid_t uid;
	bool may_change;
	unsigned ticket; /* the reload, or the plan of one, that it waits for; 0: none */
	bool plan;
	char line[CONTROL_LINE_MAX];
	size_t received;
	char *answer; /* NULL: there is none yet */
	size_t size, sent;
	sd_event_source *io, *deadline;
};

/*
 * Take a new connection over: its request may be answered at once. Of a process that has
 * others here it waits until nobody new is at the door.
 */
void control_client_new(struct control *control, int fd);

/* How many clients a process has. */
unsigned control_client_count(const struct control *control, pid_t pid);

/* The reload it waits for has ended, or never will: answer. May free the client. */
void control_client_settle(struct control_client *client);

void control_client_free(struct control_client *client);

#endif
