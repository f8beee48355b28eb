/*
 * parquet_byte_bound.c
 *		Least and greatest of byte strings.
 *
 * Long values are cut to BOUND_SIZE bytes, a maximum then being counted up.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "port/pg_bswap.h"

#include "encode/parquet/parquet_leaf.h"

/* Least and greatest of a sequence of byte strings. */
typedef struct ByteRange
{
	const char *min, *max; /* NULL: none yet */
	size_t		min_len, max_len;
	uint64 min_prefix, max_prefix; /* most values are ruled out by these */
} ByteRange;

/* The first eight bytes as a number that orders as they do. */
static inline uint64
prefix_of(const char *data, size_t len)
{
	uint64 prefix = 0;

	memcpy(&prefix, data, Min(len, sizeof(prefix)));
	return pg_ntoh64(prefix);
}

static inline void
range_add(ByteRange *range, const char *data, size_t len)
{
	uint64 prefix = prefix_of(data, len);

	if (range->min == NULL)
	{
		range->min = range->max = data;
		range->min_len = range->max_len = len;
		range->min_prefix = range->max_prefix = prefix;
		return;
	}
	/* rows come in ascending order more often than in descending */
	if (prefix >= range->max_prefix &&
		compare_bytes(data, len, range->max, range->max_len) > 0)
	{
		range->max = data;
		range->max_len = len;
		range->max_prefix = prefix;
	}
	else if (prefix <= range->min_prefix &&
			 compare_bytes(data, len, range->min, range->min_len) < 0)
	{
		range->min = data;
		range->min_len = len;
		range->min_prefix = prefix;
	}
}

/* Bytes to keep of a long value: whole characters of a text. */
static size_t
cut_length(ParquetOrder order, const char *data)
{
	size_t len = BOUND_SIZE;

	if (order == ORDER_TEXT)
	{
		while (len > 0 && ((unsigned char) data[len] & 0xC0) == 0x80)
			len--;
	}
	return len;
}

/*
 * Counts up a text's last character that has a successor, dropping what is
 * after it.  UTF-8 orders as its code points do.
 */
static bool
increment_text(Bound *bound)
{
	while (bound->len > 0)
	{
		int		 start = bound->len - 1;
		pg_wchar c;

		while (start > 0 && (bound->data[start] & 0xC0) == 0x80)
			start--;
		c = utf8_to_unicode((unsigned char *) bound->data + start);
		if (c + 1 == 0xD800)
			c = 0xDFFF; /* surrogates are no characters */
		bound->len = (uint8) start;
		if (c < 0x10FFFF)
		{
			unsigned char text[MAX_MULTIBYTE_CHAR_LEN + 1];
			int			  n;

			unicode_to_utf8(c + 1, text);
			n = pg_utf_mblen(text);
			if (start + n <= BOUND_SIZE)
			{
				memcpy(bound->data + start, text, n);
				bound->len = (uint8) (start + n);
				return true;
			}
		}
	}
	return false;
}

static bool
increment_bytes(Bound *bound)
{
	while (bound->len > 0)
	{
		unsigned char last = (unsigned char) bound->data[bound->len - 1];

		if (last != 0xFF)
		{
			bound->data[bound->len - 1] = (char) (last + 1);
			return true;
		}
		bound->len--;
	}
	return false;
}

static void
range_to_bounds(ParquetOrder order, const ByteRange *range, Bounds *bounds)
{
	if (range->min_len <= BOUND_SIZE)
		bound_set(&bounds->min, range->min, range->min_len);
	else
	{
		bound_set(&bounds->min, range->min, cut_length(order, range->min));
		bounds->min.exact = false;
	}
	if (range->max_len <= BOUND_SIZE)
		bound_set(&bounds->max, range->max, range->max_len);
	else
	{
		bound_set(&bounds->max, range->max, cut_length(order, range->max));
		bounds->max.exact = false;
		/* a minimum without a maximum is misread by DataFusion */
		bounds->unbounded = order == ORDER_TEXT
								? !increment_text(&bounds->max)
								: !increment_bytes(&bounds->max);
	}
}

void
bounds_of_bytes(const ParquetLeaf *leaf, const char *data, size_t len,
				Bounds *bounds)
{
	ByteRange	range = {0};
	const char *end = data + len;

	while (data < end)
	{
		uint32 n = leaf->width;

		if (n == 0)
		{
			memcpy(&n, data, sizeof(n));
			data += sizeof(n);
		}
		range_add(&range, data, n);
		data += n;
	}
	range_to_bounds(leaf->order, &range, bounds);
}
