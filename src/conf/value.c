#include "conf/value.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "conf/options.h"
#include "net/triple.h"

struct unit {
	const char *name;
	long long factor;
};

/* Both from small to large: printing takes the largest that leaves no rest. */
static const struct unit durations[] = {
	{ "ms", 1 },	  { "s", 1000 },     { "m", 60000 },
	{ "h", 3600000 }, { "d", 86400000 }, { NULL, 0 },
};

static const struct unit sizes[] = {
	{ "", 1 }, { "K", 1 << 10 }, { "M", 1 << 20 }, { "G", 1 << 30 }, { NULL, 0 },
};

/* A number followed by one of the units; false also when the product overflows. */
static bool parse_unit(const char *string, const struct unit *units, long long *value_r)
{
	char digits[24];
	size_t length = strspn(string, "0123456789");
	long long number;

	if (length == 0 || length >= sizeof(digits))
		return false;
	memcpy(digits, string, length);
	digits[length] = '\0';
	if (!text_to_number(digits, 0, INT64_MAX, &number))
		return false;
	for (; units->name != NULL; units++) {
		if (strcmp(units->name, string + length) == 0)
			return !__builtin_mul_overflow(number, units->factor, value_r);
	}
	return false;
}

static void print_unit(long long value, const struct unit *units, FILE *out)
{
	const struct unit *best = units;

	if (value == 0) {
		fputs("0", out);
		return;
	}
	for (; units->name != NULL; units++) {
		if (value % units->factor == 0)
			best = units;
	}
	fprintf(out, "%lld%s", value / best->factor, best->name);
}

static bool parse_duration(const char *string, long long *value_r)
{
	if (strcmp(string, "0") == 0) {
		*value_r = 0;
		return true;
	}
	return parse_unit(string, durations, value_r);
}

static bool parse_octal(const char *string, long long *value_r)
{
	if (string[0] == '\0' || strlen(string) > 6 || strspn(string, "01234567") != strlen(string))
		return false;
	*value_r = strtol(string, NULL, 8);
	return true;
}

static bool parse_bool(const char *string, long long *value_r)
{
	static const struct triple_word words[] = {
		{ "true", 1 }, { "yes", 1 }, { "on", 1 }, { "false", 0 },
		{ "no", 0 },   { "off", 0 }, { NULL, 0 },
	};

	for (const struct triple_word *word = words; word->name != NULL; word++) {
		if (strcmp(word->name, string) == 0) {
			*value_r = word->number;
			return true;
		}
	}
	return false;
}

static bool parse_word(const struct option *option, const char *string, long long *value_r)
{
	for (const struct triple_word *word = option->words; word->name != NULL; word++) {
		if (strcmp(word->name, string) == 0) {
			*value_r = word->number;
			return true;
		}
	}
	return false;
}

long long value_from_file(const char *path, long long fallback)
{
	long long value = fallback;
	char line[32] = "";
	FILE *file = fopen(path, "re");

	if (file == NULL)
		return fallback;
	if (fgets(line, sizeof(line), file) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		text_to_number(line, 0, INT64_MAX, &value);
	}
	fclose(file);
	return value;
}

long long value_somaxconn(void)
{
	/* 4096: the kernel's default since 5.4, should /proc be missing */
	return value_from_file("/proc/sys/net/core/somaxconn", 4096);
}

static bool parse_backlog(const char *string, long long *value_r)
{
	if (strcmp(string, "somaxconn") != 0)
		return text_to_number(string, 0, INT64_MAX, value_r);
	*value_r = value_somaxconn();
	if (*value_r > 65535)
		*value_r = 65535;
	return true;
}

static bool parse(const struct option *option, const char *string, long long *value_r)
{
	switch (option->kind) {
	case OPTION_WORD:
		return parse_word(option, string, value_r);
	case OPTION_NUMBER:
		return text_to_number(string, 0, INT64_MAX, value_r);
	case OPTION_SIZE:
		return parse_unit(string, sizes, value_r);
	case OPTION_DURATION:
		return parse_duration(string, value_r);
	case OPTION_OCTAL:
		return parse_octal(string, value_r);
	case OPTION_BOOL:
		return parse_bool(string, value_r);
	case OPTION_BACKLOG:
		return parse_backlog(string, value_r);
	default:
		abort();
	}
}

static void say_expected(const struct option *option, struct text *why)
{
	static const char *const expected[] = {
		[OPTION_NUMBER] = "a number without sign or leading zeros",
		[OPTION_SIZE] = "a number, with K, M or G if you like",
		[OPTION_DURATION] = "a duration with its unit, such as 500ms, 30s, 5m, 1h, 1d",
		[OPTION_OCTAL] = "an octal mode such as 0660",
		[OPTION_BOOL] = "true or false",
		[OPTION_BACKLOG] = "a number, or somaxconn",
	};

	if (option->kind != OPTION_WORD) {
		text_add(why, expected[option->kind]);
		return;
	}
	text_add(why, "one of");
	for (const struct triple_word *word = option->words; word->name != NULL; word++)
		text_addf(why, " %s", word->name);
}

static void print_range(const struct option *option, struct text *why)
{
	char low[32] = "", high[32] = "";
	FILE *out = fmemopen(low, sizeof(low), "w");

	if (out != NULL) {
		value_print(option, option->min, out);
		fclose(out);
	}
	out = fmemopen(high, sizeof(high), "w");
	if (out != NULL) {
		value_print(option, option->max, out);
		fclose(out);
	}
	text_addf(why, "must be from %s to %s", low, high);
}

bool value_parse(const struct option *option, const char *string, long long *value_r,
		 struct text *why)
{
	if (!parse(option, string, value_r)) {
		text_addf(why, "\"%s\" is not ", string);
		say_expected(option, why);
		return false;
	}
	if (option->max > option->min && (*value_r < option->min || *value_r > option->max)) {
		text_addf(why, "%s is out of range: ", string);
		print_range(option, why);
		return false;
	}
	return true;
}

void value_print(const struct option *option, long long value, FILE *out)
{
	switch (option->kind) {
	case OPTION_WORD:
		fputs(triple_word(option->words, value), out);
		break;
	case OPTION_SIZE:
		print_unit(value, sizes, out);
		break;
	case OPTION_DURATION:
		print_unit(value, durations, out);
		break;
	case OPTION_OCTAL:
		fprintf(out, "%04llo", (unsigned long long)value);
		break;
	case OPTION_BOOL:
		fputs(value != 0 ? "true" : "false", out);
		break;
	default:
		fprintf(out, "%lld", value);
		break;
	}
}

void value_print_string(const char *string, FILE *out)
{
	putc('"', out);
	for (; *string != '\0'; string++) {
		if (*string == '"' || *string == '\\' || *string == '$')
			putc('\\', out);
		putc(*string, out);
	}
	putc('"', out);
}
