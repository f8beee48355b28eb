/*
 * fuzz_parquet_expect.c
 *		What a Parquet file must hold: types -> schema, rows -> levels and values.
 *
 * As the README's table says it; values by way of the types' own output
 * functions wherever those can tell them.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type_d.h"
#include "datatype/timestamp.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "compat.h"
#include "fuzz_parquet.h"

#define DAYS_TO_UNIX  (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)
#define USECS_TO_UNIX (DAYS_TO_UNIX * USECS_PER_DAY)

/* The walk down a column's types, to describe them or to put a value. */
typedef struct Walk
{
	FileContent *content;
	bool		 describe;
	bool		 as_text;	 /* the whole column is */
	bool		 unholdable; /* a value was met */
	int			 leaf;		 /* the next one */
	int			 depth;
	const char	*name; /* of the next node, and what else only describing */
	const char	*path; /* of what is around it */
	int			 field_id; /* needs */
} Walk;

/* A value, or the lack of it, on its way down. */
typedef struct Place
{
	bool  present;
	Datum value;
	int	  rep; /* of what comes first */
	int	  def; /* of what is around it */
	int	  max_def;
	int	  max_rep;
} Place;

static void walk_node(Walk *walk, TypeShape *type, int ndims, bool optional,
					  Place place);

/* ---- leaves */

FileLeaf *
file_leaf_add(FileContent *content)
{
	FileLeaf *leaf;

	content->leaves =
		content->nleaves == 0
			? palloc(sizeof(FileLeaf))
			: repalloc(content->leaves,
					   sizeof(FileLeaf) * (content->nleaves + 1));
	leaf = &content->leaves[content->nleaves++];
	memset(leaf, 0, sizeof(*leaf));
	return leaf;
}

void
file_leaf_put(FileLeaf *leaf, int rep, int def, const char *data, size_t len)
{
	FileEntry *entry;

	if (leaf->count == leaf->room)
	{
		leaf->room = Max(leaf->room * 2, 16);
		leaf->entries =
			leaf->entries == NULL
				? palloc(sizeof(FileEntry) * leaf->room)
				: repalloc_huge(leaf->entries, sizeof(FileEntry) * leaf->room);
	}
	entry = &leaf->entries[leaf->count++];
	entry->rep = rep;
	entry->def = def;
	entry->data = data;
	entry->len = len;
}

/* ---- numeric(p,s) */

static bool
is_decimal(const TypeShape *type, int *precision, int *scale)
{
	int32 typmod = type->typmod - VARHDRSZ;

	if (type->kind != KIND_NUMERIC || typmod < 0)
		return false;
	*precision = (typmod >> 16) & 0xFFFF;
	*scale = typmod & 0x7FF;
	if (*scale > 1000)
		*scale -= 2048;
	if (*scale < 0)
	{
		*precision += -*scale;
		*scale = 0;
	}
	if (*scale > *precision)
		*precision = *scale;
	return *precision <= 38;
}

/* The digits that so many bytes hold: 8 * width - 1 bits. */
static int
fixed_width(int precision)
{
	int width = 1;

	while ((int) ((8 * width - 1) * 0.30102999566398120) < precision)
		width++;
	return width;
}

/* From the digits that numeric_out writes. */
static bool
decimal_of(Datum value, int precision, int scale, int128 *result)
{
	char  *text = DatumGetCString(DirectFunctionCall1(numeric_out, value));
	char  *at = text + (*text == '-');
	char  *point = strchr(at, '.');
	int	   behind = point ? strlen(point + 1) : 0;
	int	   digits = 0;
	int128 sum = 0;

	if (*at < '0' || *at > '9')
		return false; /* NaN, Infinity */
	for (; *at; at++)
	{
		if (*at == '.')
			continue;
		if (point && at > point && at - point > scale)
		{
			if (*at != '0')
				return false;
			continue;
		}
		digits += digits > 0 || *at != '0';
		if (digits > precision)
			return false;
		sum = sum * 10 + (*at - '0');
	}
	for (; behind < scale && sum != 0; behind++)
	{
		if (++digits > precision)
			return false;
		sum *= 10;
	}
	*result = *text == '-' ? -sum : sum;
	return true;
}

/* ---- what a primitive type is in the file */

typedef struct Mapping
{
	int	 physical;
	int	 width; /* of fixed-width values */
	char suffix[64];
} Mapping;

