#include "ctl/show.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "ctl/answer.h"
#include "ctl/table.h"

#define WORD_MAX 512

/* In the two largest units: 350ms, 12s, 3m5s, 2h10m, 9d4h. */
static const char *duration(long long ms, char buf[WORD_MAX])
{
	long long s = ms / 1000;

	if (ms < 1000)
		snprintf(buf, WORD_MAX, "%lldms", ms);
	else if (s < 60)
		snprintf(buf, WORD_MAX, "%llds", s);
	else if (s < 3600)
		snprintf(buf, WORD_MAX, "%lldm%llds", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buf, WORD_MAX, "%lldh%lldm", s / 3600, s % 3600 / 60);
	else
		snprintf(buf, WORD_MAX, "%lldd%lldh", s / 86400, s % 86400 / 3600);
	return buf;
}

static void show_master(const struct record *record, FILE *out)
{
	char since[WORD_MAX], ago[WORD_MAX], path[WORD_MAX];

	fprintf(out, "preforkd %s, pid %s, %s, up %s, generation %s\n",
		answer_text(record, "version"), answer_text(record, "pid"),
		answer_text(record, "state"), duration(answer_number(record, "uptime_ms"), since),
		answer_text(record, "generation"));
	fprintf(out, "config %s",
		answer_unescape(answer_text(record, "config"), path, sizeof(path)));
	if (answer_has(record, "reload"))
		fprintf(out, ", last reload %s %s ago%s%s", answer_text(record, "reload"),
			duration(answer_number(record, "reload_age_ms"), ago),
			answer_text(record, "reload_error")[0] != '\0' ? ": " : "",
			answer_text(record, "reload_error"));
	fputs("\n\n", out);
}

/* "4" where it is fixed, "2-8" where not. */
static void add_limits(struct table *table, const struct record *record)
{
	const char *min = answer_text(record, "min"), *max = answer_text(record, "max");

	if (strcmp(min, max) == 0)
		table_add(table, "%s", max);
	else
		table_add(table, "%s-%s", min, max);
}

static void add_state(struct table *table, const struct record *record)
{
	long long backoff_ms = answer_number(record, "backoff_ms");
	char next[WORD_MAX];

	if (backoff_ms > 0)
		table_add(table, "%s, next try in %s", answer_text(record, "state"),
			  duration(backoff_ms, next));
	else
		table_add(table, "%s", answer_text(record, "state"));
}

static void add_fields(struct table *table, const struct record *record, const char *const *keys)
{
	for (; *keys != NULL; keys++)
		table_add(table, "%s",
			  answer_has(record, *keys) ? answer_text(record, *keys) : "-");
}

static void add_service(struct table *table, const struct record *record)
{
	static const char *const workers[] = { "busy",	  "idle",    "starting",
					       "leaving", "waiting", NULL };
	static const char *const counts[] = { "served", "failed", "refused", "lost", NULL };
	char address[WORD_MAX];

	table_add(table, "%s", answer_text(record, "name"));
	add_state(table, record);
	table_add(table, "%s", answer_text(record, "workers"));
	add_limits(table, record);
	add_fields(table, record, workers);
	add_fields(table, record, counts);
	table_add(table, "%s",
		  answer_unescape(answer_text(record, "address"), address, sizeof(address)));
}

static void add_generation(struct table *table, const struct record *record)
{
	static const char *const keys[] = { "generation", "state",    "service", "workers", "busy",
					    "idle",	  "starting", "leaving", NULL };
	char age[WORD_MAX];

	add_fields(table, record, keys);
	table_add(table, "%s", duration(answer_number(record, "age_ms"), age));
}

void show_status(struct answer *answer, FILE *out)
{
	struct table *services = table_new("SERVICE STATE >WORKERS >OF >BUSY >IDLE >START >LEAVE "
					   ">WAIT >SERVED >FAILED >REFUSED >LOST ADDRESS");
	struct table *old = NULL;
	struct record record;

	while (answer_next(&answer->records, &record)) {
		if (strcmp(record.kind, "master") == 0) {
			show_master(&record, out);
		} else if (strcmp(record.kind, "service") == 0) {
			add_service(services, &record);
		} else if (strcmp(record.kind, "generation") == 0) {
			if (old == NULL)
				old = table_new(">GENERATION STATE SERVICE >WORKERS >BUSY >IDLE "
						">START >LEAVE >AGE");
			add_generation(old, &record);
		}
	}
	table_print(services, out);
	if (old == NULL)
		return;
	putc('\n', out);
	table_print(old, out);
}

