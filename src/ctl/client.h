/*
 * client.h - the socket at the other end of a service: of the same family, type
 * and protocol, connected where that means something.
 */
#ifndef PREFORKD_CTL_CLIENT_H
#define PREFORKD_CTL_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

struct listener_spec;
struct text;

#define CLIENT_MESSAGE_MAX 65536

struct client {
	int fd;
	const struct listener_spec *spec;
	struct sockaddr_storage to;
	socklen_t to_length;
	bool own_copy; /* raw: what we send comes to ourselves as well */
};

/*
 * Make the client of a service that listens as spec says; address: where it is, of
 * the same family, "every address" means this host. Waits at most wait_ms for a
 * connection. Returns 0, or -1 with errno and a sentence in *error.
 */
int client_open(struct client *client_r, const struct listener_spec *spec,
		const struct sockaddr_storage *address, socklen_t length, long long wait_ms,
		struct text *error);

/* Send one message, or so many bytes of a stream. Returns 0, or -1 with errno. */
int client_send(struct client *client, const void *data, size_t size);

/*
 * Receive what comes next, from the service only, without the IPv4 header; a
 * copy of what we sent is left out. Returns its size, 0 at the end of a stream, or
 * -1 with errno (EAGAIN: nothing came in time).
 */
ssize_t client_receive(struct client *client, void *buf, size_t size);

/* Tell a stream that we send no more, where that does not end it. */
void client_finish(struct client *client);

/* True if the service sees messages, each with one answer. */
bool client_is_message(const struct client *client);

/* Can one half of it end? SCTP and TIPC have no half-closed connections. */
bool client_has_end(const struct client *client);

void client_close(struct client *client);

#endif
