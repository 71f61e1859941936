/*
 * target.h - from the words of the command line to the service that is probed.
 */
#ifndef PREFORKD_CTL_TARGET_H
#define PREFORKD_CTL_TARGET_H

struct arguments;

/* The command probe: argv is what stands behind it. Returns the exit status. */
int target_probe(const struct arguments *arguments, int argc, char **argv);

#endif
