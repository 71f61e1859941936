#include "worker/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h> /* the states of TCP */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/process.h"
#include "base/text.h"
#include "board/board.h"
#include "conf/conf.h"
#include "net/address.h"
#include "worker/conn.h"
#include "worker/invocation.h"
#include "worker/output.h"
#include "worker/program.h"
#include "worker/serve.h"

#define GRACE_MS 2000	    /* from SIGTERM to SIGKILL */
#define FINISH_MS 1000	    /* for what a program left, after its end */
#define POLL_MAX_MS 3600000 /* then we look at the clock again */

struct exec {
	const struct serve *serve;
	struct invocation *invocation;
	struct output output; /* standard error of the programs */
	int null;
	int master_fd; /* pidfd of our master */
	struct program program;
	long long began_ms, end_ms; /* end_ms 0: no limit */
	long long kill_ms;	    /* when SIGKILL is due after SIGTERM; 0: not asked to leave */
	/* datagrams: what the program reads and writes */
	int request, answer;
};

void *exec_setup(const struct serve *serve)
{
	struct exec *exec = calloc(1, sizeof(*exec));

	if (exec == NULL)
		return NULL;
	exec->serve = serve;
	exec->master_fd = pidfd_open(getppid(), 0);
	exec->request = exec->answer = -1;
	exec->invocation = invocation_new(serve);
	/* not standard output, which is /dev/null, too: it becomes the connection first */
	exec->null = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (exec->invocation == NULL || exec->null < 0 || exec->master_fd < 0 ||
	    program_setup() < 0 ||
	    (serve->service->stderr_to == CONF_STDERR_LOG &&
	     output_setup(&exec->output, serve) < 0)) {
		free(exec);
		return NULL;
	}
	return exec;
}

/* A datagram is the whole of standard input; what the pipe cannot hold is too long. */
static int make_input(const struct conn *conn, int *reader_r)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	*reader_r = ends[0];
	if (conn->request_left > 0 &&
	    write(ends[1], conn->request, conn->request_left) != (ssize_t)conn->request_left) {
		close(ends[1]);
		fd_close(reader_r);
		errno = EMSGSIZE;
		return -1;
	}
	close(ends[1]);
	/* the program shall see a usual pipe */
	fcntl(*reader_r, F_SETFL, 0);
	return 0;
}

static int stderr_fd(const struct exec *exec, int connection)
{
	switch (exec->serve->service->stderr_to) {
	case CONF_STDERR_LOG:
		return exec->output.write_fd;
	case CONF_STDERR_CONNECTION:
		return connection;
	default:
		return exec->null;
	}
}

/* Returns the end of the pipe that the answer to a datagram comes out of, in exec->answer. */
static int start(struct exec *exec, const struct conn *conn)
{
	int answer[2] = { -1, -1 }, fds[3] = { conn->fd, conn->fd, -1 };
	int r = 0;

	if (conn_is_message(conn)) {
		if (pipe2(answer, O_CLOEXEC) < 0)
			return -1;
		exec->answer = answer[0];
		if (make_input(conn, &exec->request) < 0) {
			fd_close(&answer[1]);
			return -1;
		}
		fds[0] = exec->request;
		fds[1] = answer[1];
		fcntl(exec->answer, F_SETFL, O_NONBLOCK);
	}
	fds[2] = stderr_fd(exec, fds[1]);
	invocation_fill(exec->invocation, exec->serve, conn->fd);
	r = program_start(&exec->program, exec->invocation->argv[0], exec->invocation->argv,
			  exec->invocation->envp, fds);
	fd_close(&answer[1]);
	fd_close(&exec->request);
	return r;
}

/* How long poll(2) may wait, in milliseconds. */
static int ms_until(long long at_ms)
{
	long long left_ms = at_ms - clock_now_ms();

	if (left_ms < 0)
		return 0;
	return left_ms < POLL_MAX_MS ? (int)left_ms : POLL_MAX_MS;
}

