/*
 * parquet_value.c
 *		Datums -> leaves: one walk down the nodes for each value of a row.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/tupmacs.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/date.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "compat.h"
#include "encode/parquet/parquet.h"

static void value_put_node(ParquetWriter *writer, ParquetNode *node,
						   Datum value, int rep);

static void
put_null(ParquetWriter *writer, const ParquetNode *node, int rep, int def)
{
	for (int i = 0; i < node->nleaves; i++)
		leaf_put_null(&writer->leaves[node->first_leaf + i], rep, def);
}

static void
put_unholdable(ParquetWriter *writer, const ParquetNode *node, int rep,
			   const char *what)
{
	parquet_unholdable(node, writer->place, what);
	put_null(writer, node, rep, node->def - 1);
}

/* ---- numbers ---- */

static void
put_number(ParquetWriter *writer, ParquetNode *node, Datum value, int rep)
{
	int64		number;
	const char *problem = number_of_datum(node->kind, value, &number);

	if (unlikely(problem))
		put_unholdable(writer, node, rep, problem);
	else
		leaf_put_number(node->leaf, rep, number);
}

static void
put_timetz(ParquetWriter *writer, ParquetNode *node, Datum value, int rep)
{
	const TimeTzADT *timetz = DatumGetTimeTzADTP(value);
	int64			 time;
	const char		*problem =
		number_of_datum(NODE_TIME, TimeADTGetDatum(timetz->time), &time);

	if (unlikely(problem))
	{
		put_unholdable(writer, node, rep, problem);
		return;
	}
	/* zone counts seconds west of UTC, less than a day either way */
	time += timetz->zone * USECS_PER_SEC;
	if (time < 0)
		time += USECS_PER_DAY;
	else if (time >= USECS_PER_DAY)
		time -= USECS_PER_DAY;
	leaf_put_number(node->leaf, rep, time);
}

static void
put_decimal(ParquetWriter *writer, ParquetNode *node, Datum value, int rep)
{
	ParquetLeaf	 *leaf = node->leaf;
	int128		  decimal;
	char		  bytes[sizeof(int128)];
	DecimalResult result =
		decimal_from_numeric(value, node->precision, node->scale, &decimal);

	if (unlikely(result != DECIMAL_OK))
		put_unholdable(writer, node, rep,
					   result == DECIMAL_SPECIAL
						   ? "NaN or an infinity"
						   : "a number beyond its type's precision");
	else if (node->kind != NODE_DECIMAL128)
		leaf_put_number(leaf, rep, (int64) decimal);
	else
	{
		decimal_to_bytes(decimal, leaf->width, bytes);
		leaf_put_bytes(leaf, rep, bytes, leaf->width);
	}
}

/* ---- text ---- */

/* A file's text is UTF-8; a database without an encoding may hold anything. */
static void
put_text(ParquetWriter *writer, ParquetNode *node, const char *text, int len,
		 int rep)
{
	if (unlikely(writer->verify))
	{
		if (!pg_verify_mbstr(PG_UTF8, text, len, true))
		{
			put_unholdable(writer, node, rep, "text that is not UTF-8");
			return;
		}
	}
	else if (unlikely(writer->to_utf8))
	{
		char *converted = pg_server_to_any(text, len, PG_UTF8);

		if (converted != text)
		{
			leaf_put_bytes(node->leaf, rep, converted, strlen(converted));
			pfree(converted);
			return;
		}
	}
	leaf_put_bytes(node->leaf, rep, text, len);
}

static void
put_text_of(ParquetWriter *writer, ParquetNode *node, Datum value, int rep)
{
	int			len;
	const char *text = text_value(&writer->text, node->type, value, &len);

	put_text(writer, node, text, len, rep);
}

/* Always in UTF-8 or in escaped ASCII. */
static void
put_json_of(ParquetWriter *writer, ParquetNode *node, Datum value, int rep)
{
	JsonStyle style = json_style_default();

	buffer_clear(&writer->json);
	json_value(&writer->json, &style, node->type, value);
	leaf_put_bytes(node->leaf, rep, writer->json.data, writer->json.len);
}

/* The bytes of a value, out of line or not; a copy doesn't outlive the call. */
static void
put_varlena(ParquetWriter *writer, ParquetNode *node, Datum value, int rep)
{
	struct varlena *bytes = PG_DETOAST_DATUM_PACKED(value);

	if (node->kind == NODE_TEXT)
		put_text(writer, node, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes),
				 rep);
	else
		leaf_put_bytes(node->leaf, rep, VARDATA_ANY(bytes),
					   VARSIZE_ANY_EXHDR(bytes));
	if ((Pointer) bytes != DatumGetPointer(value))
		pfree(bytes);
}

/* ---- what nests ---- */

typedef struct ArrayWalk
{
	TypeShape	*element;
	const int	*dims;
	const char	*data;
	const uint8 *nulls; /* NULL: none is null */
	int			 index;
} ArrayWalk;

static void
put_element(ParquetWriter *writer, ParquetNode *node, ArrayWalk *walk, int rep)
{
	TypeShape *type = walk->element;
	int		   i = walk->index++;
	Datum	   value;

	if (walk->nulls && !(walk->nulls[i / 8] & (1 << (i % 8))))
	{
		put_null(writer, node, rep, node->def - 1);
		return;
	}
	value = fetch_att(walk->data, type->byval, type->len);
	value_put_node(writer, node, value, rep);
	walk->data = att_addlength_pointer(walk->data, type->len, walk->data);
	walk->data = (const char *) att_align_nominal(walk->data, type->align);
}

