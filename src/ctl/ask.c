#include "ctl/ask.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/text.h"
#include "ctl/answer.h"
#include "ctl/json.h"
#include "ctl/master.h"
#include "ctl/show.h"
#include "ctl/top.h"
#include "ctl/usage.h"

#define DEFAULT_WAIT_MS 5000
#define LINE_MAX_BYTES 512 /* what the master takes */

struct ask {
	const char *name;
	void (*show)(struct answer *answer, FILE *out);
	const char *kinds; /* with --json: of which there may be any number; NULL: no --json */
};

static void show_all_workers(struct answer *answer, FILE *out)
{
	show_workers(answer, false, out);
}

static void show_health(struct answer *answer, FILE *out)
{
	(void)answer;
	fputs("healthy\n", out);
}

static void show_text(const struct record *record, FILE *out)
{
	char plain[8192];

	fprintf(out, "%s\n", answer_unescape(answer_text(record, "text"), plain, sizeof(plain)));
}

/* What the unit shows when somebody reloads it: the warnings, then the verdict. Or the plan. */
static void show_reload(struct answer *answer, FILE *out)
{
	struct record record;
	char *at = answer->records;

	while (answer_next(&at, &record)) {
		if (strcmp(record.kind, "reload") == 0)
			fprintf(out, "reload done generation=%s\n",
				answer_text(&record, "generation"));
		else
			show_text(&record, strcmp(record.kind, "plan") == 0 ? out : stderr);
	}
}

static const struct ask asks[] = {
	{ "status", show_status, "service generation" },
	{ "workers", show_all_workers, "worker" },
	{ "postmortem", show_postmortem, "postmortem" },
	{ "health", show_health, NULL },
	{ "version", show_records, "" },
	{ "log-level", show_records, NULL },
	{ "config", show_records, NULL },
	{ "reload", show_reload, NULL },
	{ "scale", show_records, NULL },
	{ "retire", show_records, NULL },
	{ "pause", show_records, NULL },
	{ "resume", show_records, NULL },
	{ "kill", show_records, NULL },
	{ "stop", show_records, NULL },
	{ "upgrade", show_records, NULL },
};

#define N_ASKS (sizeof(asks) / sizeof(*asks))

static const struct ask *find(const char *name)
{
	for (size_t i = 0; i < N_ASKS; i++) {
		if (strcmp(asks[i].name, name) == 0)
			return &asks[i];
	}
	usage_die(EX_USAGE, "there is no command \"%s\"", name);
}

static bool is_word(const char *string)
{
	for (const char *p = string; *p != '\0'; p++) {
		if (*p <= ' ' || *p > '~')
			return false;
	}
	return string[0] != '\0';
}

/* The words as one line, without --json, which is our own. Returns whether it was there. */
static bool make_line(const struct ask *ask, int argc, char **argv, struct text *line)
{
	bool json = false;

	for (int i = 0; i < argc; i++) {
		if (!is_word(argv[i]))
			usage_die(EX_USAGE, "\"%s\" is no word for the master", argv[i]);
		if (ask->kinds != NULL && strcmp(argv[i], "--json") == 0)
			json = true;
		else
			text_addf(line, "%s%s", i > 0 ? " " : "", argv[i]);
	}
	text_add(line, "\n");
	if (line->length + 1 == line->size)
		usage_die(EX_USAGE, "the command is too long");
	return json;
}

/* A reload takes as long as it takes; the master knows an end to it. */
static long long wait_of(const struct arguments *arguments, const char *line)
{
	if (arguments->wait_ms >= 0)
		return arguments->wait_ms;
	return strncmp(line, "reload -", strlen("reload -")) == 0 ? 0 : DEFAULT_WAIT_MS;
}

static int refuse(struct answer *answer)
{
	size_t size = strlen(answer->text) + 1;
	char *plain = malloc(size);

	fprintf(stderr, "preforkctl: %s\n",
		plain != NULL ? answer_unescape(answer->text, plain, size) : answer->text);
	free(plain);
	show_records(answer, stderr);
	return answer->status;
}

int ask_command(const struct arguments *arguments, int argc, char **argv)
{
	char buf[LINE_MAX_BYTES], why[RUNTIME_PATH_MAX + 256];
	struct text line = text_start(buf, sizeof(buf)), error = text_start(why, sizeof(why));
	const struct ask *ask;
	struct answer answer;
	bool json;
	int status;

	if (strcmp(argv[0], "top") == 0)
		return top_run(arguments, argc);
	ask = find(argv[0]);
	json = make_line(ask, argc, argv, &line);
	status = master_ask(arguments, buf, wait_of(arguments, buf), &answer, &error);
	if (status != 0)
		usage_die(status, "%s", why);
	status = answer.status;
	if (status != 0)
		refuse(&answer);
	else if (json)
		json_print(&answer, ask->kinds, stdout);
	else
		ask->show(&answer, stdout);
	free(answer.buf);
	return status == 0 && fflush(stdout) != 0 ? EX_IOERR : status;
}