static void
map(Mapping *mapping, int physical, int width, const char *suffix)
{
	mapping->physical = physical;
	mapping->width = width;
	strlcpy(mapping->suffix, suffix, sizeof(mapping->suffix));
}

static void
map_type(const TypeShape *type, bool as_text, const char *id, Mapping *mapping)
{
	int precision, scale;

	map(mapping, PHYSICAL_BYTE_ARRAY, 0,
		psprintf(" converted 0%s logical 1", id));
	if (as_text)
		return;
	if (is_decimal(type, &precision, &scale))
	{
		map(mapping,
			precision <= 9	  ? PHYSICAL_INT32
			: precision <= 18 ? PHYSICAL_INT64
							  : PHYSICAL_FIXED,
			precision <= 9	  ? 4
			: precision <= 18 ? 8
							  : fixed_width(precision),
			psprintf(" converted 5 decimal %d %d%s logical 5 %d %d", precision,
					 scale, id, scale, precision));
		return;
	}
	switch (type->kind)
	{
		case KIND_BOOL:
			map(mapping, PHYSICAL_BOOLEAN, 1, id);
			break;
		case KIND_INT2:
			map(mapping, PHYSICAL_INT32, 4,
				psprintf(" converted 16%s logical 10 16 1", id));
			break;
		case KIND_INT4:
			map(mapping, PHYSICAL_INT32, 4, id);
			break;
		case KIND_INT8:
			map(mapping, PHYSICAL_INT64, 8, id);
			break;
		case KIND_OID:
			map(mapping, PHYSICAL_INT32, 4,
				psprintf(" converted 13%s logical 10 32 0", id));
			break;
		case KIND_FLOAT4:
			map(mapping, PHYSICAL_FLOAT, 4, id);
			break;
		case KIND_FLOAT8:
			map(mapping, PHYSICAL_DOUBLE, 8, id);
			break;
		case KIND_BYTEA:
			map(mapping, PHYSICAL_BYTE_ARRAY, 0, id);
			break;
		case KIND_UUID:
			map(mapping, PHYSICAL_FIXED, 16, psprintf("%s logical 14", id));
			break;
		case KIND_DATE:
			map(mapping, PHYSICAL_INT32, 4,
				psprintf(" converted 6%s logical 6", id));
			break;
		case KIND_TIME:
		case KIND_TIMETZ:
			map(mapping, PHYSICAL_INT64, 8,
				psprintf(" converted 8%s logical 7 %d unit 2", id,
						 type->kind == KIND_TIMETZ));
			break;
		case KIND_TIMESTAMP:
		case KIND_TIMESTAMPTZ:
			map(mapping, PHYSICAL_INT64, 8,
				psprintf(" converted 10%s logical 8 %d unit 2", id,
						 type->kind == KIND_TIMESTAMPTZ));
			break;
		case KIND_JSON:
		case KIND_JSONB:
		case KIND_HSTORE:
			map(mapping, PHYSICAL_BYTE_ARRAY, 0,
				psprintf(" converted 19%s logical 12", id));
			break;
		default:
			break;
	}
}

/* ---- what a primitive value is in the file */

static const char *
bytes_of(const void *data, size_t len)
{
	return memcpy(palloc(len + 1), data, len);
}

static const char *
text_of(const TypeShape *type, Datum value, size_t *len)
{
	Oid			output;
	bool		varlena;
	const char *text;

	getTypeOutputInfo(type->oid, &output, &varlena);
	text = OidOutputFunctionCall(output, value);
	*len = strlen(text);
	return text;
}

static const char *
varlena_bytes(Datum value, size_t *len)
{
	struct varlena *plain = PG_DETOAST_DATUM_COPY(value);

	*len = VARSIZE(plain) - VARHDRSZ;
	return VARDATA(plain);
}

static const char *
number_bytes(int64 number, int width, size_t *len)
{
	*len = width;
	return bytes_of(&number, width); /* little-endian */
}

static const char *
decimal_bytes(Datum value, int precision, int scale, size_t *len)
{
	int128 number;
	char   bytes[16];
	int	   width = fixed_width(precision);

	if (!decimal_of(value, precision, scale, &number))
		return NULL;
	if (precision <= 18)
		return number_bytes((int64) number, precision <= 9 ? 4 : 8, len);
	for (int i = 0; i < width; i++)
		bytes[width - 1 - i] = (char) (number >> (8 * i));
	*len = width;
	return bytes_of(bytes, width);
}

