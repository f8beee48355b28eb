/*
 * compression.c
 *		Parser for the names of compression methods and their levels.
 */
#include "postgres.h"

#include "common/string.h"
#include "lib/stringinfo.h"

#include "compression.h"
#include "option.h"

/*
 * zstd stops at 19 where the library goes to 22: beyond it, each worker and
 * each reader would need hundreds of megabytes.  Below zero it trades size
 * for speed.
 */
static const struct
{
	const char *name;
	int			min_level, max_level, default_level;
	bool		pages_only;
} methods[COMPRESSIONS] = {
	[COMPRESSION_NONE] = {"none"},
	[COMPRESSION_GZIP] = {"gzip", 1, 9, 6},
	[COMPRESSION_ZSTD] = {"zstd", -7, 19, 3},
	[COMPRESSION_LZ4] = {"lz4", 1, 12, 1},
	[COMPRESSION_SNAPPY] = {"snappy", 0, 0, 0, true},
};

/* none, gzip (levels 1 to 9), ... for a hint */
static char *
list_methods(bool pages)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < COMPRESSIONS; i++)
	{
		if (methods[i].pages_only && !pages)
			continue;
		appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "",
						 methods[i].name);
		if (methods[i].min_level != methods[i].max_level)
			appendStringInfo(&list, " (levels %d to %d)", methods[i].min_level,
							 methods[i].max_level);
	}
	return list.data;
}

static int
parse_level(int method, const char *text)
{
	int	  level;
	char *end;

	if (methods[method].min_level == methods[method].max_level)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("compression method \"%s\" takes no level",
							   methods[method].name)));

	errno = 0;
	level = strtoint(text, &end, 10);
	if (end == text || *end != '\0' || errno != 0 ||
		level < methods[method].min_level || level > methods[method].max_level)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid level \"%s\" for compression method \"%s\"",
					option_shown(text), methods[method].name),
			 errhint("Valid levels are %d to %d.", methods[method].min_level,
					 methods[method].max_level)));
	return level;
}

Compression
compression_parse(const char *text, bool pages)
{
	const char *colon = strchr(text, ':');
	size_t		len = colon ? colon - text : strlen(text);

	for (int i = 0; i < COMPRESSIONS; i++)
	{
		Compression found = {i, methods[i].name, methods[i].default_level,
							 colon != NULL};

		if (strlen(methods[i].name) != len ||
			pg_strncasecmp(methods[i].name, text, len) != 0)
			continue;
		if (methods[i].pages_only && !pages)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("compression method \"%s\" is for format "
							"\"parquet\" only",
							methods[i].name),
					 errhint("Valid methods are %s.", list_methods(pages))));
		if (colon)
			found.level = parse_level(i, colon + 1);
		return found;
	}

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized compression method \"%s\"",
					option_shown(pnstrdup(text, len))),
			 errhint("Valid methods are %s; write a level after a colon, as "
					 "in \"zstd:7\".",
					 list_methods(pages))));
}

char *
compression_text(const Compression *compression)
{
	return compression->has_level
			   ? psprintf("%s:%d", compression->name, compression->level)
			   : pstrdup(compression->name);
}
