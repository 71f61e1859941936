/*
 * without.c - run a program as on a kernel without Landlock and without seccomp filters:
 *
 *	without {landlock | seccomp | both} PROGRAM [ARGUMENT...]
 */
#include <err.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <unistd.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define UNLESS(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip)
#define FAIL(error) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))

static struct sock_filter no_landlock[] = {
	LOAD(nr),
	UNLESS(SYS_landlock_create_ruleset, 1),
	FAIL(ENOSYS),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

static struct sock_filter no_seccomp[] = {
	LOAD(nr),      UNLESS(SYS_prctl, 3),
	LOAD(args[0]), UNLESS(PR_SET_SECCOMP, 1),
	FAIL(EINVAL),  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

static void take_away(struct sock_filter *code, size_t length)
{
	struct sock_fprog program = { (unsigned short)length, code };

	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		err(EX_OSERR, "PR_SET_SECCOMP");
}

int main(int argc, char **argv)
{
	if (argc < 3)
		errx(EX_USAGE, "usage: without {landlock | seccomp | both} PROGRAM ...");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		err(EX_OSERR, "PR_SET_NO_NEW_PRIVS");
	if (strcmp(argv[1], "seccomp") != 0)
		take_away(no_landlock, sizeof(no_landlock) / sizeof(*no_landlock));
	if (strcmp(argv[1], "landlock") != 0)
		take_away(no_seccomp, sizeof(no_seccomp) / sizeof(*no_seccomp));
	execvp(argv[2], argv + 2);
	err(EX_UNAVAILABLE, "%s", argv[2]);
}
