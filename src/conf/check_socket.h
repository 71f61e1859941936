/*
 * check_socket.h - is what a service says of its socket possible, here and together?
 */
#ifndef PREFORKD_CONF_CHECK_SOCKET_H
#define PREFORKD_CONF_CHECK_SOCKET_H

struct compile;
struct conf_service;

/* Check a (resolved) service. */
void check_socket(struct compile *compile, const struct conf_service *service);

/* Two services cannot share a name, nor an address. */
void check_pair(struct compile *compile, const struct conf_service *service,
		const struct conf_service *earlier);

#endif
