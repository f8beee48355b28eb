/*
 * row_counter.c
 *		Counts rows in the bytes of formats that have lines.
 */
#include "postgres.h"

#include "export/finish/verify.h"

typedef struct RowCounter
{
	Sink   base;
	int64 *rows;
	bool   quoting; /* newlines may be quoted */
	bool   header;	/* the first line is no row */
	char   quote;
	char   escape;
	bool   in_quotes;
	bool   escaped; /* the next byte is taken as it is */
	int64  lines;
} RowCounter;

/* In CSV a newline within quotes ends no line. */
static void
count_csv(RowCounter *counter, const char *data, size_t len)
{
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
count_lines(RowCounter *counter, const char *data, size_t len)
{
	const char *end = data + len;

	while ((data = memchr(data, '\n', end - data)) != NULL)
	{
		counter->lines++;
		data++;
	}
}

static void
row_counter_write(Sink *sink, const char *data, size_t len)
{
	RowCounter *counter = (RowCounter *) sink;

	if (counter->quoting)
		count_csv(counter, data, len);
	else
		count_lines(counter, data, len);
}

static void
row_counter_finish(Sink *sink)
{
	RowCounter *counter = (RowCounter *) sink;

	*counter->rows = counter->lines - (counter->header ? 1 : 0);
}

static void
row_counter_cleanup(Sink *sink)
{
}

static const SinkOps row_counter_ops = {.write = row_counter_write,
										.finish = row_counter_finish,
										.cleanup = row_counter_cleanup};

Sink *
row_counter_new(const Job *job, int64 *rows)
{
	const RowFormatOptions *options = &job->options.row;
	bool		quoting = strcmp(job->row_format->name, "csv") == 0;
	RowCounter *counter;

	*rows = ROWS_UNKNOWN;
	if (strcmp(job->row_format->name, "parquet") == 0)
		return tail_counter_new(rows);
	if (!quoting && strcmp(job->row_format->name, "text") != 0 &&
		strcmp(job->row_format->name, "jsonl") != 0)
		return sink_null_new();

	counter = palloc0_object(RowCounter);
	counter->base.ops = &row_counter_ops;
	counter->rows = rows;
	counter->quoting = quoting;
	counter->header = options->header;
	counter->quote = options->quote ? options->quote : '"';
	counter->escape = options->escape ? options->escape : counter->quote;
	return &counter->base;
}
