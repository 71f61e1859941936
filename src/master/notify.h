/*
 * notify.h - tell the service manager, never waiting for it.
 *
 * The protocol of sd_notify(3), whose own sender would wait for a manager that
 * does not read.
 */
#ifndef PREFORKD_MASTER_NOTIFY_H
#define PREFORKD_MASTER_NOTIFY_H

struct master;

/* WATCHDOG=1. */
void notify_watchdog(void);

/* READY=1, which also ends a RELOADING, whatever came of it. */
void notify_ready(void);

/* RELOADING=1 and MONOTONIC_USEC= in one message, as systemd wants it. */
void notify_reloading(void);

/* STOPPING=1, and that it may take so long. */
void notify_stopping(long long timeout_ms);

/* A start that waits for an address may take so much longer. */
void notify_waiting(long long timeout_ms);

/*
 * FDSTORE=1: keep a copy of this descriptor under this name; a socket that is there
 * already is not put in twice. FDSTOREREMOVE=1: close it. Both return 0, or -1 with
 * errno: the message was not sent.
 */
int notify_store(int fd, const char *name);
int notify_unstore(const char *name);

/* STATUS= with how many workers are ready; sent only when it has changed. */
void notify_status(const struct master *master);

#endif
