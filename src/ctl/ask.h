/*
 * ask.h - the commands of preforkctl that the master answers.
 */
#ifndef PREFORKD_CTL_ASK_H
#define PREFORKD_CTL_ASK_H

struct arguments;

/* argv: the command and the words behind it. Returns the exit status. */
int ask_command(const struct arguments *arguments, int argc, char **argv);

#endif
