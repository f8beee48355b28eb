/*
 * output.c
 *		What a type's own output function would write, before it is called.
 *
 * Output functions make their text in memory, of which there must be less than
 * 1 GB, and fail otherwise.  Two sorts of values have far more text than they
 * have bytes: numerics in arrays, and values within values, where each level
 * writes every quote of the one below twice.  Neither can a stream live with
 * the error, nor the server with the memory that goes before it.  Catching the
 * error would help with one of them only.  So where a value's size doesn't rule
 * it out, the value is walked through, and its text's size summed up, exactly
 * but for quotes that may not be needed.
 *
 * Values of some base types are nested themselves, and may take less stack to
 * make than to write.  How much that is only their function knows, so it is
 * called under guard where it could be too much.
 *
 * The walk is over types' parts as row/ knows them.  A type that is nested
 * beyond what row/ follows has no parts, and none of its values fits.  What is
 * left are base types, whose text is in proportion to their bytes; an output
 * function that fails for other reasons is a superuser's, and named.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "access/tupmacs.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "tcop/tcopprot.h"
#include "utils/array.h"
#include "utils/bytea.h"
#include "utils/float.h"
#include "utils/jsonpath.h"
#include "utils/memutils.h"
#include "utils/multirangetypes.h"
#include "utils/rangetypes.h"
#include "utils/typcache.h"

#include "compat.h"
#include "encode/encode.h"
#include "encode/value/growth.h"
#include "encode/value/stack_guard.h"

/* What an output function can make without failing. */
#define MAX_TEXT (INT64CONST(900) * 1024 * 1024)

/*
 * Stack that an output function needs for a byte of the value at most, with
 * room for frames that no compiler has made smaller: 16 in a tsquery, 30 in a
 * jsonpath.
 */
#define MAX_STACK_GROWTH 128

/* Text of a part: all its bytes, and those that the next level doubles. */
typedef struct TextSize
{
	double bytes;
	double special;
} TextSize;

typedef struct Walk
{
	double limit;
	double seen; /* text so far, and bytes that were unpacked on the way */
} Walk;

static TextSize size_of(Walk *walk, TypeShape *type, Datum value);

/* ---- the call */

/*
 * Output functions of regrole, aclitem and all that holds these copy names of
 * shared catalogs.
 */
const char *
output_text(TypeShape *type, Datum value)
{
	return text_of_names(OutputFunctionCall(&type->output, value));
}

typedef struct OutputCall
{
	TypeShape *type;
	Datum	   value;
	char	  *text;
} OutputCall;

static void
run_output(void *arg)
{
	OutputCall *call = arg;

	call->text = OutputFunctionCall(&call->type->output, call->value);
}

static inline bool
may_lack_stack(TypeShape *type, Datum value)
{
	return type->len == -1 &&
		   output_nesting(type) * toast_raw_datum_size(value) >
			   max_stack_depth * (1024.0 / MAX_STACK_GROWTH);
}

/* NULL: there is no room for it. */
static char *
make_text(TypeShape *type, Datum value)
{
	OutputCall call = {type, value};

	if (likely(!may_lack_stack(type, value)))
		return OutputFunctionCall(&type->output, value);
	if (stack_guarded(run_output, &call))
		return call.text;
	/* what it keeps from call to call may be half made */
	fmgr_info_cxt(type->output.fn_oid, &type->output, type->output.fn_mcxt);
	return NULL;
}

const char *
output_call(ByteBuffer *out, TypeShape *type, Datum value)
{
	const char *text;

	if (!buffer_is_limited(out))
		return output_text(type, value);
	text = make_text(type, value);
	/* in the place of a byte that is no character, three would stand */
	if (text && strlen(text) > MAX_TEXT / 3 &&
		!pg_verifymbstr(text, strlen(text), true))
		text = NULL;
	if (text == NULL)
		buffer_give_up(out);
	return text ? text_of_names(text) : NULL;
}

/* ---- by the value */

/* A part within quotes, each special byte twice, and a separator. */
static void
add_quoted(TextSize *sum, TextSize part)
{
	sum->bytes += part.bytes + part.special + 3;
	sum->special += part.special * 2 + 2;
}

static bool
is_too_much(Walk *walk, double bytes)
{
	CHECK_FOR_INTERRUPTS();
	walk->seen = Max(walk->seen, bytes);
	return walk->seen > walk->limit;
}

