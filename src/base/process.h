/*
 * process.h - what concerns a whole process: its children, signals, title.
 *
 * Used by the master, by workers, and by the command line.
 */
#ifndef PREFORKD_BASE_PROCESS_H
#define PREFORKD_BASE_PROCESS_H

#include <sys/resource.h>
#include <sys/types.h>

/*
 * Send a signal to a child that is not reaped yet, so its number is its own. That it is
 * gone already is no error; nothing happens if there is none (0).
 */
void process_signal(pid_t child, int signal);

/*
 * Call on_child for each child of the calling process. Their numbers are not used
 * again before they are reaped. Nothing happens where /proc is missing.
 */
void process_each_child(void (*on_child)(pid_t pid, void *data), void *data);

/*
 * Keep the list open for the rest of the life of this process, which may lose /proc
 * (chroot(2), Landlock). -1 with errno.
 */
int process_keep_children(void);

/* Processor time of both kinds that getrusage(2) knows, in milliseconds. */
long long process_cpu_ms(const struct rusage *usage);

#define PROCESS_SIGNAL_NAME 16

/* "SIGTERM", or "SIG34" of one without a name. Returns buf. */
const char *process_signal_name(int signal, char buf[PROCESS_SIGNAL_NAME]);

/* Whoever started us may ignore signals, and all our children would: all as they are by default. */
void process_default_signals(void);

/*
 * Name the process as ps(1) and top(1) show it. title_init() must be called
 * first with main's argv; afterwards the old text of argv is gone.
 */
void process_title_init(int argc, char **argv);
void process_title_set(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
