#include "conf/scan.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "conf/repeat.h"
#include "conf/report.h"

#define DEPTH_MAX 16

struct scanner {
	char *at;
	unsigned line;
	const char *word; /* the one we are in, or NULL; // within it is no comment */
	const char *file;
	struct report *report;
	struct scan *scan;
	struct repeat *repeat;
	unsigned depth;
	unsigned open_line[DEPTH_MAX];
};

static bool check_bytes(const char *text, size_t size, const char *file, struct report *report)
{
	unsigned line = 1;

	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '\n')
			line++;
		if ((c >= ' ' && c != 0x7f) || c == '\n' || c == '\t')
			continue;
		report_add(report, file, line, "control character \\x%02x%s", c,
			   c == '\r' ? " (a file with DOS line ends: dos2unix mends it)" : "");
		return false;
	}
	return true;
}

static void end_word(struct scanner *s)
{
	if (s->word != NULL)
		repeat_word(s->repeat, s->word, (size_t)(s->at - s->word), s->line);
	s->word = NULL;
}

static void blank_line(struct scanner *s)
{
	end_word(s);
	while (*s->at != '\0' && *s->at != '\n')
		*s->at++ = ' ';
}

static void blank_comment(struct scanner *s)
{
	unsigned start = s->line;
	const char *end = strstr(s->at + 2, "*/");

	if (end == NULL)
		report_add(s->report, s->file, start, "this comment is never closed with */");
	end = end != NULL ? end + 2 : s->at + strlen(s->at);
	for (; s->at < end; s->at++) {
		if (*s->at == '\n')
			s->line++;
		else
			*s->at = ' ';
	}
}

/* ${NAME} or ${NAME:-default}; libconfuse would make an unset one "". */
static void check_variable(struct scanner *s)
{
	size_t length = strcspn(s->at + 2, "}\n");
	char name[64];
	const char *colon;

	if (length >= sizeof(name) || s->at[2 + length] != '}') {
		report_add(s->report, s->file, s->line, "${ without } on the same line");
		return;
	}
	memcpy(name, s->at + 2, length);
	name[length] = '\0';
	colon = strstr(name, ":-");
	if (colon == NULL && getenv(name) == NULL)
		report_add(
			s->report, s->file, s->line,
			"the environment has no variable %s (write ${%s:-default} for a default)",
			name, name);
}

/* Escapes that libconfuse takes for something else: \0 ends a string, \xZZ is xZZ. */
static void check_escape(struct scanner *s)
{
	const char *p = s->at + 1;
	size_t zeros;

	if (*p == 'x') {
		zeros = strspn(p + 1, "0");
		if (!isxdigit((unsigned char)p[1]))
			report_add(s->report, s->file, s->line, "\\x without hexadecimal digits");
		else if (zeros >= 2 || (zeros == 1 && !isxdigit((unsigned char)p[2])))
			report_add(s->report, s->file, s->line, "a NUL character in a string");
	} else if (*p == '0' &&
		   strtol((char[]){ p[0], p[1], p[1] != '\0' ? p[2] : '\0', '\0' }, NULL, 8) == 0) {
		report_add(s->report, s->file, s->line, "a NUL character in a string");
	}
}

static void skip_string(struct scanner *s)
{
	const char *start = s->at + 1;
	char quote;

	end_word(s);
	quote = *s->at++;
	while (*s->at != quote) {
		if (*s->at == '\n' || *s->at == '\0') {
			report_add(s->report, s->file, s->line, "this string has no closing %c",
				   quote);
			return;
		}
		if (quote == '"' && s->at[0] == '$' && s->at[1] == '{')
			check_variable(s);
		if (*s->at == '\\' && s->at[1] != '\0' && s->at[1] != '\n') {
			if (quote == '"')
				check_escape(s);
			s->at++;
		}
		s->at++;
	}
	repeat_word(s->repeat, start, (size_t)(s->at - start), s->line);
	s->at++;
}

static void open_brace(struct scanner *s)
{
	bool service = repeat_open(s->repeat);

	if (service && s->scan->n_blocks < SCAN_BLOCKS_MAX)
		s->scan->block_line[s->scan->n_blocks++] = s->line;
	if (s->depth < DEPTH_MAX)
		s->open_line[s->depth] = s->line;
	s->depth++;
}

static void close_brace(struct scanner *s)
{
	if (s->depth == 0)
		report_add(s->report, s->file, s->line, "} without {");
	else
		s->depth--;
	repeat_close(s->repeat);
}

static bool starts_comment(const struct scanner *s, char second)
{
	return s->word == NULL && s->at[0] == '/' && s->at[1] == second;
}

static void scan_mark(struct scanner *s)
{
	char c;

	end_word(s);
	c = *s->at++;
	if (c == '{')
		open_brace(s);
	else if (c == '}')
		close_brace(s);
	else if (c == '\n')
		s->line++;
	else if (c == '=')
		repeat_equals(s->repeat);
	else if (c == '*')
		report_add(s->report, s->file, s->line, "* must stand in quotes: \"*\"");
	else if (c == '+')
		report_add(s->report, s->file, s->line,
			   "+ must stand in quotes (and += is not offered: write the list once)");
}

static void scan_one(struct scanner *s)
{
	if (*s->at == '#' || starts_comment(s, '/')) {
		blank_line(s);
	} else if (starts_comment(s, '*')) {
		blank_comment(s);
	} else if (*s->at == '"' || *s->at == '\'') {
		skip_string(s);
	} else if (s->at[0] == '$' && s->at[1] == '{') {
		check_variable(s);
		if (s->word == NULL)
			s->word = s->at;
		s->at += strcspn(s->at, "}\n");
		s->at += *s->at == '}';
	} else if (strchr(" \t\n={}(),*+", *s->at) != NULL) {
		scan_mark(s);
	} else {
		if (s->word == NULL)
			s->word = s->at;
		s->at++;
	}
}

int scan_text(char *text, size_t size, const char *file, struct report *report, struct scan *scan_r)
{
	static struct repeat repeat;
	unsigned errors = report->errors;
	struct scanner s = {
		.at = text,
		.line = 1,
		.file = file,
		.report = report,
		.scan = scan_r,
		.repeat = &repeat,
	};

	scan_r->n_blocks = 0;
	repeat_start(&repeat, file, report);
	if (!check_bytes(text, size, file, report))
		return -1;
	while (*s.at != '\0')
		scan_one(&s);
	if (s.depth > 0 && s.depth <= DEPTH_MAX)
		report_add(report, file, s.line,
			   "the file ends inside of the block of line %u: } is missing",
			   s.open_line[s.depth - 1]);
	else if (s.depth > 0)
		report_add(report, file, s.line, "too many {");
	return report->errors == errors ? 0 : -1;
}
