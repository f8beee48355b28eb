/*
 * compress.c
 *		The compression methods, and how users name them: "zstd", "zstd:7".
 *
 * A new method is one file with a compressor and a decompressor, and one row
 * here.
 */
#include "postgres.h"

#include "common/string.h"
#include "lib/stringinfo.h"
#include "option.h"
#include "sink/stage.h"

static Sink *none_compressor_new(Sink *next, int level);
static Sink *none_decompressor_new(Sink *next);

/*
 * zstd stops at 19 where the library goes to 22: beyond it, each worker and
 * each reader would need hundreds of megabytes.  Below zero it trades size
 * for speed.
 */
const CompressMethod compress_methods[] = {
	{"none", "", 0, 0, 0, none_compressor_new, none_decompressor_new},
	{"gzip", ".gz", 1, 9, 6, gzip_compressor_new, gzip_decompressor_new},
	{"zstd", ".zst", -7, 19, 3, zstd_compressor_new, zstd_decompressor_new},
	{"lz4", ".lz4", 1, 12, 1, lz4_compressor_new, lz4_decompressor_new},
	{NULL},
};

static Sink *
none_compressor_new(Sink *next, int level)
{
	return next;
}

static Sink *
none_decompressor_new(Sink *next)
{
	return next;
}

/* "none", "gzip:1-9", ... for a hint */
static char *
compress_list_methods(void)
{
	StringInfoData list;

	initStringInfo(&list);
	for (const CompressMethod *method = compress_methods; method->name;
		 method++)
	{
		appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "",
						 method->name);
		if (method->min_level != method->max_level)
			appendStringInfo(&list, " (levels %d to %d)", method->min_level,
							 method->max_level);
	}
	return list.data;
}

static int
compress_parse_level(const CompressMethod *method, const char *text)
{
	int	  level;
	char *end;

	if (method->min_level == method->max_level)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("compression method \"%s\" takes no level",
							   method->name)));

	errno = 0;
	level = strtoint(text, &end, 10);
	if (end == text || *end != '\0' || errno != 0 ||
		level < method->min_level || level > method->max_level)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid level \"%s\" for compression method \"%s\"",
						option_shown(text), method->name),
				 errhint("Valid levels are %d to %d.", method->min_level,
						 method->max_level)));
	return level;
}

const CompressMethod *
compress_parse(const char *text, int *level)
{
	const char *colon = strchr(text, ':');
	size_t		len = colon ? colon - text : strlen(text);

	for (const CompressMethod *method = compress_methods; method->name;
		 method++)
	{
		if (strlen(method->name) != len ||
			strncmp(method->name, text, len) != 0)
			continue;
		*level = method->default_level;
		if (colon)
			*level = compress_parse_level(method, colon + 1);
		return method;
	}

	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("unrecognized compression method \"%s\"",
						   option_shown(pnstrdup(text, len))),
					errhint("Valid methods are %s; write a level after a "
							"colon, as in \"zstd:7\".",
							compress_list_methods())));
	return NULL; /* not reached */
}