static const char *
time_bytes(int64 time, int64 zone, size_t *len)
{
	if (time >= USECS_PER_DAY)
		return NULL;
	time = (time + zone * USECS_PER_SEC + 2 * USECS_PER_DAY) % USECS_PER_DAY;
	return number_bytes(time, 8, len);
}

/* The bytes, NULL if Parquet can't hold the value. */
static const char *
value_bytes(const TypeShape *type, bool as_text, Datum value, size_t *len)
{
	int		   precision, scale;
	float4	   float4_value;
	float8	   float8_value;
	Timestamp  timestamp;
	TimeTzADT *timetz;

	if (as_text)
		return text_of(type, value, len);
	if (is_decimal(type, &precision, &scale))
		return decimal_bytes(value, precision, scale, len);
	switch (type->kind)
	{
		case KIND_BOOL:
			return number_bytes(DatumGetBool(value), 1, len);
		case KIND_INT2:
			return number_bytes(DatumGetInt16(value), 4, len);
		case KIND_INT4:
		case KIND_OID:
			return number_bytes(DatumGetInt32(value), 4, len);
		case KIND_INT8:
			return number_bytes(DatumGetInt64(value), 8, len);
		case KIND_FLOAT4:
			float4_value = DatumGetFloat4(value);
			*len = sizeof(float4_value);
			return bytes_of(&float4_value, *len);
		case KIND_FLOAT8:
			float8_value = DatumGetFloat8(value);
			*len = sizeof(float8_value);
			return bytes_of(&float8_value, *len);
		case KIND_DATE:
			if (DATE_NOT_FINITE(DatumGetDateADT(value)))
				return NULL;
			return number_bytes(DatumGetDateADT(value) + DAYS_TO_UNIX, 4, len);
		case KIND_TIME:
			return time_bytes(DatumGetTimeADT(value), 0, len);
		case KIND_TIMETZ:
			timetz = DatumGetTimeTzADTP(value);
			return time_bytes(timetz->time, timetz->zone, len);
		case KIND_TIMESTAMP:
		case KIND_TIMESTAMPTZ:
			timestamp = DatumGetTimestamp(value);
			if (TIMESTAMP_NOT_FINITE(timestamp) ||
				timestamp > PG_INT64_MAX - USECS_TO_UNIX)
				return NULL;
			return number_bytes(timestamp + USECS_TO_UNIX, 8, len);
		case KIND_UUID:
			*len = UUID_LEN;
			return bytes_of(DatumGetUUIDP(value)->data, UUID_LEN);
		case KIND_BYTEA:
		case KIND_TEXT:
		case KIND_JSON:
			return varlena_bytes(value, len);
		case KIND_HSTORE:
			return varlena_bytes(FunctionCall1(type->to_json, value), len);
		default:
			return text_of(type, value, len);
	}
}

/* ---- nodes */

static void
describe_node(Walk *walk, bool optional, const char *suffix)
{
	appendStringInfo(&walk->content->schema, "%d %s %s%s\n", walk->depth,
					 walk->name, optional ? "optional" : "required", suffix);
}

static const char *
path_below(const Walk *walk, const char *name)
{
	return psprintf("%s%s%s", walk->path, *walk->path ? "\n" : "", name);
}

static const char *
id_of(Walk *walk)
{
	const char *text =
		walk->field_id ? psprintf(" id %d", walk->field_id) : "";

	walk->field_id = 0; /* what is below has none */
	return text;
}

static void
walk_leaf(Walk *walk, TypeShape *type, bool optional, Place place)
{
	FileLeaf   *leaf;
	const char *data = NULL;
	size_t		len = 0;

	if (walk->describe)
	{
		Mapping mapping;

		map_type(type, walk->as_text, id_of(walk), &mapping);
		describe_node(walk, optional,
					  psprintf(" type %d width %d%s", mapping.physical,
							   mapping.width, mapping.suffix));
		leaf = file_leaf_add(walk->content);
		leaf->path = path_below(walk, walk->name);
		leaf->physical = mapping.physical;
		leaf->width = mapping.width;
		leaf->max_def = place.max_def;
		leaf->max_rep = place.max_rep;
		return;
	}
	leaf = &walk->content->leaves[walk->leaf++];
	if (place.present)
	{
		data = value_bytes(type, walk->as_text, place.value, &len);
		if (data == NULL)
		{
			walk->unholdable = true;
			place.def--; /* a null */
		}
	}
	file_leaf_put(leaf, place.rep, place.def, data, len);
}

