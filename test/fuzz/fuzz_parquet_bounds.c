/*
 * fuzz_parquet_bounds.c
 *		Whether what a file says of its least and greatest values is true.
 */
#include "postgres.h"

#include <math.h>

#include "mb/pg_wchar.h"

#include "fuzz_parquet.h"

#define LONGEST_BOUND 64

/* The two ends of some entries; NULL: there are no values, or no bounds. */
typedef struct Ends
{
	const FileEntry *min, *max;
	bool			 unbounded; /* one of them is NaN or can't be cut */
	int64			 nulls;
	int64			 nvalues;
} Ends;

static float
float_of(const char *data)
{
	float value;

	memcpy(&value, data, sizeof(value));
	return value;
}

static double
double_of(const char *data)
{
	double value;

	memcpy(&value, data, sizeof(value));
	return value;
}

/* Any of the types that are whole numbers. */
static int128
number_of(const FileLeaf *leaf, const char *data)
{
	int128 value = 0;
	int	   width = leaf->width;

	for (int i = 0; i < width; i++)
	{
		/* little-endian but for decimals of fixed length */
		uint8 byte = data[leaf->is_decimal ? i : width - 1 - i];

		if (i == 0 && !leaf->is_unsigned && (byte & 0x80))
			value = -1;
		value = (int128) (((uint128) value << 8) | byte);
	}
	return value;
}

static int
compare_values(const FileLeaf *leaf, const char *a, size_t a_len,
			   const char *b, size_t b_len)
{
	int cmp;

	switch (leaf->physical)
	{
		case PHYSICAL_FLOAT:
			return (float_of(a) > float_of(b)) - (float_of(a) < float_of(b));
		case PHYSICAL_DOUBLE:
			return (double_of(a) > double_of(b)) -
				   (double_of(a) < double_of(b));
		case PHYSICAL_INT32:
		case PHYSICAL_INT64:
			return (number_of(leaf, a) > number_of(leaf, b)) -
				   (number_of(leaf, a) < number_of(leaf, b));
		case PHYSICAL_FIXED:
			if (leaf->is_decimal)
				return (number_of(leaf, a) > number_of(leaf, b)) -
					   (number_of(leaf, a) < number_of(leaf, b));
			break;
	}
	cmp = memcmp(a, b, Min(a_len, b_len));
	return cmp ? cmp : (a_len > b_len) - (a_len < b_len);
}

static bool
is_nan(const FileLeaf *leaf, const char *data)
{
	return (leaf->physical == PHYSICAL_FLOAT && isnan(float_of(data))) ||
		   (leaf->physical == PHYSICAL_DOUBLE && isnan(double_of(data)));
}

/* A long maximum that begins with the greatest there is has no shorter one. */
static bool
has_no_bound(const FileLeaf *leaf, const FileEntry *max)
{
	if (max->len <= LONGEST_BOUND)
		return false;
	for (int i = 0; i < LONGEST_BOUND; i++)
	{
		if ((uint8) max->data[i] !=
			(leaf->is_text ? (uint8) "\364\217\277\277"[i % 4] : 0xFF))
			return false;
	}
	return true;
}

static void
find_ends(const FileLeaf *leaf, int64 first, int64 n, Ends *ends)
{
	memset(ends, 0, sizeof(*ends));
	for (int64 i = first; i < first + n; i++)
	{
		const FileEntry *entry = &leaf->entries[i];

		if (entry->data == NULL)
		{
			ends->nulls++;
			continue;
		}
		ends->nvalues++;
		if (is_nan(leaf, entry->data))
		{
			ends->unbounded = true;
			continue;
		}
		if (ends->min == NULL ||
			compare_values(leaf, entry->data, entry->len, ends->min->data,
						   ends->min->len) < 0)
			ends->min = entry;
		if (ends->max == NULL ||
			compare_values(leaf, entry->data, entry->len, ends->max->data,
						   ends->max->len) > 0)
			ends->max = entry;
	}
	if (ends->max != NULL && has_no_bound(leaf, ends->max))
		ends->unbounded = true;
	if (ends->unbounded)
		ends->min = ends->max = NULL;
}

static bool
is_zero(const FileLeaf *leaf, const char *data)
{
	return (leaf->physical == PHYSICAL_FLOAT && float_of(data) == 0) ||
		   (leaf->physical == PHYSICAL_DOUBLE && double_of(data) == 0);
}

/* sign is -1 for a minimum, 1 for a maximum. */
static void
check_short_bound(const FileLeaf *leaf, const FileEntry *end,
				  const ThriftNode *bound, int sign)
{
	char sign_of_zero = sign < 0 ? (char) 0x80 : 0;

	if (bound->len != end->len)
		fuzz_fail("a bound of %d bytes for a value of %d", (int) bound->len,
				  (int) end->len);
	if (is_zero(leaf, end->data))
	{
		if (!is_zero(leaf, bound->data) ||
			bound->data[leaf->width - 1] != sign_of_zero)
			fuzz_fail("a bound of zero has the wrong sign");
	}
	else if (memcmp(bound->data, end->data, end->len) != 0)
		fuzz_fail("a bound is not the %s value of %s",
				  sign < 0 ? "least" : "greatest", leaf->path);
}

