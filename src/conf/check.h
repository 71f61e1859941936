/*
 * check.h - the rules between keys, before anything is touched.
 *
 * Runs in the reading child, on a conf whose keys are filled.
 */
#ifndef PREFORKD_CONF_CHECK_H
#define PREFORKD_CONF_CHECK_H

#include <stdbool.h>

struct compile;

/*
 * Resolve the names of every service (conf/resolve.h) and check them; findings
 * go to the report. probe: also ask the system whether it has such sockets.
 */
void check_config(struct compile *compile, bool probe);

#endif
