/*
 * target_table.c
 *		Which URL belongs to which target: a new target is one more row.
 */
#include <string.h>

#include "client/memory.h"
#include "client/target.h"
#include "client/targets/targets.h"

#ifdef HAVE_LIBCURL
#define HTTP_TARGET	   &http_target
#define KINESIS_TARGET &kinesis_target
#define MILVUS_TARGET  &milvus_target
#else
#define HTTP_TARGET	   NULL
#define KINESIS_TARGET NULL
#define MILVUS_TARGET  NULL
#endif
#ifdef HAVE_RDKAFKA
#define KAFKA_TARGET &kafka_target
#else
#define KAFKA_TARGET NULL
#endif
#ifdef HAVE_MOSQUITTO
#define MQTT_TARGET &mqtt_target
#else
#define MQTT_TARGET NULL
#endif
#ifdef HAVE_WSLAY
#define WS_TARGET &ws_target
#else
#define WS_TARGET NULL
#endif

static const struct
{
	const char		*schemes; /* of its URLs, with a space between them */
	const TargetOps *ops;	  /* NULL: built without what it needs */
	const char		*library;
} table[] = {
	{"stdout", &stdout_target, NULL},
	{"file", &file_target, NULL},
	{"http https", HTTP_TARGET, "libcurl"},
	{"kafka", KAFKA_TARGET, "librdkafka"},
	{"postgresql postgres", &postgres_target, NULL},
	{"mqtt mqtts", MQTT_TARGET, "libmosquitto"},
	{"kinesis", KINESIS_TARGET, "libcurl"},
	{"milvus milvuss", MILVUS_TARGET, "libcurl"},
	{"ws", WS_TARGET, "libwslay"},
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

/* Ends the program if there is none of that name. */
static const TargetOps *
find_target(const Url *url)
{
	Bytes  known = {0};
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++)
	{
		if (scheme_matches(table[i].schemes, url->scheme))
		{
			if (table[i].ops == NULL)
				client_exit(EXIT_USAGE,
							"this pg_outflow was built without %s and "
							"delivers to no \"%s:\" URL",
							table[i].library, url->scheme);
			mem_free(&known);
			return table[i].ops;
		}
		mem_format(&known, " %s", table[i].schemes);
	}
	client_exit(EXIT_USAGE, "no target is called \"%s:\"; there are:%s",
				url->scheme, known.data);
}

Target *
target_open(const char *text, const Settings *settings)
{
	Url				*url = url_parse(text);
	const TargetOps *ops = find_target(url);
	Target			*target = ops->open(url, settings);

	target->ops = ops;
	target->url = url;
	target->name = url->display;
	target->settings = settings;
	target->keys = key_memory_new();
	target->wake_at = NEVER;
	return target;
}

bool
target_can_probe(const char *text)
{
	Url *url = url_parse(text);
	bool can = find_target(url)->probe != NULL;

	url_free(url);
	return can;
}

bool
target_probe(const char *text, const Settings *settings, char **why)
{
	const Url *url = url_parse(text);

	return find_target(url)->probe(url, settings, why);
}
