#include "master/store.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/text.h"
#include "master/notify.h"
#include "master/state.h"

#define PREFIX "preforkd+" /* no name of a service has a plus */

/* How many it takes. systemd sets it from version 254 on; our unit does so for older ones. */
static unsigned capacity(void)
{
	const char *text = getenv("FDSTORE");
	long long number;

	if (getenv("NOTIFY_SOCKET") == NULL || text == NULL ||
	    !text_to_number(text, 0, UINT_MAX, &number))
		return 0;
	return (unsigned)number;
}

/* A socket is known by its inode as long as it lives, by whatever process. */
static void make_name(const struct open_listener *open, unsigned i, char name[STORE_NAME_MAX])
{
	const struct unixpath_node *node = &open->listener.node;
	struct stat st = { 0 };

	(void)fstat(open->listener.fds[i], &st);
	snprintf(name, STORE_NAME_MAX, PREFIX "%s+%llu+%llu+%llu", open->stored_as,
		 (unsigned long long)st.st_ino, (unsigned long long)node->device,
		 (unsigned long long)node->inode);
}

bool store_read_name(const char *name, char service_r[64], struct unixpath_node *node_r)
{
	char device[24], inode[24];

	if (sscanf(name, PREFIX "%63[^+]+%*[0-9]+%23[0-9]+%23[0-9]", service_r, device, inode) != 3)
		return false;
	*node_r = (struct unixpath_node){ strtoull(device, NULL, 10), strtoull(inode, NULL, 10) };
	return true;
}

/*
 * Not what somebody else keeps already, nor those of which a start could not tell
 * whether they still are what the config wants: their address, or the groups that
 * they joined.
 */
static bool belongs_there(const struct listener *listener)
{
	const struct listener_spec *spec = &listener->spec;

	return !listener->foreign && spec->family != AF_TIPC && spec->type != SOCK_RAW &&
	       spec->group.address.ss_family == AF_UNSPEC;
}

static void store_open(struct open_listener *open, unsigned *room)
{
	const char *error = NULL;

	if (open->stored == 0)
		memcpy(open->stored_as, open->service, sizeof(open->stored_as));
	while (error == NULL && open->stored < open->listener.n_fds) {
		char name[STORE_NAME_MAX];

		make_name(open, open->stored, name);
		if (*room == 0)
			error = "there is no more room (FileDescriptorStoreMax= in the unit)";
		else if (notify_store(open->listener.fds[open->stored], name) < 0)
			error = strerror(errno);
		if (error != NULL)
			break;
		open->stored++;
		(*room)--;
	}
	if (error != NULL)
		log_warning("store_failed", KV("service", open->service), KV("error", error));
}

void store_keep(struct master *master)
{
	unsigned room = capacity();

	if (room == 0)
		return;
	for (struct open_listener *open = master->listeners; open != NULL; open = open->next) {
		if (!belongs_there(&open->listener))
			store_drop(open, 0);
		room = open->stored < room ? room - open->stored : 0;
	}
	for (struct open_listener *open = master->listeners; open != NULL; open = open->next) {
		if (belongs_there(&open->listener))
			store_open(open, &room);
	}
}

void store_drop_name(const char *name)
{
	/* a manager that is behind: it keeps the socket, with nobody who serves it */
	if (notify_unstore(name) < 0)
		log_warning("store_failed", KV("name", name), KV("error", strerror(errno)));
}

void store_drop(struct open_listener *open, unsigned from)
{
	while (open->stored > from) {
		char name[STORE_NAME_MAX];

		make_name(open, --open->stored, name);
		store_drop_name(name);
	}
}
