/*
 * sandbox.h - run.sandbox: what a worker and its programs could do and have no need to.
 *
 * Two means of the kernel: Landlock for files (worker/landlock.h), seccomp for system
 * calls (worker/calls.h). Rights are not dropped here; that is worker/rights.h.
 */
#ifndef PREFORKD_WORKER_SANDBOX_H
#define PREFORKD_WORKER_SANDBOX_H

struct conf_service;
struct serve;

/*
 * Once for a batch of workers that will be in the same sandbox: as much of it as leaves them
 * their setup. Returns as sandbox_enter(), which is still to come.
 */
const char *sandbox_prepare(const struct conf_service *service);

/*
 * The last step of a worker's setup; what the kernel does not have is left out. Returns
 * NULL, or what failed, with errno.
 */
const char *sandbox_enter(const struct serve *serve);

#endif
