/*
 * json.c
 *		Values and rows as native JSON.
 *
 * Numbers, booleans, json, arrays and composites are themselves; dates and
 * times are ISO 8601; everything else is a string of PostgreSQL's text.  NaN
 * and infinities, which JSON's numbers lack, are strings.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/tupmacs.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/date.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "encode/encode.h"
#include "encode/value/json_document.h"

static void
json_numeric(ByteBuffer *out, const JsonStyle *style, Datum value)
{
	bool quoted = style->numbers_as_string || numeric_is_special(value);

	if (quoted)
		buffer_append_char(out, '"');
	text_numeric(out, value);
	if (quoted)
		buffer_append_char(out, '"');
}

/* Most of what put_scalar() and a label's padding take. */
#define MAX_SCALAR_TEXT (MAX_DATETIME_TEXT + 2)
#define LABEL_STEP		16

static inline char *
put_float(char *dst, TypeKind kind, Datum value)
{
	bool   is_float4 = kind == KIND_FLOAT4;
	float8 number = is_float4 ? DatumGetFloat4(value) : DatumGetFloat8(value);
	bool   quoted = unlikely(!isfinite(number));

	if (quoted)
		*dst++ = '"';
	dst += is_float4 ? text_float4(dst, DatumGetFloat4(value))
					 : text_float8(dst, number);
	if (quoted)
		*dst++ = '"';
	return dst;
}

static inline char *
put_int8(char *dst, const JsonStyle *style, int64 value)
{
	if (style->numbers_as_string)
		*dst++ = '"';
	dst += text_int64(dst, value);
	if (style->numbers_as_string)
		*dst++ = '"';
	return dst;
}

/* Dates and times: their text never needs an escape. */
static char *
put_datetime(char *dst, TypeKind kind, Datum value)
{
	*dst++ = '"';
	if (kind == KIND_DATE)
		dst += text_date(dst, DatumGetDateADT(value));
	else if (kind == KIND_TIME)
		dst += text_time(dst, DatumGetTimeADT(value));
	else if (kind == KIND_TIMETZ)
		dst += text_timetz(dst, DatumGetTimeTzADTP(value)->time,
						   DatumGetTimeTzADTP(value)->zone);
	else if (kind == KIND_TIMESTAMP)
		dst += text_timestamp(dst, DatumGetTimestamp(value), 'T');
	else
		dst += text_timestamptz_utc(dst, DatumGetTimestampTz(value), 'T', "Z");
	*dst++ = '"';
	return dst;
}

/*
 * Kinds whose text has a bound: written to dst, where there is room for it.
 * Returns the text's end, NULL for all other kinds.
 */
static inline char *
put_scalar(char *dst, const JsonStyle *style, TypeKind kind, Datum value)
{
	switch (kind)
	{
		case KIND_BOOL:
			memcpy(dst, DatumGetBool(value) ? "true " : "false", 5);
			return dst + (DatumGetBool(value) ? 4 : 5);
		case KIND_INT2:
			return dst + text_int64(dst, DatumGetInt16(value));
		case KIND_INT4:
			return dst + text_int64(dst, DatumGetInt32(value));
		case KIND_INT8:
			return put_int8(dst, style, DatumGetInt64(value));
		case KIND_OID:
			return dst + text_uint32(dst, DatumGetObjectId(value));
		case KIND_FLOAT4:
		case KIND_FLOAT8:
			return put_float(dst, kind, value);
		case KIND_DATE:
		case KIND_TIME:
		case KIND_TIMETZ:
		case KIND_TIMESTAMP:
		case KIND_TIMESTAMPTZ:
			return put_datetime(dst, kind, value);
		case KIND_NUMERIC:
		case KIND_TEXT:
		case KIND_NAME:
		case KIND_BYTEA:
		case KIND_UUID:
		case KIND_JSON:
		case KIND_JSONB:
		case KIND_ENUM:
		case KIND_HSTORE:
		case KIND_VECTOR:
		case KIND_ARRAY:
		case KIND_COMPOSITE:
		case KIND_OTHER:
			break;
	}
	return NULL;
}

