/*
 * rights.h - become the user a worker runs as, for good, and prove it.
 */
#ifndef PREFORKD_WORKER_RIGHTS_H
#define PREFORKD_WORKER_RIGHTS_H

#include <sys/types.h>

struct conf;
struct conf_service;

/*
 * Take capabilities that the service does not keep out of the bounding set, before the
 * rights are dropped. Returns 0, or -1 with errno.
 */
int rights_reduce(const struct conf_service *service);

/*
 * Drop to the service's user and groups. Returns NULL, or the name of the
 * step that failed, with errno. Sources: credentials(7), capabilities(7),
 * prctl(2).
 */
const char *rights_drop(const struct conf *conf, const struct conf_service *service);

/*
 * Try to go back, which must fail. Returns NULL when the process has exactly
 * the rights it should have, else what it still has.
 */
const char *rights_verify(const struct conf *conf, const struct conf_service *service);

#endif
