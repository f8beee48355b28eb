/*
 * iceberg_statistics.c
 *		What a manifest says of a file's values: counts, nulls, bounds.
 *
 * A bound that a reader could understand otherwise is left out, and its
 * counterpart with it: readers skip a file by what they think it holds.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "encode/iceberg/avro.h"
#include "encode/iceberg/iceberg.h"

/* As many as other writers tell of: manifests must not grow with wide tables. */
#define MAX_LEAVES_TOLD 100

typedef enum LeafFact
{
	LEAF_VALUES,
	LEAF_NULLS,
	LEAF_LOWER,
	LEAF_UPPER
} LeafFact;

typedef struct ToldLeaf
{
	const ParquetNode *node;
	bool			   has_bounds;
} ToldLeaf;

typedef struct ToldLeaves
{
	int		 count;
	ToldLeaf leaves[MAX_LEAVES_TOLD];
} ToldLeaves;

/* Uuids and bytes: not all readers have agreed on how they compare. */
static bool
has_comparable_bounds(const ParquetNode *node)
{
	const Bounds *bounds = &node->leaf->file_bounds;

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
		case NODE_DECIMAL32:
		case NODE_DECIMAL64:
		case NODE_DECIMAL128:
		case NODE_TEXT:
		case NODE_TEXT_OF:
		case NODE_JSON_OF:
			return bounds->min.set && bounds->max.set && !bounds->unbounded;
		case NODE_TIMETZ:
		case NODE_BYTEA:
		case NODE_UUID:
		case NODE_LIST:
		case NODE_VECTOR:
		case NODE_GROUP:
			break;
	}
	return false;
}

static void
gather_leaves(ToldLeaves *told, const ParquetNode *node)
{
	check_stack_depth();
	if (node->kind == NODE_GROUP)
	{
		for (int i = 0; i < node->nchildren; i++)
			gather_leaves(told, &node->children[i]);
		return;
	}
	/* what is nested in lists has levels, not rows */
	if (node->leaf && node->leaf->max_rep == 0 &&
		told->count < MAX_LEAVES_TOLD)
		told->leaves[told->count++] =
			(ToldLeaf){node, has_comparable_bounds(node)};
}

/* ---- values as Iceberg keeps them by themselves */

/* Of a big-endian number: no byte more than it takes. */
static void
put_unscaled(ByteBuffer *out, const char *big, int len)
{
	int start = 0;

	/* a first byte may say no more than the sign of the next */
	while (start < len - 1 &&
		   (uint8) big[start] == ((big[start + 1] & 0x80) ? 0xFF : 0))
		start++;
	avro_put_bytes(out, big + start, len - start);
}

static void
put_unscaled_little(ByteBuffer *out, const char *little, int len)
{
	char big[sizeof(int64)];

	for (int i = 0; i < len; i++)
		big[i] = little[len - 1 - i];
	put_unscaled(out, big, len);
}

static void
put_bound(ByteBuffer *out, const ParquetNode *node, const Bound *bound)
{
	if (node->kind == NODE_DECIMAL32 || node->kind == NODE_DECIMAL64)
		put_unscaled_little(out, bound->data, bound->len);
	else if (node->kind == NODE_DECIMAL128)
		put_unscaled(out, bound->data, bound->len);
	else
		/* numbers are little-endian in both formats, texts are UTF-8 */
		avro_put_bytes(out, bound->data, bound->len);
}

/* ---- maps from field ids */

static bool
is_told_of(const ToldLeaf *leaf, LeafFact fact)
{
	return leaf->has_bounds || fact == LEAF_VALUES || fact == LEAF_NULLS;
}

/* An array of pairs, or the null of its union. */
static void
put_map(ByteBuffer *out, const ParquetWriter *writer, const ToldLeaves *told,
		LeafFact fact)
{
	int count = 0;

	for (int i = 0; i < told->count; i++)
		count += is_told_of(&told->leaves[i], fact);
	avro_put_long(out, count > 0);
	if (count == 0)
		return;
	avro_put_long(out, count);
	for (int i = 0; i < told->count; i++)
	{
		const ParquetNode *node = told->leaves[i].node;

		if (!is_told_of(&told->leaves[i], fact))
			continue;
		avro_put_long(out, node->field_id);
		if (fact == LEAF_VALUES)
			avro_put_long(out, writer->rows);
		else if (fact == LEAF_NULLS)
			avro_put_long(out, node->leaf->file_nulls);
		else
			put_bound(out, node,
					  fact == LEAF_LOWER ? &node->leaf->file_bounds.min
										 : &node->leaf->file_bounds.max);
	}
	avro_put_long(out, 0);
}

void
iceberg_statistics(StringInfo out, const ParquetWriter *writer)
{
	ToldLeaves told = {0};
	ByteBuffer maps;
	ByteBuffer hex;

	for (int i = 0; i < writer->ncolumns; i++)
		gather_leaves(&told, &writer->columns[i].node);
	buffer_init(&maps);
	for (LeafFact fact = LEAF_VALUES; fact <= LEAF_UPPER; fact++)
		put_map(&maps, writer, &told, fact);
	buffer_init(&hex);
	text_hex(&hex, maps.data, (int) maps.len);
	appendBinaryStringInfo(out, hex.data, (int) hex.len);
	buffer_free(&hex);
	buffer_free(&maps);
	if (sorting_nodes(writer) == NIL)
		return;
	appendStringInfoChar(out, '/');
	iceberg_put_order(out, sorting_nodes(writer));
}