/* TERM when the time is over, then KILL. Returns how long poll(2) may wait; -1: for ever. */
static int enforce_deadline(struct exec *exec)
{
	long long now_ms;

	if (exec->end_ms == 0)
		return -1;
	now_ms = clock_now_ms();
	if (exec->kill_ms == 0 && now_ms >= exec->end_ms) {
		program_signal(&exec->program, SIGTERM);
		exec->kill_ms = now_ms + GRACE_MS;
	} else if (exec->kill_ms != 0 && now_ms >= exec->kill_ms) {
		program_signal(&exec->program, SIGKILL);
		return -1;
	}
	return ms_until(exec->kill_ms != 0 ? exec->kill_ms : exec->end_ms);
}

/* What does not fit the answer is read and forgotten, so that the program can go on. */
static bool take_answer(struct exec *exec, struct conn *conn)
{
	char buf[4096];
	ssize_t n = read(exec->answer, buf, sizeof(buf));

	if (n > 0)
		(void)conn_write(conn, buf, (size_t)n);
	return n > 0;
}

/* Without a master nobody ends us after the drain time: so we do it ourselves. */
static void limit_orphan(struct exec *exec)
{
	long long latest_ms = clock_now_ms() + exec->serve->service->drain_ms;

	if (exec->end_ms == 0 || exec->end_ms > latest_ms)
		exec->end_ms = latest_ms;
}

/*
 * Until the program has ended, or that which it left; true. With a limit_ms not longer
 * than to that moment: false.
 */
static bool wait_for(struct exec *exec, struct conn *conn, long long limit_ms)
{
	struct pollfd fds[] = {
		{ .fd = exec->program.pidfd, .events = POLLIN },
		{ .fd = exec->output.read_fd, .events = POLLIN },
		{ .fd = exec->answer, .events = POLLIN },
		{ .fd = exec->master_fd, .events = POLLIN },
	};

	if (exec->serve->service->stderr_to != CONF_STDERR_LOG)
		fds[1].fd = -1;
	for (;;) {
		int wait_ms = limit_ms == 0 ? enforce_deadline(exec) : ms_until(limit_ms);

		if (limit_ms != 0 && wait_ms == 0)
			return false;
		if (poll(fds, 4, wait_ms) <= 0)
			continue; /* a signal, or the deadline */
		if (fds[1].revents != 0)
			(void)output_take(&exec->output);
		if (fds[2].revents != 0 && !take_answer(exec, conn))
			fds[2].fd = -1; /* closed its end before it ended */
		if (fds[3].revents != 0) {
			limit_orphan(exec);
			fds[3].fd = -1;
		}
		if (fds[0].revents != 0)
			return true;
	}
}

/*
 * The end of the answer may still be with a child that copies it (recordio, a filter
 * behind an &). Who is out of time has no more of it.
 */
static void finish(struct exec *exec, struct conn *conn)
{
	long long limit_ms = clock_now_ms() + FINISH_MS;

	if (exec->end_ms != 0 && exec->end_ms < limit_ms)
		limit_ms = exec->end_ms;
	while (program_left(&exec->program)) {
		if (exec->kill_ms == 0 && wait_for(exec, conn, limit_ms))
			continue;
		program_end(&exec->program);
		return;
	}
}

static bool has_ended(int state)
{
	return state == BPF_TCP_CLOSE_WAIT || state == BPF_TCP_LAST_ACK ||
	       state == BPF_TCP_CLOSING || state == BPF_TCP_CLOSE;
}

