/*
 * parquet_number.c
 *		Numbers, and whatever else is passed by value: many rows at a time.
 *
 * A wide table has a dictionary and buffers for each of its columns.  Row by
 * row, none of them would be in the processor's cache when its next value
 * comes.  So the numbers of some hundred rows are kept, and then put column by
 * column.  Values that are pointers can't wait: the row they are in goes away.
 */
#include "postgres.h"

#include "datatype/timestamp.h"
#include "miscadmin.h"
#include "utils/date.h"
#include "utils/timestamp.h"

#include "encode/parquet/parquet.h"

#define EPOCH_DAYS	(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)
#define EPOCH_USECS (EPOCH_DAYS * USECS_PER_DAY)

/* What waits is bounded by rows, and in bytes to what a cache holds. */
#define BATCH_ROWS	256
#define BATCH_BYTES (128 * 1024)

/* ---- single values ---- */

/* For a constant kind, this is what that kind needs and no more. */
static pg_attribute_always_inline const char *
convert(NodeKind kind, Datum value, int64 *number)
{
	float8 wide;
	float4 narrow;

	switch (kind)
	{
		case NODE_BOOL:
			*number = DatumGetBool(value);
			break;
		case NODE_INT2:
			*number = DatumGetInt16(value);
			break;
		case NODE_INT4:
			*number = DatumGetInt32(value);
			break;
		case NODE_INT8:
			*number = DatumGetInt64(value);
			break;
		case NODE_UINT4:
			*number = DatumGetObjectId(value);
			break;
		case NODE_FLOAT4:
			narrow = DatumGetFloat4(value);
			memcpy(number, &narrow, sizeof(narrow));
			break;
		case NODE_FLOAT8:
			wide = DatumGetFloat8(value);
			memcpy(number, &wide, sizeof(wide));
			break;
		case NODE_DATE:
			if (unlikely(DATE_NOT_FINITE(DatumGetDateADT(value))))
				return "an infinite date";
			*number = DatumGetDateADT(value) + EPOCH_DAYS;
			break;
		case NODE_TIME:
			*number = DatumGetTimeADT(value);
			if (unlikely(*number == USECS_PER_DAY))
				return "the time 24:00:00";
			break;
		case NODE_TIMESTAMP:
			*number = DatumGetTimestamp(value);
			if (unlikely(TIMESTAMP_NOT_FINITE(*number)))
				return "an infinite timestamp";
			if (unlikely(*number > PG_INT64_MAX - EPOCH_USECS))
				return "a timestamp after the year 294246";
			*number += EPOCH_USECS;
			break;
		case NODE_TIMETZ:
		case NODE_DECIMAL32:
		case NODE_DECIMAL64:
		case NODE_DECIMAL128:
		case NODE_BYTEA:
		case NODE_UUID:
		case NODE_TEXT:
		case NODE_TEXT_OF:
		case NODE_JSON_OF:
		case NODE_LIST:
		case NODE_VECTOR:
		case NODE_GROUP:
			elog(ERROR, "unexpected kind of number: %d", kind);
	}
	return NULL;
}

const char *
number_of_datum(NodeKind kind, Datum value, int64 *number)
{
	return convert(kind, value, number);
}

static bool
is_number(const ParquetNode *node)
{
	switch (node->kind)
	{
		case NODE_BOOL:
		case NODE_INT2:
		case NODE_INT4:
		case NODE_INT8:
		case NODE_UINT4:
		case NODE_FLOAT4:
		case NODE_FLOAT8:
		case NODE_DATE:
		case NODE_TIME:
		case NODE_TIMESTAMP:
			return node->type->byval;
		case NODE_TIMETZ:
		case NODE_DECIMAL32:
		case NODE_DECIMAL64:
		case NODE_DECIMAL128:
		case NODE_BYTEA:
		case NODE_UUID:
		case NODE_TEXT:
		case NODE_TEXT_OF:
		case NODE_JSON_OF:
		case NODE_LIST:
		case NODE_VECTOR:
		case NODE_GROUP:
			break;
	}
	return false;
}

/* ---- gathering ---- */

void
batch_init(ParquetWriter *writer)
{
	RowBatch *batch = &writer->batch;
	size_t	  row_size;

	writer->direct = palloc0(sizeof(ParquetNode *) * writer->ncolumns);
	batch->columns = palloc0(sizeof(ParquetNode *) * writer->ncolumns);
	for (int i = 0; i < writer->ncolumns; i++)
	{
		ParquetNode *node = &writer->columns[i].node;

		if (is_number(node))
		{
			batch->columns[batch->ncolumns++] = node;
			batch->natts = Max(batch->natts, node->attno + 1);
		}
		else
			writer->direct[writer->ndirect++] = node;
	}
	row_size = batch->natts * (sizeof(Datum) + sizeof(bool)) +
			   sizeof(ItemPointerData);
	batch->max_rows = Min(BATCH_ROWS, BATCH_BYTES / Max(row_size, 1));
	batch->values = palloc(batch->max_rows * batch->natts * sizeof(Datum));
	batch->nulls = palloc(batch->max_rows * batch->natts * sizeof(bool));
	batch->places = palloc(batch->max_rows * sizeof(ItemPointerData));
	batch->numbers = palloc(batch->max_rows * sizeof(int64));
}

