/*
 * row_counter.c
 *		Counts rows in the bytes of formats that have lines, or of none.
 */
#include "postgres.h"

#include "encode/encode.h"

typedef struct LineCounter
{
	RowCounter base;
	bool	   header; /* the first line is no row */
	char	   quote;  /* newlines may be quoted; 0: they are not */
	char	   escape;
	bool	   in_quotes;
	bool	   escaped; /* the next byte is taken as it is */
	int64	   lines;
} LineCounter;

/* In CSV a newline within quotes ends no line. */
static void
count_quoted_lines(RowCounter *base, const char *data, size_t len)
{
	LineCounter *counter = (LineCounter *) base;

	for (size_t i = 0; i < len; i++)
	{
		char c = data[i];

		if (counter->escaped)
			counter->escaped = false;
		else if (counter->in_quotes && c == counter->escape &&
				 counter->escape != counter->quote)
			counter->escaped = true;
		else if (c == counter->quote)
			counter->in_quotes = !counter->in_quotes;
		else if (c == '\n' && !counter->in_quotes)
			counter->lines++;
	}
}

static void
count_lines(RowCounter *base, const char *data, size_t len)
{
	LineCounter *counter = (LineCounter *) base;
	const char	*end = data + len;

	while ((data = memchr(data, '\n', end - data)) != NULL)
	{
		counter->lines++;
		data++;
	}
}

static int64
count_of_lines(RowCounter *base)
{
	LineCounter *counter = (LineCounter *) base;

	return counter->lines - (counter->header ? 1 : 0);
}

RowCounter *
row_counter_lines(const RowFormatOptions *options)
{
	LineCounter *counter = palloc0_object(LineCounter);

	counter->base.count = count_lines;
	counter->base.rows = count_of_lines;
	counter->header = options->header;
	return &counter->base;
}

RowCounter *
row_counter_quoted_lines(const RowFormatOptions *options)
{
	LineCounter *counter = (LineCounter *) row_counter_lines(options);

	counter->base.count = count_quoted_lines;
	counter->quote = options->quote ? options->quote : '"';
	counter->escape = options->escape ? options->escape : counter->quote;
	return &counter->base;
}

static void
count_nothing(RowCounter *counter, const char *data, size_t len)
{
}

static int64
count_unknown(RowCounter *counter)
{
	return ROWS_UNKNOWN;
}

RowCounter *
row_counter_none(const RowFormatOptions *options)
{
	RowCounter *counter = palloc_object(RowCounter);

	counter->count = count_nothing;
	counter->rows = count_unknown;
	return counter;
}
