#include "base/process.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
	char *start; /* of the argv strings, which lie one behind the other */
	size_t size;
} title;

void process_signal(pid_t child, int signal)
{
	/* 0 and less are groups */
	if (child > 0)
		(void)kill(child, signal);
}

static FILE *kept; /* the list of our children, for who will not see /proc any more */

static FILE *open_children(void)
{
	return fopen("/proc/thread-self/children", "re");
}

int process_keep_children(void)
{
	kept = open_children();
	return kept != NULL ? 0 : -1;
}

static void read_children(FILE *file, void (*on_child)(pid_t pid, void *data), void *data)
{
	char *line = NULL, *at;
	size_t size = 0;

	if (getline(&line, &size, file) > 0) {
		for (long pid = strtol(line, &at, 10); pid > 0; pid = strtol(at, &at, 10))
			on_child((pid_t)pid, data);
	}
	free(line);
}

void process_each_child(void (*on_child)(pid_t pid, void *data), void *data)
{
	FILE *file = kept != NULL ? kept : open_children();

	if (file == NULL)
		return;
	rewind(file);
	read_children(file, on_child, data);
	if (file != kept)
		fclose(file);
}

long long process_cpu_ms(const struct rusage *usage)
{
	return (usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000LL +
	       (usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1000;
}

const char *process_signal_name(int signal, char buf[PROCESS_SIGNAL_NAME])
{
	const char *name = sigabbrev_np(signal);

	if (name != NULL)
		snprintf(buf, PROCESS_SIGNAL_NAME, "SIG%s", name);
	else
		snprintf(buf, PROCESS_SIGNAL_NAME, "SIG%d", signal);
	return buf;
}

void process_default_signals(void)
{
	/* the kernel's struct: libc lets nobody touch two signals, which may be ignored, too */
	const unsigned long action[4] = { 0 };

	for (int number = 1; number < NSIG; number++)
		(void)syscall(SYS_rt_sigaction, number, action, NULL, sizeof(action[0]));
}

void process_title_init(int argc, char **argv)
{
	char *end;

	if (argc < 1)
		return;
	end = argv[0] + strlen(argv[0]) + 1;
	for (int i = 1; i < argc && argv[i] == end; i++)
		end = argv[i] + strlen(argv[i]) + 1;
	title.start = argv[0];
	title.size = (size_t)(end - argv[0]);
}

void process_title_set(const char *format, ...)
{
	char text[128];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	prctl(PR_SET_NAME, text);
	if (title.size > 0) {
		memset(title.start, 0, title.size);
		snprintf(title.start, title.size, "%s", text);
	}
}