static void
check_cut_bound(const FileLeaf *leaf, const FileEntry *end,
				const ThriftNode *bound, int sign)
{
	int shortest = leaf->is_text ? LONGEST_BOUND - 3 : LONGEST_BOUND;

	if (bound->len == 0 || bound->len > LONGEST_BOUND ||
		sign * compare_values(leaf, bound->data, bound->len, end->data,
							  end->len) <
			0)
		fuzz_fail("a cut bound of %d bytes does not bound %s",
				  (int) bound->len, leaf->path);
	if (leaf->is_text &&
		!pg_verify_mbstr(PG_UTF8, bound->data, bound->len, true))
		fuzz_fail("a cut bound is no text");
	if (sign < 0 && (bound->len < shortest ||
					 memcmp(bound->data, end->data, bound->len) != 0))
		fuzz_fail("a cut minimum is not how the value begins");
}

static void
check_bound(const FileLeaf *leaf, const FileEntry *end,
			const ThriftNode *bound, int sign, const ThriftNode *exact)
{
	bool cut = end != NULL && end->len > LONGEST_BOUND;

	if (end == NULL)
	{
		if (bound != NULL || exact != NULL)
			fuzz_fail("a bound of what has none");
		return;
	}
	if (bound == NULL)
		fuzz_fail("a bound is missing");
	if (!cut)
		check_short_bound(leaf, end, bound, sign);
	else
		check_cut_bound(leaf, end, bound, sign);
	/* a cut bound may by chance be a value itself */
	if (exact != NULL && exact->number && (cut || is_zero(leaf, end->data)))
		fuzz_fail("a bound that is no value is called exact");
	if (exact != NULL && !exact->number && !cut && !is_zero(leaf, end->data))
		fuzz_fail("a value is called cut");
}

/* Bounds are in the statistics of all of a leaf's chunks, or of none. */
void
file_check_statistics(FileLeaf *leaf, const FileChunk *chunk,
					  const ThriftNode *statistics)
{
	Ends ends;

	find_ends(leaf, chunk->first_entry, chunk->nentries, &ends);
	leaf->unbounded |= ends.unbounded;
	if (thrift_get(statistics, 5) == NULL && thrift_get(statistics, 6) == NULL)
	{
		leaf->left_out |= ends.max != NULL;
		ends.min = ends.max = NULL;
	}
	else
		leaf->bounded = true;
	if (thrift_int_of(statistics, 3) != ends.nulls)
		fuzz_fail("%d nulls, not %d", (int) ends.nulls,
				  (int) thrift_int_of(statistics, 3));
	for (int i = 0; i < 2; i++)
	{
		ThriftNode *bound = thrift_get(statistics, i == 0 ? 6 : 5);
		ThriftNode *exact = thrift_get(statistics, i == 0 ? 8 : 7);

		if ((bound == NULL) != (exact == NULL))
			fuzz_fail("a bound does not say whether it is exact");
		check_bound(leaf, i == 0 ? ends.min : ends.max, bound, i == 0 ? -1 : 1,
					exact);
	}
}

static int
compare_bounds(const FileLeaf *leaf, const ThriftNode *a, const ThriftNode *b)
{
	return compare_values(leaf, a->data, a->len, b->data, b->len);
}

/* How the bounds of pages with values follow each other. */
static void
check_boundary_order(const FileLeaf *leaf, const ThriftNode *index)
{
	ThriftNode *nulls = thrift_list_of(index, 1);
	ThriftNode *mins = thrift_list_of(index, 2);
	ThriftNode *maxs = thrift_list_of(index, 3);
	int			before = -1;
	bool		ascending = true, descending = true;
	int			order;

	for (int i = 0; i < nulls->count; i++)
	{
		if (nulls->items[i]->number)
			continue;
		if (before >= 0)
		{
			int min =
				compare_bounds(leaf, mins->items[before], mins->items[i]);
			int max =
				compare_bounds(leaf, maxs->items[before], maxs->items[i]);

			ascending &= min <= 0 && max <= 0;
			descending &= min >= 0 && max >= 0;
		}
		before = i;
	}
	order = ascending ? 1 : descending ? 2 : 0;
	if (thrift_int_of(index, 4) != order)
		fuzz_fail("boundary order %d, not %d", order,
				  (int) thrift_int_of(index, 4));
}

void
file_check_column_index(const FileLeaf *leaf, const FileChunk *chunk,
						const ThriftNode *index)
{
	bool possible = true;

	for (int i = 0; i < chunk->npages; i++)
	{
		const FilePage *page = &chunk->pages[i];
		ThriftNode	   *min, *max;
		Ends			ends;

		find_ends(leaf, page->first_entry, page->nentries, &ends);
		possible &= !ends.unbounded;
		if (index == NULL)
			continue;
		for (int field = 1; field <= 5; field++)
		{
			if (field != 4 &&
				thrift_list_of(index, field)->count != chunk->npages)
				fuzz_fail("a column index of other pages");
		}
		min = thrift_list_of(index, 2)->items[i];
		max = thrift_list_of(index, 3)->items[i];
		if (thrift_list_of(index, 1)->items[i]->number != (ends.nvalues == 0))
			fuzz_fail("a page of nulls, or not");
		if (thrift_list_of(index, 5)->items[i]->number != ends.nulls)
			fuzz_fail("a page's number of nulls");
		if (ends.nvalues == 0 && (min->len != 0 || max->len != 0))
			fuzz_fail("bounds of nulls");
		if (ends.nvalues == 0)
			continue;
		check_bound(leaf, ends.min, min, -1, NULL);
		check_bound(leaf, ends.max, max, 1, NULL);
	}
	if (possible != (index != NULL))
		fuzz_fail("a column index is %s", index ? "there" : "missing");
	if (index != NULL)
		check_boundary_order(leaf, index);
}