static TextSize
size_of_text(const char *data, int len)
{
	TextSize size = {.bytes = len};

	for (int i = 0; i < len; i++)
		size.special += data[i] == '"' || data[i] == '\\';
	return size;
}

static TextSize
size_of_bytes(Datum value)
{
	double size = toast_raw_datum_size(value);

	if (bytea_output == BYTEA_OUTPUT_HEX)
		return (TextSize){size * 2 + 2, 1};
	return (TextSize){size * 4, size * 2};
}

static TextSize
size_of_numeric(Datum value)
{
	NumericView view;

	numeric_view(&view, value);
	return (TextSize){(Max(view.weight, 0) + 1) * 4 + view.scale + 8, 0};
}

static TextSize
size_of_jsonb(Walk *walk, Datum value)
{
	const JsonStyle raw = {.ascii = false};
	ByteBuffer		text;
	Size			bytes;

	buffer_init(&text);
	buffer_limit_begin(&text, (Size) walk->limit, BUFFER_PIECE);
	text_jsonb(&text, &raw, value);
	if (!buffer_limit_end(&text, &bytes))
		walk->seen = get_float8_infinity();
	buffer_free(&text);
	return (TextSize){bytes, bytes};
}

static TextSize
size_of_array(Walk *walk, TypeShape *element, Datum value)
{
	ArrayType	*array = DatumGetArrayTypeP(value);
	int			 ndim = ARR_NDIM(array);
	int			 count = ArrayGetNItems(ndim, ARR_DIMS(array));
	const char	*data = ARR_DATA_PTR(array);
	const uint8 *nulls = ARR_NULLBITMAP(array);
	TextSize	 sum = {.bytes = 256}; /* dimensions */

	for (int i = 0; i < count; i++)
	{
		sum.bytes += 2 * ndim;
		if (nulls && att_isnull(i, nulls))
			sum.bytes += 5;
		else
		{
			add_quoted(&sum,
					   size_of(walk, element,
							   fetch_att(data, element->byval, element->len)));
			data = att_addlength_pointer(data, element->len, data);
			data = (const char *) att_align_nominal(data, element->align);
		}
		if (is_too_much(walk, sum.bytes))
			break;
	}
	return sum;
}

static TextSize
size_of_composite(Walk *walk, RowShape *fields, Datum value)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(value);
	HeapTupleData	tuple = {.t_len = HeapTupleHeaderGetDatumLength(header),
							 .t_data = header};
	TextSize		sum = {.bytes = 2};

	heap_deform_tuple(&tuple, fields->desc, fields->values, fields->nulls);
	for (int i = 0; i < fields->ncolumns; i++)
	{
		ColumnShape *field = &fields->columns[i];
		int			 at = field->attnum - 1;

		if (fields->nulls[at])
			sum.bytes++;
		else
			add_quoted(&sum, size_of(walk, &field->type, fields->values[at]));
		if (is_too_much(walk, sum.bytes))
			break;
	}
	return sum;
}

static TextSize
size_of_range(Walk *walk, TypeShape *type, Datum value)
{
	TypeCacheEntry *cache =
		lookup_type_cache(type->base, TYPECACHE_RANGE_INFO);
	RangeBound bounds[2];
	bool	   empty;
	TextSize   sum = {.bytes = 8};

	range_deserialize(cache, DatumGetRangeTypeP(value), &bounds[0], &bounds[1],
					  &empty);
	for (int i = 0; i < 2 && !empty; i++)
		if (!bounds[i].infinite)
			add_quoted(&sum, size_of(walk, type->element, bounds[i].val));
	return sum;
}

static TextSize
size_of_multirange(Walk *walk, TypeShape *type, Datum value)
{
	TypeCacheEntry *cache =
		lookup_type_cache(type->base, TYPECACHE_MULTIRANGE_INFO);
	RangeType **ranges;
	int32		count;
	TextSize	sum = {.bytes = 2};

	multirange_deserialize(cache->rngtype, DatumGetMultirangeTypeP(value),
						   &count, &ranges);
	for (int i = 0; i < count && !is_too_much(walk, sum.bytes); i++)
	{
		TextSize range =
			size_of_range(walk, type->element, RangeTypePGetDatum(ranges[i]));

		sum.bytes += range.bytes + 1;
		sum.special += range.special;
	}
	return sum;
}

/*
 * Of the numbers in a jsonpath: wherever one can begin, by its sort, the place
 * of the next item and its length.  What only looks like one counts, too.
 */
