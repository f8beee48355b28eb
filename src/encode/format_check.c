/*
 * format_check.c
 *		What the row formats have in common when they check their options.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "encode/encode.h"

void
row_format_refuse_csv_options(const char			 *format,
							  const RowFormatOptions *options)
{
	if (options->header || options->delimiter || options->quote ||
		options->escape || options->null || options->force_quote ||
		options->force_quote_columns)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("format \"%s\" takes no options of format "
							   "\"csv\"",
							   format)));
}

void
row_format_require_utf8(const char *format, const RowFormatOptions *options)
{
	if (options->encoding >= 0 && options->encoding != PG_UTF8 &&
		options->encoding != PG_SQL_ASCII)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("format \"%s\" is always in UTF-8", format)));
}

static void
refuse_choice(const char *message)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg_internal("%s", message)));
}

void
row_format_check_characters(const RowFormatOptions *options, char delimiter,
							char quote, const char *null)
{
	if (options->delimiter)
		delimiter = options->delimiter;
	if (options->quote)
		quote = options->quote;
	if (options->null)
		null = options->null;

	if (delimiter == '\n' || delimiter == '\r')
		refuse_choice("delimiter cannot be a newline or carriage return");
	if (strpbrk(null, "\r\n") != NULL)
		refuse_choice("null string cannot hold a newline or carriage return");
	if (strchr(null, delimiter) != NULL)
		refuse_choice("delimiter cannot occur in the null string");
	if (quote == delimiter)
		refuse_choice("delimiter and quote must be different");
	if (quote && strchr(null, quote) != NULL)
		refuse_choice("quote cannot occur in the null string");
}
