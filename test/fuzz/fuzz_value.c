/*
 * fuzz_value.c
 *		Values of any type, made from an input's bytes.
 *
 * Through the type's receive function, which checks them; sizes are chosen so
 * that few are refused.  Types without one, and those whose binary form bytes
 * seldom hit, get a form of their own here.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "datatype/timestamp.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "parser/parse_coerce.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "fuzz.h"

#define MAX_TEXT   300
#define MAX_BINARY 40

/* Now and then the ends of the range, and what lies at them. */
static int64
near_ends(FuzzInput *in, int64 min, int64 max)
{
	switch (fuzz_below(in, 8))
	{
		case 0:
			return min + (int64) fuzz_bits(in, 1);
		case 1:
			return max - (int64) fuzz_bits(in, 1);
		case 2:
			return fuzz_bits(in, 2);
		case 3:
			return -(int64) fuzz_bits(in, 2);
		case 4: /* today, more or less */
			return max > USECS_PER_DAY ? (int64) fuzz_bits(in, 7)
									   : (int64) fuzz_bits(in, 2);
		default:
			return (uint64) min +
				   fuzz_bits(in, 8) % ((uint64) max - (uint64) min);
	}
}

static int32
read_date(FuzzInput *in)
{
	if (fuzz_below(in, 32) == 0)
		return fuzz_below(in, 2) ? DATEVAL_NOBEGIN : DATEVAL_NOEND;
	return near_ends(in, DATETIME_MIN_JULIAN - POSTGRES_EPOCH_JDATE,
					 DATE_END_JULIAN - POSTGRES_EPOCH_JDATE - 1);
}

static int64
read_timestamp(FuzzInput *in)
{
	if (fuzz_below(in, 32) == 0)
		return fuzz_below(in, 2) ? DT_NOBEGIN : DT_NOEND;
	return near_ends(in, MIN_TIMESTAMP, END_TIMESTAMP - 1);
}

static int64
read_time(FuzzInput *in)
{
	int64 time = near_ends(in, 0, USECS_PER_DAY);

	return Min(Max(time, 0), USECS_PER_DAY);
}

static Datum
read_timetz(FuzzInput *in)
{
	const int64 limit = TZDISP_LIMIT - 1;
	TimeTzADT  *time = palloc0_object(TimeTzADT);
	int64		zone;

	time->time = read_time(in);
	zone = near_ends(in, -limit, limit);
	time->zone = Max(-limit, Min(limit, zone));
	return TimeTzADTPGetDatum(time);
}

/* Valid text in the database's encoding: bad bytes become question marks. */
static char *
read_text(FuzzInput *in, int *len)
{
	char *text = fuzz_bytes(in, MAX_TEXT, len);

	for (int i = 0; i < *len;)
	{
		int char_len = pg_encoding_mblen(GetDatabaseEncoding(), text + i);

		if (text[i] == '\0' || i + char_len > *len ||
			!pg_verify_mbstr(GetDatabaseEncoding(), text + i, char_len, true))
		{
			text[i] = '?';
			char_len = 1;
		}
		i += char_len;
	}
	return text;
}

static bool
read_array(FuzzInput *in, const TypeShape *type, Datum *value)
{
	TypeShape *element = type->element;
	int		   ndims = fuzz_below(in, 4);
	int		   dims[MAXDIM], bounds[MAXDIM];
	int		   count = ndims > 0;
	Datum	  *values;
	bool	  *nulls;

	for (int i = 0; i < ndims; i++)
	{
		dims[i] = 1 + fuzz_below(in, 4);
		bounds[i] = (int8) fuzz_bits(in, 1);
		/* JSON doesn't give them back, and targets look for outer ones only */
		if (in->nesting > 1)
			bounds[i] = 1;
		count *= dims[i];
	}
	values = palloc0(sizeof(Datum) * (count + 1));
	nulls = palloc0(sizeof(bool) * (count + 1));
	for (int i = 0; i < count; i++)
		nulls[i] =
			fuzz_below(in, 5) == 0 || !fuzz_value(in, element, &values[i]);
	*value = PointerGetDatum(
		construct_md_array(values, nulls, ndims, dims, bounds, element->oid,
						   element->len, element->byval, element->align));
	return true;
}

static bool
read_composite(FuzzInput *in, const TypeShape *type, Datum *value)
{
	RowShape *fields = type->fields;
	int		  natts = fields->desc->natts;
	Datum	 *values = palloc0(sizeof(Datum) * (natts + 1));
	bool	 *nulls = palloc0(sizeof(bool) * (natts + 1));

	memset(nulls, true, natts);
	for (int i = 0; i < fields->ncolumns; i++)
	{
		ColumnShape *field = &fields->columns[i];
		int			 attribute = field->attnum - 1;

		nulls[attribute] = fuzz_below(in, 5) == 0 ||
						   !fuzz_value(in, &field->type, &values[attribute]);
	}
	*value = HeapTupleGetDatum(heap_form_tuple(fields->desc, values, nulls));
	return true;
}

/* One of the type's labels, through its input function. */
static bool
read_enum(FuzzInput *in, const TypeShape *type, Datum *value)
{
	static char *labels[] = {"sad", "so \"so\"", "h\303\244ppy, quite"};
	Oid			 input, param;

	getTypeInputInfo(type->base, &input, &param);
	*value = OidInputFunctionCall(input, labels[fuzz_below(in, 3)], param, -1);
	return true;
}

