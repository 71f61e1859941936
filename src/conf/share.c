#include "conf/share.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "conf/conf.h"

/* How many generations use a mapped conf; kept beside it, since a conf is read-only. */
static struct share {
	const struct conf *conf;
	int memfd; /* that it is mapped from */
	unsigned count;
	struct share *next;
} * shares;

static bool is_valid(const struct conf *conf, size_t size)
{
	return size >= sizeof(*conf) && conf->magic == CONF_MAGIC &&
	       conf->version == CONF_VERSION && conf->size == size &&
	       conf->n_services <= CONF_SERVICES_MAX &&
	       conf->services + conf->n_services * sizeof(struct conf_service) <= size;
}

/* Takes over the mapping. NULL with errno, and nothing is left of it. */
static const struct conf *begin_share(struct conf *conf, int memfd)
{
	struct share *share = malloc(sizeof(*share));

	if (share != NULL)
		share->memfd = fd_duplicate_high(memfd);
	if (share == NULL || share->memfd < 0) {
		free(share);
		munmap(conf, conf->size);
		return NULL;
	}
	share->conf = conf;
	share->count = 1;
	share->next = shares;
	shares = share;
	return conf;
}

const struct conf *conf_map(int memfd)
{
	struct stat st;
	struct conf *conf;

	if (fstat(memfd, &st) < 0 || st.st_size == 0)
		return NULL;
	conf = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, memfd, 0);
	if (conf == MAP_FAILED)
		return NULL;
	if (is_valid(conf, (size_t)st.st_size))
		return begin_share(conf, memfd);
	munmap(conf, (size_t)st.st_size);
	return NULL;
}

static struct share **find_share(const struct conf *conf)
{
	struct share **share = &shares;

	while (*share != NULL && (*share)->conf != conf)
		share = &(*share)->next;
	if (*share == NULL)
		abort();
	return share;
}

const struct conf *conf_ref(const struct conf *conf)
{
	(*find_share(conf))->count++;
	return conf;
}

int conf_fd(const struct conf *conf)
{
	return (*find_share(conf))->memfd;
}

void conf_unref(const struct conf *conf)
{
	struct share **share = find_share(conf), *gone = *share;

	if (--gone->count > 0)
		return;
	*share = gone->next;
	munmap((void *)conf, conf->size);
	fd_close(&gone->memfd);
	free(gone);
}
