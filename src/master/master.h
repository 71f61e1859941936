/*
 * master.h - run the service: start, supervise, reload, stop.
 */
#ifndef PREFORKD_MASTER_MASTER_H
#define PREFORKD_MASTER_MASTER_H

struct conf;

/* What the command line asks for. */
struct master_options {
	const char *config_path; /* absolute */
	const char *pidfile;	 /* overrides the config; NULL: does not */
	int log_level;		 /* overrides the config; -1: does not */
	int daemon_fd;		 /* of daemon_start(), or -1 */
	int handover_fd;	 /* of takeover_fd(), or -1 */
	char **argv;		 /* of main() */
};

/*
 * Be the master with a conf, which is taken over; NULL with a handover, which brings one.
 * Returns the exit status (sysexits.h).
 */
int master_run(const struct master_options *options, const struct conf *conf);

#endif
