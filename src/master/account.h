/*
 * account.h - what was served: accepted = served + failed + refused + lost + in flight.
 *
 * The sum for a service over all its workers that are gone, of all generations.
 */
#ifndef PREFORKD_MASTER_ACCOUNT_H
#define PREFORKD_MASTER_ACCOUNT_H

struct counts;
struct master;

/* Add what a worker that is gone had done. */
void account_add(struct master *master, const char *service, const struct counts *counts);

/* Add the datagrams that a listener which is closed lost in the kernel. */
void account_dropped(struct master *master, const char *service, unsigned n);

/*
 * Write one line for each service that no generation has any more (all: for
 * every service), and forget those accounts.
 */
void account_close(struct master *master, int all);

/*
 * The stop begins: what is accepted from now on is counted in master->accepted_after,
 * which is right when all accounts are closed.
 */
void account_stop(struct master *master);

#endif
