/*
 * probe.h - be a client of a service once: send a line, print the answer and
 * the time it took.
 */
#ifndef PREFORKD_CTL_PROBE_H
#define PREFORKD_CTL_PROBE_H

#include <sys/socket.h>

struct listener_spec;

struct probe {
	const char *name; /* of the service */
	const struct listener_spec *spec;
	struct sockaddr_storage address; /* where it is */
	socklen_t length;
	unsigned identifier; /* for an echo reply to a ping socket */
	long long wait_ms;
	const char *text;
};

/* The answer goes to standard output, the rest to standard error. Returns the exit status. */
int probe_run(const struct probe *probe);

#endif
