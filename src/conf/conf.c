#include "conf/conf.h"

#include <stdlib.h>
#include <string.h>

const char *conf_list_string(const struct conf *conf, struct conf_list list, unsigned index)
{
	const char *string = (const char *)conf + list.offset;

	while (index-- > 0)
		string += strlen(string) + 1;
	return string;
}

const char **conf_list_pointers(const struct conf *conf, struct conf_list list)
{
	const char **pointers = calloc(list.count + 1, sizeof(char *));
	const char *string = (const char *)conf + list.offset;

	if (pointers == NULL)
		abort();
	for (unsigned i = 0; i < list.count; i++, string += strlen(string) + 1)
		pointers[i] = string;
	return pointers;
}