/* The elements of a list; in an array of several dimensions, of its first. */
static void
walk_elements(Walk *walk, TypeShape *element, int ndims, Place around,
			  const Datum *values, const bool *nulls, const int *dims)
{
	int	  leaf = walk->leaf;
	int	  step = 1;
	Place place = around;

	place.max_def = around.max_def + 1;
	place.max_rep = around.max_rep + 1;
	if (dims == NULL || dims[0] == 0)
	{
		place.present = false;
		walk_node(walk, element, ndims - 1, true, place);
		return;
	}
	for (int i = 1; i < ndims; i++)
		step *= dims[i];
	place.def = around.def + 1;
	for (int i = 0; i < dims[0]; i++)
	{
		walk->leaf = leaf;
		if (ndims > 1)
		{
			Place inner = place;

			/* the inner list is there */
			inner.def++;
			inner.max_def++;
			walk_elements(walk, element, ndims - 1, inner, values + i * step,
						  nulls + i * step, dims + 1);
		}
		else
		{
			place.present = !nulls[i];
			place.value = values[i];
			walk_node(walk, element, 0, true, place);
		}
		place.rep = place.max_rep;
	}
}

static void
describe_list(Walk *walk, TypeShape *type, int ndims, bool optional,
			  Place place)
{
	const char *path = walk->path;

	describe_node(walk, optional,
				  psprintf(" converted 3%s logical 3", id_of(walk)));
	appendStringInfo(&walk->content->schema, "%d list repeated\n",
					 walk->depth + 1);
	walk->path = path_below(walk, walk->name);
	walk->path = path_below(walk, "list");
	walk->depth += 2;
	walk->name = "element";
	place.max_def++;
	place.max_rep++;
	walk_node(walk, type, ndims - 1, true, place);
	walk->depth -= 2;
	walk->path = path;
}

static void
walk_array(Walk *walk, TypeShape *type, int ndims, Place place)
{
	ArrayType *array = place.present ? DatumGetArrayTypeP(place.value) : NULL;
	TypeShape *element = type->element;
	Datum	  *values;
	bool	  *nulls;
	int		   count;

	if (array != NULL && ARR_NDIM(array) != 0 && ARR_NDIM(array) != ndims)
	{
		walk->unholdable = true;
		place.def--;
		array = NULL;
	}
	if (array == NULL || ARR_NDIM(array) == 0)
	{
		/* what is inside is still as deep as was declared */
		walk_elements(walk, ndims > 1 ? type : element, ndims, place, NULL,
					  NULL, NULL);
		return;
	}
	deconstruct_array(array, element->oid, element->len, element->byval,
					  element->align, &values, &nulls, &count);
	walk_elements(walk, element, ndims, place, values, nulls, ARR_DIMS(array));
}

static void
walk_vector(Walk *walk, Place place)
{
	static TypeShape number = {.kind = KIND_FLOAT4, .oid = FLOAT4OID};
	VectorHeader	*vector;
	int				 dims;
	Datum			*values;
	bool			*nulls;

	if (!place.present)
	{
		walk_elements(walk, &number, 1, place, NULL, NULL, NULL);
		return;
	}
	vector = (VectorHeader *) PG_DETOAST_DATUM_COPY(place.value);
	dims = vector->dimensions;
	values = palloc(sizeof(Datum) * (dims + 1));
	nulls = palloc0(sizeof(bool) * (dims + 1));
	for (int i = 0; i < dims; i++)
	{
		float4 value;

		memcpy(&value, (char *) (vector + 1) + i * sizeof(value),
			   sizeof(value));
		values[i] = Float4GetDatum(value);
	}
	walk_elements(walk, &number, 1, place, values, nulls, &dims);
}

static void
walk_group(Walk *walk, TypeShape *type, bool optional, Place place)
{
	RowShape   *fields = type->fields;
	const char *path = walk->path;
	HeapTuple	tuple = NULL;

	if (walk->describe)
	{
		describe_node(walk, optional, id_of(walk));
		walk->path = path_below(walk, walk->name);
		walk->depth++;
	}
	if (place.present)
	{
		HeapTupleHeader header = DatumGetHeapTupleHeader(place.value);

		tuple = palloc0(sizeof(HeapTupleData));
		tuple->t_len = HeapTupleHeaderGetDatumLength(header);
		tuple->t_data = header;
	}
	for (int i = 0; i < fields->ncolumns; i++)
	{
		ColumnShape *field = &fields->columns[i];
		Place		 below = place;
		bool		 isnull = true;

		if (tuple != NULL)
			below.value =
				heap_getattr(tuple, field->attnum, fields->desc, &isnull);
		below.present = !isnull;
		walk->name = field->name;
		walk_node(walk, &field->type,
				  TupleDescAttr(fields->desc, field->attnum - 1)->attndims,
				  true, below);
	}
	if (walk->describe)
	{
		walk->path = path;
		walk->depth--;
	}
}

