#include "conf/conf.h"

#include <string.h>

const char *conf_list_string(const struct conf *conf, struct conf_list list, unsigned index)
{
	const char *string = (const char *)conf + list.offset;

	while (index-- > 0)
		string += strlen(string) + 1;
	return string;
}