static double
size_of_numbers(Datum value)
{
	struct varlena *path = PG_DETOAST_DATUM(value);
	const char	   *at = VARDATA(path);
	const char	   *end = (char *) path + VARSIZE(path);
	double			sum = 0;

	for (; end - at >= 4 * sizeof(int32); at += sizeof(int32))
	{
		const char *number = at + 2 * sizeof(int32);

		if (at[0] == jpiNumeric && at[1] == 0 && at[2] == 0 && at[3] == 0 &&
			VARATT_IS_4B_U(number) && VARSIZE(number) > VARHDRSZ &&
			VARSIZE(number) <= end - number)
			sum += size_of_numeric(PointerGetDatum(number)).bytes;
	}
	return sum;
}

/* A type without parts: by its text, which is in proportion. */
static TextSize
size_of_other(Walk *walk, TypeShape *type, Datum value)
{
	double		stored = type->len == -1 ? toast_raw_datum_size(value) : 0;
	double		least = type->base_is_bits ? stored * type->base_growth : 0;
	const char *text = NULL;

	if (type->has_numbers)
		least = size_of_numbers(value);
	if (!type->is_whole && least <= walk->limit &&
		least + stored * type->base_growth <= MAX_TEXT)
		text = make_text(type, value);
	if (text)
		return size_of_text(text, strlen(text));
	walk->seen = get_float8_infinity();
	return (TextSize){0, 0};
}

static TextSize
size_of_part(Walk *walk, TypeShape *type, Datum value)
{
	struct varlena *text;

	switch (type->kind)
	{
		case KIND_TEXT:
		case KIND_JSON:
			text = PG_DETOAST_DATUM_PACKED(value);
			return size_of_text(VARDATA_ANY(text), VARSIZE_ANY_EXHDR(text));
		case KIND_BYTEA:
			return size_of_bytes(value);
		case KIND_NUMERIC:
			return size_of_numeric(value);
		case KIND_JSONB:
			return size_of_jsonb(walk, value);
		case KIND_ARRAY:
			return size_of_array(walk, type->element, value);
		case KIND_COMPOSITE:
			return size_of_composite(walk, type->fields, value);
		case KIND_BOOL:
		case KIND_INT2:
		case KIND_INT4:
		case KIND_INT8:
		case KIND_OID:
		case KIND_FLOAT4:
		case KIND_FLOAT8:
		case KIND_NAME:
		case KIND_UUID:
		case KIND_DATE:
		case KIND_TIME:
		case KIND_TIMETZ:
		case KIND_TIMESTAMP:
		case KIND_TIMESTAMPTZ:
		case KIND_ENUM:
		case KIND_HSTORE:
		case KIND_VECTOR:
		case KIND_OTHER:
			break;
	}
	if (type->element && type->typtype == TYPTYPE_MULTIRANGE)
		return size_of_multirange(walk, type, value);
	if (type->element)
		return size_of_range(walk, type, value);
	return size_of_other(walk, type, value);
}

/*
 * A part's own garbage goes with it.  What is unpacked on the way counts, as
 * composite values may hold compressed ones that hold others.
 */
static TextSize
size_of(Walk *walk, TypeShape *type, Datum value)
{
	MemoryContext context, old;
	TextSize	  size = {0, 0};

	check_stack_depth();
	if (type->len == -1 && VARATT_IS_COMPRESSED(DatumGetPointer(value)))
		walk->seen += toast_raw_datum_size(value);
	if (is_too_much(walk, 0))
		return size;
	if (type->kind == KIND_NUMERIC)
		return size_of_numeric(value);
	context = AllocSetContextCreate(CurrentMemoryContext, "outflow text size",
									ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	size = size_of_part(walk, type, value);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return size;
}

bool
output_fits(ByteBuffer *out, TypeShape *type, Datum value)
{
	Walk   walk;
	double left;

	if (!buffer_is_limited(out) || type->len != -1)
		return true;
	/* quotes that are not needed shall not be what keeps a value out */
	left = (double) buffer_left(out) * 2 + BUFFER_PIECE;
	walk.limit = Min(left, (double) MAX_TEXT);
	walk.seen = 0;
	if (output_growth(type) * toast_raw_datum_size(value) <= walk.limit)
		return true;
	if (size_of(&walk, type, value).bytes <= walk.limit &&
		walk.seen <= walk.limit)
		return true;
	buffer_give_up(out);
	return false;
}
