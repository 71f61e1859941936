/*
 * compare.h - what differs between two compiled configs, and what a reload has to do
 * about it.
 */
#ifndef PREFORKD_CONF_COMPARE_H
#define PREFORKD_CONF_COMPARE_H

#include "conf/conf.h"

#define CONF_GLOBAL_MAX 8192 /* bytes of warnings about global keys */

/* Each includes what is before it: workers with another config may have another socket. */
enum conf_change {
	CONF_SAME,     /* nothing to do */
	CONF_POOL,     /* the master alone has to know: other numbers of workers */
	CONF_LISTENER, /* options of the socket, which connections inherit */
	CONF_WORKERS,  /* the workers have to know, so there must be new ones */
	CONF_SOCKET,   /* another address, or another kind of socket */
};

/*
 * What differs between a service of one conf and one of another. changed (or NULL) gets
 * the names of the keys, such as "run.user", with ", " between them, cut at its size. What
 * the system made of them counts, too: users, groups, addresses.
 */
enum conf_change conf_compare(const struct conf *a_conf, const struct conf_service *a,
			      const struct conf *b_conf, const struct conf_service *b,
			      char *changed, size_t size);

/*
 * A warning for each global key that differs and that only a restart puts into effect:
 * lines as the warnings of a conf are, cut at size.
 */
void conf_compare_global(const struct conf *was, const struct conf *conf, char *lines, size_t size);

/* The service of this name, or NULL. */
const struct conf_service *conf_find(const struct conf *conf, const char *name);

#endif
