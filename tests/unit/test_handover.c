/*
 * test_handover.c - src/master/handover.c, bequeath.c and inherit.c: what a master leaves
 * arrives as it was; and what is not whole, or of another layout, is refused.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/text.h"
#include "conf/graft.h"
#include "conf/load.h"
#include "master/account.h"
#include "master/bequeath.h"
#include "master/handover.h"
#include "master/inherit.h"
#include "master/postmortem.h"
#include "unit.h"

#define SEATS 9
#define ENDS (POSTMORTEM_KEPT + 6)

static struct listener_spec spec_of(unsigned char port)
{
	struct listener_spec spec = { .family = AF_INET, .type = SOCK_STREAM, .protocol = 6 };

	spec.length = 16;
	((unsigned char *)&spec.address)[3] = port;
	return spec;
}

/* A conf that has the services one, two, ... at the ports 1, 2, ... */
static const struct conf *make_conf(unsigned n)
{
	static const char *const names[] = { "one", "two", "three" };
	struct conf base = { .magic = CONF_MAGIC, .version = CONF_VERSION, .size = sizeof(base) };
	struct listener_spec specs[3];
	struct conf_stub stubs[3];

	for (unsigned i = 0; i < 3; i++) {
		specs[i] = spec_of((unsigned char)(i + 1));
		stubs[i] = (struct conf_stub){ .name = names[i], .spec = &specs[i] };
	}
	return conf_graft(&base, stubs, n);
}

static void add_worker(struct service_pool *pool, unsigned seat, pid_t pid)
{
	pool->workers[seat] = (struct worker){
		.pool = pool,
		.seat = seat,
		.pid = pid,
		.born_ms = 1000 + seat,
		.told_why = seat == 2 ? "stuck" : NULL,
		.kill_wanted = seat == 2,
	};
	pool_spawned(&pool->policy, seat, 5000 + seat);
	pool_ready(&pool->policy, seat, 6000 + seat);
}

static void make_pool(struct service_pool *pool, struct generation *generation, unsigned index)
{
	pool->generation = generation;
	pool->service = conf_service(generation->conf, index);
	pool->bell_fd = pool->ready_fd = -1;
	pool->workers = calloc(SEATS, sizeof(*pool->workers));
	pool->board = board_new(SEATS);
	pool_init(&pool->policy, calloc(SEATS, sizeof(struct seat)), SEATS, SEATS);
}

static struct generation *make_generation(struct master *master, unsigned id, unsigned n)
{
	struct generation *generation = calloc(1, sizeof(*generation));

	generation->master = master;
	generation->id = id;
	generation->born_ms = 900 + id;
	generation->conf = make_conf(n);
	generation->n_pools = n;
	generation->pools = calloc(n, sizeof(*generation->pools));
	for (unsigned i = 0; i < n; i++)
		make_pool(&generation->pools[i], generation, i);
	return generation;
}

static struct open_listener *add_listener(struct master *master, const char *service, unsigned n)
{
	struct open_listener *open = calloc(1, sizeof(*open));

	snprintf(open->service, sizeof(open->service), "%s", service);
	open->listener.spec = spec_of(1);
	open->listener.fds = calloc(n, sizeof(int));
	open->listener.n_fds = n;
	for (unsigned i = 0; i < n; i++)
		open->listener.fds[i] = 50 + (int)i;
	open->next = master->listeners;
	master->listeners = open;
	return open;
}

static struct master *make_master(void)
{
	struct master *master = calloc(1, sizeof(*master));
	struct open_listener *stored;

	master->config_path = "/etc/some.conf";
	master->lock_fd = 7;
	master->pidfile_fd = master->messages_fd = -1;
	master->last_id = 6;
	master->born_ms = 4242;
	master->reload_wanted = true;
	account_add(master, "gone", &(struct counts){ .accepted = 5, .served = 5 });
	account_add(master, "one", &(struct counts){ .accepted = 7, .served = 6, .lost = 1 });
	for (unsigned i = 0; i < ENDS; i++)
		postmortem_add(master, &(struct postmortem){ .pid = (pid_t)i, .peer = "-" });
	stored = add_listener(master, "two", 1);
	stored->stored = 1;
	snprintf(stored->stored_as, sizeof(stored->stored_as), "former");
	master->current = make_generation(master, 6, 3);
	master->current->pools[0].listener = add_listener(master, "one", 4);
	add_worker(&master->current->pools[0], 0, 11);
	add_worker(&master->current->pools[0], 2, 12);
	master->retired = make_generation(master, 5, 1);
	add_worker(&master->retired->pools[0], 8, 13);
	pool_stop_sent(&master->retired->pools[0].policy, 8, 7000);
	return master;
}

