/*
 * control_reply.h - what goes back to a client of the control socket.
 *
 *	reply  = ( "ok" | "error" SP status SP text ) LF { record LF } "end" LF
 *	record = kind { SP key "=" ( number | quoted ) }
 *
 * quoted is that of the log (preforkd(8)): nothing but printable ASCII, so a
 * strange name or path does no harm to a terminal either.
 */
#ifndef PREFORKD_MASTER_CONTROL_REPLY_H
#define PREFORKD_MASTER_CONTROL_REPLY_H

#include <stdint.h>
#include <stdio.h>

#define CONTROL_BAD_REQUEST 64 /* EX_USAGE */

struct control_reply {
	FILE *out;
	char *buf;
	size_t size;
};

/* Begin an answer. Returns 0, or -1 without memory. */
int control_reply_start(struct control_reply *reply);

/* It did not work: drops what is there. status of sysexits.h; records may follow. */
void control_reply_error(struct control_reply *reply, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* One record: its kind, then its fields. The first one says "ok" before it, if nobody did. */
void control_reply_record(struct control_reply *reply, const char *kind);
void control_reply_text(struct control_reply *reply, const char *key, const char *text);
void control_reply_number(struct control_reply *reply, const char *key, uint64_t number);

/* A record "line" for each line of a text. Changes the text. */
void control_reply_lines(struct control_reply *reply, char *text);

/* End it. Returns the bytes, the caller's to free, or NULL without memory. */
char *control_reply_take(struct control_reply *reply, size_t *size_r);

/* End it, and throw it away. */
void control_reply_drop(struct control_reply *reply);

#endif
