#include "conf/graft.h"

#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "conf/share.h"

#define ALIGN _Alignof(struct conf_service)

static size_t aligned(size_t size)
{
	return (size + ALIGN - 1) / ALIGN * ALIGN;
}

static size_t size_of(const struct conf *base, const struct conf_stub *stubs, unsigned n)
{
	size_t size = aligned(base->size) + n * sizeof(struct conf_service);

	for (unsigned i = 0; i < n; i++)
		size += strlen(stubs[i].name) + 1;
	return size;
}

/* The same name, served in the same way at the same address. */
static const struct conf_service *find(const struct conf *base, const struct conf_stub *stub)
{
	for (unsigned i = 0; i < base->n_services; i++) {
		const struct conf_service *service = conf_service(base, i);

		if (strcmp(conf_string(base, service->name), stub->name) == 0 &&
		    service->kind == stub->kind &&
		    listener_same_address(&service->spec, stub->spec))
			return service;
	}
	return NULL;
}

static void fill(struct conf *conf, const struct conf *base, struct conf_stub *stubs, unsigned n)
{
	struct conf_service *services = (struct conf_service *)((char *)conf + aligned(base->size));
	char *names = (char *)(services + n);

	/* what is behind the offsets of base stays where it was */
	memcpy(conf, base, base->size);
	conf->services = (uint32_t)((char *)services - (char *)conf);
	conf->n_services = n;
	for (unsigned i = 0; i < n; i++) {
		const struct conf_service *same = find(base, &stubs[i]);

		stubs[i].found = same != NULL;
		if (same != NULL)
			services[i] = *same;
		services[i].kind = stubs[i].kind;
		services[i].spec = *stubs[i].spec;
		services[i].name.offset = (uint32_t)(names - (char *)conf);
		names = stpcpy(names, stubs[i].name) + 1;
	}
}

const struct conf *conf_graft(const struct conf *base, struct conf_stub *stubs, unsigned n)
{
	size_t size = size_of(base, stubs, n);
	const struct conf *grafted = NULL;
	struct conf *conf = calloc(1, size);
	int memfd;

	if (conf == NULL)
		return NULL;
	fill(conf, base, stubs, n);
	conf->size = (uint32_t)size;
	memfd = fd_sealed("preforkd-conf", &(struct iovec){ conf, size }, 1);
	if (memfd >= 0)
		grafted = conf_map(memfd);
	fd_close(&memfd);
	free(conf);
	return grafted;
}
