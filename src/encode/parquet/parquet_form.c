/*
 * parquet_form.c
 *		What a type becomes under its column's options.
 */
#include "postgres.h"

#include "encode/parquet/parquet.h"

bool
parquet_has_numbers(const TypeShape *type)
{
	while (type->kind == KIND_ARRAY)
		type = type->element;
	return type->kind == KIND_NUMERIC;
}

/*
 * A column's own form counts in all of it: "string" for the whole, "decimal"
 * for the numbers in it.  That of a type counts at any depth, but a decimal only
 * for those numbers that have none of their own.
 */
ParquetForm
parquet_form_of(const ParquetColumn *column, const TypeShape *type)
{
	ParquetForm none = {FORM_DEFAULT};
	ListCell   *lc;

	if (column->has_form)
		return column->form.kind != FORM_DECIMAL || parquet_has_numbers(type)
				   ? column->form
				   : none;
	foreach (lc, column->type_forms)
	{
		const TypeForm *entry = lfirst(lc);

		if (type_shape_is_named(type, entry->type))
			return entry->form;
	}
	return none;
}

/* ---- numeric's typmod ---- */

/*
 * Precision and scale of the DECIMAL that holds every value of the type; false
 * if there is none: numeric without limits, or with more than 38 digits.
 */
static bool
decimal_of_typmod(int32 typmod, int *precision, int *scale)
{
	if (typmod < (int32) VARHDRSZ)
		return false;
	*precision = ((typmod - VARHDRSZ) >> 16) & 0xFFFF;
	/* eleven bits with a sign */
	*scale = (((typmod - VARHDRSZ) & 0x7FF) ^ 1024) - 1024;
	if (*scale < 0)
	{
		*precision -= *scale;
		*scale = 0;
	}
	*precision = Max(*precision, *scale);
	return *precision <= DECIMAL_MAX_PRECISION;
}

/* ---- what Parquet may not be able to hold ---- */

/* Of a numeric: its own, or the one that the options give to it. */
bool
parquet_decimal_of(const ParquetColumn *column, const TypeShape *type,
				   int *precision, int *scale)
{
	ParquetForm form = parquet_form_of(column, type);
	bool		own = decimal_of_typmod(type->typmod, precision, scale);

	if (form.kind == FORM_DECIMAL && (column->has_form || !own))
	{
		*precision = form.precision;
		*scale = form.scale;
		return true;
	}
	return own;
}

bool
parquet_has_unholdable(const ParquetColumn *column, const TypeShape *type)
{
	int precision, scale;

	if (parquet_form_of(column, type).kind == FORM_STRING)
		return false;
	switch (type->kind)
	{
		case KIND_NUMERIC:
			return parquet_decimal_of(column, type, &precision, &scale);
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
				if (parquet_has_unholdable(column,
										   &type->fields->columns[i].type))
					return true;
			}
			return false;
		case KIND_BOOL:
		case KIND_INT2:
		case KIND_INT4:
		case KIND_INT8:
		case KIND_OID:
		case KIND_FLOAT4:
		case KIND_FLOAT8:
		case KIND_TEXT:
		case KIND_NAME:
		case KIND_BYTEA:
		case KIND_UUID:
		case KIND_JSON:
		case KIND_JSONB:
		case KIND_ENUM:
		case KIND_HSTORE:
		case KIND_VECTOR:
		case KIND_OTHER:
			break;
	}
	return false;
}
