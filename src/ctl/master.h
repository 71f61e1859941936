/*
 * master.h - the way to the master: where its control socket is, and one request.
 */
#ifndef PREFORKD_CTL_MASTER_H
#define PREFORKD_CTL_MASTER_H

#include <stddef.h>

#include "ctl/answer.h"

struct arguments;
struct text;

/*
 * Send one line and take the whole answer; wait_ms: for each step, 0 for ever. Returns
 * 0; or an exit status of sysexits.h with a sentence in *error. answer_r->buf is the
 * caller's to free.
 */
int master_ask(const struct arguments *arguments, const char *line, long long wait_ms,
	       struct answer *answer_r, struct text *error);

#endif
