/*
 * check_socket.h - is what a service says of its socket possible, here and together?
 */
#ifndef PREFORKD_CONF_CHECK_SOCKET_H
#define PREFORKD_CONF_CHECK_SOCKET_H

#include <stdbool.h>

struct compile;
struct conf_service;

/* Check a (resolved) service; probe: also whether this system has such a socket. */
void check_socket(struct compile *compile, const struct conf_service *service, bool probe);

/* Two services cannot share a name, nor an address. */
void check_pair(struct compile *compile, const struct conf_service *service,
		const struct conf_service *earlier);

#endif
