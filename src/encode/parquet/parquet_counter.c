/*
 * parquet_counter.c
 *		Reads the rows of a Parquet file from its end, as its bytes pass.
 */
#include "postgres.h"

#include "encode/encode.h"

/*
 * Metadata grow with columns times row groups; in a file with more of them
 * than this the rows aren't told.
 */
#define KEPT_SIZE (4 * 1024 * 1024)

typedef struct TailCounter
{
	RowCounter base;
	char	  *tail; /* has room for twice KEPT_SIZE */
	size_t	   len;
} TailCounter;

static void
tail_counter_count(RowCounter *base, const char *data, size_t len)
{
	TailCounter *counter = (TailCounter *) base;

	if (len > KEPT_SIZE)
	{
		data += len - KEPT_SIZE;
		len = KEPT_SIZE;
	}
	if (counter->len + len > 2 * KEPT_SIZE)
	{
		memmove(counter->tail, counter->tail + counter->len - KEPT_SIZE,
				KEPT_SIZE);
		counter->len = KEPT_SIZE;
	}
	memcpy(counter->tail + counter->len, data, len);
	counter->len += len;
}

static int64
tail_counter_rows(RowCounter *base)
{
	TailCounter *counter = (TailCounter *) base;
	int64		 rows;

	if (parquet_tail_size(counter->tail, counter->len) > KEPT_SIZE)
		rows = ROWS_UNKNOWN;
	else if (!parquet_tail_rows(counter->tail, counter->len, &rows))
		rows = ROWS_UNREADABLE;
	pfree(counter->tail);
	counter->tail = NULL;
	return rows;
}

RowCounter *
parquet_counter_new(const RowFormatOptions *options)
{
	TailCounter *counter = palloc0_object(TailCounter);

	counter->base.count = tail_counter_count;
	counter->base.rows = tail_counter_rows;
	counter->tail = palloc(2 * KEPT_SIZE);
	return &counter->base;
}
