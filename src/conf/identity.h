/*
 * identity.h - users and groups: whose the workers and the unix sockets are.
 */
#ifndef PREFORKD_CONF_IDENTITY_H
#define PREFORKD_CONF_IDENTITY_H

struct compile;
struct conf_service;

/* Fill uid, gid and groups of the workers; findings go to the report. May read /etc/passwd. */
void identity_workers(struct compile *compile, struct conf_service *service);

/* Fill owner and group of the path of a unix socket. */
void identity_owner(struct compile *compile, struct conf_service *service);

/* Find the group of the control socket. */
void identity_control(struct compile *compile);

#endif
