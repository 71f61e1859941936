#include "worker/calls.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__) && defined(__LP64__)
#define MACHINE AUDIT_ARCH_X86_64
#define NUMBERS_END 0x40000000u /* from here on they are those of x32 */
#elif defined(__aarch64__) && defined(__LP64__) && defined(__AARCH64EL__)
#define MACHINE AUDIT_ARCH_AARCH64
#define NUMBERS_END UINT32_MAX
#else
#define MACHINE 0
#define NUMBERS_END UINT32_MAX
#endif

#define FILTER_MAX 512
#define NUMBERS_MAX 512 /* of the calls that are listed */
#define REFUSE (SECCOMP_RET_ERRNO | EPERM)

/* What becomes of a number: the calls of the lists, the others, and what depends on arguments. */
enum verdict { OTHER, LISTED, LISTED_NOT_EXECUTABLE, LISTED_OWN_PROCESS };

struct call {
	unsigned number;
	const char *name;
	enum verdict verdict;
};

#define CALL(name)                        \
	{                                 \
		SYS_##name, #name, LISTED \
	}

/* Not every machine has the old ones. */
#ifdef SYS_open
#define OLD_FILES                                                                     \
	CALL(open), CALL(creat), CALL(unlink), CALL(rename), CALL(mkdir), CALL(link), \
		CALL(symlink), CALL(chmod), CALL(mknod),
#define OLD_PROCESSES CALL(fork), CALL(vfork),
#define OLD_WAITS CALL(poll), CALL(dup2), CALL(time),
#else
#define OLD_FILES
#define OLD_PROCESSES
#define OLD_WAITS
#endif
#ifdef SYS_iopl
#define PORTS CALL(iopl), CALL(ioperm),
#else
#define PORTS
#endif

/* clang-format off */
static const struct call attacks[] = {
	CALL(ptrace), CALL(process_vm_readv), CALL(process_vm_writev), CALL(pidfd_getfd),
	CALL(mount), CALL(umount2), CALL(pivot_root), CALL(chroot), CALL(open_tree),
	CALL(move_mount), CALL(fsopen), CALL(fsconfig), CALL(fsmount), CALL(fspick),
	CALL(mount_setattr), CALL(setns), CALL(unshare), CALL(open_by_handle_at),
	CALL(bpf), CALL(perf_event_open), CALL(userfaultfd), CALL(io_uring_setup),
	CALL(io_uring_enter), CALL(io_uring_register),
	CALL(init_module), CALL(finit_module), CALL(delete_module), CALL(kexec_load),
	CALL(kexec_file_load), CALL(reboot), CALL(swapon), CALL(swapoff), CALL(acct),
	CALL(quotactl), CALL(syslog), CALL(vhangup), PORTS
	CALL(settimeofday), CALL(clock_settime), CALL(clock_adjtime), CALL(adjtimex),
	CALL(sethostname), CALL(setdomainname),
};

static const struct call news[] = {
	CALL(execve), CALL(execveat), CALL(clone), CALL(clone3), OLD_PROCESSES
	CALL(socket), CALL(socketpair), CALL(connect), CALL(bind), CALL(listen),
	CALL(openat), CALL(openat2), OLD_FILES
	CALL(unlinkat), CALL(renameat2), CALL(mkdirat), CALL(linkat), CALL(symlinkat),
	CALL(fchmodat), CALL(mknodat), CALL(memfd_create),
	CALL(keyctl), CALL(add_key), CALL(request_key),
	CALL(shmget), CALL(semget), CALL(msgget), CALL(mq_open),
	CALL(pidfd_open), CALL(personality), CALL(inotify_init1), CALL(fanotify_init),
};

/* Of these two, what a batch of workers needs until each of them is set up. */
static const struct call setup[] = {
	CALL(clone), CALL(socket), CALL(connect), CALL(openat), CALL(chroot),
};

/* What libc may call at any time, the loops of a worker, its deadlines, its stop and its log. */
static const struct call serving[] = {
	CALL(accept4), CALL(read), CALL(write), CALL(readv), CALL(writev), CALL(close),
	CALL(recvfrom), CALL(recvmsg), CALL(recvmmsg), CALL(sendto), CALL(sendmsg), CALL(sendmmsg),
	CALL(getsockopt), CALL(setsockopt), CALL(getsockname), CALL(getpeername), CALL(shutdown),
	CALL(ppoll), CALL(dup3), CALL(fcntl), OLD_WAITS
	CALL(timer_settime), CALL(timer_gettime), CALL(timer_delete),
	CALL(clock_gettime), CALL(gettimeofday), CALL(clock_nanosleep), CALL(nanosleep),
	CALL(rt_sigreturn), CALL(rt_sigprocmask), CALL(restart_syscall),
	{ SYS_tgkill, "tgkill", LISTED_OWN_PROCESS },
	{ SYS_mmap, "mmap", LISTED_NOT_EXECUTABLE },
	{ SYS_mprotect, "mprotect", LISTED_NOT_EXECUTABLE },
	CALL(munmap), CALL(mremap), CALL(madvise), CALL(brk), CALL(futex), CALL(getrandom),
	CALL(getpid), CALL(getppid), CALL(gettid), CALL(sched_yield), CALL(exit), CALL(exit_group),
};
/* clang-format on */

#define COUNT(list) (sizeof(list) / sizeof(*(list)))

