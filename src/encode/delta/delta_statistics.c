/*
 * delta_statistics.c
 *		What the log says of a file's values: rows, bounds, nulls.
 *
 * A bound that a reader could understand otherwise is left out, and its
 * counterpart with it: readers skip a file by what they think it holds.
 */
#include "postgres.h"

#include <math.h>

#include "datatype/timestamp.h"
#include "miscadmin.h"

#include "encode/delta/delta.h"

/* As many as other writers tell of: the log must not grow with wide tables. */
#define MAX_LEAVES 32

#define EPOCH_DAYS	(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)
#define EPOCH_USECS (EPOCH_DAYS * USECS_PER_DAY)
/* Bounds are in milliseconds. */
#define BOUND_UNIT INT64CONST(1000)

/* From 0001-01-01 to 9999-12-31, in days since 1970: the years that all know. */
#define FIRST_DAY (-719162)
#define LAST_DAY  2932896
#define LAST_USEC ((LAST_DAY + 1) * USECS_PER_DAY - 1)

#define MAX_EXACT_DECIMAL INT64CONST(999999999999999)

typedef enum Fact
{
	FACT_MIN,
	FACT_MAX,
	FACT_NULLS
} Fact;

static bool
stat_put_integer(StringInfo out, ParquetType type, const Bound *bound)
{
	int32 narrow;
	int64 wide;

	if (type == PARQUET_INT32)
	{
		memcpy(&narrow, bound->data, sizeof(narrow));
		wide = narrow;
	}
	else
		memcpy(&wide, bound->data, sizeof(wide));
	appendStringInfo(out, INT64_FORMAT, wide);
	return true;
}

/* A float4 as the double that it is, so that it is the same in either. */
static bool
stat_put_float(StringInfo out, ParquetType type, const Bound *bound)
{
	char   text[MAX_NUMBER_TEXT];
	float  narrow;
	double wide;

	if (type == PARQUET_FLOAT)
	{
		memcpy(&narrow, bound->data, sizeof(narrow));
		wide = narrow;
	}
	else
		memcpy(&wide, bound->data, sizeof(wide));
	if (isinf(wide))
		return false;
	appendBinaryStringInfo(out, text, text_float8(text, wide));
	return true;
}

static bool
stat_put_date(StringInfo out, const Bound *bound)
{
	char  text[MAX_DATETIME_TEXT];
	int32 days;

	memcpy(&days, bound->data, sizeof(days));
	if (days < FIRST_DAY || days > LAST_DAY)
		return false;
	appendStringInfo(out, "\"%.*s\"", text_date(text, days - EPOCH_DAYS),
					 text);
	return true;
}

/* To the millisecond: a minimum less, a maximum more. */
static bool
stat_put_timestamp(StringInfo out, bool utc, bool is_max, const Bound *bound)
{
	char  text[MAX_DATETIME_TEXT];
	int64 usecs;
	int64 rest;
	int	  len;

	memcpy(&usecs, bound->data, sizeof(usecs));
	if (usecs < FIRST_DAY * USECS_PER_DAY || usecs > LAST_USEC)
		return false;
	rest = (usecs % BOUND_UNIT + BOUND_UNIT) % BOUND_UNIT;
	usecs -= rest;
	/* the year 10000 would be what not all know */
	if (is_max && rest > 0)
		usecs = Min(usecs + BOUND_UNIT, LAST_USEC);
	len = utc ? text_timestamptz_utc(text, usecs - EPOCH_USECS, 'T', "Z")
			  : text_timestamp(text, usecs - EPOCH_USECS, 'T');
	appendStringInfo(out, "\"%.*s\"", len, text);
	return true;
}

static int128
decimal_of_bound(const ParquetNode *node, const Bound *bound)
{
	int32  narrow;
	int64  wide;
	int128 value;

	switch (node->leaf->type)
	{
		case PARQUET_INT32:
			memcpy(&narrow, bound->data, sizeof(narrow));
			return narrow;
		case PARQUET_INT64:
			memcpy(&wide, bound->data, sizeof(wide));
			return wide;
		default:
			value = (signed char) bound->data[0];
			for (int i = 1; i < bound->len; i++)
				value = value * 256 + (unsigned char) bound->data[i];
			return value;
	}
}

/* Only what a double keeps, which some readers make of numbers in JSON. */
static bool
stat_put_decimal(StringInfo out, const ParquetNode *node, const Bound *bound)
{
	int128 value = decimal_of_bound(node, bound);
	char   digits[DECIMAL_MAX_PRECISION + 4];
	char  *at = digits + sizeof(digits);
	bool   negative = value < 0;
	int	   n = 0;

	if (value > MAX_EXACT_DECIMAL || value < -MAX_EXACT_DECIMAL)
		return false;
	*--at = '\0';
	do
	{
		int digit = (int) (value % 10);

		if (n == node->scale && n > 0)
			*--at = '.';
		*--at = (char) ('0' + (digit < 0 ? -digit : digit));
		value /= 10;
		n++;
	} while (value != 0 || n <= node->scale);
	appendStringInfo(out, "%s%s", negative ? "-" : "", at);
	return true;
}

