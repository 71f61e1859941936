/*
 * conf.h - the compiled config: flat, immutable, without pointers.
 *
 * Made by a short-lived child process (conf/load.c) in a memfd that is then
 * sealed; the master maps it read-only and workers inherit the mapping. All
 * references are offsets from the start of struct conf, so a conf can be
 * compared, copied and handed on as it is.
 */
#ifndef PREFORKD_CONF_CONF_H
#define PREFORKD_CONF_CONF_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include "net/listener.h"

#define CONF_MAGIC 0x70666b64u /* "pfkd" */
#define CONF_VERSION 3
#define CONF_SIZE_MAX (4u << 20) /* of a compiled conf */
#define CONF_KEYS_MAX 160	 /* options of one scope; see conf/options.c */
#define CONF_SERVICES_MAX 256
#define CONF_WORKERS_MAX 4096

/* A NUL-terminated string; offset 0 is "". */
struct conf_text {
	uint32_t offset;
};

/* `count` strings, one behind the other, each with its NUL. */
struct conf_list {
	uint32_t offset, count;
};

/* Where a value was written; line 0: nowhere, it is the default. */
struct conf_origin {
	uint32_t file, line;
};

/* What answers. */
enum conf_handler {
	CONF_BUILT_IN,	 /* a handler of handler/handlers.h */
	CONF_EXEC,	 /* a program for each conn */
	CONF_MODULE,	 /* a shared object */
	CONF_PERSISTENT, /* a program that accepts by itself */
};

/* Where a program's standard error goes. */
enum conf_stderr { CONF_STDERR_LOG, CONF_STDERR_CONNECTION, CONF_STDERR_NULL };

/* What a persistent program has for standard input. */
enum conf_stdin { CONF_STDIN_NULL, CONF_STDIN_SOCKET };

/* Whose workers a reload replaces. */
enum conf_reload { CONF_RELOAD_CHANGED, CONF_RELOAD_ALL };

/* What is done when a service's workers fail again and again. */
enum conf_crash { CONF_CRASH_BACKOFF, CONF_CRASH_STOP, CONF_CRASH_EXIT };

/* How much a worker may do that it has no need to. */
enum conf_sandbox { CONF_SANDBOX_OFF, CONF_SANDBOX_DEFAULT, CONF_SANDBOX_STRICT };

#define CONF_READY_NOTIFY (-1)	 /* ready when it says so */
#define CONF_CONTROL_AUTO "auto" /* where conf/runtime.h says */

/* One that is not set stays as the master has it. */
struct conf_limit {
	bool set;
	rlim_t soft, hard;
};

/* What the texts of the block run mean. */
struct conf_run {
	struct conf_limit limits[RLIM_NLIMITS];
	bool has_nice, has_oom_score_adj, has_cpus;
	int nice, oom_score_adj;
	cpu_set_t cpus;
	bool all_capabilities; /* root, of whom none were taken away */
	uint64_t capabilities; /* else these, one bit each */
};

/* Fields marked (key) are filled through the table in conf/options.c. */
struct conf_service {
	struct conf_text name;
	struct conf_origin where;
	struct conf_origin origin[CONF_KEYS_MAX];

	long long family, type;			  /* (key) numbers of socket(2) */
	struct conf_text protocol, address, path; /* (key) */
	long long port, scope;			  /* (key) */
	struct conf_text handler;		  /* (key) */
	struct conf_list command;		  /* (key) */
	struct conf_list options;		  /* (key) name=value, for the handler */
	long long stderr_to;			  /* (key) enum conf_stderr */
	long long stdin_from;			  /* (key) enum conf_stdin */
	struct conf_text ready;			  /* (key) */
	long long watchdog_ms;			  /* (key) 0: none */
	long long socket[SOCKOPT_N];		  /* (key) options that are one number */
	long long backlog, bind_retry_ms;	  /* (key) */
	struct conf_text bind_device, congestion; /* (key) */
	struct conf_text multicast_group;	  /* (key) */
	struct conf_text multicast_interface;	  /* (key) */
	struct conf_text owner, owner_group;	  /* (key) */
	long long mode, directory_mode;		  /* (key) */
	long long workers_min, workers_max;	  /* (key) */
	long long spare, spawn_rate;		  /* (key) */
	long long idle_timeout_ms;		  /* (key) */
	long long max_connections, max_rss;	  /* (key) 0: no limit */
	long long max_age_ms, min_age_ms;	  /* (key) likewise */
	long long on_crash_loop;		  /* (key) enum conf_crash */
	long long idle_ms, total_ms, drain_ms;	  /* (key) 0: for ever */
	long long first_byte_ms, stuck_ms;	  /* (key) likewise */
	long long slow_ms;			  /* (key) 0: not said */
	struct conf_text user, group, directory;  /* (key) */
	struct conf_list groups;		  /* (key) */
	struct conf_text chroot;		  /* (key) "": none */
	struct conf_text nice, oom_score_adj;	  /* (key) "": as the master */
	struct conf_text cpu_affinity, core;	  /* (key) */
	long long umask, nofile;		  /* (key) */
	struct conf_text limits[RLIM_NLIMITS];	  /* (key) by RLIMIT_*; "": as the master */
	long long no_new_privileges;		  /* (key) */
	struct conf_list capabilities;		  /* (key) */
	long long sandbox;			  /* (key) enum conf_sandbox */
	struct conf_list read_paths, write_paths; /* (key) */
	struct conf_list environment;		  /* (key) NAME=value */
	struct conf_list pass_environment;	  /* (key) NAME */

	enum conf_handler kind; /* resolved from the above */
	long long ready_ms;	/* or CONF_READY_NOTIFY */
	struct listener_spec spec;
	uid_t uid; /* of the workers */
	gid_t gid;
	uint32_t gids, n_gids; /* gid_t[] at this offset */
	struct conf_run run;
};

struct conf {
	uint32_t magic, version, size;
	uint32_t services, n_services; /* struct conf_service[] */
	struct conf_list files;	       /* what was read, in order */
	struct conf_text warnings;     /* lines "FILE:LINE: warning: ..." */
	struct conf_origin origin[CONF_KEYS_MAX];

	struct conf_text user, group;	/* (key) */
	long long log_level;		/* (key) enum log_level */
	long long reload;		/* (key) enum conf_reload */
	long long canary_ms;		/* (key) 0: none */
	struct conf_text log, pidfile;	/* (key) */
	struct conf_text control_path;	/* (key) CONF_CONTROL_AUTO, or "" for none */
	struct conf_text control_group; /* (key) */
	long long control_mode;		/* (key) */

	gid_t control_gid; /* resolved from the above; (gid_t)-1: the master's */
};

static inline const char *conf_string(const struct conf *conf, struct conf_text text)
{
	return (const char *)conf + text.offset;
}

static inline const struct conf_service *conf_service(const struct conf *conf, unsigned index)
{
	return (const struct conf_service *)((const char *)conf + conf->services) + index;
}

static inline const gid_t *conf_groups(const struct conf *conf, const struct conf_service *service)
{
	return (const gid_t *)((const char *)conf + service->gids);
}

/* The string at index; index must be below list.count. */
const char *conf_list_string(const struct conf *conf, struct conf_list list, unsigned index);

/* Pointers to all of them, ended by NULL; the caller's to free. Ends the process without memory. */
const char **conf_list_pointers(const struct conf *conf, struct conf_list list);

#endif
