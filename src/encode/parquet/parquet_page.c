/*
 * parquet_page.c
 *		From a leaf's collected values to a compressed page with its header.
 *
 * Data pages are of version 1, which every reader knows: repetition levels,
 * definition levels and values follow each other and are compressed together.
 */
#include "postgres.h"

#include <zlib.h>

#include "encode/parquet/parquet.h"

/* A workspace that grew beyond this for a large value is given back. */
#define KEPT_BYTES (4 * 1024 * 1024)

/* zstd works otherwise on inputs of at most 256 kB, so the trial is of more. */
#define TRIAL_BYTES (320 * 1024)

/* Less says nothing of the pages that follow. */
#define MIN_TRIAL_BYTES 4096

/* A trial serves this row group and those up to this one after it. */
#define TRIAL_GROUPS 8

static void
shrink(Bytes *bytes)
{
	bytes->len = 0;
	if (bytes->cap > KEPT_BYTES)
		bytes_free(bytes);
}

static void
append_levels(Bytes *body, const RleEncoder *rle)
{
	bytes_append_uint32(body, (uint32) rle->out.len);
	bytes_append(body, rle->out.data, rle->out.len);
}

static size_t
levels_size(const ParquetLeaf *leaf)
{
	size_t size = 0;

	if (leaf->max_rep > 0)
		size += sizeof(uint32) + leaf->rep.out.len;
	if (leaf->max_def > 0)
		size += sizeof(uint32) + leaf->def.out.len;
	return size;
}

static void
page_put_levels(const ParquetLeaf *leaf, Bytes *body)
{
	if (leaf->max_rep > 0)
		append_levels(body, &leaf->rep);
	if (leaf->max_def > 0)
		append_levels(body, &leaf->def);
}

/* Booleans were kept in a byte each. */
static void
pack_booleans(ParquetLeaf *leaf)
{
	char *values = leaf->values.data + LEVEL_ROOM;

	for (int64 i = 0; i < leaf->nvalues; i += 8)
	{
		int packed = 0;

		for (int bit = 0; bit < 8 && i + bit < leaf->nvalues; bit++)
			packed |= values[i + bit] << bit;
		values[i / 8] = (char) packed;
	}
	leaf->values.len = LEVEL_ROOM + (leaf->nvalues + 7) / 8;
}

/* Levels in front of the values, where there is room kept for them. */
static const char *
plain_body(ParquetLeaf *leaf, size_t *len)
{
	size_t size = levels_size(leaf);
	Bytes *page = &leaf->writer->page;
	Bytes  front;

	if (leaf->nvalues > 0 && size <= LEVEL_ROOM)
	{
		front = leaf->values;
		front.data += LEVEL_ROOM - size;
		front.len = 0;
		front.cap = size;
		page_put_levels(leaf, &front);
		*len = leaf->values.len - LEVEL_ROOM + size;
		return front.data;
	}
	page_put_levels(leaf, page);
	if (leaf->nvalues > 0)
		bytes_append(page, leaf->values.data + LEVEL_ROOM,
					 leaf->values.len - LEVEL_ROOM);
	*len = page->len;
	return page->data;
}

static const char *
indexed_body(ParquetLeaf *leaf, size_t *len)
{
	const uint32 *indices = (const uint32 *) leaf->indices.data;
	Bytes		 *page = &leaf->writer->page;
	RleEncoder	 *indexer = &leaf->writer->indexer;

	page_put_levels(leaf, page);
	rle_reset(indexer);
	/* some readers don't expect numbers of no bits */
	indexer->bits = Max(bits_needed(leaf->dictionary->nentries - 1), 1);
	for (int64 i = 0; i < leaf->nvalues; i++)
		rle_put(indexer, indices[i]);
	rle_finish(indexer);
	*bytes_reserve(page, 1) = (char) indexer->bits;
	page->len++;
	bytes_append(page, indexer->out.data, indexer->out.len);
	*len = page->len;
	return page->data;
}

