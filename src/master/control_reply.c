#include "master/control_reply.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/text.h"

#define PIECE 256
#define REPLY_MAX (8 << 20) /* what a client may cost in memory */

int control_reply_start(struct control_reply *reply)
{
	*reply = (struct control_reply){ 0 };
	reply->out = open_memstream(&reply->buf, &reply->size);
	return reply->out != NULL ? 0 : -1;
}

/* Of any length, in pieces. */
static void put_escaped(struct control_reply *reply, const char *string, const char *special)
{
	char piece[PIECE + 1], escaped[4 * PIECE + 1];

	while (*string != '\0') {
		struct text text = text_start(escaped, sizeof(escaped));
		size_t n = strnlen(string, PIECE);

		memcpy(piece, string, n);
		piece[n] = '\0';
		text_add_escaped(&text, piece, special);
		fputs(escaped, reply->out);
		string += n;
	}
}

void control_reply_error(struct control_reply *reply, int status, const char *format, ...)
{
	char message[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	rewind(reply->out);
	fprintf(reply->out, "error %d ", status);
	put_escaped(reply, message, "");
}

void control_reply_record(struct control_reply *reply, const char *kind)
{
	fprintf(reply->out, "%s\n%s", ftell(reply->out) == 0 ? "ok" : "", kind);
}

void control_reply_text(struct control_reply *reply, const char *key, const char *text)
{
	fprintf(reply->out, " %s=\"", key);
	put_escaped(reply, text, "\"\\");
	putc('"', reply->out);
}

void control_reply_number(struct control_reply *reply, const char *key, uint64_t number)
{
	fprintf(reply->out, " %s=%llu", key, (unsigned long long)number);
}

void control_reply_lines(struct control_reply *reply, char *text)
{
	char *rest = text;

	for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
		if (line[0] == '\0' && rest == NULL)
			break; /* behind the last line feed */
		control_reply_record(reply, "line");
		control_reply_text(reply, "text", line);
	}
}

char *control_reply_take(struct control_reply *reply, size_t *size_r)
{
	if (ftell(reply->out) > REPLY_MAX)
		control_reply_error(reply, EX_UNAVAILABLE,
				    "that is too much for one answer: ask for one service");
	fprintf(reply->out, "%s\nend\n", ftell(reply->out) == 0 ? "ok" : "");
	if (ferror(reply->out)) {
		control_reply_drop(reply);
		return NULL;
	}
	fclose(reply->out);
	*size_r = reply->size;
	return reply->buf;
}

void control_reply_drop(struct control_reply *reply)
{
	fclose(reply->out);
	free(reply->buf);
}