static Datum
read_json(FuzzInput *in, bool binary)
{
	StringInfoData text;

	initStringInfo(&text);
	fuzz_json_text(in, &text, 0);
	if (binary)
		return DirectFunctionCall1(jsonb_in, CStringGetDatum(text.data));
	return DirectFunctionCall1(json_in, CStringGetDatum(text.data));
}

/* What the type's receive function makes of some bytes, if it takes them. */
static bool
read_received(FuzzInput *in, const TypeShape *type, Datum *value)
{
	StringInfoData wire;
	MemoryContext  context = CurrentMemoryContext;
	volatile bool  taken = true;
	Oid			   receive, param;
	int size = type->len > 0 ? type->len : fuzz_below(in, MAX_BINARY);

	getTypeBinaryInputInfo(type->base, &receive, &param);
	initStringInfo(&wire);
	for (int i = 0; i < size; i++)
		appendStringInfoChar(&wire, fuzz_bits(in, 1));
	PG_TRY();
	{
		*value = OidReceiveFunctionCall(receive, &wire, param, type->typmod);
		taken = wire.cursor == wire.len;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
		taken = false;
	}
	PG_END_TRY();
	return taken;
}

static void
append_quoted(FuzzInput *in, StringInfo out)
{
	int	  len;
	char *text = read_text(in, &len);

	appendStringInfoChar(out, '"');
	for (int i = 0; i < len; i++)
	{
		if (text[i] == '"' || text[i] == '\\')
			appendStringInfoChar(out, '\\');
		appendStringInfoChar(out, text[i]);
	}
	appendStringInfoChar(out, '"');
}

static Datum
read_hstore(FuzzInput *in, const TypeShape *type)
{
	StringInfoData text;
	Oid			   input, param;

	initStringInfo(&text);
	for (int pairs = fuzz_below(in, 4); pairs > 0; pairs--)
	{
		append_quoted(in, &text);
		appendStringInfoString(&text, "=>");
		if (fuzz_below(in, 4) == 0)
			appendStringInfoString(&text, "NULL");
		else
			append_quoted(in, &text);
		if (pairs > 1)
			appendStringInfoChar(&text, ',');
	}
	getTypeInputInfo(type->base, &input, &param);
	return OidInputFunctionCall(input, text.data, param, -1);
}

static Datum
read_vector(FuzzInput *in)
{
	int			  dimensions = fuzz_below(in, 6);
	int			  size = sizeof(VectorHeader) + dimensions * sizeof(float4);
	VectorHeader *vector = palloc0(size);

	SET_VARSIZE(vector, size);
	vector->dimensions = dimensions;
	for (char *at = (char *) (vector + 1); at < (char *) vector + size; at++)
		*at = (char) fuzz_bits(in, 1);
	return PointerGetDatum(vector);
}

/* Some value of the kind, whatever the type's modifier is. */
static bool
read_value(FuzzInput *in, const TypeShape *type, Datum *value)
{
	char *text;
	int	  len;

	switch (type->kind)
	{
		case KIND_BOOL:
			*value = BoolGetDatum(fuzz_below(in, 2));
			return true;
		case KIND_DATE:
			*value = DateADTGetDatum(read_date(in));
			return true;
		case KIND_TIME:
			*value = TimeADTGetDatum(read_time(in));
			return true;
		case KIND_TIMETZ:
			*value = read_timetz(in);
			return true;
		case KIND_TIMESTAMP:
		case KIND_TIMESTAMPTZ:
			*value = TimestampGetDatum(read_timestamp(in));
			return true;
		case KIND_NUMERIC:
			*value = fuzz_numeric_value(in);
			return true;
		case KIND_TEXT:
			text = read_text(in, &len);
			*value = PointerGetDatum(cstring_to_text_with_len(text, len));
			return true;
		case KIND_NAME:
			text = read_text(in, &len);
			*value = DirectFunctionCall1(namein,
										 CStringGetDatum(pnstrdup(text, len)));
			return true;
		case KIND_BYTEA:
			text = fuzz_bytes(in, MAX_TEXT, &len);
			*value = PointerGetDatum(cstring_to_text_with_len(text, len));
			return true;
		case KIND_ENUM:
			return read_enum(in, type, value);
		case KIND_JSON:
		case KIND_JSONB:
			*value = read_json(in, type->kind == KIND_JSONB);
			return true;
		case KIND_ARRAY:
			return read_array(in, type, value);
		case KIND_COMPOSITE:
			return read_composite(in, type, value);
		case KIND_HSTORE:
			*value = read_hstore(in, type);
			return true;
		case KIND_VECTOR:
			*value = read_vector(in);
			return true;
		default:
			return read_received(in, type, value);
	}
}

/* As a cast does it: padded, cut or rounded, or refused. */
static bool
apply_typmod(const TypeShape *type, Datum *value)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool taken = true;
	Oid			  function;

	if (type->typmod < 0 || find_typmod_coercion_function(
								type->base, &function) != COERCION_PATH_FUNC)
		return true;
	PG_TRY();
	{
		*value = OidFunctionCall3(
			function, *value, Int32GetDatum(type->typmod), BoolGetDatum(true));
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
		taken = false;
	}
	PG_END_TRY();
	return taken;
}

bool
fuzz_value(FuzzInput *in, const TypeShape *type, Datum *value)
{
	bool taken;

	in->nesting++;
	taken = read_value(in, type, value) && apply_typmod(type, value);
	in->nesting--;
	return taken;
}
