/*
 * parquet_column.c
 *		A leaf: the levels and values of the page that is being filled.
 *
 * Values go to the chunk's dictionary first.  It is given up when it grows too
 * large, which is soon if values hardly repeat: then the page's values turn
 * PLAIN, while earlier pages keep using it.
 */
#include "postgres.h"

#include "encode/parquet/parquet.h"

/*
 * A column whose values don't repeat isn't asked again for some row groups; nor
 * is the level tried that suits it.
 */
#define SKIPPED_GROUPS 7

void
leaf_begin_group(ParquetLeaf *leaf)
{
	MemoryContext context = leaf->writer->group_context;

	rle_init(&leaf->def, bits_needed(leaf->max_def), context);
	rle_init(&leaf->rep, bits_needed(leaf->max_rep), context);
	bytes_init(&leaf->values, context);
	bytes_init(&leaf->indices, context);
	leaf->indexing = false;
	leaf->dictionary = NULL;
	leaf->pages = leaf->last_page = NULL;
	leaf->npages = leaf->nindex_pages = 0;
	leaf->chunk_levels = leaf->chunk_nulls = 0;
	bounds_clear(&leaf->bounds);

	if (leaf->learned.trial_groups > 0)
		leaf->learned.trial_groups--;
	if (leaf->type == PARQUET_BOOLEAN)
		/* a bit each is less than a number each */;
	else if (leaf->learned.skip_groups > 0)
		leaf->learned.skip_groups--;
	else
	{
		leaf->dictionary = dictionary_new(
			leaf->width, leaf->writer->dictionary_bytes, context);
		leaf->indexing = true;
	}
	leaf_begin_page(leaf, 0);
}

void
leaf_begin_page(ParquetLeaf *leaf, int64 first_row)
{
	rle_reset(&leaf->def);
	rle_reset(&leaf->rep);
	leaf->nlevels = 0;
	leaf->nvalues = 0;
	leaf->first_row = first_row;
	/* what a large value needed isn't kept for small ones */
	if (leaf->values.cap > 4 * leaf->writer->page_bytes)
		bytes_free(&leaf->values);
	leaf->values.len = 0;
	leaf->indices.len = 0;
}

static inline void
column_put_levels(ParquetLeaf *leaf, int rep, int def)
{
	if (leaf->max_rep > 0)
		rle_put(&leaf->rep, rep);
	if (leaf->max_def > 0)
		rle_put(&leaf->def, def);
	leaf->nlevels++;
}

void
leaf_put_null(ParquetLeaf *leaf, int rep, int def)
{
	column_put_levels(leaf, rep, def);
}

/*
 * Sizes of pages are 32-bit numbers.  A value of 1 GB, the most that there is,
 * fits after what a page may hold already; many in one list may not.
 */
#define PAGE_LIMIT ((size_t) 1100 * 1024 * 1024)

static void
fill_page(ParquetLeaf *leaf, size_t n)
{
	const ColumnShape *column = leaf->writer->shape->current;

	if (leaf->values.len + n > PAGE_LIMIT)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("value of column \"%s\" is too large for Parquet",
						column ? column->name : ""),
				 errdetail("The elements of a list can take %d MB.",
						   (int) (PAGE_LIMIT / (1024 * 1024)))));
	leaf->writer->page_due = true;
}

static inline char *
reserve_value(ParquetLeaf *leaf, size_t n)
{
	if (unlikely(leaf->values.len == 0))
	{
		bytes_reserve(&leaf->values, LEVEL_ROOM + n);
		leaf->values.len = LEVEL_ROOM;
	}
	if (unlikely(leaf->values.len + n > leaf->writer->page_bytes))
		fill_page(leaf, n);
	return bytes_reserve(&leaf->values, n);
}

static inline void
put_plain(ParquetLeaf *leaf, const char *data, size_t len)
{
	uint32 n = (uint32) len;
	char  *dst;

	if (leaf->width == 0)
	{
		dst = reserve_value(leaf, sizeof(n) + len);
		memcpy(dst, &n, sizeof(n));
		memcpy(dst + sizeof(n), data, len);
		leaf->values.len += sizeof(n) + len;
	}
	else
	{
		dst = reserve_value(leaf, len);
		memcpy(dst, data, len);
		leaf->values.len += len;
	}
	leaf->nvalues++;
}

void
leaf_abandon_dictionary(ParquetLeaf *leaf)
{
	const uint32 *indices = (const uint32 *) leaf->indices.data;

	for (int64 i = 0; i < leaf->nvalues; i++)
	{
		size_t		len;
		const char *value = dictionary_get(leaf->dictionary, indices[i], &len);

		memcpy(reserve_value(leaf, len), value, len);
		leaf->values.len += len;
	}
	leaf->indices.len = 0;
	leaf->indexing = false;
	if (leaf->nindex_pages > 0)
		dictionary_close(leaf->dictionary);
	else
	{
		dictionary_free(leaf->dictionary);
		leaf->dictionary = NULL;
		leaf->learned.skip_groups = SKIPPED_GROUPS;
	}
}

/* n numbers of values were written after indices: all that should, or not. */
static inline void
end_indexed(ParquetLeaf *leaf, int n, bool all)
{
	leaf->indices.len += n * sizeof(uint32);
	leaf->nvalues += n;
	if (unlikely(leaf->indices.len > leaf->writer->page_bytes))
		leaf->writer->page_due = true;
	if (unlikely(!all))
		leaf_abandon_dictionary(leaf);
}

static inline void
put_value(ParquetLeaf *leaf, int rep, const char *data, size_t len)
{
	column_put_levels(leaf, rep, leaf->max_def);
	if (leaf->indexing)
	{
		char *dst = bytes_reserve(&leaf->indices, sizeof(uint32));
		int	  number = dictionary_put(leaf->dictionary, data, len);
		bool  found = number != DICTIONARY_FULL;

		memcpy(dst, &number, sizeof(uint32));
		end_indexed(leaf, found ? 1 : 0, found);
		if (found)
			return;
	}
	put_plain(leaf, data, len);
}

void
leaf_put_bytes(ParquetLeaf *leaf, int rep, const char *data, size_t len)
{
	put_value(leaf, rep, data, len);
}

void
leaf_put_number(ParquetLeaf *leaf, int rep, int64 number)
{
	/* little-endian: the low bytes come first */
	const char *data = (const char *) &number;

	if (leaf->width == sizeof(int64))
		put_value(leaf, rep, data, sizeof(int64));
	else if (leaf->width == sizeof(int32))
		put_value(leaf, rep, data, sizeof(int32));
	else
		put_value(leaf, rep, data, leaf->width);
}

void
leaf_put_levels(ParquetLeaf *leaf, int rep, int def, int n)
{
	if (leaf->max_rep > 0)
		rle_put_many(&leaf->rep, rep, n);
	if (leaf->max_def > 0)
		rle_put_many(&leaf->def, def, n);
	leaf->nlevels += n;
}

void
leaf_put_numbers(ParquetLeaf *leaf, const char *data, int n)
{
	size_t len;

	if (leaf->indexing)
	{
		char *dst = bytes_reserve(&leaf->indices, n * sizeof(uint32));
		int	  done =
			dictionary_put_numbers(leaf->dictionary, data, n, (uint32 *) dst);

		end_indexed(leaf, done, done == n);
		data += done * leaf->width;
		n -= done;
	}
	if (n == 0)
		return;
	len = (size_t) n * leaf->width;
	memcpy(reserve_value(leaf, len), data, len);
	leaf->values.len += len;
	leaf->nvalues += n;
}
