#include "ctl/answer.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/text.h"

static void make_harmless(char *buf, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (buf[i] != '\n' && (buf[i] < ' ' || buf[i] > '~'))
			buf[i] = '?';
	}
}

/* "ok", or "error STATUS TEXT". */
static bool parse_head(char *head, struct answer *answer)
{
	static const char error[] = "error ";
	char *end;
	long status;

	answer->status = EX_OK;
	answer->text = "";
	if (strcmp(head, "ok") == 0)
		return true;
	if (strncmp(head, error, strlen(error)) != 0)
		return false;
	status = strtol(head + strlen(error), &end, 10);
	if (status < 1 || status > 125 || *end != ' ')
		return false;
	answer->status = (int)status;
	answer->text = end + 1;
	return true;
}

bool answer_parse(char *buf, size_t size, struct answer *answer_r)
{
	static const char last[] = "\nend\n";
	char *line_feed;

	answer_r->buf = buf;
	if (size < strlen(last) || memcmp(buf + size - strlen(last), last, strlen(last)) != 0)
		return false;
	make_harmless(buf, size);
	/* the last line feed and what stands behind it is none of the records */
	buf[size - strlen(last) + 1] = '\0';
	line_feed = strchr(buf, '\n');
	if (line_feed == NULL)
		return false;
	*line_feed = '\0';
	answer_r->records = line_feed + 1;
	return parse_head(buf, answer_r);
}

/* A quoted value from behind its quote: where it ends. */
static char *end_of_text(char *at)
{
	while (*at != '"' && *at != '\0')
		at += at[0] == '\\' && at[1] != '\0' ? 2 : 1;
	return at;
}

/* " key=value" at *at; false where there is none. */
static bool next_field(char **at, struct record *record)
{
	char *key = *at + strspn(*at, " ");
	char *equals = strchr(key, '='), *end;
	bool is_text;

	if (equals == NULL || record->n_fields == ANSWER_FIELDS_MAX)
		return false;
	*equals = '\0';
	is_text = equals[1] == '"';
	end = is_text ? end_of_text(equals + 2) : equals + 1 + strcspn(equals + 1, " ");
	record->fields[record->n_fields].key = key;
	record->fields[record->n_fields].value = equals + 1 + is_text;
	record->fields[record->n_fields++].is_text = is_text;
	*at = *end != '\0' ? end + 1 : end;
	*end = '\0';
	return true;
}

bool answer_next(char **at, struct record *record_r)
{
	char *line = *at, *fields;
	size_t length = strcspn(line, "\n");

	if (*line == '\0')
		return false;
	*at = line[length] == '\n' ? line + length + 1 : line + length;
	line[length] = '\0';
	record_r->kind = line;
	record_r->n_fields = 0;
	fields = line + strcspn(line, " ");
	if (*fields != '\0')
		*fields++ = '\0';
	while (next_field(&fields, record_r))
		;
	return true;
}

bool answer_has(const struct record *record, const char *key)
{
	for (unsigned i = 0; i < record->n_fields; i++) {
		if (strcmp(record->fields[i].key, key) == 0)
			return true;
	}
	return false;
}

const char *answer_text(const struct record *record, const char *key)
{
	for (unsigned i = 0; i < record->n_fields; i++) {
		if (strcmp(record->fields[i].key, key) == 0)
			return record->fields[i].value;
	}
	return "";
}

long long answer_number(const struct record *record, const char *key)
{
	return strtoll(answer_text(record, key), NULL, 10);
}

const char *answer_unescape(const char *text, char *buf, size_t size)
{
	struct text out = text_start(buf, size);

	while (*text != '\0') {
		if (strncmp(text, "\\x09", 4) == 0) {
			text_add(&out, "\t");
			text += 4;
			continue;
		}
		if (text[0] == '\\' && (text[1] == '\\' || text[1] == '"'))
			text++;
		text_addf(&out, "%c", *text++);
	}
	return buf;
}
