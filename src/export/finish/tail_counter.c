/*
 * tail_counter.c
 *		Reads the rows of a Parquet file from its end, as its bytes pass.
 */
#include "postgres.h"

#include "export/finish/verify.h"

/*
 * Metadata grow with columns times row groups; in a file with more of them
 * than this the rows aren't told.
 */
#define KEPT_SIZE (4 * 1024 * 1024)

typedef struct TailCounter
{
	Sink   base;
	int64 *rows;
	char  *tail; /* has room for twice KEPT_SIZE */
	size_t len;
} TailCounter;

static void
tail_counter_write(Sink *sink, const char *data, size_t len)
{
	TailCounter *counter = (TailCounter *) sink;

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

static void
tail_counter_finish(Sink *sink)
{
	TailCounter *counter = (TailCounter *) sink;

	if (parquet_tail_size(counter->tail, counter->len) > KEPT_SIZE)
		*counter->rows = ROWS_UNKNOWN;
	else if (!parquet_tail_rows(counter->tail, counter->len, counter->rows))
		*counter->rows = ROWS_UNREADABLE;
	pfree(counter->tail);
	counter->tail = NULL;
}

static void
tail_counter_cleanup(Sink *sink)
{
}

static const SinkOps tail_counter_ops = {.write = tail_counter_write,
										 .finish = tail_counter_finish,
										 .cleanup = tail_counter_cleanup};

Sink *
tail_counter_new(int64 *rows)
{
	TailCounter *counter = palloc0_object(TailCounter);

	counter->base.ops = &tail_counter_ops;
	counter->rows = rows;
	counter->tail = palloc(2 * KEPT_SIZE);
	return &counter->base;
}