static size_t
compress_at(ParquetWriter *writer, Bytes *dst, int level, bool numbers,
			const char *body, size_t len)
{
	size_t bound = writer->codec->bound(len);

	return writer->codec->compress(writer->codec_state, level, numbers, body,
								   len, bytes_reserve(dst, bound), bound);
}

static bool
trial_is_due(const ParquetLeaf *leaf)
{
	const ParquetCodec *codec = leaf->writer->codec;

	return leaf->writer->codec_level == 0 && leaf->learned.trial_groups == 0 &&
		   codec->quick_level != codec->default_level;
}

/*
 * Text without repetitions, such as hexadecimal digests, takes a codec's usual
 * level much longer than its quickest, to no avail.  So a page is compressed
 * at both now and then, and the better one serves for what follows.
 */
static size_t
try_levels(ParquetLeaf *leaf, bool numbers, const char *body, size_t len)
{
	ParquetWriter	   *writer = leaf->writer;
	const ParquetCodec *codec = writer->codec;
	Bytes				other;
	size_t				usual, quick;

	usual = compress_at(writer, &writer->compressed, codec->default_level,
						numbers, body, len);
	quick = compress_at(writer, &writer->trial, codec->quick_level, numbers,
						body, len);
	if (len >= MIN_TRIAL_BYTES)
		leaf->learned.trial_groups = TRIAL_GROUPS;
	leaf->learned.codec_level = codec->default_level;
	if (quick - quick / 32 > usual)
		return usual;
	leaf->learned.codec_level = codec->quick_level;
	other = writer->compressed;
	writer->compressed = writer->trial;
	writer->trial = other;
	return quick;
}

/* Returns the compressed page; it is there until the next one. */
static const char *
compress_body(ParquetLeaf *leaf, bool numbers, const char *body, size_t len,
			  size_t *stored_len)
{
	ParquetWriter *writer = leaf->writer;
	size_t		   tried = 0;

	*stored_len = len;
	if (writer->codec->id == 0)
		return body;
	if (trial_is_due(leaf))
	{
		tried = Min(len, TRIAL_BYTES);
		*stored_len = try_levels(leaf, numbers, body, tried);
	}
	if (tried < len)
		*stored_len =
			compress_at(writer, &writer->compressed, leaf->learned.codec_level,
						numbers, body, len);
	return writer->compressed.data;
}

/* Readers hold a page's sizes in 32 bits, and a row can't be split. */
static void
check_page_size(const ParquetLeaf *leaf, int64 nvalues, size_t len)
{
	if (nvalues > PG_INT32_MAX || len > PG_INT32_MAX)
		ereport(
			ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("a row is too large for a page of a Parquet file"),
			 errdetail("Its column \"%s\" takes %zu bytes for " INT64_FORMAT
					   " values.",
					   (char *) linitial(leaf->path), len, nvalues)));
}

/* A page of body: its header, then the body as it is stored. */
static ParquetPage *
make_page(ParquetLeaf *leaf, ParquetPageType type, ParquetEncoding encoding,
		  int64 nvalues, const char *body, size_t len)
{
	ParquetWriter *writer = leaf->writer;
	size_t		   stored_len;
	bool numbers = encoding == ENCODING_PLAIN && leaf->width >= sizeof(int32);
	const char	*stored;
	Bytes		*header = &writer->header;
	ParquetPage *page;
	Thrift		 thrift;

	check_page_size(leaf, nvalues, len);
	stored = compress_body(leaf, numbers, body, len, &stored_len);
	check_page_size(leaf, nvalues, stored_len);
	header->len = 0;
	thrift_begin(&thrift, header);
	thrift_i32(&thrift, 1, type);
	thrift_i32(&thrift, 2, (int32) len);
	thrift_i32(&thrift, 3, (int32) stored_len);
	thrift_i32(&thrift, 4,
			   (int32) crc32_z(crc32_z(0, NULL, 0), (const Bytef *) stored,
							   stored_len));
	thrift_struct(&thrift, type == PAGE_DICTIONARY ? 7 : 5);
	thrift_i32(&thrift, 1, (int32) nvalues);
	thrift_i32(&thrift, 2, encoding);
	if (type == PAGE_DATA)
	{
		thrift_i32(&thrift, 3, ENCODING_RLE);
		thrift_i32(&thrift, 4, ENCODING_RLE);
	}
	thrift_end(&thrift);
	thrift_end(&thrift);

	page = MemoryContextAllocHuge(writer->group_context,
								  offsetof(ParquetPage, data) + header->len +
									  stored_len);
	page->next = NULL;
	page->size = header->len + stored_len;
	page->plain_size = header->len + len;
	memcpy(page->data, header->data, header->len);
	memcpy(page->data + header->len, stored, stored_len);
	shrink(&writer->page);
	shrink(&writer->compressed);
	shrink(&writer->trial);
	return page;
}

