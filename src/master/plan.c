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

static void put(struct master *master, int status, char *text, unsigned warnings)
{
	free(master->plan.text);
	master->plan = (struct plan){ .status = status, .text = text, .warnings = warnings };
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

/* Whose listener in one config is that of a service of another one; NULL: nobody's. */
static const char *whose(const struct conf *conf, const struct conf_service *like)
{
	for (unsigned i = 0; i < conf->n_services; i++) {
		const struct conf_service *service = conf_service(conf, i);

		/* any port is another one for each service */
		if (!listener_any_port(&like->spec) &&
		    listener_same_address(&service->spec, &like->spec))
			return conf_string(conf, service->name);
	}
	return NULL;
}

static void write_closing(const struct conf *next, const struct conf_service *old, FILE *out)
{
	const char *heir = whose(next, old);

	if (heir != NULL)
		fprintf(out, "its listener becomes that of %s", heir);
	else
		fputs("its listener is closed", out);
}

static void write_opening(const struct conf *now, const struct conf_service *service, FILE *out)
{
	const char *before = whose(now, service);

	if (before != NULL)
		fprintf(out, "it takes over the listener of %s on ", before);
	else
		fputs("a listener is opened on ", out);
	write_socket(service, out);
}

/* Of a service that is there before and after. */
static void write_change(const struct master *master, const struct conf_service *old,
			 const struct conf *next, const struct conf_service *service, FILE *out)
{
	const char *all = reload_replaces_all(master, next);
	char changed[CHANGED_MAX];
	enum conf_change change =
		conf_compare(master->current->conf, old, next, service, changed, sizeof(changed));

	/* the key may say the same in other words, or another service may have the address */
	if (!listener_same_address(&old->spec, &service->spec)) {
		write_closing(next, old, out);
		fputs(", ", out);
		write_opening(master->current->conf, service, out);
		fprintf(out, ", new workers (%s)\n", changed);
	} else if (change >= CONF_WORKERS) {
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
		fputs("new, ", out);
		write_opening(now, service, out);
		fputc('\n', out);
	}
	for (unsigned i = 0; i < now->n_services; i++) {
		const struct conf_service *old = conf_service(now, i);
		const char *name = conf_string(now, old->name);

		if (conf_find(next, name) != NULL)
			continue;
		fprintf(out, "%s: removed, ", name);
		write_closing(next, old, out);
		fputc('\n', out);
	}
}

void plan_fail(struct master *master, const char *why)
{
	put(master, EX_UNAVAILABLE, strdup(why), 0);
}

/* Returns how many lines it wrote. */
static unsigned write_warnings(const struct master *master, const struct conf *next, FILE *out)
{
	const char *own = conf_string(next, next->warnings);
	char lines[CONF_GLOBAL_MAX];
	unsigned n = 0;

	conf_compare_global(master->current->conf, next, lines, sizeof(lines));
	fprintf(out, "%s%s", lines, own);
	for (const char *at = lines; (at = strchr(at, '\n')) != NULL; at++)
		n++;
	for (const char *at = own; (at = strchr(at, '\n')) != NULL; at++)
		n++;
	return n;
}

void plan_end(struct master *master, const struct conf_result *result)
{
	char *text = NULL;
	size_t size = 0;
	unsigned warnings = 0;
	FILE *out;

	if (result->conf == NULL) {
		put(master, EX_CONFIG, result->errors != NULL ? strdup(result->errors) : NULL, 0);
		return;
	}
	out = master->current != NULL ? open_memstream(&text, &size) : NULL;
	if (out != NULL) {
		warnings = write_warnings(master, result->conf, out);
		write_plan(master, result->conf, out);
		fclose(out);
	}
	put(master, text != NULL ? EX_OK : EX_TEMPFAIL, text, warnings);
}

void plan_tell(const struct master *master, struct control_reply *reply)
{
	char *text = master->plan.text != NULL ? strdup(master->plan.text) : NULL;
	char *rest = text, *line;

	if (master->plan.status != EX_OK)
		control_reply_error(reply, master->plan.status, "a reload would be refused");
	for (unsigned i = 0; (line = text_next_line(&rest)) != NULL; i++) {
		bool planned = master->plan.status == EX_OK && i >= master->plan.warnings;

		control_reply_record(reply, planned ? "plan" : "line");
		control_reply_text(reply, "text", line);
	}
	free(text);
}

void plan_free(struct master *master)
{
	free(master->plan.text);
	master->plan.text = NULL;
}
