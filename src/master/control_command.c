#include "master/control_command.h"

#include <config.h>

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/log.h"
#include "base/text.h"
#include "conf/print.h"
#include "master/control_change.h"
#include "master/control_postmortem.h"
#include "master/control_status.h"
#include "master/state.h"

enum rights {
	MAY_ASK,
	MAY_CHANGE,
	WORDS_CHANGE, /* it asks without words behind it */
};

struct command {
	const char *name;
	unsigned min, max; /* words behind it */
	enum rights rights;
	void (*run)(struct control_call *call);
};

static void run_version(struct control_call *call)
{
	control_reply_record(&call->reply, "version");
	control_reply_text(&call->reply, "version", PACKAGE_VERSION);
	control_reply_number(&call->reply, "pid", (uint64_t)getpid());
}

/* The generation that serves, or at the start the one that will. */
static void run_config(struct control_call *call)
{
	const struct master *master = call->master;
	const struct generation *generation =
		master->current != NULL ? master->current : master->starting;
	char *text = NULL;
	size_t size = 0;
	FILE *out = generation != NULL ? open_memstream(&text, &size) : NULL;

	if (out == NULL) {
		control_reply_error(&call->reply, EX_TEMPFAIL, "the master is stopping");
		return;
	}
	conf_print(generation->conf, out);
	fclose(out);
	if (text != NULL)
		control_reply_lines(&call->reply, text);
	free(text);
}

static void run_reload(struct control_call *call)
{
	struct master *master = call->master;
	const char *how = control_argument(call);
	bool plan = how != NULL && strcmp(how, "--plan") == 0;

	if (how != NULL && !plan && strcmp(how, "--wait") != 0) {
		control_reply_error(&call->reply, EX_USAGE,
				    "reload takes --wait or --plan, not \"%s\"", how);
		return;
	}
	if (master->stopping != STOP_NOT) {
		control_reply_error(&call->reply, EX_TEMPFAIL, "the master is stopping");
		return;
	}
	if (plan) {
		master->plan_wanted = call->plan = true;
		/* one that has begun may have read the config before it was changed */
		call->ticket = master->plans + 1 + master->planning;
		return;
	}
	master->reload_wanted = true;
	/* likewise */
	if (how != NULL)
		call->ticket = master->reloads + 1;
}

/* What comes of it stands in the log: it is another program that would have to answer. */
static void run_upgrade(struct control_call *call)
{
	if (call->master->stopping != STOP_NOT)
		control_reply_error(&call->reply, EX_TEMPFAIL, "the master is stopping");
	else
		call->master->upgrade_wanted = true;
}

static void run_stop(struct control_call *call)
{
	bool now = call->n_words == 2;

	if (now && strcmp(call->words[1], "--now") != 0)
		control_reply_error(&call->reply, EX_USAGE, "stop takes --now, not \"%s\"",
				    call->words[1]);
	else if (now)
		call->master->stop_wanted = STOP_NOW;
	else if (call->master->stop_wanted == STOP_NOT)
		call->master->stop_wanted = STOP_GRACEFUL;
}

static void run_log_level(struct control_call *call)
{
	const char *name = control_argument(call);
	enum log_level level;

	if (name == NULL) {
		control_reply_record(&call->reply, "log");
		control_reply_text(&call->reply, "level", log_level_name());
	} else if (!log_level_parse(name, &level)) {
		control_reply_error(&call->reply, EX_USAGE,
				    "log-level takes error, warning, notice, info or debug");
	} else {
		log_set_level(level);
	}
}

