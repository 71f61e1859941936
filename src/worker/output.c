#include "worker/output.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "board/board.h"
#include "conf/conf.h"
#include "worker/serve.h"

#define LINES_MAX 100  /* of one conn */
#define READS_MAX 1024 /* after its end */

int output_setup(struct output *output, const struct serve *serve)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	/* our end only: a program expects a pipe that waits */
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	*output = (struct output){ .serve = serve, .read_fd = ends[0], .write_fd = ends[1] };
	return 0;
}

static void end_line(struct output *output)
{
	const struct serve *serve = output->serve;

	output->line[output->length] = '\0';
	if (output->length > 0 && output->lines < LINES_MAX)
		board_note(serve->slot, output->line);
	if (output->length > 0 && output->lines++ < LINES_MAX)
		log_info("program_output",
			 KV("service", conf_string(serve->conf, serve->service->name)),
			 KV("worker", serve->index), KV("connection", serve->slot->accepted),
			 KV("line", output->line));
	else if (output->length > 0)
		output->dropped++;
	output->length = 0;
}

bool output_take(struct output *output)
{
	char buf[4096];
	ssize_t n = read(output->read_fd, buf, sizeof(buf));

	for (ssize_t i = 0; i < n; i++) {
		if (buf[i] == '\n' || buf[i] == '\0')
			end_line(output);
		else
			output->line[output->length++] = buf[i];
		if (output->length == OUTPUT_LINE_MAX)
			end_line(output);
	}
	return n > 0;
}

void output_end(struct output *output)
{
	const struct serve *serve = output->serve;

	/* nobody writes any more, but nobody is believed either */
	for (int i = 0; i < READS_MAX && output_take(output); i++)
		;
	end_line(output);
	if (output->dropped > 0)
		log_warning("program_output_dropped",
			    KV("service", conf_string(serve->conf, serve->service->name)),
			    KV("worker", serve->index), KV("connection", serve->slot->accepted),
			    KV("lines", output->dropped));
	output->lines = output->dropped = 0;
	/* what a program did to its end, it did to ours */
	fcntl(output->write_fd, F_SETFL, 0);
}
