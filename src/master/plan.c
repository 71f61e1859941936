#include "master/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/text.h"
#include "conf/compare.h"
#include "conf/load.h"
#include "master/control_reply.h"
#include "master/reload.h"
#include "master/state.h"
#include "net/address.h"
#include "net/triple.h"

#define CHANGED_MAX 512 /* bytes of the names of keys */

static void put(struct master *master, int status, char *text)
{
	free(master->plan.text);
	master->plan = (struct plan){ .status = status, .text = text };
	master->planning = false;
	master->plans++;
}

static void write_socket(const struct conf_service *service, FILE *out)
{
	const struct listener_spec *spec = &service->spec;
	char address[ADDRESS_TEXT_MAX];

	fprintf(out, "%s %s %s", triple_word(triple_families, spec->family),
		triple_word(triple_types, spec->type),
		address_text(&spec->address, spec->length, address));
}

/* Of a service that is there before and after. */
static void write_change(const struct master *master, const struct conf_service *old,
			 const struct conf *next, const struct conf_service *service, FILE *out)
{
	const char *all = reload_replaces_all(master, next);
	char changed[CHANGED_MAX];
	enum conf_change change =
		conf_compare(master->current->conf, old, next, service, changed, sizeof(changed));

	if (change == CONF_SOCKET) {
		fputs("the old listener is closed, a new one opened on ", out);
		write_socket(service, out);
		fprintf(out, ", new workers (%s)\n", changed);
	} else if (change == CONF_WORKERS) {
		fprintf(out, "new workers (%s)\n", changed);
	} else if (all != NULL) {
		fprintf(out, "new workers (%s)\n", all);
	} else if (service->kind == CONF_MODULE || service->kind == CONF_PERSISTENT) {
		fputs("new workers (its module or program may be another one)\n", out);
	} else if (change == CONF_LISTENER) {
		fprintf(out, "keeps its workers; its listener has other options (%s)\n", changed);
	} else if (change == CONF_POOL) {
		fprintf(out, "keeps its workers, but for their number (%s)\n", changed);
	} else {
		fputs("unchanged, keeps its workers\n", out);
	}
}

static void write_plan(const struct master *master, const struct conf *next, FILE *out)
{
	const struct conf *now = master->current->conf;

	for (unsigned i = 0; i < next->n_services; i++) {
		const struct conf_service *service = conf_service(next, i);
		const char *name = conf_string(next, service->name);
		const struct conf_service *old = conf_find(now, name);

		fprintf(out, "%s: ", name);
		if (old != NULL) {
			write_change(master, old, next, service, out);
			continue;
		}
		fputs("new, a listener is opened on ", out);
		write_socket(service, out);
		fputc('\n', out);
	}
	for (unsigned i = 0; i < now->n_services; i++) {
		const char *name = conf_string(now, conf_service(now, i)->name);

		if (conf_find(next, name) == NULL)
			fprintf(out, "%s: removed, its listener is closed\n", name);
	}
}

void plan_fail(struct master *master, const char *why)
{
	put(master, EX_UNAVAILABLE, strdup(why));
}

void plan_end(struct master *master, const struct conf_result *result)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out;

	if (result->conf == NULL) {
		put(master, EX_CONFIG, result->errors != NULL ? strdup(result->errors) : NULL);
		return;
	}
	out = master->current != NULL ? open_memstream(&text, &size) : NULL;
	if (out != NULL) {
		fputs(conf_string(result->conf, result->conf->warnings), out);
		write_plan(master, result->conf, out);
		fclose(out);
	}
	put(master, text != NULL ? EX_OK : EX_TEMPFAIL, text);
}

void plan_tell(const struct master *master, struct control_reply *reply)
{
	char *text = master->plan.text != NULL ? strdup(master->plan.text) : NULL;
	char *rest = text, *line;

	if (master->plan.status != EX_OK)
		control_reply_error(reply, master->plan.status, "a reload would be refused");
	while ((line = text_next_line(&rest)) != NULL) {
		control_reply_record(reply, master->plan.status == EX_OK ? "plan" : "line");
		control_reply_text(reply, "text", line);
	}
	free(text);
}

void plan_free(struct master *master)
{
	free(master->plan.text);
	master->plan.text = NULL;
}