/* Where the walk through an array's elements stands. */
typedef struct ArrayWalk
{
	TypeShape	*element;
	int			 ndim;
	const int	*dims;
	const char	*data;
	const uint8 *nulls; /* NULL if no element is null */
	int			 index;
} ArrayWalk;

/* The next element.  One that is a JSON array is read as one more dimension. */
static void
json_element(ByteBuffer *out, const JsonStyle *style, ArrayWalk *walk)
{
	TypeShape *element = walk->element;
	size_t	   start = out->len;

	json_value(out, style, element,
			   fetch_att(walk->data, element->byval, element->len));
	if (style->untold && json_first(out, start) == '[')
		*style->untold = true;
	walk->data = att_addlength_pointer(walk->data, element->len, walk->data);
	walk->data = (const char *) att_align_nominal(walk->data, element->align);
}

static void
json_array_dimension(ByteBuffer *out, const JsonStyle *style, ArrayWalk *walk,
					 int dimension)
{
	buffer_append_char(out, '[');
	for (int i = 0; i < walk->dims[dimension] && !buffer_is_over(out); i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (i > 0)
			buffer_append_char(out, ',');
		if (dimension + 1 < walk->ndim)
		{
			json_array_dimension(out, style, walk, dimension + 1);
			continue;
		}
		if (walk->nulls && att_isnull(walk->index, walk->nulls))
			buffer_append_literal(out, "null");
		else
			json_element(out, style, walk);
		walk->index++;
	}
	buffer_append_char(out, ']');
}

static void
json_array(ByteBuffer *out, const JsonStyle *style, TypeShape *type,
		   Datum value)
{
	ArrayType *array = DatumGetArrayTypeP(value);
	ArrayWalk  walk = {.element = type->element,
					   .ndim = ARR_NDIM(array),
					   .dims = ARR_DIMS(array),
					   .data = ARR_DATA_PTR(array),
					   .nulls = ARR_NULLBITMAP(array)};

	for (int i = 0; style->untold && i < walk.ndim; i++)
		if (ARR_LBOUND(array)[i] != 1)
			*style->untold = true;
	if (walk.ndim == 0)
		buffer_append_literal(out, "[]");
	else if (buffer_may_recurse(out))
		json_array_dimension(out, style, &walk, 0);
}

static void
json_composite(ByteBuffer *out, const JsonStyle *style, TypeShape *type,
			   Datum value)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(value);
	RowShape	   *fields = type->fields;
	HeapTupleData	tuple = {.t_len = HeapTupleHeaderGetDatumLength(header),
							 .t_data = header};

	if (!buffer_may_recurse(out))
		return;
	ItemPointerSetInvalid(&tuple.t_self);
	heap_deform_tuple(&tuple, fields->desc, fields->values, fields->nulls);
	json_row(out, style, fields, fields->values, fields->nulls, NULL, 0);
}

static void
json_packed_text(ByteBuffer *out, const JsonStyle *style, Datum value)
{
	struct varlena *text = PG_DETOAST_DATUM_PACKED(value);

	json_string(out, style, VARDATA_ANY(text), VARSIZE_ANY_EXHDR(text));
}

/* What has parts, in a form of JSON that doesn't tell all of them. */
static inline bool
is_nested(TypeKind kind)
{
	return kind == KIND_ARRAY || kind == KIND_COMPOSITE || kind == KIND_HSTORE;
}

/* All other kinds. */
static void
append_other(ByteBuffer *out, const JsonStyle *style, TypeShape *type,
			 Datum value)
{
	switch (style->nested_as_text && is_nested(type->kind) ? KIND_OTHER
														   : type->kind)
	{
		case KIND_TEXT:
			json_packed_text(out, style, value);
			break;
		case KIND_NUMERIC:
			json_numeric(out, style, value);
			break;
		case KIND_BYTEA:
			json_bytea(out, style, value);
			break;
		case KIND_UUID:
			buffer_append_char(out, '"');
			text_uuid(out, value);
			buffer_append_char(out, '"');
			break;
		case KIND_JSON:
		case KIND_JSONB:
		case KIND_HSTORE:
			json_document(out, style, type, value);
			break;
		case KIND_ARRAY:
			json_array(out, style, type, value);
			break;
		case KIND_COMPOSITE:
			json_composite(out, style, type, value);
			break;
		case KIND_BOOL:
		case KIND_INT2:
		case KIND_INT4:
		case KIND_INT8:
		case KIND_OID:
		case KIND_FLOAT4:
		case KIND_FLOAT8:
		case KIND_NAME:
		case KIND_DATE:
		case KIND_TIME:
		case KIND_TIMETZ:
		case KIND_TIMESTAMP:
		case KIND_TIMESTAMPTZ:
		case KIND_ENUM:
		case KIND_VECTOR:
		case KIND_OTHER:
			json_text_value(out, style, type, value);
			break;
	}
}

