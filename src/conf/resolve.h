/*
 * resolve.h - what a service says into what the kernel takes: names, addresses, options.
 *
 * Runs in the reading child, so that the master never waits for a name
 * service. Sources: getpwnam(3), getgrouplist(3), getprotobyname(3),
 * getaddrinfo(3).
 */
#ifndef PREFORKD_CONF_RESOLVE_H
#define PREFORKD_CONF_RESOLVE_H

struct compile;
struct conf_service;

/* Fill the resolved fields of a service; findings go to the report. */
void resolve_service(struct compile *compile, struct conf_service *service);

#endif
