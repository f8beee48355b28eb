/*
 * growth.c
 *		How much a type's values may grow as text, by the type alone.
 *
 * Found once for a type.  Most values are so small that nothing else needs to
 * be asked.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/float.h"

#include "encode/value/growth.h"

/* A jsonpath's numbers take 24 bytes at least. */
#define MAX_PATH_GROWTH 8192
#define MIN_NUMERIC		5
/* Most text for a byte of a scalar: a regprocedure has 100 arguments. */
#define MAX_SCALAR_GROWTH 8192
/* A compressed field of a composite value, by LZ4. */
#define MAX_COMPRESSION 256
#define NO_NESTING		(-1.0)

/* Bytes of text, and special ones, to a byte of the value at most. */
static double
find_growth(TypeShape *type)
{
	double most = 0;

	check_stack_depth();
	switch (type->kind)
	{
		case KIND_TEXT:
		case KIND_JSON:
			return 1;
		case KIND_BYTEA:
			return 4;
		case KIND_NUMERIC:
		case KIND_JSONB:
			return MAX_NUMERIC_TEXT / MIN_NUMERIC;
		case KIND_COMPOSITE:
			for (int i = 0; i < type->fields->ncolumns; i++)
				most =
					Max(most, output_growth(&type->fields->columns[i].type));
			return most * 2 * MAX_COMPRESSION + 8;
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
		case KIND_ARRAY:
		case KIND_OTHER:
			break;
	}
	if (type->element) /* a null takes a bit */
		return output_growth(type->element) * 2 + 64;
	if (type->is_whole)
		return get_float8_infinity();
	if (type->len != -1)
		return MAX_SCALAR_GROWTH;
	return type->has_numbers ? MAX_PATH_GROWTH : type->base_growth;
}

double
output_growth(TypeShape *type)
{
	if (unlikely(type->growth == 0))
		type->growth = find_growth(type);
	return type->growth;
}

/* By fields that may be compressed, too. */
static double
find_nesting(TypeShape *type)
{
	double most = NO_NESTING;

	check_stack_depth();
	if (type->kind == KIND_COMPOSITE)
		for (int i = 0; i < type->fields->ncolumns; i++)
			most = Max(most, output_nesting(&type->fields->columns[i].type) *
								 MAX_COMPRESSION);
	else if (type->element)
		most = output_nesting(type->element);
	else if (type->may_nest)
		most = 1;
	return most;
}

double
output_nesting(TypeShape *type)
{
	if (unlikely(type->nesting == 0))
		type->nesting = find_nesting(type);
	return type->nesting;
}
