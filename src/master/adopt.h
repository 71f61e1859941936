/*
 * adopt.h - sockets that are open already when the master starts: those of a
 * socket unit, those that the master before us left in the store (store.h).
 *
 * They are looked at once, when the first config is known: each goes to the service
 * that has its address, or is refused with a line. After that listeners.c asks here
 * before it opens a new one.
 */
#ifndef PREFORKD_MASTER_ADOPT_H
#define PREFORKD_MASTER_ADOPT_H

struct conf;
struct conf_service;
struct master;
struct open_listener;
struct text;

/*
 * Take what the service manager has passed, and unset the variables that say so. Call
 * it once, before other descriptors are opened. Source: sd_listen_fds_with_names(3).
 */
void adopt_environment(struct master *master);

/*
 * One descriptor more, which is taken over; it is closed on exec. name: that of a
 * service, one of store.h, or any other. Returns 0, or -1 without memory.
 */
int adopt_add(struct master *master, int fd, const char *name);

/*
 * Decide whose each one is. What no service wants is closed, after a line in the log.
 * Returns 0; or -1, after a line, with an exit status of sysexits.h, when a service
 * was given a socket by its name that has not its address.
 */
int adopt_assign(struct master *master, const struct conf *conf, int *status_r);

/*
 * Make a listener for a service of the sockets that are its. Returns 1, 0 when there
 * are none, or -1 with errno and *error. *shortfall: a line for each option that is
 * not as the config has it.
 */
int adopt_take(struct master *master, struct open_listener *open,
	       const struct conf_service *service, struct text *shortfall, struct text *error);

/* Close what is left. */
void adopt_free(struct master *master);

#endif
