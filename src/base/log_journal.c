#include "base/log_journal.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

bool log_journal_is_stderr(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char ours[64];
	struct stat st;

	if (stream == NULL || fstat(STDERR_FILENO, &st) < 0)
		return false;
	snprintf(ours, sizeof(ours), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(stream, ours) == 0;
}

static void add_key(struct text *entry, const char *key)
{
	char upper[2] = "";

	text_add(entry, "PREFORKD_");
	for (; *key != '\0'; key++) {
		upper[0] = (char)toupper((unsigned char)*key);
		text_add(entry, upper);
	}
	text_add(entry, "=");
}

/* A line feed would begin a new field, so values are escaped as in every other log. */
static void add_field(struct text *entry, const struct log_field *field)
{
	add_key(entry, field->key);
	if (field->text != NULL)
		text_add_escaped(entry, field->text, "");
	else
		text_addf(entry, "%lld", field->number);
	text_add(entry, "\n");
}

int log_journal_send(int priority, const char *message, const char *event,
		     const struct log_field *fields)
{
	char buf[8192];
	struct text entry = text_start(buf, sizeof(buf));
	struct iovec part;

	text_addf(&entry, "PRIORITY=%d\nSYSLOG_IDENTIFIER=preforkd\nMESSAGE=%s\n", priority,
		  message);
	text_addf(&entry, "PREFORKD_EVENT=%s\n", event);
	for (; fields->key != NULL; fields++)
		add_field(&entry, fields);
	part = (struct iovec){ buf, entry.length };
	return fd_send_datagram(JOURNAL_SOCKET, &part, 1);
}

int log_journal_keep(void)
{
	return fd_keep_datagram(JOURNAL_SOCKET);
}
