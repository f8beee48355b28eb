/*
 * format.c
 *		The table of row formats.
 */
#include "postgres.h"

#include "encode/encode.h"

const RowFormat *const row_formats[] = {&row_format_csv,	 &row_format_text,
										&row_format_binary,	 &row_format_jsonl,
										&row_format_parquet, NULL};

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
					errmsg("unknown export format \"%s\"", name),
					errhint("Valid formats are: %s.", names.data)));
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
