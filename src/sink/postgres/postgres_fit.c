/*
 * postgres_fit.c
 *		Whether every value of a column can become one of another column, the
 *		same one.
 *
 * A cast that PostgreSQL makes by itself doesn't suffice: it rounds, and cuts
 * off spaces, without a word.  So the pairs of types are listed here, and what
 * limits them (length, scale, precision) is compared.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "sink/postgres/postgres_destination.h"

/* Types below are the same in every cluster. */
#define FIRST_UNFIXED_TYPE 10000
#define UNLIMITED		   PG_INT32_MAX

/* What each value of the first is a value of the second, too. */
static const struct
{
	Oid from;
	Oid to;
} widenings[] = {
	{INT2OID, INT4OID},		   {INT2OID, INT8OID},
	{INT4OID, INT8OID},		   {INT2OID, NUMERICOID},
	{INT4OID, NUMERICOID},	   {INT8OID, NUMERICOID},
	{INT2OID, FLOAT4OID},	   {INT2OID, FLOAT8OID},
	{INT4OID, FLOAT8OID},	   {DATEOID, TIMESTAMPOID},
	{DATEOID, TIMESTAMPTZOID}, {TIMESTAMPOID, TIMESTAMPTZOID},
	{TIMEOID, TIMETZOID},	   {TIMEOID, INTERVALOID},
	{CIDROID, INETOID},		   {MACADDROID, MACADDR8OID},
	{BITOID, VARBITOID},
};

/*
 * Their text neither begins nor ends with a space; and how long it is at most,
 * with all digits of a second after the point, under the settings in which
 * rows are sent.
 */
static const struct
{
	Oid type;
	int length;
} spaceless[] = {
	{BOOLOID, 1},		  /* t */
	{INT2OID, 6},		  /* -32768 */
	{INT4OID, 11},		  /* -2147483648 */
	{INT8OID, 20},		  /* -9223372036854775808 */
	{OIDOID, 10},		  /* 4294967295 */
	{FLOAT4OID, 15},	  /* -1.17549435e-38 */
	{FLOAT8OID, 24},	  /* -2.2250738585072014e-308 */
	{DATEOID, 13},		  /* 5874897-12-31 */
	{TIMEOID, 15},		  /* 23:59:59.999999 */
	{TIMETZOID, 24},	  /* 23:59:59.999999-15:59:59 */
	{TIMESTAMPOID, 29},	  /* 4713-01-01 23:59:59.999999 BC */
	{TIMESTAMPTZOID, 32}, /* 4713-01-01 23:59:59.999999+00 BC */
	/* -178956970 years -11 mons -2147483648 days -2562047788:00:54.775808 */
	{INTERVALOID, 67},
	{UUIDOID, 36},
	{INETOID, 43}, /* eight groups of 4, and /127 */
	{CIDROID, 43},
	{MACADDROID, 17},
	{MACADDR8OID, 23},
};

/* ---- limits */

/* Characters of a text type, or bits. */
static int
length_of(Oid type, int32 typmod)
{
	if (type == NAMEOID)
		return NAMEDATALEN - 1;
	if (typmod < 0)
		return UNLIMITED;
	return type == BITOID || type == VARBITOID ? typmod : typmod - VARHDRSZ;
}

/* Digits after the point. */
static int
scale_of(int32 typmod)
{
	return (((typmod - VARHDRSZ) & 0x7ff) ^ 1024) - 1024;
}

/* Digits before it. */
static int
integer_digits_of(int32 typmod)
{
	return (((typmod - VARHDRSZ) >> 16) & 0xffff) - scale_of(typmod);
}

static bool
fits_numeric(Oid from, int32 typmod, int32 there)
{
	int digits = UNLIMITED;
	int scale = 0;

	if (there < 0)
		return true;
	if (from == INT2OID)
		digits = 5;
	else if (from == INT4OID)
		digits = 10;
	else if (from == INT8OID)
		digits = 19;
	else if (typmod < 0)
		return false;
	else
	{
		digits = integer_digits_of(typmod);
		scale = scale_of(typmod);
	}
	return scale_of(there) >= scale && integer_digits_of(there) >= digits;
}

static bool
fits_precision(Oid from, int32 typmod, int32 there)
{
	if (there < 0 || from == DATEOID)
		return true;
	return there >= (typmod < 0 ? MAX_TIMESTAMP_PRECISION : typmod);
}

static bool
has_precision(Oid type)
{
	return type == TIMEOID || type == TIMETZOID || type == TIMESTAMPOID ||
		   type == TIMESTAMPTZOID;
}

static bool
has_length(Oid type)
{
	return type == VARCHAROID || type == BPCHAROID || type == VARBITOID;
}

/* Of types that a widening, or nothing, lies between. */
static bool
fits_limits(Oid from, int32 typmod, Oid to, int32 there)
{
	if (to == NUMERICOID)
		return fits_numeric(from, typmod, there);
	if (has_precision(to))
		return fits_precision(from, typmod, there);
	if (has_length(to))
		return length_of(from, typmod) <= length_of(to, there);
	if (to == BITOID)
		return typmod == there;
	return there < 0 || (from == to && typmod == there);
}

/* ---- types */

static bool
is_widened(Oid from, Oid to)
{
	for (int i = 0; i < lengthof(widenings); i++)
	{
		if (widenings[i].from == from && widenings[i].to == to)
			return true;
	}
	return false;
}

/* Of a number with so many digits: its sign and its point too, or NaN. */
static int
numeric_length(int32 typmod)
{
	int scale = Max(scale_of(typmod), 0);

	return Max(1 + Max(integer_digits_of(typmod), 1) +
				   (scale > 0 ? 1 + scale : 0),
			   (int) strlen("NaN"));
}

