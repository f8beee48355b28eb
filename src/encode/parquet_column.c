/*
 * parquet_column.c
 *		A leaf: the levels and values of the page that is being filled.
 *
 * Values go to the chunk's dictionary first.  It is given up early when the
 * first values hardly repeat, and in mid-chunk when it grows too large: then
 * the page's values turn PLAIN, while earlier pages keep using it.
 */
#include "postgres.h"

#include "encode/parquet.h"

/* After so many values a dictionary must have shown that they repeat. */
#define SAMPLE_VALUES 8192

/* A column whose values don't repeat isn't asked again for some row groups. */
#define SKIPPED_GROUPS 7

void
leaf_init(ParquetLeaf *leaf)
{
	leaf->skip_groups = 0;
	leaf->codec_level = leaf->writer->codec_level
							? leaf->writer->codec_level
							: leaf->writer->codec->default_level;
	leaf_begin_group(leaf);
}

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

	if (leaf->type == PARQUET_BOOLEAN)
		/* a bit each is less than a number each */;
	else if (leaf->skip_groups > 0)
		leaf->skip_groups--;
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
put_levels(ParquetLeaf *leaf, int rep, int def)
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
	put_levels(leaf, rep, def);
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
		leaf->writer->page_due = true;
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
		leaf->skip_groups = SKIPPED_GROUPS;
	}
}

static void
put_indexed(ParquetLeaf *leaf, const char *data, size_t len)
{
	int number = dictionary_put(leaf->dictionary, data, len);

	if (number == DICTIONARY_FULL)
	{
		leaf_abandon_dictionary(leaf);
		put_plain(leaf, data, len);
		return;
	}
	bytes_append_uint32(&leaf->indices, number);
	if (unlikely(leaf->indices.len > leaf->writer->page_bytes))
		leaf->writer->page_due = true;
	if (leaf->dictionary->nvalues == SAMPLE_VALUES &&
		leaf->dictionary->nentries > SAMPLE_VALUES / 2)
	{
		leaf->nvalues++;
		leaf_abandon_dictionary(leaf);
		leaf->nvalues--;
	}
}

static inline void
put_value(ParquetLeaf *leaf, int rep, const char *data, size_t len)
{
	put_levels(leaf, rep, leaf->max_def);
	if (leaf->indexing)
		put_indexed(leaf, data, len);
	else
		put_plain(leaf, data, len);
	leaf->nvalues++;
}

void
leaf_put_bool(ParquetLeaf *leaf, int rep, bool value)
{
	put_levels(leaf, rep, leaf->max_def);
	*reserve_value(leaf, 1) = value;
	leaf->values.len++;
	leaf->nvalues++;
}

void
leaf_put_int32(ParquetLeaf *leaf, int rep, int32 value)
{
	put_value(leaf, rep, (const char *) &value, sizeof(value));
}

void
leaf_put_int64(ParquetLeaf *leaf, int rep, int64 value)
{
	put_value(leaf, rep, (const char *) &value, sizeof(value));
}

void
leaf_put_bytes(ParquetLeaf *leaf, int rep, const char *data, size_t len)
{
	put_value(leaf, rep, data, len);
}
