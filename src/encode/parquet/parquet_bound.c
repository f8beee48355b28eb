/*
 * parquet_bound.c
 *		Least and greatest values of pages and column chunks.
 *
 * They are found in a finished page's values, or among those entries of the
 * dictionary that the page uses, so that putting a value costs nothing.
 */
#include "postgres.h"

#include <math.h>

#include "encode/parquet/parquet.h"

void
bounds_clear(Bounds *bounds)
{
	bounds->min.set = bounds->max.set = false;
	bounds->min.exact = bounds->max.exact = true;
	bounds->min.len = bounds->max.len = 0;
	bounds->unbounded = false;
}

/* ---- numbers ---- */

#define DEFINE_NUMBER_BOUNDS(name, type)                                      \
	static void name(const char *data, int n, Bounds *bounds)                 \
	{                                                                         \
		type min, max, value;                                                 \
		int	 i;                                                               \
                                                                              \
		memcpy(&min, data, sizeof(type));                                     \
		max = min;                                                            \
		for (i = 1; i < n; i++)                                               \
		{                                                                     \
			memcpy(&value, data + i * sizeof(type), sizeof(type));            \
			min = value < min ? value : min;                                  \
			max = value > max ? value : max;                                  \
		}                                                                     \
		bound_set(&bounds->min, &min, sizeof(type));                          \
		bound_set(&bounds->max, &max, sizeof(type));                          \
	}

DEFINE_NUMBER_BOUNDS(bounds_of_bool, uint8)
DEFINE_NUMBER_BOUNDS(bounds_of_int32, int32)
DEFINE_NUMBER_BOUNDS(bounds_of_uint32, uint32)
DEFINE_NUMBER_BOUNDS(bounds_of_int64, int64)

/*
 * NaN has no place in the order that the format defines, but has one in that of
 * every reader: greater than all, or equal to itself.  So values with a NaN
 * among them have no bounds.  Zeros of both signs are equal, so that a bound of
 * zero has to cover both; which of them is there, it doesn't tell.
 */
#define DEFINE_FLOAT_BOUNDS(name, type)                                       \
	static void name(const char *data, int n, Bounds *bounds)                 \
	{                                                                         \
		type min = INFINITY, max = -INFINITY, value;                          \
		bool nan = false;                                                     \
		int	 i;                                                               \
                                                                              \
		for (i = 0; i < n; i++)                                               \
		{                                                                     \
			memcpy(&value, data + i * sizeof(type), sizeof(type));            \
			min = value < min ? value : min;                                  \
			max = value > max ? value : max;                                  \
			nan |= value != value;                                            \
		}                                                                     \
		bounds->unbounded = nan;                                              \
		if (nan)                                                              \
			return;                                                           \
		min = min == 0 ? (type) -0.0 : min;                                   \
		max = max == 0 ? (type) 0.0 : max;                                    \
		bound_set(&bounds->min, &min, sizeof(type));                          \
		bound_set(&bounds->max, &max, sizeof(type));                          \
		bounds->min.exact = min != 0;                                         \
		bounds->max.exact = max != 0;                                         \
	}

DEFINE_FLOAT_BOUNDS(bounds_of_float, float)
DEFINE_FLOAT_BOUNDS(bounds_of_double, double)

/* ---- decimals ---- */

static void
bounds_of_decimal(const char *data, int width, int n, Bounds *bounds)
{
	const char *min = data;
	const char *max = data;
	int			i;

	for (i = 1; i < n; i++)
	{
		data += width;
		if (compare_decimal(data, min, width) < 0)
			min = data;
		else if (compare_decimal(data, max, width) > 0)
			max = data;
	}
	bound_set(&bounds->min, min, width);
	bound_set(&bounds->max, max, width);
}

/* ---- what pages and chunks call ---- */

void
bounds_of_values(const ParquetLeaf *leaf, const char *data, size_t len, int n,
				 Bounds *bounds)
{
	bounds_clear(bounds);
	if (n == 0)
		return;
	switch (leaf->order)
	{
		case ORDER_BOOL:
			bounds_of_bool(data, n, bounds);
			break;
		case ORDER_INT32:
			bounds_of_int32(data, n, bounds);
			break;
		case ORDER_UINT32:
			bounds_of_uint32(data, n, bounds);
			break;
		case ORDER_INT64:
			bounds_of_int64(data, n, bounds);
			break;
		case ORDER_FLOAT:
			bounds_of_float(data, n, bounds);
			break;
		case ORDER_DOUBLE:
			bounds_of_double(data, n, bounds);
			break;
		case ORDER_BYTES:
		case ORDER_TEXT:
			bounds_of_bytes(leaf, data, len, bounds);
			break;
		case ORDER_DECIMAL:
			bounds_of_decimal(data, leaf->width, n, bounds);
			break;
	}
}

/*
 * The entries that a page uses, copied together, then looked at as if they
 * were the page.
 */
void
bounds_of_indices(const ParquetLeaf *leaf, const uint32 *indices, int n,
				  Bounds *bounds)
{
	const Dictionary *dictionary = leaf->dictionary;
	bool			 *used;
	Bytes			  values;
	int				  nused = 0;
	uint32			  i;

	used = MemoryContextAllocZero(leaf->writer->group_context,
								  dictionary->nentries);
	bytes_init(&values, leaf->writer->group_context);
	for (i = 0; i < (uint32) n; i++)
		used[indices[i]] = true;
	for (i = 0; i < dictionary->nentries; i++)
	{
		const char *value;
		size_t		len;

		if (!used[i])
			continue;
		value = dictionary_get(dictionary, i, &len);
		bytes_append(&values, value, len);
		nused++;
	}
	bounds_of_values(leaf, values.data, values.len, nused, bounds);
	bytes_free(&values);
	pfree(used);
}

#define compare_as(type, a, b)                                                \
	(memcpy(&x.type, (a)->data, sizeof(x.type)),                              \
	 memcpy(&y.type, (b)->data, sizeof(y.type)),                              \
	 (x.type > y.type) - (x.type < y.type))

int
bound_compare(ParquetOrder order, const Bound *a, const Bound *b)
{
	union
	{
		int32  int32;
		uint32 uint32;
		int64  int64;
		float  float4;
		double float8;
	} x, y;

	switch (order)
	{
		case ORDER_INT32:
			return compare_as(int32, a, b);
		case ORDER_UINT32:
			return compare_as(uint32, a, b);
		case ORDER_INT64:
			return compare_as(int64, a, b);
		case ORDER_FLOAT:
			return compare_as(float4, a, b);
		case ORDER_DOUBLE:
			return compare_as(float8, a, b);
		case ORDER_DECIMAL:
			return compare_decimal(a->data, b->data, a->len);
		case ORDER_BOOL:
		case ORDER_BYTES:
		case ORDER_TEXT:
			break;
	}
	return compare_bytes(a->data, a->len, b->data, b->len);
}

/* sign is 1 to keep the lesser bound, -1 the greater. */
static void
merge_bound(ParquetOrder order, Bound *into, const Bound *from, int sign)
{
	int cmp;

	if (!from->set)
		return;
	cmp = into->set ? sign * bound_compare(order, from, into) : -1;
	if (cmp < 0)
		*into = *from;
	else if (cmp == 0)
		into->exact |= from->exact;
}

void
bounds_merge(ParquetOrder order, Bounds *into, const Bounds *from)
{
	merge_bound(order, &into->min, &from->min, 1);
	merge_bound(order, &into->max, &from->max, -1);
	into->unbounded |= from->unbounded;
}