static void *open_content(int fd, size_t *size_r, char why[256])
{
	struct text error = text_start(why, 256);

	return handover_open(fd, size_r, &error);
}

/* What is read from so many bytes of the content; NULL: it is refused. */
static struct master *inherit(const char *content, size_t size, const struct conf *conf)
{
	struct handover_cursor cursor = { .at = content, .left = size };
	struct master *master = calloc(1, sizeof(*master));
	struct handover_master record;
	char why[256];
	struct text error = text_start(why, sizeof(why));

	if (inherit_master(master, &cursor, &record, &error) == 0 &&
	    inherit_all(master, &cursor, &record, conf, &error) == 0) {
		CHECK_TEXT(record.config_path, "/etc/some.conf", "path");
		CHECK_NUMBER(record.conf_fd, 33, "conf");
		return master;
	}
	CHECK(why[0] != '\0');
	return NULL;
}

static void check_workers(const struct master *master)
{
	const struct service_pool *pool = &master->current->pools[0];
	const struct service_pool *old = &master->retired->pools[0];

	CHECK_NUMBER(pool->workers[0].pid, 11, "seat 0");
	CHECK_NUMBER(pool->workers[1].pid, 0, "seat 1");
	CHECK_NUMBER(pool->workers[2].pid, 12, "seat 2");
	CHECK(pool->workers[2].pool == pool);
	CHECK_TEXT(pool->workers[2].told_why, "stuck", "why it was told");
	CHECK(pool->workers[0].told_why == NULL);
	CHECK_NUMBER(pool->policy.seats[2].phase, SEAT_READY, "phase");
	CHECK_NUMBER(pool->policy.seats[2].since_ms, 6002, "since");
	CHECK_NUMBER(pool->policy.count[SEAT_READY], 2, "how many are ready");
	CHECK_NUMBER(old->workers[8].pid, 13, "the last seat");
	CHECK_NUMBER(old->policy.seats[8].phase, SEAT_LEAVING, "phase of who leaves");
}

static void check_all(const struct master *master)
{
	const struct generation *current = master->current;

	CHECK(master->lock_fd == 7 && master->pidfile_fd == -1 && master->reload_wanted);
	CHECK(master->last_id == 6 && master->born_ms == 4242 && !master->reopen_wanted);
	CHECK_TEXT(master->listeners->service, "one", "first listener");
	CHECK_NUMBER(master->listeners->listener.fds[3], 53, "its last socket");
	CHECK_TEXT(master->listeners->next->service, "two", "second listener");
	CHECK_TEXT(master->listeners->next->stored_as, "former", "its name in the store");
	CHECK(master->listeners->next->stored == 1 && master->listeners->stored == 0);
	CHECK(master->listeners->next->next == NULL);
	CHECK_TEXT(master->accounts->service, "one", "account");
	CHECK_NUMBER((long long)master->accounts->counts.lost, 1, "lost");
	CHECK_TEXT(master->accounts->next->service, "gone", "account");
	CHECK_NUMBER(postmortem_get(master, 0)->pid, ENDS - 1, "the newest end");
	CHECK_NUMBER(postmortem_get(master, POSTMORTEM_KEPT - 1)->pid, ENDS - POSTMORTEM_KEPT,
		     "the oldest end that is kept");
	CHECK_NUMBER(master->n_postmortems, ENDS, "how many there were");
	CHECK(current->id == 6 && current->n_pools == 3 && current->inherited);
	CHECK(current->born_ms == 906 && master->retired->born_ms == 905);
	CHECK(current->pools[0].kills == 1 && master->retired->pools[0].kills == 0);
	CHECK(current->pools[0].listener == master->listeners);
	CHECK(current->pools[1].listener == NULL);
	CHECK(master->retired->id == 5 && master->retired->next == NULL);
	check_workers(master);
}

/* Services are found in the new conf by name and address; one that is gone starts nobody. */
static void check_services(const struct master *master, unsigned known)
{
	static const char *const names[] = { "one", "two", "three" };

	for (unsigned i = 0; i < 3; i++) {
		const struct service_pool *pool = &master->current->pools[i];

		CHECK_TEXT(conf_string(master->current->conf, pool->service->name), names[i],
			   "service");
		CHECK_NUMBER(pool->outdated, i >= known, names[i]);
	}
}