void
json_value(ByteBuffer *out, const JsonStyle *style, TypeShape *type,
		   Datum value)
{
	char *end = put_scalar(buffer_reserve(out, MAX_SCALAR_TEXT), style,
						   type->kind, value);

	if (end)
		buffer_set_end(out, end);
	else
		append_other(out, style, type, value);
}

static void
prepare_type(TypeShape *type, const JsonStyle *style)
{
	check_stack_depth();
	if (type->kind == KIND_ARRAY)
		prepare_type(type->element, style);
	else if (type->kind == KIND_COMPOSITE)
		json_prepare_shape(type->fields, style);
}

void
json_prepare_shape(RowShape *shape, const JsonStyle *style)
{
	ColumnLabel *labels = MemoryContextAlloc(
		shape->context, sizeof(ColumnLabel) * shape->ncolumns);
	ByteBuffer texts;
	char	  *text;
	int		   i;

	buffer_init(&texts);
	for (i = 0; i < shape->ncolumns; i++)
	{
		ColumnShape *column = &shape->columns[i];
		size_t		 start = texts.len;

		json_string(&texts, style, column->name, strlen(column->name));
		buffer_append_char(&texts, ':');
		labels[i].len = texts.len - start;
		labels[i].attnum = column->attnum;
		labels[i].kind = column->type.kind;
		while (texts.len % LABEL_STEP != 0)
			buffer_append_char(&texts, '\0');
		prepare_type(&column->type, style);
	}
	/* in one piece, as rows read them in turn */
	text = MemoryContextAlloc(shape->context, texts.len);
	memcpy(text, texts.data, texts.len);
	for (i = 0; i < shape->ncolumns; i++)
	{
		labels[i].text = text;
		text += TYPEALIGN(LABEL_STEP, labels[i].len);
	}
	shape->labels = labels;
	buffer_free(&texts);
}

/* Copies the padding, too: most labels are one step. */
static inline char *
put_label(char *dst, const ColumnLabel *label)
{
	int i;

	for (i = 0; i < label->len; i += LABEL_STEP)
		memcpy(dst + i, label->text + i, LABEL_STEP);
	return dst + label->len;
}

void
json_row(ByteBuffer *out, const JsonStyle *style, RowShape *shape,
		 const Datum *values, const bool *nulls, const uint8 *states,
		 uint8 skip)
{
	char separator = '{';

	for (int i = 0; i < shape->ncolumns && !buffer_is_over(out); i++)
	{
		const ColumnLabel *label = &shape->labels[i];
		int				   attribute = label->attnum - 1;
		char			  *dst, *end;

		shape->current = &shape->columns[i];
		if (skip && (states[i] & skip))
			continue;
		dst =
			buffer_reserve(out, 1 + label->len + LABEL_STEP + MAX_SCALAR_TEXT);
		*dst++ = separator;
		separator = ',';
		dst = put_label(dst, label);
		if (nulls[attribute])
		{
			memcpy(dst, "null", 4);
			end = dst + 4;
		}
		else
			end = put_scalar(dst, style, label->kind, values[attribute]);
		buffer_set_end(out, end ? end : dst);
		if (end == NULL && label->kind == KIND_TEXT)
			json_packed_text(out, style, values[attribute]);
		else if (end == NULL)
			append_other(out, style, &shape->columns[i].type,
						 values[attribute]);
	}
	if (separator == '{')
		buffer_append_char(out, '{');
	buffer_append_char(out, '}');
	shape->current = NULL;
}
