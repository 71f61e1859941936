#include "conf/repeat.h"

#include <string.h>

#include "base/text.h"
#include "conf/report.h"

#define TOP_LEVEL 0 /* numbers of blocks: the keys of the top level, */
#define TITLES 1    /* and the titles of services, which are no keys */

void repeat_start(struct repeat *repeat, const char *file, struct report *report)
{
	*repeat = (struct repeat){ .file = file, .report = report, .n_blocks = TITLES + 1 };
}

void repeat_word(struct repeat *repeat, const char *start, size_t length, unsigned line)
{
	repeat->before = repeat->last;
	repeat->before_is_value = repeat->last_is_value;
	repeat->last = (struct repeat_word){ start, length, line };
	repeat->last_is_value = repeat->after_equals;
	repeat->after_equals = false;
}

/* Where we are, as "service "x": block.block." */
static void add_place(const struct repeat *repeat, char *buf, size_t size)
{
	struct text place = text_start(buf, size);

	if (repeat->title.length > 0)
		text_addf(&place, "service \"%.*s\": ", (int)repeat->title.length,
			  repeat->title.start);
	for (unsigned i = repeat->title.length > 0; i < repeat->depth && i < REPEAT_DEPTH_MAX; i++)
		text_addf(&place, "%.*s.", (int)repeat->level[i].name.length,
			  repeat->level[i].name.start);
}

static void refuse(const struct repeat *repeat, unsigned block, struct repeat_word word,
		   unsigned first_line)
{
	char place[128];

	add_place(repeat, place, sizeof(place));
	report_add(repeat->report, repeat->file, word.line,
		   block == TITLES ? "%sservice \"%.*s\": is written twice (first in line %u)" :
				     "%s%.*s: is written twice (first in line %u)",
		   place, (int)word.length, word.start, first_line);
}

/* Look for the word among those of its block, and note it. */
static void note(struct repeat *repeat, unsigned block, struct repeat_word word)
{
	for (unsigned i = 0; i < repeat->n_keys; i++) {
		const struct repeat_word *other = &repeat->keys[i].word;

		if (repeat->keys[i].block == block && other->length == word.length &&
		    memcmp(other->start, word.start, word.length) == 0) {
			refuse(repeat, block, word, other->line);
			return;
		}
	}
	if (repeat->n_keys == REPEAT_KEYS_MAX)
		return;
	repeat->keys[repeat->n_keys].block = block;
	repeat->keys[repeat->n_keys++].word = word;
}

/* The number of the block we are in. */
static unsigned present_block(const struct repeat *repeat)
{
	unsigned depth = repeat->depth;

	if (depth == 0 || depth > REPEAT_DEPTH_MAX)
		return TOP_LEVEL;
	return repeat->level[depth - 1].block;
}

void repeat_equals(struct repeat *repeat)
{
	if (repeat->last.length > 0)
		note(repeat, present_block(repeat), repeat->last);
	repeat->after_equals = true;
}

/* "service NAME {", where service is no value that stands before a block NAME */
static bool is_title(const struct repeat *repeat)
{
	static const char service[] = "service";

	return repeat->before.length == strlen(service) && !repeat->before_is_value &&
	       memcmp(repeat->before.start, service, strlen(service)) == 0;
}

bool repeat_open(struct repeat *repeat)
{
	unsigned depth = repeat->depth;
	bool service = depth == 0 && is_title(repeat);

	if (depth == 0)
		repeat->title = (struct repeat_word){ 0 };
	if (service) {
		repeat->title = repeat->last;
		note(repeat, TITLES, repeat->title);
	} else if (!repeat->after_equals && depth < REPEAT_DEPTH_MAX) {
		note(repeat, present_block(repeat), repeat->last);
	}
	if (depth < REPEAT_DEPTH_MAX) {
		repeat->level[depth].block = repeat->n_blocks++;
		repeat->level[depth].name = repeat->last;
	}
	repeat->depth++;
	repeat->after_equals = false;
	return service;
}

void repeat_close(struct repeat *repeat)
{
	if (repeat->depth > 0)
		repeat->depth--;
	if (repeat->depth == 0)
		repeat->title = (struct repeat_word){ 0 };
	repeat->last = (struct repeat_word){ 0 };
}