/*
 * Before the first page that would use it: whether the dictionary saves
 * anything.  PLAIN compresses better than numbers do when it saves little.
 */
static bool
dictionary_pays(const ParquetLeaf *leaf)
{
	const Dictionary *dictionary = leaf->dictionary;
	size_t			  bits = bits_needed(Max(dictionary->nentries, 1));
	size_t indexed = dictionary->values.len + dictionary->nvalues * bits / 8;

	return indexed < dictionary->plain_bytes - dictionary->plain_bytes / 4;
}

static ParquetPage *
make_data_page(ParquetLeaf *leaf)
{
	Bounds			bounds;
	const char	   *body;
	size_t			len;
	ParquetEncoding encoding;
	ParquetPage	   *page;

	rle_finish(&leaf->def);
	rle_finish(&leaf->rep);
	if (leaf->indexing && leaf->nvalues > 0)
	{
		encoding = ENCODING_DICTIONARY;
		bounds_of_indices(leaf, (const uint32 *) leaf->indices.data,
						  (int) leaf->nvalues, &bounds);
		body = indexed_body(leaf, &len);
		leaf->nindex_pages++;
	}
	else
	{
		encoding = ENCODING_PLAIN;
		bounds_clear(&bounds);
		/* a page of nulls has not even the room in front of values */
		if (leaf->nvalues > 0)
			bounds_of_values(leaf, leaf->values.data + LEVEL_ROOM,
							 leaf->values.len - LEVEL_ROOM,
							 (int) leaf->nvalues, &bounds);
		if (leaf->type == PARQUET_BOOLEAN && leaf->nvalues > 0)
			pack_booleans(leaf);
		body = plain_body(leaf, &len);
	}
	page = make_page(leaf, PAGE_DATA, encoding, leaf->nlevels, body, len);
	page->first_row = leaf->first_row;
	page->nulls = leaf->nlevels - leaf->nvalues;
	page->all_null = leaf->nvalues == 0;
	page->bounds = bounds;
	return page;
}

void
leaf_end_page(ParquetLeaf *leaf, int64 next_row)
{
	ParquetPage *page;

	if (leaf->nlevels == 0)
		return;
	if (leaf->indexing && leaf->nvalues > 0 && leaf->nindex_pages == 0 &&
		!dictionary_pays(leaf))
		leaf_abandon_dictionary(leaf);
	if (unlikely(leaf->steps))
		sorting_take_page(leaf);
	page = make_data_page(leaf);

	if (leaf->last_page)
		leaf->last_page->next = page;
	else
		leaf->pages = page;
	leaf->last_page = page;
	leaf->npages++;
	leaf->chunk_levels += leaf->nlevels;
	leaf->chunk_nulls += page->nulls;
	bounds_merge(leaf->order, &leaf->bounds, &page->bounds);
	leaf_begin_page(leaf, next_row);
}

ParquetPage *
leaf_dictionary_page(ParquetLeaf *leaf)
{
	const Dictionary *dictionary = leaf->dictionary;

	if (leaf->nindex_pages == 0)
		return NULL;
	return make_page(leaf, PAGE_DICTIONARY, ENCODING_PLAIN,
					 dictionary->nentries, dictionary->values.data,
					 dictionary->values.len);
}
