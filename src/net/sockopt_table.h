/*
 * sockopt_table.h - the options of sockopt.h as setsockopt(2) has them.
 */
#ifndef PREFORKD_NET_SOCKOPT_TABLE_H
#define PREFORKD_NET_SOCKOPT_TABLE_H

#include <stdbool.h>

#include "net/sockopt.h"

/* What comes back when an option is read. */
enum answer {
	SAME,
	ROUNDED, /* up */
	CAPPED,	 /* the kernel has a maximum */
	DOUBLED, /* the same, and for its own overhead it takes twice as much */
};

struct sockopt {
	const char *key;
	int level, name;
	int level6, name6; /* for inet6, where it is another option; 0: the same */
	enum answer answer;
	bool seconds;	  /* the config has milliseconds */
	bool before_bind; /* cannot change afterwards */
	bool is_bool;
	bool always; /* set it even if it is 0 */
	const char *remedy;
};

extern const struct sockopt sockopt_table[SOCKOPT_N];

struct sockopt_place {
	int level, name;
};

/* Where an option is on a socket of this family and type; level and name 0: nowhere. */
struct sockopt_place sockopt_place(const struct sockopt *option,
				   const struct sockopt_values *socket);

#endif
