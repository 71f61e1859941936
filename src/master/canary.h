/*
 * canary.h - the first new worker of each changed service serves beside the old ones for
 * a while, before a reload is done (reload_canary).
 *
 *	CANARY_STARTS	one worker of each service is started
 *	CANARY_SINGS	they are ready, and serve
 *	CANARY_NONE	they have served well, or nobody asked for them: all the others
 *
 * Who dies, or has to be ended, before that makes the reload fail; so does who fails
 * more of its clients than the old ones did.
 */
#ifndef PREFORKD_MASTER_CANARY_H
#define PREFORKD_MASTER_CANARY_H

#include <stdbool.h>
#include <stddef.h>

struct generation;

/* Let a generation that was just built begin with canaries, if it has any. */
void canary_prepare(struct generation *generation);

/* All that is to start is ready: true when it is time to go on without canaries. */
bool canary_is_over(struct generation *generation, long long now_ms);

/*
 * What the canaries say: NULL, and then the generation grows to its size; else why the
 * reload must fail, in buf.
 */
const char *canary_end(struct generation *generation, char *buf, size_t size);

#endif
