/*
 * control.h - the control socket: how preforkctl asks the master, and tells it.
 *
 * A stream socket of family unix. One request a connection, one line of words; the
 * answer comes back, then the master closes:
 *
 *	status hello\n
 *	                    ok\n
 *	                    service name="hello" workers=4 busy=0 ...\n
 *	                    end\n
 *
 * or "error STATUS TEXT\n", with an exit status of sysexits.h. The end line says
 * that nothing is missing. A text is always quoted, a number never (control_reply.h).
 *
 * Nothing here waits for a client: each has a short time for its line and for
 * taking the answer, and there are few at a time. Commands read what the master
 * knows, or write wishes down in struct master, which reconcile() obeys.
 *
 *	control.c           the listener, who may come in, who has to go
 *	control_client.c    one client: its line, its answer, its time
 *	control_command.c   the words of the line, and who may say them
 *	control_status.c    what the master knows
 *	control_change.c    what is wanted of a pool
 */
#ifndef PREFORKD_MASTER_CONTROL_H
#define PREFORKD_MASTER_CONTROL_H

#include <sys/un.h>
#include <systemd/sd-event.h>

#include "net/unixpath.h"

struct conf;
struct control_client;
struct master;

/* What an upgrade leaves of it to the next master: the socket, and what it was made for. */
struct control_left {
	int fd; /* -1: nothing */
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	struct unixpath_node node;
	mode_t mode;
	gid_t group;
};

struct control {
	struct master *master;
	char *path;
	mode_t mode;
	gid_t group; /* its members may do what root may; (gid_t)-1: nobody else may */
	struct unixpath_node node;
	sd_event_source *accept, *pause;
	struct control_client *clients; /* the newest first */
	unsigned n_clients;
};

/*
 * Make the control socket that the conf asks for, or take over the one that is left if it is
 * the same (master->control_left), and note it in the lock file.
 * Returns 0, also where it does without one; or -1 after a line in the log, with an
 * exit status in *status_r.
 */
int control_setup(struct master *master, const struct conf *conf, int *status_r);

/*
 * What there is to be left. The descriptor stays that of the control. Those who connect while
 * nobody is the master wait in its queue.
 */
struct control_left control_leave(const struct master *master);

/* Answer the clients that wait for a reload that has ended; part of each round. */
void control_settle(struct master *master);

void control_free(struct master *master);

#endif
