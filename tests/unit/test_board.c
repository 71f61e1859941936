/*
 * test_board.c - what workers leave for the master: slots, their last lines, the
 * bell, and the ring of those that died.
 */
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "board/bell.h"
#include "board/board.h"
#include "master/postmortem.h"
#include "master/state.h"
#include "unit.h"

static bool rings(int fd)
{
	struct pollfd readable = { .fd = fd, .events = POLLIN };
	uint64_t calls;

	return poll(&readable, 1, 0) == 1 && read(fd, &calls, sizeof(calls)) == sizeof(calls);
}

static void test_bell(void)
{
	struct bell bell = { .ring_at = BELL_NEVER };
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	bell_begin(&bell, fd);
	bell_begin(&bell, fd);
	CHECK(!rings(fd) && bell_busy(&bell) == 2 && bell.peak == 2);
	bell_end(&bell);
	CHECK(bell_busy(&bell) == 1 && bell.peak == 2);
	bell.ring_at = 3;
	bell_begin(&bell, fd);
	CHECK(!rings(fd));
	bell_begin(&bell, fd);
	CHECK(rings(fd) && bell.ring_at == BELL_NEVER && bell.peak == 3);
	/* once, until the master sets it again */
	bell_begin(&bell, fd);
	CHECK(!rings(fd));
	bell.ring_at = 1;
	bell_begin(&bell, fd);
	CHECK(rings(fd));
	bell_call(fd);
	CHECK(rings(fd));
	/* more ends than begins: what died with a conn never ended it, what lies may do so */
	bell.ended = bell.begun + 5;
	CHECK(bell_busy(&bell) == -5);
	close(fd);
}

static void test_slots(void)
{
	struct board *board = board_new(3);
	struct slot *slot = board_slot(board, 1), *own = board_attach(board, 1);
	struct bell *bell = board_attach_bell(board);

	own->served = 7;
	bell->begun = 9;
	CHECK(slot->served == 7 && board_slot(board, 0)->served == 0);
	CHECK(board_slot(board, 2)->served == 0 && board_bell(board)->begun == 9);
	board_clear(board, 1);
	CHECK(own->served == 0 && board_bell(board)->begun == 9);
	board_free(board);
}

static struct counts read_counts(uint64_t accepted, uint64_t served, uint64_t failed,
				 uint64_t refused)
{
	struct slot slot = { .accepted = accepted, .served = served };

	slot.failed = failed;
	slot.refused = refused;
	return board_read(&slot);
}

static void test_counts(void)
{
	struct counts sum = read_counts(10, 5, 2, 1), more = read_counts(1, 0, 0, 0);

	CHECK_NUMBER((long long)sum.in_flight, 2, "what has begun and not ended");
	board_add(&sum, &more);
	CHECK(sum.accepted == 11 && sum.in_flight == 3);
	/* whatever stands there */
	sum = read_counts(3, 5, 2, 1);
	CHECK(sum.in_flight == 0 && sum.accepted == 8);
	sum = read_counts(UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX);
	CHECK(sum.accepted - sum.in_flight == sum.served + sum.failed + sum.refused);
}

static void test_age(void)
{
	struct slot slot = { .since_ms = 500 };

	CHECK_NUMBER(board_age_ms(&slot, 400, 700), 200, "its age");
	CHECK_NUMBER(board_age_ms(&slot, 501, 700), 0, "older than its worker");
	CHECK_NUMBER(board_age_ms(&slot, 400, 499), 0, "not begun yet");
	slot.since_ms = INT64_MIN;
	CHECK_NUMBER(board_age_ms(&slot, 400, 700), 0, "far off");
	slot.since_ms = INT64_MAX;
	CHECK_NUMBER(board_age_ms(&slot, 400, 700), 0, "far off");
}

static const char *notes_of(const struct slot *slot, size_t size)
{
	static char buf[BOARD_NOTES + 1];

	memset(buf, 'x', sizeof(buf));
	board_notes(slot, buf, size);
	return buf;
}

