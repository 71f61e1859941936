/*
 * hostile: run a program under conditions that a careless parent leaves behind.
 *
 *	hostile WORD[,WORD...] COMMAND [ARGUMENT...]
 *
 * sigchld: SIGCHLD is ignored (children are never seen); ignored: so are all other signals that can be; blocked: all
 * signals are blocked; closed: descriptors 0 to 2 are closed; stray: 1000 more are open; umask: 0777; nofile: the soft
 * limit of open files is 20, nofile_hard: the hard one is 64.
 */
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define STRAY 1000

static void ignore_all(void)
{
	for (int i = 1; i < NSIG; i++) {
		if (i != SIGCHLD)
			signal(i, SIG_IGN);
	}
}

static void block_all(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
}

static void limit_files(rlim_t soft, rlim_t hard)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	if (hard > 0)
		limit.rlim_max = hard;
	limit.rlim_cur = soft < limit.rlim_max ? soft : limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		err(EX_OSERR, "RLIMIT_NOFILE");
}

static void open_stray(void)
{
	limit_files(2 * STRAY, 0);
	for (int i = 0; i < STRAY; i++) {
		if (open("/dev/null", O_RDWR) < 0)
			err(EX_OSERR, "descriptor %d", i);
	}
}

static void set_up(const char *word)
{
	if (strcmp(word, "sigchld") == 0)
		signal(SIGCHLD, SIG_IGN);
	else if (strcmp(word, "ignored") == 0)
		ignore_all();
	else if (strcmp(word, "blocked") == 0)
		block_all();
	else if (strcmp(word, "stray") == 0)
		open_stray();
	else if (strcmp(word, "umask") == 0)
		umask(0777);
	else if (strcmp(word, "nofile") == 0)
		limit_files(20, 0);
	else if (strcmp(word, "nofile_hard") == 0)
		limit_files(64, 64);
	else if (strcmp(word, "closed") == 0)
		for (int fd = 0; fd <= 2; fd++)
			close(fd);
	else
		errx(EX_USAGE, "%s: no such condition", word);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		errx(EX_USAGE, "usage: hostile WORD[,WORD...] COMMAND [ARGUMENT...]");
	for (char *word = strtok(argv[1], ","); word != NULL; word = strtok(NULL, ","))
		set_up(word);
	execv(argv[2], argv + 2);
	err(EX_UNAVAILABLE, "%s", argv[2]);
}
