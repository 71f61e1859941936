/*
 * control_command.h - the words of a request: what they mean, and who may say them.
 *
 * Who can connect may ask; the mode of the socket says who that is. What changes
 * something, or shows what the config may keep secret, is for root, the user of the
 * master, and members of control.group.
 */
#ifndef PREFORKD_MASTER_CONTROL_COMMAND_H
#define PREFORKD_MASTER_CONTROL_COMMAND_H

#include <stdbool.h>
#include <sys/types.h>

#include "master/control_reply.h"

struct master;

#define CONTROL_WORDS_MAX 8
#define CONTROL_NO_RIGHT \
	"permission denied: only root, the user of the master and members of control.group may"

/* One request. */
struct control_call {
	struct master *master;
	bool may_change;
	uid_t uid;
	pid_t pid;
	unsigned n_words;
	const char *words[CONTROL_WORDS_MAX + 1]; /* the command is the first */
	struct control_reply reply;
	bool plan;	 /* it asked for a plan: the ticket is of that */
	unsigned ticket; /* not 0: the answer is the verdict of this reload, when it has ended */
};

/* Do what the line says, or ask for it; the answer goes into call->reply. Changes the line. */
void control_command(struct control_call *call, char *line);

/* What became of the reload of a ticket. */
void control_verdict(const struct master *master, unsigned ticket, struct control_reply *reply);

/* The second word, NULL if there is none. */
static inline const char *control_argument(const struct control_call *call)
{
	return call->n_words > 1 ? call->words[1] : NULL;
}

#endif
