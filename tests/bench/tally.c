/*
 * tally.c - counts and latencies of each server, its turns, and the line of
 * key=value that says them.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "clients.h"

#define NS_PER_MS 1000000ULL

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

void slice_begin(struct slice *slice, const struct load *load, int server)
{
	struct tally *tally = &load->tally[server];
	uint64_t now = now_ns();

	*slice = (struct slice){
		.load = load,
		.server = server,
		.tally = tally,
		.ok_before = tally->outcome[OK],
		.begin_ns = now,
		.until_ns = load->slice_ms ? now + load->slice_ms * NS_PER_MS : load->stop_ns,
	};
}

bool slice_next(struct slice *slice, uint64_t ended_ns)
{
	const struct load *load = slice->load;
	struct tally *tally = slice->tally;
	uint64_t took_ns = ended_ns - slice->begin_ns;

	tally->took_ns += took_ns;
	if (tally->slices < SLICES_MAX)
		tally->slice_rate[tally->slices++] =
			(double)(tally->outcome[OK] - slice->ok_before) / (double)took_ns;
	if (!load->slice_ms || (slice->server == 1 && ended_ns >= load->stop_ns))
		return false;
	slice_begin(slice, load, !slice->server);
	return true;
}

bool slice_wants(const struct slice *slice, unsigned long started)
{
	const struct load *load = slice->load;

	if (load->connections == 0)
		return now_ns() < slice->until_ns;
	return started < load->connections || (load->gate && access(load->gate, F_OK) < 0);
}

/* Latencies are counted in cells: 512 to each power of two. */
void tally_latency(struct tally *tally, uint64_t ns)
{
	unsigned int shift = 0;
	uint64_t cell;

	while (ns >> shift >= 2U << CELL_BITS)
		shift++;
	cell = ((uint64_t)shift << CELL_BITS) + (ns >> shift);
	tally->cell[cell < CELLS ? cell : CELLS - 1]++;
}

static double cell_us(unsigned int cell)
{
	unsigned int shift = cell >> CELL_BITS ? (cell >> CELL_BITS) - 1 : 0;

	return (double)((uint64_t)(cell - (shift << CELL_BITS)) << shift) / 1000;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/*
 * Rate of the server beside to that of the other one: the median of all pairs of
 * slices, so that what disturbs some of them does not count.
 */
static double slice_ratio(const struct tally *a, const struct tally *b)
{
	static double ratio[SLICES_MAX];

	for (unsigned int i = 0; i < b->slices; i++)
		ratio[i] = b->slice_rate[i] / a->slice_rate[i];
	qsort(ratio, b->slices, sizeof(*ratio), compare);
	return ratio[b->slices / 2];
}

static void print_latencies(const struct tally *t)
{
	static const struct {
		const char *name;
		double share;
	} quantiles[] = {
		{ "p50_us", 0.5 }, { "p99_us", 0.99 }, { "p999_us", 0.999 }, { "max_us", 1 }
	};
	unsigned long seen = 0, ok = t->outcome[OK];
	unsigned int cell = 0;

	for (int i = 0; i < 4; i++) {
		while (cell < CELLS &&
		       (double)(seen + t->cell[cell]) < quantiles[i].share * (double)ok)
			seen += t->cell[cell++];
		printf(" %s=%.1f", quantiles[i].name, cell_us(cell));
	}
}

int tally_report(const struct load *load, int server, double took_s)
{
	const struct tally *t = &load->tally[server];
	unsigned long all = 0, ok = t->outcome[OK], good = ok;

	for (int i = 0; i < OUTCOMES; i++)
		all += t->outcome[i];
	printf("connections=%lu ok=%lu refused=%lu reset=%lu wrong=%lu timeout=%lu", all, ok,
	       t->outcome[REFUSED], t->outcome[RESET], t->outcome[WRONG], t->outcome[TIMEOUT]);
	printf(" seconds=%.3f rate=%.0f", took_s, (double)ok / took_s);
	print_latencies(t);
	if (server > 0)
		printf(" ratio=%.4f", slice_ratio(&load->tally[0], t));
	if (putchar('\n') == EOF || fflush(stdout) == EOF)
		err(EX_IOERR, "standard output");
	/* datagrams may get lost */
	if (load->type == SOCK_DGRAM)
		good += t->outcome[TIMEOUT];
	return ok > 0 && good == all ? EXIT_SUCCESS : EXIT_FAILURE;
}
