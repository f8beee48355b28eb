/*
 * parquet_sorted.c
 *		Whether a file's rows are in the order of some of its leaves.
 *
 * Asked of the values as they go into pages, so that it holds of what readers
 * find, whatever masks and options made of a table's own values.  Each leaf
 * tells how a row's value stands to that of the row before; where all leaves
 * have ended a page, the first of them that differs decides.
 *
 * Nothing is compared any more once a row is out of order.
 */
#include "postgres.h"

#include "encode/parquet/parquet.h"

struct ParquetSorting
{
	List *nodes;	 /* of ParquetNode *, the one that counts first is first */
	bool  is_sorted; /* so far */
};

struct LeafSteps
{
	Bytes
		last; /* the value of the row before the page, PLAIN; none at first */
	Bytes steps; /* a sign for each row that is not decided on yet */
};

void
sorting_watch(ParquetWriter *writer, const List *nodes)
{
	MemoryContext	old = MemoryContextSwitchTo(writer->context);
	const ListCell *cell;

	writer->sorting = palloc0_object(ParquetSorting);
	writer->sorting->nodes = list_copy(nodes);
	writer->sorting->is_sorted = true;
	foreach (cell, nodes)
	{
		ParquetLeaf *leaf = ((ParquetNode *) lfirst(cell))->leaf;

		leaf->steps = palloc0_object(LeafSteps);
		bytes_init(&leaf->steps->last, writer->context);
		bytes_init(&leaf->steps->steps, writer->context);
	}
	MemoryContextSwitchTo(old);
}

const List *
sorting_nodes(const ParquetWriter *writer)
{
	return writer->sorting && writer->sorting->is_sorted
			   ? writer->sorting->nodes
			   : NIL;
}

static LeafSteps *
steps_of(const ListCell *cell)
{
	return ((ParquetNode *) lfirst(cell))->leaf->steps;
}

#define compare_numbers(type, a, b)                                           \
	(memcpy(&x.type, (a), sizeof(x.type)),                                    \
	 memcpy(&y.type, (b), sizeof(y.type)),                                    \
	 (x.type > y.type) - (x.type < y.type))

/* Of values in PLAIN encoding, and only for orders that all readers share. */
static int
compare_values(const ParquetLeaf *leaf, const char *a, size_t a_len,
			   const char *b, size_t b_len)
{
	union
	{
		int32 int32;
		int64 int64;
	} x, y;

	switch (leaf->order)
	{
		case ORDER_INT32:
			return compare_numbers(int32, a, b);
		case ORDER_INT64:
			return compare_numbers(int64, a, b);
		case ORDER_DECIMAL:
			return compare_decimal(a, b, leaf->width);
		case ORDER_TEXT:
			return compare_bytes(a + sizeof(uint32), a_len - sizeof(uint32),
								 b + sizeof(uint32), b_len - sizeof(uint32));
		case ORDER_BOOL:
		case ORDER_UINT32:
		case ORDER_FLOAT:
		case ORDER_DOUBLE:
		case ORDER_BYTES:
			break;
	}
	elog(ERROR, "unexpected order of a key: %d", leaf->order);
}

/* The i-th value of the page; values that are not indexed come in turn. */
static const char *
page_value(const ParquetLeaf *leaf, int64 i, size_t *offset, size_t *len)
{
	const char *value;
	uint32		text_len;

	if (leaf->indexing)
		return dictionary_get(leaf->dictionary,
							  ((const uint32 *) leaf->indices.data)[i], len);
	value = leaf->values.data + LEVEL_ROOM + *offset;
	*len = leaf->width;
	if (leaf->width == 0)
	{
		memcpy(&text_len, value, sizeof(text_len));
		*len = sizeof(text_len) + text_len;
	}
	*offset += *len;
	return value;
}

void
sorting_take_page(ParquetLeaf *leaf)
{
	ParquetSorting *sorting = leaf->writer->sorting;
	LeafSteps	   *steps = leaf->steps;
	const char	   *before = steps->last.len > 0 ? steps->last.data : NULL;
	size_t			before_len = steps->last.len;
	size_t			offset = 0;
	char		   *step;

	/* a null has no place: what there is of a key is not null; no page is empty */
	if (leaf->nvalues != leaf->nlevels)
		sorting->is_sorted = false;
	if (!sorting->is_sorted)
		return;
	step = bytes_reserve(&steps->steps, leaf->nvalues);
	for (int64 i = 0; i < leaf->nvalues; i++)
	{
		size_t		len;
		const char *value = page_value(leaf, i, &offset, &len);
		int			sign =
			before ? compare_values(leaf, value, len, before, before_len) : 1;

		*step++ = (sign > 0) - (sign < 0);
		before = value;
		before_len = len;
	}
	steps->steps.len += leaf->nvalues;
	/* the page goes away, and so does its dictionary */
	steps->last.len = 0;
	bytes_append(&steps->last, before, before_len);
}

/* The sign of the first leaf that has one. */
static int
step_of_row(const List *nodes, size_t row)
{
	const ListCell *cell;

	foreach (cell, nodes)
	{
		int step = (signed char) steps_of(cell)->steps.data[row];

		if (step != 0)
			return step;
	}
	return 0;
}

void
sorting_decide(ParquetWriter *writer)
{
	ParquetSorting *sorting = writer->sorting;
	size_t			rows;
	ListCell	   *cell;

	if (sorting == NULL || !sorting->is_sorted)
		return;
	rows = steps_of(list_head(sorting->nodes))->steps.len;
	for (size_t row = 0; row < rows && sorting->is_sorted; row++)
		sorting->is_sorted = step_of_row(sorting->nodes, row) >= 0;
	foreach (cell, sorting->nodes)
	{
		Assert(steps_of(cell)->steps.len == rows);
		steps_of(cell)->steps.len = 0;
	}
}