/* The memory of a process as the kernel tells everybody; "-" where it does not. */
static void add_memory(struct table *table, long long pid)
{
	char path[64];
	FILE *file;
	long long pages = -1;

	snprintf(path, sizeof(path), "/proc/%lld/statm", pid);
	file = fopen(path, "re");
	if (file != NULL) {
		char line[128], *end;

		if (fgets(line, sizeof(line), file) != NULL) {
			strtoll(line, &end, 10);
			pages = strtoll(end, NULL, 10);
		}
		fclose(file);
	}
	if (pages < 0)
		table_add(table, "-");
	else
		table_add(table, "%lldK", pages * (sysconf(_SC_PAGESIZE) / 1024));
}

static void add_worker(struct table *table, const struct record *record, bool memory)
{
	static const char *const keys[] = {
		"service", "worker", "pid", "generation", "state", NULL
	};
	static const char *const counts[] = { "served", "failed", NULL };
	char age[WORD_MAX], peer[WORD_MAX];

	add_fields(table, record, keys);
	table_add(table, "%s", duration(answer_number(record, "age_ms"), age));
	add_fields(table, record, counts);
	if (memory)
		add_memory(table, answer_number(record, "pid"));
	if (answer_has(record, "peer")) {
		table_add(table, "%s", duration(answer_number(record, "conn_age_ms"), age));
		table_add(table, "%s",
			  answer_unescape(answer_text(record, "peer"), peer, sizeof(peer)));
	} else {
		table_add(table, "-");
		table_add(table, "-");
	}
}

void show_workers(struct answer *answer, bool busy_only, FILE *out)
{
	struct table *table = table_new(
		busy_only ?
			"SERVICE >WORKER >PID >GEN STATE >AGE >SERVED >FAILED >SINCE PEER" :
			"SERVICE >WORKER >PID >GEN STATE >AGE >SERVED >FAILED >RSS >SINCE PEER");
	struct record record;

	while (answer_next(&answer->records, &record)) {
		if (!busy_only || answer_has(&record, "peer"))
			add_worker(table, &record, !busy_only);
	}
	table_print(table, out);
}

/* Lines of a handler: each on its own, the rest stays escaped. */
static void show_last_lines(const char *lines, FILE *out)
{
	while (*lines != '\0') {
		const char *end = strstr(lines, "\\x0a");
		size_t length = end != NULL ? (size_t)(end - lines) : strlen(lines);
		char line[8192], plain[8192];

		snprintf(line, sizeof(line), "%.*s", (int)length, lines);
		fprintf(out, "    | %s\n", answer_unescape(line, plain, sizeof(plain)));
		lines = end != NULL ? end + 4 : lines + length;
	}
}

static void show_death(const struct record *record, FILE *out)
{
	char date[WORD_MAX], age[WORD_MAX], text[WORD_MAX];
	time_t at = (time_t)(answer_number(record, "at_ms") / 1000);
	struct tm tm;

	localtime_r(&at, &tm);
	strftime(date, sizeof(date), "%F %T", &tm);
	fprintf(out, "%s  %s: worker %s (pid %s, generation %s): %s\n", date,
		answer_text(record, "service"), answer_text(record, "worker"),
		answer_text(record, "pid"), answer_text(record, "generation"),
		answer_unescape(answer_text(record, "reason"), text, sizeof(text)));
	fprintf(out, "    OOM killer: %s; lived %s, used %s ms of processor time, %lldK\n",
		answer_text(record, "oom"), duration(answer_number(record, "age_ms"), age),
		answer_text(record, "cpu_ms"), answer_number(record, "max_rss") / 1024);
	fprintf(out, "    accepted %s, served %s, lost %s\n", answer_text(record, "accepted"),
		answer_text(record, "served"), answer_text(record, "lost"));
	if (answer_has(record, "peer"))
		fprintf(out, "    it served %s for %s, %s bytes in, %s out\n",
			answer_unescape(answer_text(record, "peer"), text, sizeof(text)),
			duration(answer_number(record, "conn_age_ms"), age),
			answer_text(record, "conn_in"), answer_text(record, "conn_out"));
	show_last_lines(answer_text(record, "last_lines"), out);
}

void show_postmortem(struct answer *answer, FILE *out)
{
	struct record record;

	if (answer->records[0] == '\0')
		fputs("no worker has died\n", out);
	while (answer_next(&answer->records, &record))
		show_death(&record, out);
}

void show_records(struct answer *answer, FILE *out)
{
	struct record record;

	while (answer_next(&answer->records, &record)) {
		bool line = strcmp(record.kind, "line") == 0;

		for (unsigned i = 0; i < record.n_fields; i++) {
			const char *value = record.fields[i].value;
			size_t size = strlen(value) + 1;
			char *plain = malloc(size);

			if (plain == NULL)
				return;
			answer_unescape(value, plain, size);
			if (line)
				fputs(plain, out);
			else
				fprintf(out, "%s%s=%s", i > 0 ? " " : "", record.fields[i].key,
					plain);
			free(plain);
		}
		putc('\n', out);
	}
}
