/*
 * top.h - status and busy workers on the whole terminal, once a second.
 */
#ifndef PREFORKD_CTL_TOP_H
#define PREFORKD_CTL_TOP_H

struct arguments;

/* The command top, of argc words; until q or a signal. Returns the exit status. */
int top_run(const struct arguments *arguments, int argc);

#endif
