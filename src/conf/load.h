/*
 * load.h - reading the config in a process of its own.
 *
 * libconfuse calls exit(3) on a read error, name look-ups can stall, and a
 * parser is no code for a process that must live for years. So a child reads,
 * checks and resolves, within limits of time and memory, and leaves a compiled
 * conf, or the list of errors, in a memfd.
 *
 *	conf_load_start() -> the child ends -> conf_load_end()
 *	                  -> CONF_LOAD_MS pass -> conf_load_kill() -> the same
 *
 * The master waits in its event loop; the command line uses conf_load().
 */
#ifndef PREFORKD_CONF_LOAD_H
#define PREFORKD_CONF_LOAD_H

#include <stdbool.h>
#include <sys/types.h>

struct conf;

#define CONF_LOAD_MS 2000 /* after this the child is killed */

/* A config that is being read. */
struct conf_load {
	pid_t pid;
	int memfd;
	bool out_of_time;
};

/* What came out: conf, or NULL with an exit status (sysexits.h) and errors. */
struct conf_result {
	const struct conf *conf; /* the caller's; conf_unref() of share.h ends it */
	int status;
	char *errors; /* lines, each ended by \n; the caller's to free */
};

/*
 * Start the child. path must be absolute. here: check also whether this system and
 * this user have what it asks for. Returns 0, or -1 with errno.
 */
int conf_load_start(const char *path, bool here, struct conf_load *load_r);

/* The child is out of time: kill it. Does not wait; conf_load_end() is still to come. */
void conf_load_kill(struct conf_load *load);

/* What to say of one that is out of time: a line, ended by \n; the caller's to free; or NULL. */
char *conf_load_too_long(const struct conf_load *load);

/* The child is gone (waits for it, if not): reap it, take what it left. Closes the descriptors. */
struct conf_result conf_load_end(struct conf_load *load);

/* The whole at once; waits at most CONF_LOAD_MS. */
struct conf_result conf_load(const char *path, bool here);

#endif
