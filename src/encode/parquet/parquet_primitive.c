/*
 * parquet_primitive.c
 *		How types that nest nothing are mapped: to physical and logical types.
 */
#include "postgres.h"

#include "encode/parquet/parquet.h"

static void
primitive_leaf(ParquetNode *node, ParquetType type, ParquetOrder order,
			   int width)
{
	node->leaf->type = type;
	node->leaf->order = order;
	node->leaf->width = width;
}

void
node_map_text(ParquetNode *node, NodeKind kind, LogicalType logical)
{
	node->kind = kind;
	node->logical = logical;
	primitive_leaf(node, PARQUET_BYTE_ARRAY, ORDER_TEXT, 0);
}

static void
primitive_integer(ParquetNode *node, NodeKind kind, int bits, bool is_signed)
{
	bool wide = kind == NODE_INT8;

	node->kind = kind;
	/* what the physical type says already isn't said again */
	if (bits != (wide ? 64 : 32) || !is_signed)
	{
		node->logical = LOGICAL_INTEGER;
		node->bits = bits;
		node->is_signed = is_signed;
	}
	primitive_leaf(node, wide ? PARQUET_INT64 : PARQUET_INT32,
				   wide		   ? ORDER_INT64
				   : is_signed ? ORDER_INT32
							   : ORDER_UINT32,
				   wide ? sizeof(int64) : sizeof(int32));
}

static void
primitive_numeric(ParquetNode *node)
{
	if (!parquet_decimal_of(node->column, node->type, &node->precision,
							&node->scale))
	{
		node_map_text(node, NODE_TEXT_OF, LOGICAL_STRING);
		return;
	}
	node->logical = LOGICAL_DECIMAL;
	if (node->precision <= 9)
	{
		node->kind = NODE_DECIMAL32;
		primitive_leaf(node, PARQUET_INT32, ORDER_INT32, sizeof(int32));
	}
	else if (node->precision <= 18)
	{
		node->kind = NODE_DECIMAL64;
		primitive_leaf(node, PARQUET_INT64, ORDER_INT64, sizeof(int64));
	}
	else
	{
		node->kind = NODE_DECIMAL128;
		primitive_leaf(node, PARQUET_FIXED, ORDER_DECIMAL,
					   decimal_width(node->precision));
	}
}

static void
primitive_time(ParquetNode *node, NodeKind kind, LogicalType logical, bool utc)
{
	node->kind = kind;
	node->logical = logical;
	node->utc = utc;
	if (logical == LOGICAL_DATE)
		primitive_leaf(node, PARQUET_INT32, ORDER_INT32, sizeof(int32));
	else
		primitive_leaf(node, PARQUET_INT64, ORDER_INT64, sizeof(int64));
}

static void
primitive_fixed(ParquetNode *node, NodeKind kind, ParquetType type,
				ParquetOrder order, int width)
{
	node->kind = kind;
	primitive_leaf(node, type, order, width);
}

void
node_map_primitive(ParquetNode *node)
{
	switch (node->type->kind)
	{
		case KIND_BOOL:
			primitive_fixed(node, NODE_BOOL, PARQUET_BOOLEAN, ORDER_BOOL, 1);
			break;
		case KIND_INT2:
			primitive_integer(node, NODE_INT2,
							  parquet_form_of(node->column, node->type).kind ==
									  FORM_PLAIN
								  ? 32
								  : 16,
							  true);
			break;
		case KIND_INT4:
			primitive_integer(node, NODE_INT4, 32, true);
			break;
		case KIND_OID:
			if (parquet_form_of(node->column, node->type).kind == FORM_LONG)
				primitive_fixed(node, NODE_UINT4, PARQUET_INT64, ORDER_INT64,
								sizeof(int64));
			else
				primitive_integer(node, NODE_INT4, 32, false);
			break;
		case KIND_INT8:
			primitive_integer(node, NODE_INT8, 64, true);
			break;
		case KIND_FLOAT4:
			primitive_fixed(node, NODE_FLOAT4, PARQUET_FLOAT, ORDER_FLOAT,
							sizeof(float4));
			break;
		case KIND_FLOAT8:
			primitive_fixed(node, NODE_FLOAT8, PARQUET_DOUBLE, ORDER_DOUBLE,
							sizeof(float8));
			break;
		case KIND_NUMERIC:
			primitive_numeric(node);
			break;
		case KIND_BYTEA:
			primitive_fixed(node, NODE_BYTEA, PARQUET_BYTE_ARRAY, ORDER_BYTES,
							0);
			break;
		case KIND_UUID:
			primitive_fixed(node, NODE_UUID, PARQUET_FIXED, ORDER_BYTES, 16);
			node->logical = LOGICAL_UUID;
			break;
		case KIND_DATE:
			primitive_time(node, NODE_DATE, LOGICAL_DATE, false);
			break;
		case KIND_TIME:
			primitive_time(node, NODE_TIME, LOGICAL_TIME, false);
			break;
		case KIND_TIMETZ:
			primitive_time(node, NODE_TIMETZ, LOGICAL_TIME, true);
			break;
		case KIND_TIMESTAMP:
			primitive_time(node, NODE_TIMESTAMP, LOGICAL_TIMESTAMP, false);
			break;
		case KIND_TIMESTAMPTZ:
			primitive_time(node, NODE_TIMESTAMP, LOGICAL_TIMESTAMP, true);
			break;
		case KIND_TEXT:
			node_map_text(node, NODE_TEXT, LOGICAL_STRING);
			break;
		case KIND_JSON:
			node_map_text(node, NODE_TEXT, LOGICAL_JSON);
			break;
		case KIND_JSONB:
			node_map_text(node, NODE_TEXT_OF, LOGICAL_JSON);
			break;
		case KIND_HSTORE:
			node_map_text(node, NODE_JSON_OF, LOGICAL_JSON);
			break;
		case KIND_NAME:
		case KIND_ENUM:
		case KIND_VECTOR:
		case KIND_ARRAY:
		case KIND_COMPOSITE:
		case KIND_OTHER:
			node_map_text(node, NODE_TEXT_OF, LOGICAL_STRING);
			break;
	}
}
