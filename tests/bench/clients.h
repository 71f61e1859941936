/* clients.h - what load.c wants done, and how it is counted. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
	CELL_BITS = 9,		 /* a latency is kept to 1/512 of itself, */
	CELLS = 40 << CELL_BITS, /* up to 18 minutes */
	SLICES_MAX = 1 << 16,
};

enum outcome { OK, REFUSED, RESET, WRONG, TIMEOUT, OUTCOMES };

struct tally { /* of one server, in memory that all processes share */
	_Atomic unsigned long outcome[OUTCOMES];
	_Atomic uint64_t took_ns; /* the time in which connections to this server were made */
	_Atomic unsigned int cell[CELLS]; /* connections that took so long: load.c */
	unsigned int slices;
	double slice_rate[SLICES_MAX]; /* ok in a nanosecond */
};

struct load { /* the share of one process */
	int family, type;
	struct sockaddr_storage peer; /* without the port */
	socklen_t peer_len;
	in_port_t port[2];   /* the server and, when there are slices, the one beside it */
	struct tally *tally; /* one for each */
	bool spread;
	unsigned long clients;	   /* at the same time */
	unsigned long connections; /* or 0: until stop_ns, see now_ns */
	uint64_t stop_ns;
	unsigned long slice_ms; /* the servers take turns of so long; 0: there is one only */
	size_t size;		/* of a line */
	unsigned long think_ms, hold_ms, timeout_ms;
};

uint64_t now_ns(void);

/* Counts one connection that is ok and took so long. */
void tally_latency(struct tally *tally, uint64_t ns);

/*
 * Opens all connections and counts how each ended. Ends the program when this
 * machine cannot go on.
 */
void clients_run(const struct load *what);