/* The kernel counts the bytes of a TCP connection that the program talked on. */
static void count_bytes(struct conn *conn)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);

	if (conn->fd < 0 || getsockopt(conn->fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
		return;
	conn->bytes_in = info.tcpi_bytes_received;
	/* the end of the other side is counted like a byte */
	if (has_ended(info.tcpi_state) && conn->bytes_in > 0)
		conn->bytes_in--;
	conn->bytes_out = info.tcpi_bytes_sent - info.tcpi_bytes_retrans + info.tcpi_notsent_bytes;
}

static const char *describe(const struct exec *exec, int status, struct text *text)
{
	char name[PROCESS_SIGNAL_NAME];

	if (exec->kill_ms != 0)
		text_add(text, "timeout ");
	if (WIFSIGNALED(status))
		text_addf(text, "%s%s", process_signal_name(WTERMSIG(status), name),
			  WCOREDUMP(status) ? " (core dumped)" : "");
	else
		text_addf(text, "status %d", WEXITSTATUS(status));
	return text->buf;
}

static void count_end(const struct exec *exec, int status, const struct rusage *usage)
{
	struct slot *slot = exec->serve->slot;

	board_count(&slot->programs_ms, (uint64_t)(clock_now_ms() - exec->began_ms));
	board_count(&slot->programs_cpu_ms, (uint64_t)process_cpu_ms(usage));
	if (exec->kill_ms != 0)
		board_count(&slot->timed_out, 1);
	else if (WIFSIGNALED(status))
		board_count(&slot->by_signal, 1);
}

static void log_end(const struct exec *exec, const struct conn *conn, int status,
		    const struct rusage *usage)
{
	const struct serve *serve = exec->serve;
	char reason[64], peer[ADDRESS_TEXT_MAX];
	struct text text = text_start(reason, sizeof(reason));

	log_write(exec->kill_ms != 0 || WIFSIGNALED(status) ? LOG_LEVEL_WARNING :
		  status != 0				    ? LOG_LEVEL_INFO :
							      LOG_LEVEL_DEBUG,
		  "program_exit",
		  LOG_FIELDS(KV("service", conf_string(serve->conf, serve->service->name)),
			     KV("worker", serve->index), KV("connection", serve->slot->accepted),
			     KV("peer",
				address_text(&serve->slot->peer, serve->slot->peer_length, peer)),
			     KV("program_pid", exec->program.pid),
			     KV("reason", describe(exec, status, &text)),
			     KV("age_ms", clock_now_ms() - exec->began_ms),
			     KV("cpu_ms", process_cpu_ms(usage)), KV("bytes_in", conn->bytes_in),
			     KV("bytes_out", conn->bytes_out)));
}

static int exec_serve(struct conn *conn, void *state)
{
	struct exec *exec = state;
	const struct serve *serve = exec->serve;
	struct rusage usage;
	int status;

	exec->began_ms = clock_now_ms();
	exec->end_ms = serve->service->total_ms > 0 ? exec->began_ms + serve->service->total_ms : 0;
	exec->kill_ms = 0;
	if (start(exec, conn) < 0) {
		int error = errno;

		log_error("program_failed",
			  KV("service", conf_string(serve->conf, serve->service->name)),
			  KV("worker", serve->index), KV("program", exec->invocation->argv[0]),
			  KV("error", strerror(error)));
		fd_close(&exec->answer);
		errno = error;
		return -1;
	}
	(void)wait_for(exec, conn, 0);
	program_reap(&exec->program, &status, &usage);
	finish(exec, conn);
	while (exec->answer >= 0 && take_answer(exec, conn))
		;
	fd_close(&exec->answer);
	if (serve->service->stderr_to == CONF_STDERR_LOG)
		output_end(&exec->output);
	count_bytes(conn);
	count_end(exec, status, &usage);
	log_end(exec, conn, status, &usage);
	errno = exec->kill_ms != 0 ? ETIMEDOUT : 0;
	return status == 0 && exec->kill_ms == 0 ? 0 : -1;
}

const struct handler handler_exec = {
	.abi = HANDLER_ABI,
	.name = "exec",
	.summary = "a program for each connection",
	.serve = exec_serve,
};
