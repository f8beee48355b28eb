/*
 * plugin_options.c
 *		The options of START_REPLICATION.
 *
 * The client always has transactions framed, since only the end of one is a
 * position, and drops the frames if the user doesn't want them.  It has records
 * packed into messages, unless told otherwise.
 */
#include "client/plugin_options.h"

#include <string.h>
#include <strings.h>

#include "client/log.h"
#include "client/memory.h"

#define BATCH_BYTES "65536"

/* As PostgreSQL reads booleans; the plugin judges what is none. */
static bool
is_on(const char *value)
{
	size_t length = strlen(value);

	return length > 0 &&
		   (strncasecmp(value, "true", length) == 0 ||
			strncasecmp(value, "yes", length) == 0 ||
			strcasecmp(value, "on") == 0 || strcmp(value, "1") == 0);
}

/* One of the targets has a URL that begins so. */
static bool
goes_to(const Settings *settings, const char *start)
{
	int i;

	for (i = 0; i < settings->ntargets; i++)
		if (strncmp(settings->targets[i], start, strlen(start)) == 0)
			return true;
	return false;
}

/* Tables are kept equal by what these say: an exact row, its key, its shape. */
static void
check_for_tables(const PluginOptions *result, const Pairs *options)
{
	static const char *const needed[] = {"include_schemas", "include_old"};
	const char				*nested = pairs_find(options, "nested");
	size_t					 i;

	if (strcmp(result->format->name, "json") != 0)
		client_exit(EXIT_USAGE,
					"to PostgreSQL go records of -o format=json, not %s",
					result->format->name);
	for (i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (pairs_find(options, needed[i]) &&
			!is_on(pairs_find(options, needed[i])))
			client_exit(EXIT_USAGE, "delivery to PostgreSQL needs -o %s=on",
						needed[i]);
	if (nested && strcmp(nested, "text") != 0)
		client_exit(EXIT_USAGE, "delivery to PostgreSQL needs -o nested=text");
}

static void
refuse(const Pairs *options, const char *name, const char *why)
{
	const char *value = pairs_find(options, name);

	if (value && is_on(value))
		client_exit(EXIT_USAGE, "pg_outflow can't deliver with -o %s=on: %s",
					name, why);
}

static void
append_option(Bytes *text, const char *name, const char *value)
{
	const char *p;

	mem_format(text, "%s\"", text->length ? ", " : "");
	for (p = name; *p; p++)
		mem_format(text, *p == '"' ? "\"\"" : "%c", *p);
	mem_add(text, "\" '");
	for (p = value; *p; p++)
		if (*p == '\'')
			mem_add(text, "''");
		else
			mem_append(text, p, 1);
	mem_add(text, "'");
}

PluginOptions
plugin_options(const Settings *settings)
{
	const Pairs	 *options = &settings->options;
	PluginOptions result = {0};
	Bytes		  text = {0};
	const char	 *format = pairs_find(options, "format");
	const char	 *framing;
	bool		  to_tables;
	int			  i;

	if (format == NULL)
		format = goes_to(settings, "kafka:") ? "debezium" : "json";
	result.format = frame_format(format);
	if (result.format == NULL)
		client_exit(EXIT_USAGE,
					"pg_outflow delivers the formats json and debezium, not "
					"\"%s\"",
					format);
	to_tables = goes_to(settings, "postgres");
	if (to_tables)
		check_for_tables(&result, options);
	refuse(options, "streaming",
		   "what it delivers must not be taken back by a rollback");
	refuse(options, "two_phase",
		   "what it delivers must not be taken back by a rollback");
	if (settings->after_job && pairs_find(options, "after_snapshot"))
		client_exit(EXIT_USAGE,
					"--after-job and -o after_snapshot exclude each other");
	framing = pairs_find(options, result.format->framing_option);
	result.deliver_framing =
		framing ? is_on(framing) : result.format->framed_by_default;

	append_option(&text, "format", format);
	append_option(&text, result.format->framing_option, "on");
	if (!pairs_find(options, "batch_bytes"))
		append_option(&text, "batch_bytes", BATCH_BYTES);
	if (to_tables && !pairs_find(options, "nested"))
		append_option(&text, "nested", "text");
	for (i = 0; i < options->count; i++)
		if (strcmp(options->names[i], "format") != 0 &&
			strcmp(options->names[i], result.format->framing_option) != 0)
			append_option(&text, options->names[i], options->values[i]);
	result.text = text.data;
	return result;
}
