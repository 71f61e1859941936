#include "master/handover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checksum.h"
#include "base/fd.h"
#include "base/text.h"
#include "board/bell.h"
#include "master/postmortem.h"

static const char magic[8] = "preforkd";

/* Sizes and places of all that is copied, and of the pages that are shared with workers. */
static uint32_t shape(void)
{
	const size_t sizes[] = {
		sizeof(struct handover_master),
		sizeof(struct handover_listener),
		sizeof(struct handover_generation),
		sizeof(struct handover_pool),
		sizeof(struct handover_worker),
		offsetof(struct handover_worker, worker),
		sizeof(struct account),
		sizeof(struct postmortem),
		sizeof(struct bell),
		sizeof(struct slot),
		offsetof(struct slot, since_ms),
		offsetof(struct slot, notes),
		offsetof(struct worker, born_ms),
		offsetof(struct worker, watchdog_at_ms),
	};
	uint64_t h = checksum_of(sizes, sizeof(sizes));

	return (uint32_t)(h ^ h >> 32);
}

int handover_seal(const void *content, size_t size)
{
	struct handover_header header = {
		.layout = HANDOVER_LAYOUT,
		.shape = shape(),
		.size = size,
		.checksum = checksum_of(content, size),
	};
	const struct iovec parts[] = { { &header, sizeof(header) }, { (void *)content, size } };

	memcpy(header.magic, magic, sizeof(magic));
	return fd_sealed("preforkd-handover", parts, 2);
}

static bool read_at(int fd, void *data, size_t size, off_t at)
{
	char *p = data;

	while (size > 0) {
		ssize_t n = pread(fd, p, size, at);

		if (n <= 0)
			return false;
		p += n;
		at += n;
		size -= (size_t)n;
	}
	return true;
}

/* Of the header: true if the rest may be read. */
static bool check_header(int fd, const struct handover_header *header, struct text *error)
{
	struct stat st;

	if (memcmp(header->magic, magic, sizeof(magic)) != 0)
		text_addf(error, "what was handed over is not from preforkd");
	else if (header->layout != HANDOVER_LAYOUT)
		text_addf(error, "what was handed over has layout %u, mine is %d", header->layout,
			  HANDOVER_LAYOUT);
	else if (header->shape != shape())
		text_addf(
			error,
			"what was handed over has layout %u of another build (%08x, mine is %08x)",
			header->layout, header->shape, shape());
	else if (fstat(fd, &st) < 0 || (uint64_t)st.st_size != sizeof(*header) + header->size)
		text_addf(error, "what was handed over is cut off");
	else
		return true;
	return false;
}

void *handover_open(int fd, size_t *size_r, struct text *error)
{
	struct handover_header header;
	char *content;

	if (!read_at(fd, &header, sizeof(header), 0)) {
		text_addf(error, "nothing was handed over");
		return NULL;
	}
	if (!check_header(fd, &header, error))
		return NULL;
	content = malloc(header.size + 1);
	if (content != NULL && read_at(fd, content, header.size, sizeof(header)) &&
	    checksum_of(content, header.size) == header.checksum) {
		*size_r = header.size;
		return content;
	}
	text_addf(error, content == NULL ? "out of memory" :
					   "what was handed over was changed (wrong checksum)");
	free(content);
	return NULL;
}

bool handover_next(struct handover_cursor *cursor, void *record_r, size_t size)
{
	if (size > cursor->left) {
		cursor->left = 0;
		memset(record_r, 0, size);
		return false;
	}
	memcpy(record_r, cursor->at, size);
	cursor->at += size;
	cursor->left -= size;
	return true;
}
