/*
 * batch.h - the first worker of a batch: it forks the others, and is one of them then.
 */
#ifndef PREFORKD_WORKER_BATCH_H
#define PREFORKD_WORKER_BATCH_H

struct handler;
struct worker_seat;

/*
 * The main() of a program of workers: its one argument is the number of the descriptor of
 * an order (order.h). Returns only if that cannot be read; later the process ends with a
 * status of enum worker_exit. load_module: loads that of the seat's service, or ends the process
 * after a line in the log; NULL in a program that cannot.
 */
int batch_main(int argc, char **argv,
	       const struct handler *(*load_module)(const struct worker_seat *));

#endif