/* One dimension of an array; the first value continues what is around it. */
static void
put_dimension(ParquetWriter *writer, ParquetNode *node, ArrayWalk *walk,
			  int dimension, int rep)
{
	ParquetNode *element = &node->children[0];

	for (int i = 0; i < walk->dims[dimension]; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (node->ndims > 1)
			put_dimension(writer, element, walk, dimension + 1, rep);
		else
			put_element(writer, element, walk, rep);
		rep = node->rep;
	}
}

/*
 * A column has one number of dimensions, the declared one (int[][] has two);
 * arrays of another number are not held.  Empty arrays have none.
 */
static void
put_array(ParquetWriter *writer, ParquetNode *node, Datum value, int rep)
{
	ArrayType *array = DatumGetArrayTypeP(value);
	ArrayWalk  walk;

	if (ARR_NDIM(array) == 0)
		put_null(writer, node, rep, node->def);
	else if (ARR_NDIM(array) != node->ndims)
		put_unholdable(writer, node, rep,
					   psprintf("an array of %d dimensions in a column "
								"declared with %d",
								ARR_NDIM(array), node->ndims));
	else
	{
		walk.element = node->type->element;
		walk.dims = ARR_DIMS(array);
		walk.data = ARR_DATA_PTR(array);
		walk.nulls = ARR_NULLBITMAP(array);
		walk.index = 0;
		put_dimension(writer, node, &walk, 0, rep);
		if (writer->leaves[node->first_leaf].nlevels > MAX_PAGE_LEVELS)
			writer->page_due = true;
	}
	if ((Pointer) array != DatumGetPointer(value))
		pfree(array);
}

static void
put_vector(ParquetWriter *writer, ParquetNode *node, Datum value, int rep)
{
	VectorHeader *vector = (VectorHeader *) PG_DETOAST_DATUM(value);
	const char	 *numbers = (const char *) (vector + 1);
	ParquetLeaf	 *leaf = node->children[0].leaf;

	if (vector->dimensions <= 0)
		put_null(writer, node, rep, node->def);
	else
	{
		leaf_put_levels(leaf, rep, leaf->max_def, 1);
		leaf_put_levels(leaf, node->rep, leaf->max_def,
						vector->dimensions - 1);
		leaf_put_numbers(leaf, numbers, vector->dimensions);
	}
	if ((Pointer) vector != DatumGetPointer(value))
		pfree(vector);
}

/* The shape's workspace is free again when the fields have been put. */
static void
put_composite(ParquetWriter *writer, ParquetNode *node, Datum value, int rep)
{
	RowShape	   *fields = node->type->fields;
	HeapTupleHeader header = DatumGetHeapTupleHeader(value);
	HeapTupleData	tuple;

	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = header;
	heap_deform_tuple(&tuple, fields->desc, fields->values, fields->nulls);
	for (int i = 0; i < node->nchildren; i++)
	{
		ParquetNode *child = &node->children[i];

		if (fields->nulls[child->attno])
			put_null(writer, child, rep, child->def - 1);
		else
			value_put_node(writer, child, fields->values[child->attno], rep);
	}
	if ((Pointer) header != DatumGetPointer(value))
		pfree(header);
}

static void
value_put_node(ParquetWriter *writer, ParquetNode *node, Datum value, int rep)
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
			put_number(writer, node, value, rep);
			break;
		case NODE_TIMETZ:
			put_timetz(writer, node, value, rep);
			break;
		case NODE_DECIMAL32:
		case NODE_DECIMAL64:
		case NODE_DECIMAL128:
			put_decimal(writer, node, value, rep);
			break;
		case NODE_BYTEA:
		case NODE_TEXT:
			put_varlena(writer, node, value, rep);
			break;
		case NODE_UUID:
			leaf_put_bytes(node->leaf, rep,
						   (const char *) DatumGetUUIDP(value)->data,
						   UUID_LEN);
			break;
		case NODE_TEXT_OF:
			put_text_of(writer, node, value, rep);
			break;
		case NODE_JSON_OF:
			put_json_of(writer, node, value, rep);
			break;
		case NODE_LIST:
			put_array(writer, node, value, rep);
			break;
		case NODE_VECTOR:
			put_vector(writer, node, value, rep);
			break;
		case NODE_GROUP:
			put_composite(writer, node, value, rep);
			break;
	}
}

void
parquet_shrink_texts(ParquetWriter *writer)
{
	buffer_reset(&writer->text.scratch);
	buffer_reset(&writer->json);
}

/*
 * Pages end with a row, so its large values needn't all be held as they are:
 * those of a column are compressed before the next one's come.
 */
static void
end_full_pages(ParquetWriter *writer, const ParquetNode *node)
{
	parquet_shrink_texts(writer);
	for (int i = 0; i < node->nleaves; i++)
	{
		ParquetLeaf *leaf = &writer->leaves[node->first_leaf + i];

		if (leaf_page_is_full(leaf, writer->page_bytes))
			leaf_end_page(leaf, writer->group_rows + 1);
	}
	writer->page_due = false;
}

void
parquet_put_row(ParquetWriter *writer, const Datum *values, const bool *nulls)
{
	for (int i = 0; i < writer->ndirect; i++)
	{
		ParquetNode *node = writer->direct[i];

		writer->shape->current = node->column->shape;
		if (!nulls[node->attno])
			value_put_node(writer, node, values[node->attno], 0);
		else if (likely(node->optional))
			put_null(writer, node, 0, node->def - 1);
		else
			parquet_refuse_null(node);
		if (unlikely(writer->page_due))
			end_full_pages(writer, node);
	}
	writer->shape->current = NULL;
}
