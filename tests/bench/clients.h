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

/* What became of the connections, or of the datagrams: those of type dgram are called so, too. */
struct tally { /* of one server, in memory that all processes share */
	_Atomic unsigned long outcome[OUTCOMES];
	_Atomic uint64_t took_ns; /* the time in which connections to this server were made */
	_Atomic unsigned int cell[CELLS]; /* connections that took so long: tally.c */
	unsigned int slices;
	double slice_rate[SLICES_MAX]; /* ok in a nanosecond */
};

struct load { /* the share of one process */
	int family, type;
	struct sockaddr_storage
		peer[2]; /* the server and, when there are slices, the one beside it */
	socklen_t peer_len[2];
	struct tally *tally; /* one for each */
	bool spread;
	unsigned long clients;	   /* at the same time */
	unsigned long window;	   /* datagrams of each client at the same time */
	unsigned long connections; /* or 0: until stop_ns, see now_ns */
	uint64_t stop_ns;
	const char *gate;	/* and more connections until this file is there; or NULL */
	unsigned long rate;	/* so many of them are opened in a second, or 0: at once */
	unsigned long slice_ms; /* the servers take turns of so long; 0: there is one only */
	size_t size;		/* of a line */
	unsigned long think_ms, hold_ms, timeout_ms;
};

struct slice { /* one turn of a server, in one process */
	const struct load *load;
	int server;
	struct tally *tally;
	unsigned long ok_before;
	uint64_t begin_ns, until_ns; /* when it is over: no new connections */
};

uint64_t now_ns(void);

/* The turn of a server begins now. */
void slice_begin(struct slice *slice, const struct load *load, int server);

/*
 * When no connection is open any more, since ended_ns. Returns whether there is
 * another turn, which has begun; the servers get equally many.
 */
bool slice_next(struct slice *slice, uint64_t ended_ns);

/* Whether another connection is to be opened, when so many were. */
bool slice_wants(const struct slice *slice, unsigned long started);

/* Counts one connection that is ok and took so long. */
void tally_latency(struct tally *tally, uint64_t ns);

/* Prints the line of one server. Returns the exit status. */
int tally_report(const struct load *load, int server, double took_s);

/*
 * Open all connections, or send all datagrams, and count how each ended. They
 * end the program when this machine cannot go on.
 */
void clients_run(const struct load *what);
void packets_run(const struct load *what);
