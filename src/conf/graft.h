/*
 * graft.h - a conf for workers that were started by another binary.
 *
 * The conf of the master before an upgrade may have had another layout, so it is not
 * handed over. What its pools need is taken from the new conf, where it has the same
 * service.
 */
#ifndef PREFORKD_CONF_GRAFT_H
#define PREFORKD_CONF_GRAFT_H

#include <stdbool.h>

#include "conf/conf.h"

/* A service as its workers know it. */
struct conf_stub {
	const char *name;
	enum conf_handler kind;
	const struct listener_spec *spec;
	bool found; /* set by conf_graft(): base has it; else it can start no worker */
};

/*
 * A conf that is like base but has n services, those of the stubs, in this order. A
 * share of it is the caller's, as of conf_ref(). NULL with errno without memory.
 */
const struct conf *conf_graft(const struct conf *base, struct conf_stub *stubs, unsigned n);

#endif