/* As the rows are: what isn't a number is copied and never looked at. */
void
batch_add(ParquetWriter *writer, const Datum *values, const bool *nulls)
{
	RowBatch *batch = &writer->batch;
	size_t	  at = (size_t) batch->nrows * batch->natts;

	memcpy(batch->values + at, values, batch->natts * sizeof(Datum));
	memcpy(batch->nulls + at, nulls, batch->natts * sizeof(bool));
	if (writer->place)
		batch->places[batch->nrows] = *writer->place;
	batch->nrows++;
}

/* ---- putting ---- */

/*
 * Collects a column's numbers, as wide as its leaf keeps them.  A value that
 * Parquet can't hold becomes a null, if it may.
 */
static pg_attribute_always_inline int
collect(ParquetWriter *writer, const ParquetNode *node, NodeKind kind,
		size_t width)
{
	RowBatch	*batch = &writer->batch;
	const Datum *value = batch->values + node->attno;
	bool		*null = batch->nulls + node->attno;
	char		*dst = batch->numbers;

	for (int i = 0; i < batch->nrows; i++)
	{
		int64 number;

		if (!*null)
		{
			const char *problem = convert(kind, *value, &number);

			if (likely(problem == NULL))
			{
				memcpy(dst, &number, width);
				dst += width;
			}
			else
			{
				parquet_unholdable(
					node, writer->place ? &batch->places[i] : NULL, problem);
				*null = true;
			}
		}
		value += batch->natts;
		null += batch->natts;
	}
	return (int) ((dst - batch->numbers) / width);
}

static int
collect_numbers(ParquetWriter *writer, const ParquetNode *node)
{
	switch (node->kind)
	{
		case NODE_BOOL:
			return collect(writer, node, NODE_BOOL, 1);
		case NODE_INT2:
			return collect(writer, node, NODE_INT2, sizeof(int32));
		case NODE_INT4:
			return collect(writer, node, NODE_INT4, sizeof(int32));
		case NODE_INT8:
			return collect(writer, node, NODE_INT8, sizeof(int64));
		case NODE_UINT4:
			return collect(writer, node, NODE_UINT4, sizeof(int64));
		case NODE_FLOAT4:
			return collect(writer, node, NODE_FLOAT4, sizeof(float4));
		case NODE_FLOAT8:
			return collect(writer, node, NODE_FLOAT8, sizeof(float8));
		case NODE_DATE:
			return collect(writer, node, NODE_DATE, sizeof(int32));
		case NODE_TIME:
			return collect(writer, node, NODE_TIME, sizeof(int64));
		case NODE_TIMESTAMP:
			return collect(writer, node, NODE_TIMESTAMP, sizeof(int64));
		case NODE_TIMETZ:
		case NODE_DECIMAL32:
		case NODE_DECIMAL64:
		case NODE_DECIMAL128:
		case NODE_BYTEA:
		case NODE_UUID:
		case NODE_TEXT:
		case NODE_TEXT_OF:
		case NODE_JSON_OF:
		case NODE_LIST:
		case NODE_VECTOR:
		case NODE_GROUP:
			break;
	}
	elog(ERROR, "unexpected kind of number: %d", node->kind);
}

static void
put_column(ParquetWriter *writer, const ParquetNode *node)
{
	RowBatch   *batch = &writer->batch;
	const bool *null = batch->nulls + node->attno;
	int			n = collect_numbers(writer, node);

	if (n == batch->nrows)
		leaf_put_levels(node->leaf, 0, node->def, n);
	else if (!node->optional)
		parquet_refuse_null(node);
	else
	{
		for (int i = 0; i < batch->nrows; i++, null += batch->natts)
			leaf_put_levels(node->leaf, 0, *null ? node->def - 1 : node->def,
							1);
	}
	if (n > 0)
		leaf_put_numbers(node->leaf, batch->numbers, n);
}

void
batch_put(ParquetWriter *writer)
{
	RowBatch *batch = &writer->batch;

	for (int i = 0; i < batch->ncolumns; i++)
		put_column(writer, batch->columns[i]);
	batch->nrows = 0;
}
