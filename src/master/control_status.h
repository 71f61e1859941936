/*
 * control_status.h - the commands that only look: status, workers, health.
 *
 * What a worker says of itself (its slot) is gossip: it is bounded and escaped, and
 * decides nothing.
 */
#ifndef PREFORKD_MASTER_CONTROL_STATUS_H
#define PREFORKD_MASTER_CONTROL_STATUS_H

#include <stdbool.h>

struct control_call;

/*
 * A record "master"; for each service, or the one that is named, a record "service"
 * with its numbers over all generations; a record "generation" for each service of
 * those that start or finish.
 */
void control_status(struct control_call *call);

/* A record "worker" for each, of all services or of one, in all generations. */
void control_workers(struct control_call *call);

/* False, and the answer says so, when a service is named (not NULL) that is nowhere. */
bool control_status_exists(struct control_call *call, const char *service);

/*
 * --live: the master answers. --ready: it does not stop, and each service has a
 * worker that is ready. Without a word: and the last reload was not refused. Status
 * 1 and a record "line" for each thing that is amiss.
 */
void control_health(struct control_call *call);

#endif
