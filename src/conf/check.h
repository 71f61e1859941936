/*
 * check.h - the rules between keys, before anything is touched.
 *
 * Runs in the reading child, on a conf whose keys are filled.
 */
#ifndef PREFORKD_CONF_CHECK_H
#define PREFORKD_CONF_CHECK_H

struct compile;

/*
 * Resolve the names of every service (conf/resolve.h) and check them; findings
 * go to the report.
 */
void check_config(struct compile *compile);

#endif