struct filter {
	struct sock_filter code[FILTER_MAX];
	unsigned short length;
	uint32_t listed, other; /* results */
	unsigned char verdict[NUMBERS_MAX];
};

static void add(struct filter *filter, unsigned op, uint32_t value, unsigned yes, unsigned no)
{
	filter->code[filter->length++] = (struct sock_filter)BPF_JUMP(
		(unsigned short)op, value, (unsigned char)yes, (unsigned char)no);
}

static void load(struct filter *filter, size_t offset)
{
	add(filter, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void leave(struct filter *filter, uint32_t result)
{
	add(filter, BPF_RET | BPF_K, result, 0, 0);
}

/* The low half of an argument is enough: the kernel takes these as int. */
static void decide(struct filter *filter, enum verdict verdict)
{
	const size_t args = offsetof(struct seccomp_data, args);

	if (verdict == LISTED_NOT_EXECUTABLE) {
		load(filter, args + 2 * sizeof(uint64_t));
		add(filter, BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 1, 0);
		leave(filter, filter->listed);
	} else if (verdict == LISTED_OWN_PROCESS) {
		load(filter, args);
		add(filter, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)getpid(), 0, 1);
		leave(filter, filter->listed);
	}
	leave(filter, verdict == LISTED ? filter->listed : filter->other);
}

/*
 * The numbers from first on, and below end, by halves: where the filter is made the
 * kernel tries every number there is, and of one list after the other each worker's
 * start would be a third slower. Only jumps, so that it remembers what is always allowed.
 */
static void search(struct filter *filter, const unsigned *starts, unsigned first, unsigned end)
{
	unsigned middle = (first + end) / 2, jump = filter->length;

	if (end - first == 1) {
		decide(filter, filter->verdict[starts[first]]);
		return;
	}
	add(filter, BPF_JMP | BPF_JGE | BPF_K, starts[middle], 0, 0);
	search(filter, starts, first, middle);
	filter->code[jump].jt = (unsigned char)(filter->length - jump - 1);
	search(filter, starts, middle, end);
}

static void search_all(struct filter *filter)
{
	unsigned starts[NUMBERS_MAX] = { 0 }, n = 1;

	for (unsigned number = 1; number < NUMBERS_MAX; number++) {
		if (filter->verdict[number] != filter->verdict[number - 1])
			starts[n++] = number;
	}
	search(filter, starts, 0, n);
}

static void add_list(struct filter *filter, const struct call *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		filter->verdict[list[i].number] = (unsigned char)list[i].verdict;
}

static void choose_refused(struct filter *filter, enum calls_level level)
{
	if (level == CALLS_NO_NEW_NOW) {
		add_list(filter, setup, COUNT(setup));
		return;
	}
	add_list(filter, attacks, COUNT(attacks));
	if (level != CALLS_NO_ATTACKS)
		add_list(filter, news, COUNT(news));
	for (size_t i = 0; level == CALLS_NO_NEW_LATER && i < COUNT(setup); i++)
		filter->verdict[setup[i].number] = OTHER;
}

/* A list makes two steps of each call at most, and the half of them must be within a jump. */
_Static_assert(2 * (COUNT(attacks) + COUNT(news)) + 1 <= UINT8_MAX, "");
_Static_assert(4 * (COUNT(attacks) + COUNT(news)) + 16 < FILTER_MAX, "");
_Static_assert(4 * COUNT(serving) + 32 < FILTER_MAX, "");

static void build(struct filter *filter, enum calls_level level)
{
	if (level == CALLS_SERVING_ONLY) {
		filter->listed = SECCOMP_RET_ALLOW;
		filter->other = SECCOMP_RET_TRAP;
		add_list(filter, serving, COUNT(serving));
	} else {
		filter->listed = REFUSE;
		filter->other = SECCOMP_RET_ALLOW;
		choose_refused(filter, level);
	}
	/* the numbers mean something else on another machine */
	load(filter, offsetof(struct seccomp_data, arch));
	add(filter, BPF_JMP | BPF_JEQ | BPF_K, MACHINE, 1, 0);
	leave(filter, level == CALLS_SERVING_ONLY ? SECCOMP_RET_TRAP : REFUSE);
	load(filter, offsetof(struct seccomp_data, nr));
	add(filter, BPF_JMP | BPF_JGE | BPF_K, NUMBERS_END, 0, 1);
	leave(filter, level == CALLS_SERVING_ONLY ? SECCOMP_RET_TRAP : REFUSE);
	search_all(filter);
}

bool calls_possible(void)
{
	/* EFAULT: it would have looked at the filter; elsewhere EINVAL */
	return MACHINE != 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL) < 0 &&
	       errno == EFAULT;
}

int calls_restrict(enum calls_level level)
{
	struct filter filter = { .length = 0 };
	struct sock_fprog program = { .filter = filter.code };

	build(&filter, level);
	program.len = filter.length;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static const char *find(const struct call *list, size_t count, unsigned number)
{
	for (size_t i = 0; i < count; i++) {
		if (list[i].number == number)
			return list[i].name;
	}
	return NULL;
}

const char *calls_name(unsigned number)
{
	const char *name = find(attacks, COUNT(attacks), number);

	if (name == NULL)
		name = find(news, COUNT(news), number);
	return name != NULL ? name : find(serving, COUNT(serving), number);
}