static const struct command commands[] = {
	{ "status", 0, 1, MAY_ASK, control_status },
	{ "workers", 0, 1, MAY_ASK, control_workers },
	{ "postmortem", 0, 1, MAY_CHANGE, control_postmortem },
	{ "health", 0, 1, MAY_ASK, control_health },
	{ "version", 0, 0, MAY_ASK, run_version },
	{ "log-level", 0, 1, WORDS_CHANGE, run_log_level },
	{ "config", 0, 0, MAY_CHANGE, run_config },
	{ "reload", 0, 1, MAY_CHANGE, run_reload },
	{ "stop", 0, 1, MAY_CHANGE, run_stop },
	{ "upgrade", 0, 0, MAY_CHANGE, run_upgrade },
	{ "scale", 3, 3, MAY_CHANGE, control_scale },
	{ "retire", 1, 1, MAY_CHANGE, control_retire },
	{ "pause", 1, 1, MAY_CHANGE, control_pause },
	{ "resume", 1, 1, MAY_CHANGE, control_resume },
	{ "kill", 1, 1, MAY_CHANGE, control_kill },
};

#define N_COMMANDS (sizeof(commands) / sizeof(*commands))

/* Words of printable ASCII with spaces between them; false: too many, or none, or other bytes. */
static bool split(struct control_call *call, char *line)
{
	size_t length = strlen(line);

	if (length > 0 && line[length - 1] == '\r')
		line[length - 1] = '\0'; /* of nc -C, telnet */
	for (const char *p = line; *p != '\0'; p++) {
		if (*p < ' ' || *p > '~')
			return false;
	}
	for (char *word = strtok_r(line, " ", &line); word != NULL;
	     word = strtok_r(NULL, " ", &line)) {
		if (call->n_words == CONTROL_WORDS_MAX)
			return false;
		call->words[call->n_words++] = word;
	}
	return call->n_words > 0;
}

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

static void note(const struct control_call *call, bool refused)
{
	char buf[CONTROL_WORDS_MAX * 64];
	struct text words = text_start(buf, sizeof(buf));

	for (unsigned i = 0; i < call->n_words; i++)
		text_addf(&words, "%s%s", i > 0 ? " " : "", call->words[i]);
	/* anybody who may connect can make such lines: not where they would fill a log */
	if (refused)
		log_debug("control_refused", KV("command", buf), KV("uid", call->uid),
			  KV("client_pid", call->pid));
	else
		log_notice("control", KV("command", buf), KV("uid", call->uid),
			   KV("client_pid", call->pid));
}

/* The command of a line that can be carried out, or NULL and the answer says why not. */
static const struct command *choose(struct control_call *call)
{
	const struct command *command = find(call->words[0]);
	unsigned n = call->n_words - 1;

	if (command == NULL) {
		control_reply_error(&call->reply, EX_USAGE, "there is no command \"%s\"",
				    call->words[0]);
		return NULL;
	}
	if (n < command->min || n > command->max) {
		control_reply_error(&call->reply, EX_USAGE, "%s takes %u to %u words, not %u",
				    command->name, command->min, command->max, n);
		return NULL;
	}
	return command;
}

void control_command(struct control_call *call, char *line)
{
	const struct command *command;
	bool changes;

	if (!split(call, line)) {
		control_reply_error(&call->reply, EX_USAGE,
				    "a request is words of printable ASCII, %d at most",
				    CONTROL_WORDS_MAX);
		return;
	}
	command = choose(call);
	if (command == NULL)
		return;
	changes = command->rights == MAY_CHANGE ||
		  (command->rights == WORDS_CHANGE && call->n_words > 1);
	if (changes)
		note(call, !call->may_change);
	if (changes && !call->may_change)
		control_reply_error(&call->reply, EX_NOPERM, CONTROL_NO_RIGHT);
	else
		command->run(call);
}

void control_verdict(const struct master *master, unsigned ticket, struct control_reply *reply)
{
	const struct verdict *verdict = &master->verdict;
	char *problems;

	/* several may have ended in one round; the last one counts, as it read the config last */
	if (verdict->number < ticket) {
		control_reply_error(reply, EX_TEMPFAIL, "the master stops, and did not reload");
		return;
	}
	if (verdict->status != 0)
		control_reply_error(reply, verdict->status, "reload refused: %s", verdict->why);
	problems = strdup(verdict->problems);
	if (problems != NULL)
		control_reply_lines(reply, problems);
	free(problems);
	if (verdict->status == 0) {
		control_reply_record(reply, "reload");
		control_reply_number(reply, "generation", verdict->generation);
	}
}
