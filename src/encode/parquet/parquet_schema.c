/*
 * parquet_schema.c
 *		The schema that a file shows of its nodes: SchemaElements, depth first.
 *
 * Types are said twice, as logical types and in the older form that not every
 * reader has given up.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"

#include "encode/parquet/parquet.h"

enum
{
	REQUIRED = 0,
	OPTIONAL = 1,
	REPEATED = 2
};

enum
{
	CONVERTED_MAP = 1,
	CONVERTED_LIST = 3,
	CONVERTED_TIME_MICROS = 8,
	CONVERTED_TIMESTAMP_MICROS = 10,
	CONVERTED_UINT_8 = 11, /* then 16, 32, 64 bits */
	CONVERTED_INT_8 = 15
};

/*
 * The older form of the logical type, -1 if it has none.  Times and timestamps
 * are marked whether they are in UTC or not, as the format demands.
 */
static int
converted_type(const ParquetNode *node)
{
	switch (node->logical)
	{
		case LOGICAL_STRING:
			return 0;
		case LOGICAL_MAP:
			return CONVERTED_MAP;
		case LOGICAL_LIST:
			return CONVERTED_LIST;
		case LOGICAL_DECIMAL:
			return 5;
		case LOGICAL_DATE:
			return 6;
		case LOGICAL_TIME:
			return CONVERTED_TIME_MICROS;
		case LOGICAL_TIMESTAMP:
			return CONVERTED_TIMESTAMP_MICROS;
		case LOGICAL_INTEGER:
			return (node->is_signed ? CONVERTED_INT_8 : CONVERTED_UINT_8) +
				   bits_needed(node->bits / 8 - 1);
		case LOGICAL_JSON:
			return 19;
		case LOGICAL_NONE:
		case LOGICAL_UUID:
			break;
	}
	return -1;
}

static void
put_logical_type(Thrift *thrift, int id, const ParquetNode *node)
{
	thrift_struct(thrift, id); /* a union: one field, the type */
	thrift_struct(thrift, node->logical);
	switch (node->logical)
	{
		case LOGICAL_DECIMAL:
			thrift_i32(thrift, 1, node->scale);
			thrift_i32(thrift, 2, node->precision);
			break;
		case LOGICAL_TIME:
		case LOGICAL_TIMESTAMP:
			thrift_bool(thrift, 1, node->utc);
			thrift_struct(thrift, 2);
			thrift_empty(thrift, 2); /* microseconds */
			thrift_end(thrift);
			break;
		case LOGICAL_INTEGER:
			thrift_i8(thrift, 1, node->bits);
			thrift_bool(thrift, 2, node->is_signed);
			break;
		default:
			break;
	}
	thrift_end(thrift);
	thrift_end(thrift);
}

static void
put_group_element(Thrift *thrift, int repetition, const char *name,
				  int nchildren)
{
	thrift_element_struct(thrift);
	if (repetition >= 0)
		thrift_i32(thrift, 3, repetition);
	thrift_string(thrift, 4, name);
	thrift_i32(thrift, 5, nchildren);
}

static void
schema_put_node(Thrift *thrift, const ParquetNode *node)
{
	int repetition = node->optional ? OPTIONAL : REQUIRED;
	int converted = converted_type(node);

	if (node->leaf)
	{
		thrift_element_struct(thrift);
		thrift_i32(thrift, 1, node->leaf->type);
		if (node->leaf->type == PARQUET_FIXED)
			thrift_i32(thrift, 2, node->leaf->width);
		thrift_i32(thrift, 3, repetition);
		thrift_string(thrift, 4, node->name);
	}
	else
		put_group_element(thrift, repetition, node->name,
						  node->logical == LOGICAL_MAP ? 1 : node->nchildren);
	if (converted >= 0)
		thrift_i32(thrift, 6, converted);
	if (node->logical == LOGICAL_DECIMAL)
	{
		thrift_i32(thrift, 7, node->scale);
		thrift_i32(thrift, 8, node->precision);
	}
	if (node->field_id > 0)
		thrift_i32(thrift, 9, node->field_id);
	if (node->logical != LOGICAL_NONE)
		put_logical_type(thrift, 10, node);
	thrift_end(thrift);

	if (node->logical == LOGICAL_LIST)
	{
		put_group_element(thrift, REPEATED, "list", 1);
		thrift_end(thrift);
	}
	if (node->logical == LOGICAL_MAP)
	{
		put_group_element(thrift, REPEATED, "key_value", node->nchildren);
		thrift_end(thrift);
	}
	for (int i = 0; i < node->nchildren; i++)
		schema_put_node(thrift, &node->children[i]);
}

void
schema_write(const ParquetWriter *writer, Thrift *thrift, int id)
{
	thrift_list(thrift, id, THRIFT_STRUCT, writer->nelements);
	put_group_element(thrift, -1, "schema", writer->ncolumns);
	thrift_end(thrift);
	for (int i = 0; i < writer->ncolumns; i++)
		schema_put_node(thrift, &writer->columns[i].node);
}

static void
describe_node(StringInfo out, const ParquetNode *node)
{
	check_stack_depth();
	appendStringInfo(out, "(%zu:%s %d %d %d %d", strlen(node->name),
					 node->name, node->field_id, node->optional, node->kind,
					 node->ndims);
	appendStringInfo(out, " %d %d %d %d %d %d", node->logical, node->utc,
					 node->is_signed, node->bits, node->precision,
					 node->scale);
	if (node->leaf)
		appendStringInfo(out, " %d %d", node->leaf->type, node->leaf->width);
	for (int i = 0; i < node->nchildren; i++)
		describe_node(out, &node->children[i]);
	appendStringInfoChar(out, ')');
}

char *
schema_describe(const ParquetWriter *writer)
{
	StringInfoData out;

	initStringInfo(&out);
	for (int i = 0; i < writer->ncolumns; i++)
		describe_node(&out, &writer->columns[i].node);
	return out.data;
}