static void test_notes(void)
{
	struct slot *slot = calloc(1, sizeof(*slot));
	char line[64], want[64];

	CHECK_TEXT(notes_of(slot, 100), "", "nothing said");
	board_note(slot, "one");
	board_note(slot, "");
	board_note(slot, "three");
	CHECK_TEXT(notes_of(slot, 100), "one\n\nthree\n", "in their order");
	CHECK_TEXT(notes_of(slot, 12), "one\n\nthree\n", "exactly so long");
	/* the newest ones, and whole lines */
	CHECK_TEXT(notes_of(slot, 11), "\nthree\n", "a byte too short");
	CHECK_TEXT(notes_of(slot, 7), "", "no whole line after the one that is cut");
	CHECK_TEXT(notes_of(slot, 1), "", "no room");
	for (int i = 0; i < 10000; i++) {
		snprintf(line, sizeof(line), "line %d", i);
		board_note(slot, line);
	}
	snprintf(want, sizeof(want), "line 9998\nline 9999\n");
	CHECK_TEXT(notes_of(slot, 25), want, "around the ring many times");
	CHECK(strlen(notes_of(slot, sizeof(line) * 32)) > 1024);
	CHECK(strncmp(notes_of(slot, BOARD_NOTES + 1), "line 9", 6) == 0);
	free(slot);
}

/* A line that is longer than all there is, and an end that nobody wrote. */
static void test_hostile_notes(void)
{
	struct slot *slot = calloc(1, sizeof(*slot));
	char *line = malloc(3 * BOARD_NOTES);

	memset(line, 'a', 3 * BOARD_NOTES - 1);
	line[3 * BOARD_NOTES - 1] = '\0';
	board_note(slot, line);
	CHECK_TEXT(notes_of(slot, 1024), "", "its beginning is gone");
	board_note(slot, "last");
	CHECK_TEXT(notes_of(slot, 1024), "last\n", "the line after it");
	memset(slot->notes, '\xff', BOARD_NOTES);
	slot->notes_end = UINT32_MAX;
	CHECK(strlen(notes_of(slot, 1024)) < 1024);
	slot->notes_end = 5;
	CHECK_TEXT(notes_of(slot, 1024), "\xff\xff\xff\xff\xff", "no line feed at all");
	/* the next ones go on there; the number wraps around like the ring */
	slot->notes_end = UINT32_MAX - 1;
	board_note(slot, "wraps");
	CHECK_NUMBER(slot->notes_end, 4, "around");
	free(line);
	free(slot);
}

static void test_postmortems(void)
{
	struct master master = { .oom_fd = -1 };
	struct postmortem record = { 0 };

	CHECK(postmortem_get(&master, 0) == NULL);
	for (int i = 1; i <= 3; i++) {
		record.pid = i;
		postmortem_add(&master, &record);
	}
	CHECK_NUMBER(postmortem_get(&master, 0)->pid, 3, "the newest");
	CHECK_NUMBER(postmortem_get(&master, 2)->pid, 1, "the oldest");
	CHECK(postmortem_get(&master, 3) == NULL && postmortem_get(&master, 100) == NULL);
	for (int i = 4; i <= 2 * POSTMORTEM_KEPT + 1; i++) {
		record.pid = i;
		postmortem_add(&master, &record);
	}
	CHECK_NUMBER(postmortem_get(&master, 0)->pid, 2 * POSTMORTEM_KEPT + 1, "the newest");
	CHECK_NUMBER(postmortem_get(&master, POSTMORTEM_KEPT - 1)->pid, POSTMORTEM_KEPT + 2,
		     "the oldest of those that are kept");
	CHECK(postmortem_get(&master, POSTMORTEM_KEPT) == NULL);
	CHECK(postmortem_was_oom(&master) == OOM_UNKNOWN);
	postmortem_free(&master);
}

/* Each kill that the kernel counts is told once; what was before is not ours. */
static void test_oom(void)
{
	char path[] = "/tmp/test_board.XXXXXX";
	struct master master = { .oom_fd = mkstemp(path), .oom_kills = 2 };
	static const char text[] = "low 0\nhigh 0\nmax 7\noom 5\noom_kill 4\noom_group_kill 0\n";

	unlink(path);
	CHECK(postmortem_was_oom(&master) == OOM_UNKNOWN);
	CHECK(write(master.oom_fd, text, sizeof(text) - 1) == sizeof(text) - 1);
	CHECK(postmortem_was_oom(&master) == OOM_YES);
	CHECK(postmortem_was_oom(&master) == OOM_YES);
	CHECK(postmortem_was_oom(&master) == OOM_NO);
	postmortem_free(&master);
}

int main(void)
{
	test_bell();
	test_slots();
	test_counts();
	test_age();
	test_notes();
	test_hostile_notes();
	test_postmortems();
	test_oom();
	return unit_end();
}
