#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DISTANCE_MAX 63 /* longer strings are compared by their beginnings */

struct text text_start(char *buf, size_t size)
{
	buf[0] = '\0';
	return (struct text){ .buf = buf, .size = size };
}

static void add_char(struct text *text, char c)
{
	if (text->length + 1 < text->size) {
		text->buf[text->length++] = c;
		text->buf[text->length] = '\0';
	}
}

void text_add(struct text *text, const char *string)
{
	while (*string != '\0')
		add_char(text, *string++);
}

void text_addf(struct text *text, const char *format, ...)
{
	size_t room = text->size - text->length;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text->buf + text->length, room, format, args);
	va_end(args);
	if (n > 0)
		text->length += (size_t)n < room ? (size_t)n : room - 1;
}

static bool is_plain(unsigned char c)
{
	return c > ' ' && c < 0x7f && c != '"' && c != '=' && c != '\\';
}

static bool is_word(const char *string)
{
	const char *p = string;

	while (is_plain((unsigned char)*p))
		p++;
	return p > string && *p == '\0';
}

void text_add_escaped(struct text *text, const char *string, const char *special)
{
	for (; *string != '\0'; string++) {
		unsigned char c = (unsigned char)*string;

		if (c < ' ' || c >= 0x7f) {
			text_addf(text, "\\x%02x", c);
			continue;
		}
		if (strchr(special, c) != NULL)
			add_char(text, '\\');
		add_char(text, (char)c);
	}
}

void text_add_value(struct text *text, const char *string)
{
	if (is_word(string)) {
		text_add(text, string);
		return;
	}
	add_char(text, '"');
	text_add_escaped(text, string, "\"\\");
	add_char(text, '"');
}

char *text_next_line(char **rest)
{
	char *line;

	do {
		line = strsep(rest, "\n");
	} while (line != NULL && line[0] == '\0');
	return line;
}

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;

	return least < c ? least : c;
}

size_t text_distance(const char *a, const char *b)
{
	size_t la = strnlen(a, DISTANCE_MAX), lb = strnlen(b, DISTANCE_MAX);
	size_t row[DISTANCE_MAX + 1];

	for (size_t j = 0; j <= lb; j++)
		row[j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t above = row[j];

			row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[lb];
}

bool text_to_number(const char *string, long long min, long long max, long long *number_r)
{
	long long number;

	if (string[0] == '\0' || strspn(string, "0123456789") != strlen(string))
		return false;
	if (string[0] == '0' && string[1] != '\0')
		return false;
	errno = 0;
	number = strtoll(string, NULL, 10);
	if (errno != 0 || number < min || number > max)
		return false;
	*number_r = number;
	return true;
}
