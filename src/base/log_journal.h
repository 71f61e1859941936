/*
 * log_journal.h - the journal's native protocol, spoken without waiting.
 *
 * sd_journal_sendv(3) waits for a journald that is stopped (measured: from the
 * eleventh message on), and the master must not; so this room sends the
 * datagram itself, in the protocol of systemd's JOURNAL_NATIVE_PROTOCOL.
 */
#ifndef PREFORKD_BASE_LOG_JOURNAL_H
#define PREFORKD_BASE_LOG_JOURNAL_H

#include <stdbool.h>

struct log_field;

/* True if stderr is a stream to journald (systemd.exec(5), $JOURNAL_STREAM). */
bool log_journal_is_stderr(void);

/* Send one entry; 0, or -1 with errno (EAGAIN: journald is behind). */
int log_journal_send(int priority, const char *message, const char *event,
		     const struct log_field *fields);

/* Keep a socket for it: see fd_keep_datagram(). */
int log_journal_keep(void);

#endif