/* Of a type's text without spaces around it; UNLIMITED if it may have them. */
static int
spaceless_length(Oid type, int32 typmod)
{
	if (type == NUMERICOID)
		return typmod < 0 ? UNLIMITED : numeric_length(typmod);
	for (int i = 0; i < lengthof(spaceless); i++)
	{
		int unsaid;

		if (spaceless[i].type != type)
			continue;
		if (!has_precision(type) || typmod < 0)
			return spaceless[i].length;
		unsaid = MAX_TIMESTAMP_PRECISION - typmod;
		/* without a digit there is no point */
		return spaceless[i].length - unsaid - (typmod == 0);
	}
	return UNLIMITED;
}

static bool
is_any_text(Oid type)
{
	return type == TEXTOID || type == VARCHAROID || type == BPCHAROID ||
		   type == NAMEOID;
}

/*
 * An input function refuses what is longer than the limit, or cuts off spaces
 * that are beyond it.
 */
static bool
fits_text(Oid from, int32 typmod, int32 there)
{
	int limit = length_of(VARCHAROID, there);

	if (is_any_text(from))
		return length_of(from, typmod) <= limit;
	return spaceless_length(from, typmod) <= limit;
}

static bool
fits_scalar(Oid from, int32 typmod, Oid to, int32 there)
{
	if (from == to || is_widened(from, to))
		return fits_limits(from, typmod, to, there);
	if (to == TEXTOID || to == VARCHAROID)
		return fits_text(from, typmod, there);
	return false;
}

/* Not any element: what parts those of some types is no comma. */
static bool
fits_element(Oid from, int32 typmod, Oid to, int32 there)
{
	if (is_any_text(to) && !is_any_text(from))
		return false;
	return fits_scalar(from, typmod, to, there);
}

/* Names of objects, which are numbers in binary: they differ there. */
static bool
is_name_of_object(const char *type_name)
{
	return strncmp(type_name, "reg", 3) == 0 ||
		   strncmp(type_name, "_reg", 4) == 0;
}

/* An empty vector is sent in a form that its own input refuses. */
static bool
is_oid_vector(const char *type_name)
{
	return strcmp(type_name, "int2vector") == 0 ||
		   strcmp(type_name, "oidvector") == 0;
}

bool
postgres_has_one_form(const TableColumn *column)
{
	return column->is_binary && column->base < FIRST_UNFIXED_TYPE &&
		   !is_name_of_object(column->type_name) &&
		   !is_oid_vector(column->type_name);
}

/*
 * A type of one's own is known by what it is made of, its name included.  What its
 * modifier means is not known, besides that there is none.
 */
static PostgresFit
fit_of_own(const TableColumn *column, const PostgresColumn *there)
{
	bool both = column->base >= FIRST_UNFIXED_TYPE &&
				there->base >= FIRST_UNFIXED_TYPE;
	bool is_limited = there->typmod >= 0 && there->typmod != column->typmod;

	return both && !is_limited && strcmp(column->parts, there->parts) == 0
			   ? FIT_TEXT
			   : FIT_NOT;
}

PostgresFit
postgres_fit(const TableColumn *column, const PostgresColumn *there)
{
	Oid	  from = column->base;
	Oid	  to = there->base;
	int32 typmod = there->typmod;
	Oid	  element = get_element_type(from);
	Oid	  to_element =
		  to < FIRST_UNFIXED_TYPE ? get_element_type(to) : InvalidOid;
	bool fits;

	if (from != to && (to == TEXTOID || to == VARCHAROID))
		return fits_text(from, column->typmod, typmod) ? FIT_TEXT : FIT_NOT;
	if (from >= FIRST_UNFIXED_TYPE || to >= FIRST_UNFIXED_TYPE)
		return fit_of_own(column, there);
	if (OidIsValid(element) && OidIsValid(to_element))
		fits = fits_element(element, column->typmod, to_element, typmod);
	else
		fits = fits_scalar(from, column->typmod, to, typmod);
	if (!fits)
		return FIT_NOT;
	return from == to && postgres_has_one_form(column) ? FIT_BINARY : FIT_TEXT;
}

/*
 * Its text as this server writes it, whatever the other one does: 0/1A, which is
 * 0/0000001A from PostgreSQL 19 on.
 */
static char *
read_lsn(const char *name)
{
	if (!LSN_HAS_ALL_DIGITS)
		return psprintf("regexp_replace(%s::text, '/0+(?=[0-9A-F])', '/', "
						"'g')",
						name);
	return psprintf("regexp_replace(regexp_replace(%s::text, "
					"'/([0-9A-F]+)', '/0000000\\1', 'g'), "
					"'/0*([0-9A-F]{8})(?![0-9A-F])', '/\\1', 'g')",
					name);
}

char *
postgres_read_back(const TableColumn *column, const char *name, Oid to,
				   int32 typmod, bool is_binary)
{
	Oid	 from = column->base;
	bool is_via_text = (from == TIMEOID && to == INTERVALOID) ||
					   (from == TIMEARRAYOID && to == INTERVALARRAYOID);

	if (from == to && (from == PG_LSNOID || from == PG_LSNARRAYOID) &&
		!is_binary)
		return read_lsn(name);
	if ((from == to && typmod == column->typmod) ||
		from >= FIRST_UNFIXED_TYPE || to >= FIRST_UNFIXED_TYPE ||
		(from != to && (to == TEXTOID || to == VARCHAROID)))
		return pstrdup(name);
	/* 24:00 is a time, and as an interval not one that is cast to it */
	return psprintf("%s%s::%s", name, is_via_text ? "::text" : "",
					format_type_extended(from, column->typmod,
										 FORMAT_TYPE_TYPEMOD_GIVEN |
											 FORMAT_TYPE_FORCE_QUALIFY));
}