/* False, with nothing written, if readers might understand it otherwise. */
static bool
stat_put_bound(StringInfo out, const ParquetNode *node, bool is_max)
{
	const ParquetLeaf *leaf = node->leaf;
	const Bound		  *bound =
		  is_max ? &leaf->file_bounds.max : &leaf->file_bounds.min;

	switch (node->kind)
	{
		case NODE_INT2:
		case NODE_INT4:
		case NODE_INT8:
		case NODE_UINT4:
			return stat_put_integer(out, leaf->type, bound);
		case NODE_FLOAT4:
		case NODE_FLOAT8:
			return stat_put_float(out, leaf->type, bound);
		case NODE_DATE:
			return stat_put_date(out, bound);
		case NODE_TIMESTAMP:
			return stat_put_timestamp(out, node->utc, is_max, bound);
		case NODE_DECIMAL32:
		case NODE_DECIMAL64:
		case NODE_DECIMAL128:
			return stat_put_decimal(out, node, bound);
		case NODE_TEXT:
		case NODE_TEXT_OF:
		case NODE_JSON_OF:
			lake_text(out, bound->data, bound->len);
			return true;
		case NODE_BOOL:
			/* delta-rs takes a file without them for one without such values */
			appendStringInfoString(out, bound->data[0] ? "true" : "false");
			return true;
		case NODE_BYTEA:
		case NODE_UUID:
		case NODE_TIME:
		case NODE_TIMETZ:
		case NODE_LIST:
		case NODE_VECTOR:
		case NODE_GROUP:
			break;
	}
	return false;
}

/* Both bounds can be told, or neither is. */
static bool
has_bounds(const ParquetNode *node)
{
	const Bounds  *bounds = &node->leaf->file_bounds;
	StringInfoData trial;
	bool		   can;

	if (!bounds->min.set || !bounds->max.set || bounds->unbounded)
		return false;
	initStringInfo(&trial);
	can = stat_put_bound(&trial, node, false) &&
		  stat_put_bound(&trial, node, true);
	pfree(trial.data);
	return can;
}

static bool
is_told(const ParquetNode *node, Fact fact)
{
	/* what is nested in lists has levels, not rows */
	return node->leaf && node->leaf->max_rep == 0 &&
		   (fact == FACT_NULLS || has_bounds(node));
}

/*
 * "name":fact, and of a group {"name":fact,...}, of as many leaves as are
 * left; nothing of those that have none.  Returns whether something came.
 */
static bool
stat_put_fact(StringInfo out, const ParquetNode *node, Fact fact, bool comma,
			  int *left)
{
	int	 start = out->len;
	bool some = false;

	check_stack_depth();
	if (node->kind != NODE_GROUP && (*left)-- <= 0)
		return false;
	if (node->kind != NODE_GROUP && !is_told(node, fact))
		return false;
	if (comma)
		appendStringInfoChar(out, ',');
	lake_text(out, node->name, strlen(node->name));
	appendStringInfoChar(out, ':');
	if (node->kind != NODE_GROUP)
	{
		if (fact == FACT_NULLS)
			appendStringInfo(out, INT64_FORMAT, node->leaf->file_nulls);
		else
			(void) stat_put_bound(out, node, fact == FACT_MAX);
		return true;
	}
	appendStringInfoChar(out, '{');
	for (int i = 0; i < node->nchildren; i++)
		some |= stat_put_fact(out, &node->children[i], fact, some, left);
	appendStringInfoChar(out, '}');
	if (!some)
	{
		out->len = start;
		out->data[start] = '\0';
	}
	return some;
}

static void
stat_put_facts(StringInfo out, const char *name, const ParquetWriter *writer,
			   Fact fact)
{
	int	 left = MAX_LEAVES;
	bool some = false;

	appendStringInfo(out, ",\"%s\":{", name);
	for (int i = 0; i < writer->ncolumns && left > 0; i++)
		some |=
			stat_put_fact(out, &writer->columns[i].node, fact, some, &left);
	appendStringInfoChar(out, '}');
}

void
delta_statistics(StringInfo out, const ParquetWriter *writer)
{
	appendStringInfo(out, "{\"numRecords\":" INT64_FORMAT, writer->rows);
	stat_put_facts(out, "minValues", writer, FACT_MIN);
	stat_put_facts(out, "maxValues", writer, FACT_MAX);
	stat_put_facts(out, "nullCount", writer, FACT_NULLS);
	appendStringInfoChar(out, '}');
}
