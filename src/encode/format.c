/*
 * format.c
 *		The table of row formats.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "encode/encode.h"
#include "option.h"

static const RowFormat *const row_formats[] = {
	&row_format_csv,	 &row_format_text,
	&row_format_binary,	 &row_format_jsonl,
	&row_format_parquet, &row_format_delta,
	&row_format_iceberg, NULL};

const RowFormat *
row_format_find(const char *name)
{
	StringInfoData names;

	initStringInfo(&names);
	for (const RowFormat *const *format = row_formats; *format; format++)
	{
		if (strcmp((*format)->name, name) == 0)
			return *format;
		appendStringInfo(&names, "%s%s", names.len ? ", " : "",
						 (*format)->name);
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("unknown export format \"%s\"", option_shown(name)),
					errhint("Valid formats are: %s.", names.data)));
}

void
row_format_check(const RowFormat *format, const RowFormatOptions *options)
{
	if (!format->maps_types && (options->lossy != NIL || options->as != NIL ||
								options->profile || options->group_rows > 0))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("format \"%s\" takes no options of format "
							   "\"parquet\"",
							   format->name)));
	format->check(options);
}
