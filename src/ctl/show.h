/*
 * show.h - the answers of the master as people read them.
 */
#ifndef PREFORKD_CTL_SHOW_H
#define PREFORKD_CTL_SHOW_H

#include <stdbool.h>
#include <stdio.h>

struct answer;

/* Each uses the records up. */
void show_status(struct answer *answer, FILE *out);

/* busy_only: those that serve somebody, and no memory. */
void show_workers(struct answer *answer, bool busy_only, FILE *out);

/* A block of lines for each. */
void show_postmortem(struct answer *answer, FILE *out);

/* Any other: lines as they are, the fields of a record as words. */
void show_records(struct answer *answer, FILE *out);

#endif
