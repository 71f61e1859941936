#include "ctl/json.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "base/text.h"
#include "ctl/answer.h"

/* The escapes of an answer are \" \\ and \xhh; bytes become the characters of these numbers. */
static void print_string(const char *text, FILE *out)
{
	putc('"', out);
	while (*text != '\0') {
		if (text[0] == '\\' && text[1] == 'x' && isxdigit((unsigned char)text[2]) &&
		    isxdigit((unsigned char)text[3])) {
			fprintf(out, "\\u00%.2s", text + 2);
			text += 4;
		} else if (text[0] == '\\' && (text[1] == '\\' || text[1] == '"')) {
			fprintf(out, "\\%c", text[1]);
			text += 2;
		} else {
			fputs(*text == '"' || *text == '\\' ? "\\" : "", out);
			putc(*text++, out);
		}
	}
	putc('"', out);
}

static bool is_number(const char *value)
{
	return isdigit((unsigned char)value[0]) && strspn(value, "0123456789") == strlen(value) &&
	       (value[0] != '0' || value[1] == '\0');
}

static void print_object(const struct record *record, FILE *out)
{
	putc('{', out);
	for (unsigned i = 0; i < record->n_fields; i++) {
		const char *value = record->fields[i].value;

		fputs(i > 0 ? "," : "", out);
		print_string(record->fields[i].key, out);
		putc(':', out);
		if (!record->fields[i].is_text && is_number(value))
			fputs(value, out);
		else
			print_string(value, out);
	}
	putc('}', out);
}

static bool is_listed(const char *word, const char *list)
{
	size_t length = strlen(word);

	for (const char *at = strstr(list, word); at != NULL; at = strstr(at + 1, word)) {
		if ((at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
			return true;
	}
	return false;
}

/* Those that are expected and did not come. */
static void print_empty(const char *kinds, const char *seen, bool first, FILE *out)
{
	while (*kinds != '\0') {
		char kind[32];
		size_t length = strcspn(kinds, " ");

		snprintf(kind, sizeof(kind), "%.*s", (int)length, kinds);
		if (!is_listed(kind, seen))
			fprintf(out, "%s\"%ss\":[]", first ? "" : ",", kind);
		first = first && is_listed(kind, seen);
		kinds += length + (kinds[length] == ' ');
	}
}

/* The master writes those of a kind one behind the other. */
void json_print(struct answer *answer, const char *kinds, FILE *out)
{
	char buf[256];
	struct text seen = text_start(buf, sizeof(buf));
	struct record record;
	const char *kind = "", *end = "";

	putc('{', out);
	while (answer_next(&answer->records, &record)) {
		bool array = is_listed(record.kind, kinds);

		if (strcmp(record.kind, kind) != 0) {
			fprintf(out, "%s%s", end, seen.length > 0 ? "," : "");
			fprintf(out, array ? "\"%ss\":[" : "\"%s\":", record.kind);
			text_addf(&seen, "%s%s", seen.length > 0 ? " " : "", record.kind);
			end = array ? "]" : "";
		} else {
			putc(',', out);
		}
		kind = record.kind;
		print_object(&record, out);
	}
	fputs(end, out);
	print_empty(kinds, buf, seen.length == 0, out);
	fputs("}\n", out);
}
