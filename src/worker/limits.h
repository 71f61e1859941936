/*
 * limits.h - what a worker may use of the machine: priorities, CPUs, rlimits, its root directory.
 *
 * Called while the worker has the rights of the master; programs inherit all of it.
 */
#ifndef PREFORKD_WORKER_LIMITS_H
#define PREFORKD_WORKER_LIMITS_H

struct conf;
struct conf_service;

/*
 * Set run.nice, oom_score_adj and cpu_affinity, then umask and limits. Returns NULL,
 * or the key that failed, with errno. Sources: setpriority(2), proc(5), getrlimit(2).
 */
const char *limits_set(const struct conf_service *service);

/* Make run.chroot the root directory, and be in it; nothing without the key. NULL or the key. */
const char *limits_chroot(const struct conf *conf, const struct conf_service *service);

#endif
