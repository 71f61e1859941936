/*
 * stand_in.c - what an upgrade finds instead of preforkd, for tests. Beside it, at the path
 * it was started by, lie
 *
 *	PATH.sh		a bash script, which is run for the rehearsal
 *	PATH.gate	a fifo: the real thing makes PATH.waits, and waits for a line
 *	PATH.real	the preforkd that is then run
 *
 * The real thing runs in the process of the master, so no shell may do it: that would
 * take the ends of the workers.
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sysexits.h>
#include <unistd.h>

static const char *beside(const char *what)
{
	char *path;

	if (asprintf(&path, "%s.%s", (const char *)getauxval(AT_EXECFN), what) < 0)
		err(EX_OSERR, "asprintf");
	return path;
}

static void wait_at_gate(void)
{
	int fd, waits;
	char byte;

	if (access(beside("gate"), F_OK) < 0)
		return;
	waits = open(beside("waits"), O_WRONLY | O_CREAT, 0644);
	fd = open(beside("gate"), O_RDONLY);
	if (waits < 0 || fd < 0 || read(fd, &byte, 1) < 0)
		err(EX_IOERR, "gate");
	close(fd);
	close(waits);
}

int main(int argc, char **argv)
{
	static char shell[] = "/bin/bash";
	const char *script = beside("sh"), *program = beside("real");

	if (argc > 1 && strcmp(argv[1], "--rehearse") == 0 && access(script, F_OK) == 0) {
		char **args = calloc((size_t)argc + 2, sizeof(*args));

		if (args == NULL)
			err(EX_OSERR, "calloc");
		args[0] = shell;
		args[1] = (char *)script;
		memcpy(args + 2, argv + 1, (size_t)(argc - 1) * sizeof(*args));
		execv(shell, args);
		err(EX_OSERR, "%s", shell);
	}
	if (argc < 2 || strcmp(argv[1], "--rehearse") != 0)
		wait_at_gate();
	execv(program, argv);
	err(EX_OSERR, "%s", program);
}