static void
walk_node(Walk *walk, TypeShape *type, int ndims, bool optional, Place place)
{
	bool nested = !walk->as_text;

	if (optional)
	{
		place.max_def++;
		place.def += place.present;
	}
	if (nested && type->kind == KIND_ARRAY && walk->describe)
		describe_list(walk, ndims > 1 ? type : type->element, Max(ndims, 1),
					  optional, place);
	else if (nested && type->kind == KIND_ARRAY)
		walk_array(walk, type, Max(ndims, 1), place);
	else if (nested && type->kind == KIND_VECTOR && walk->describe)
	{
		TypeShape *number = palloc0(sizeof(TypeShape));

		number->kind = KIND_FLOAT4;
		describe_list(walk, number, 1, optional, place);
	}
	else if (nested && type->kind == KIND_VECTOR)
		walk_vector(walk, place);
	else if (nested && type->kind == KIND_COMPOSITE &&
			 type->fields->ncolumns > 0)
		walk_group(walk, type, optional, place);
	else
		walk_leaf(walk, type, optional, place);
}

/* ---- columns */

/* Whether some value of the type makes a column text under "string". */
bool
may_be_unholdable(const TypeShape *type)
{
	int precision, scale;

	switch (type->kind)
	{
		case KIND_DATE:
		case KIND_TIME:
		case KIND_TIMETZ:
		case KIND_TIMESTAMP:
		case KIND_TIMESTAMPTZ:
		case KIND_ARRAY:
			return true;
		case KIND_COMPOSITE:
			for (int i = 0; i < type->fields->ncolumns; i++)
			{
				if (may_be_unholdable(&type->fields->columns[i].type))
					return true;
			}
			return false;
		default:
			return is_decimal(type, &precision, &scale);
	}
}

/* Whether "null" for all columns can leave out a whole value of the type. */
static bool
may_become_null(const TypeShape *type)
{
	/* a composite's fields can, each for itself */
	return type->kind != KIND_COMPOSITE && may_be_unholdable(type);
}

static void
walk_column(Walk *walk, RowShape *shape, int i, ExpectPolicy policy,
			Place place)
{
	ColumnShape *column = &shape->columns[i];

	walk->as_text =
		policy == EXPECT_STRING && may_be_unholdable(&column->type);
	walk->name = column->name;
	walk->path = "";
	walk->field_id = column->attnum;
	walk_node(walk, &column->type,
			  TupleDescAttr(shape->desc, column->attnum - 1)->attndims,
			  !column->not_null || policy == EXPECT_NULL_NAMED ||
				  (policy == EXPECT_NULL && may_become_null(&column->type)),
			  place);
}

FileContent *
expect_begin(RowShape *shape, const ExpectPolicy *policies)
{
	FileContent *content = palloc0(sizeof(FileContent));
	Walk		 walk = {.content = content, .describe = true};
	Place		 nothing = {0};

	initStringInfo(&content->schema);
	for (int i = 0; i < shape->ncolumns; i++)
		walk_column(&walk, shape, i, policies[i], nothing);
	return content;
}

bool
expect_row(FileContent *content, RowShape *shape, const ExpectPolicy *policies,
		   const Datum *values, const bool *nulls, bool *stops)
{
	Walk walk = {.content = content};
	bool holdable = true;

	for (int i = 0; i < shape->ncolumns; i++)
	{
		int	  attribute = shape->columns[i].attnum - 1;
		Place place = {.present = !nulls[attribute],
					   .value = values[attribute]};

		walk.unholdable = false;
		walk_column(&walk, shape, i, policies[i], place);
		stops[i] = walk.unholdable && policies[i] != EXPECT_NULL &&
				   policies[i] != EXPECT_NULL_NAMED;
		holdable &= !stops[i];
	}
	content->rows += holdable;
	return holdable;
}