static void test_round(const char *content, size_t size)
{
	for (unsigned known = 0; known <= 3; known++) {
		const struct conf *conf = make_conf(known);
		struct master *master = inherit(content, size, conf);

		if (!CHECK(master != NULL))
			continue;
		check_all(master);
		check_services(master, known);
	}
}

/* A content that ends too early, or goes on behind its end, is none; and nothing is read there. */
static void test_other_sizes(const char *content, size_t size)
{
	const struct conf *conf = make_conf(3);

	for (size_t cut = 0; cut < size; cut += cut < 64 || size - cut < 200 ? 1 : 997) {
		char *exact = malloc(cut + 1);

		memcpy(exact, content, cut);
		CHECK(inherit(exact, cut, conf) == NULL);
		free(exact);
	}
	CHECK(inherit(content, size + 1, conf) == NULL);
}

/* What is whole, and yet cannot be. */
static void test_impossible(void)
{
	struct master *master = make_master();
	const struct conf *conf = make_conf(3);
	char why[256], *content;
	size_t size;

	master->current->pools[1].policy.capacity = 1;
	content = open_content(bequeath(master, 33), &size, why);
	CHECK(inherit(content, size, conf) == NULL);
	master->current->pools[1].policy.capacity = SEATS;
	master->listeners->listener.n_fds = 0;
	content = open_content(bequeath(master, 33), &size, why);
	CHECK(inherit(content, size, conf) == NULL);
	master->listeners->listener.n_fds = 4;
	content = open_content(bequeath(master, 33), &size, why);
	CHECK(inherit(content, size, conf) != NULL);
}

/* The same in another file, with one bit changed, or cut off. */
static int copy(const char *data, size_t size, size_t bit)
{
	int fd = memfd_create("copy", MFD_CLOEXEC);
	char *changed = malloc(size);

	memcpy(changed, data, size);
	if (bit / 8 < size)
		changed[bit / 8] ^= (char)(1 << bit % 8);
	CHECK(write(fd, changed, size) == (ssize_t)size);
	free(changed);
	return fd;
}

static void check_refused(int fd, const char *expected)
{
	char why[256];
	size_t size;
	void *content = open_content(fd, &size, why);

	CHECK(content == NULL);
	if (!unit_check(strstr(why, expected) != NULL, __FILE__, __LINE__, expected))
		fprintf(stderr, "  got      %s\n", why);
	free(content);
	close(fd);
}

static void test_corrupted(int state)
{
	off_t end = lseek(state, 0, SEEK_END);
	size_t size = (size_t)end;
	char *data = malloc(size), words[64];

	CHECK(pread(state, data, size, 0) == end);
	for (size_t bit = 0; bit < 8 * size; bit += bit < 8 * 300 ? 1 : 8 * 211 + 1)
		check_refused(copy(data, size, bit), bit < 64 ? "is not from preforkd" : "");
	check_refused(copy(data, size, 8 * 20000), "wrong checksum");
	check_refused(copy(data, size - 1, SIZE_MAX), "cut off");
	check_refused(copy(data, sizeof(struct handover_header), SIZE_MAX), "cut off");
	check_refused(copy(data, 31, SIZE_MAX), "nothing was handed over");
	check_refused(copy(data, 0, SIZE_MAX), "nothing was handed over");
	snprintf(words, sizeof(words), "has layout %d, mine is %d", HANDOVER_LAYOUT ^ 8,
		 HANDOVER_LAYOUT);
	check_refused(copy(data, size, 8 * offsetof(struct handover_header, layout) + 3), words);
	snprintf(words, sizeof(words), "layout %d of another build", HANDOVER_LAYOUT);
	check_refused(copy(data, size, 8 * offsetof(struct handover_header, shape)), words);
	free(data);
}

static void test_sealed(int state)
{
	CHECK(write(state, "x", 1) < 0);
	CHECK(ftruncate(state, 0) < 0);
	CHECK(mmap(NULL, 1, PROT_WRITE, MAP_SHARED, state, 0) == MAP_FAILED);
}

int main(void)
{
	struct master *master = make_master();
	int state = bequeath(master, 33);
	size_t size = 0;
	char why[256];
	char *content = open_content(state, &size, why);
	int status;

	if (!CHECK(content != NULL))
		return unit_end();
	test_round(content, size);
	test_other_sizes(content, size);
	test_impossible();
	test_corrupted(state);
	test_sealed(state);
	status = unit_end();
	fflush(NULL);
	/* what was made and read is not freed, and its descriptors are not there */
	_exit(status);
}
