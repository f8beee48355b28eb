/*
 * target_table.c
 *		Which URL belongs to which target: a new target is one more row.
 */
#include <string.h>

#include "client/memory.h"
#include "client/target.h"
#include "client/targets/targets.h"

static const TargetOps *const table[] = {
	&stdout_target,
	&file_target,
	&http_target,
	&kafka_target,
};

static bool
scheme_matches(const char *schemes, const char *scheme)
{
	size_t		length = strlen(scheme);
	const char *p;

	for (p = schemes; (p = strstr(p, scheme)) != NULL; p += length)
		if ((p == schemes || p[-1] == ' ') &&
			(p[length] == '\0' || p[length] == ' '))
			return true;
	return false;
}

Target *
target_open(const char *text, const Settings *settings)
{
	Url	  *url = url_parse(text);
	Bytes  known = {0};
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++)
	{
		if (scheme_matches(table[i]->scheme, url->scheme))
		{
			Target *target = table[i]->open(url, settings);

			target->ops = table[i];
			target->name = url->display;
			target->settings = settings;
			target->wake_at = NEVER;
			return target;
		}
		mem_format(&known, " %s", table[i]->scheme);
	}
	client_exit(EXIT_USAGE, "no target is called \"%s:\"; there are:%s",
				url->scheme, known.data);
}
