/*
 * parquet_footer.c
 *		What follows the row groups: page index and file metadata.
 *
 * A chunk's metadata and its two indexes are written into buffers as soon as
 * the chunk is, so that its pages can be forgotten.  Only where the indexes
 * will lie is not known before the end, and whether bounds may stand there: a
 * reader (DataFusion) takes the greatest of those that a column's chunks have for
 * the greatest of the file.  So they are in all of them or in none.
 */
#include "postgres.h"

#include "encode/parquet/parquet.h"

typedef struct ChunkEntry
{
	/* lengths of what follows the chunk before in the buffers */
	uint32 metadata_len;
	uint32 column_index_len; /* 0: the chunk has none */
	uint32 offset_index_len;
	/* where its bounds stand in its metadata */
	uint32 bounds_at, bounds_len;
} ChunkEntry;

typedef struct GroupEntry
{
	int	  nchunks;
	int64 rows;
	int64 offset;
	int64 stored_size;
	int64 plain_size;
} GroupEntry;

struct ParquetFooter
{
	Bytes	   chunks; /* ChunkEntry */
	Bytes	   groups; /* GroupEntry */
	Bytes	   metadata, column_indexes, offset_indexes;
	bool	  *unbounded; /* by leaf: some chunk has no bounds */
	GroupEntry group;	  /* the open one */
};

ParquetFooter *
footer_new(int nleaves, MemoryContext context)
{
	ParquetFooter *footer =
		MemoryContextAllocZero(context, sizeof(ParquetFooter));

	bytes_init(&footer->chunks, context);
	bytes_init(&footer->groups, context);
	bytes_init(&footer->metadata, context);
	bytes_init(&footer->column_indexes, context);
	bytes_init(&footer->offset_indexes, context);
	footer->unbounded = MemoryContextAllocZero(context, nleaves);
	return footer;
}

/* ---- a chunk's metadata ---- */

static void
put_statistics(Thrift *thrift, int id, const ParquetLeaf *leaf,
			   ChunkEntry *entry)
{
	const Bounds *bounds = &leaf->bounds;

	thrift_struct(thrift, id);
	thrift_i64(thrift, 3, leaf->chunk_nulls);
	entry->bounds_at = thrift->out->len - entry->metadata_len;
	if (bounds->min.set && !bounds->unbounded)
	{
		thrift_binary(thrift, 5, bounds->max.data, bounds->max.len);
		thrift_binary(thrift, 6, bounds->min.data, bounds->min.len);
		thrift_bool(thrift, 7, bounds->max.exact);
		thrift_bool(thrift, 8, bounds->min.exact);
	}
	entry->bounds_len =
		thrift->out->len - entry->metadata_len - entry->bounds_at;
	thrift_end(thrift);
}

static void
put_encodings(Thrift *thrift, int id, const ParquetLeaf *leaf)
{
	bool levels = leaf->max_def > 0 || leaf->max_rep > 0;
	bool dictionary = leaf->nindex_pages > 0;

	/* the dictionary's own page is PLAIN */
	thrift_list(thrift, id, THRIFT_I32,
				1 + (levels || dictionary) + dictionary);
	thrift_element_int(thrift, ENCODING_PLAIN);
	if (levels || dictionary)
		thrift_element_int(thrift, ENCODING_RLE);
	if (dictionary)
		thrift_element_int(thrift, ENCODING_DICTIONARY);
}

static void
put_encoding_count(Thrift *thrift, ParquetPageType type,
				   ParquetEncoding encoding, int count)
{
	thrift_element_struct(thrift);
	thrift_i32(thrift, 1, type);
	thrift_i32(thrift, 2, encoding);
	thrift_i32(thrift, 3, count);
	thrift_end(thrift);
}

/* Tells readers whether the dictionary holds all values. */
static void
put_encoding_stats(Thrift *thrift, int id, const ParquetLeaf *leaf)
{
	int nindex = leaf->nindex_pages;
	int nplain = leaf->npages - nindex;

	thrift_list(thrift, id, THRIFT_STRUCT,
				(nindex > 0 ? 2 : 0) + (nplain > 0 ? 1 : 0));
	if (nindex > 0)
	{
		put_encoding_count(thrift, PAGE_DICTIONARY, ENCODING_PLAIN, 1);
		put_encoding_count(thrift, PAGE_DATA, ENCODING_DICTIONARY, nindex);
	}
	if (nplain > 0)
		put_encoding_count(thrift, PAGE_DATA, ENCODING_PLAIN, nplain);
}

static void
put_chunk_metadata(const ParquetLeaf *leaf, int64 plain_size,
				   int64 stored_size, int64 offset, int64 data_offset,
				   ChunkEntry *entry, Bytes *out)
{
	Thrift	  thrift;
	ListCell *lc;

	thrift_begin(&thrift, out);
	thrift_i32(&thrift, 1, leaf->type);
	put_encodings(&thrift, 2, leaf);
	thrift_list(&thrift, 3, THRIFT_BINARY, list_length(leaf->path));
	foreach (lc, leaf->path)
		thrift_element_binary(&thrift, lfirst(lc), strlen(lfirst(lc)));
	thrift_i32(&thrift, 4, leaf->writer->codec->id);
	thrift_i64(&thrift, 5, leaf->chunk_levels);
	thrift_i64(&thrift, 6, plain_size);
	thrift_i64(&thrift, 7, stored_size);
	thrift_i64(&thrift, 9, data_offset);
	if (data_offset != offset)
		thrift_i64(&thrift, 11, offset);
	put_statistics(&thrift, 12, leaf, entry);
	put_encoding_stats(&thrift, 13, leaf);
	thrift_end(&thrift);
}

void
footer_add_chunk(ParquetFooter *footer, const ParquetLeaf *leaf,
				 const ParquetPage *dictionary, int64 offset)
{
	int64	   plain_size = dictionary ? dictionary->plain_size : 0;
	int64	   stored_size = dictionary ? dictionary->size : 0;
	int64	   data_offset = offset + stored_size;
	ChunkEntry entry;

	for (ParquetPage *page = leaf->pages; page; page = page->next)
	{
		plain_size += page->plain_size;
		stored_size += page->size;
	}

	entry.metadata_len = footer->metadata.len;
	entry.column_index_len = footer->column_indexes.len;
	entry.offset_index_len = footer->offset_indexes.len;
	put_chunk_metadata(leaf, plain_size, stored_size, offset, data_offset,
					   &entry, &footer->metadata);
	index_put_columns(leaf, &footer->column_indexes);
	index_put_offsets(leaf, data_offset, &footer->offset_indexes);
	entry.metadata_len = footer->metadata.len - entry.metadata_len;
	entry.column_index_len =
		footer->column_indexes.len - entry.column_index_len;
	entry.offset_index_len =
		footer->offset_indexes.len - entry.offset_index_len;
	bytes_append(&footer->chunks, &entry, sizeof(entry));

	if (leaf->bounds.unbounded)
		footer->unbounded[footer->group.nchunks] = true;
	if (footer->group.nchunks++ == 0)
		footer->group.offset = offset;
	footer->group.plain_size += plain_size;
	footer->group.stored_size += stored_size;
}

void
footer_end_group(ParquetFooter *footer, int64 rows)
{
	footer->group.rows = rows;
	bytes_append(&footer->groups, &footer->group, sizeof(GroupEntry));
	memset(&footer->group, 0, sizeof(GroupEntry));
}

/* ---- the file's metadata ---- */

/* Where the next chunk's parts begin, in the file or in the buffers. */
typedef struct ChunkCursor
{
	const ChunkEntry *entry;
	const char		 *metadata;
	int64			  column_index;
	int64			  offset_index;
} ChunkCursor;

static void
put_chunk(Thrift *thrift, bool unbounded, ChunkCursor *cursor)
{
	const ChunkEntry *entry = cursor->entry++;
	size_t kept = unbounded ? entry->bounds_at : entry->metadata_len;
	size_t skipped = unbounded ? kept + entry->bounds_len : kept;

	thrift_element_struct(thrift);
	thrift_i64(thrift, 2, 0);
	thrift_struct_copy(thrift, 3, cursor->metadata, kept);
	bytes_append(thrift->out, cursor->metadata + skipped,
				 entry->metadata_len - skipped);
	thrift_i64(thrift, 4, cursor->offset_index);
	thrift_i32(thrift, 5, entry->offset_index_len);
	if (entry->column_index_len > 0)
	{
		thrift_i64(thrift, 6, cursor->column_index);
		thrift_i32(thrift, 7, entry->column_index_len);
	}
	thrift_end(thrift);
	cursor->metadata += entry->metadata_len;
	cursor->column_index += entry->column_index_len;
	cursor->offset_index += entry->offset_index_len;
}

static void
put_group(Thrift *thrift, const GroupEntry *group, const bool *unbounded,
		  int ordinal, ChunkCursor *cursor)
{
	thrift_element_struct(thrift);
	thrift_list(thrift, 1, THRIFT_STRUCT, group->nchunks);
	for (int i = 0; i < group->nchunks; i++)
		put_chunk(thrift, unbounded[i], cursor);
	thrift_i64(thrift, 2, group->plain_size);
	thrift_i64(thrift, 3, group->rows);
	thrift_i64(thrift, 5, group->offset);
	thrift_i64(thrift, 6, group->stored_size);
	thrift_i16(thrift, 7, ordinal);
	thrift_end(thrift);
}

/* metadata is a list of name, value, name, value, ... */
static void
put_key_values(Thrift *thrift, int id, const List *metadata)
{
	if (metadata == NIL)
		return;
	thrift_list(thrift, id, THRIFT_STRUCT, list_length(metadata) / 2);
	for (int i = 0; i + 1 < list_length(metadata); i += 2)
	{
		thrift_element_struct(thrift);
		thrift_string(thrift, 1, list_nth(metadata, i));
		thrift_string(thrift, 2, list_nth(metadata, i + 1));
		thrift_end(thrift);
	}
}

/* Every leaf's bounds are ordered as its type says. */
static void
put_column_orders(Thrift *thrift, int id, int nleaves)
{
	thrift_list(thrift, id, THRIFT_STRUCT, nleaves);
	for (int i = 0; i < nleaves; i++)
	{
		thrift_element_struct(thrift);
		thrift_empty(thrift, 1);
		thrift_end(thrift);
	}
}

/* The form that readers parse, which has no room for parentheses of Debian's. */
static char *
created_by(void)
{
	return psprintf("outflow version " OUTFLOW_VERSION
					" (build PostgreSQL %.*s)",
					(int) strcspn(PG_VERSION, " ()"), PG_VERSION);
}

static void
put_file_metadata(const ParquetWriter *writer, ChunkCursor *cursor, Bytes *out)
{
	const ParquetFooter *footer = writer->footer;
	const GroupEntry	*groups = (const GroupEntry *) footer->groups.data;
	int					 ngroups = footer->groups.len / sizeof(GroupEntry);
	Thrift				 thrift;

	thrift_begin(&thrift, out);
	thrift_i32(&thrift, 1, 1);
	schema_write(writer, &thrift, 2);
	thrift_i64(&thrift, 3, writer->rows);
	thrift_list(&thrift, 4, THRIFT_STRUCT, ngroups);
	for (int i = 0; i < ngroups; i++)
		put_group(&thrift, &groups[i], footer->unbounded, i, cursor);
	put_key_values(&thrift, 5, writer->metadata);
	thrift_string(&thrift, 6, created_by());
	put_column_orders(&thrift, 7, writer->nleaves);
	thrift_end(&thrift);
}

void
footer_write(const ParquetWriter *writer, Bytes *out)
{
	const ParquetFooter *footer = writer->footer;
	ChunkCursor			 cursor;
	size_t				 start;

	cursor.entry = (const ChunkEntry *) footer->chunks.data;
	cursor.metadata = footer->metadata.data;
	cursor.column_index = writer->offset;
	cursor.offset_index = writer->offset + footer->column_indexes.len;

	bytes_append(out, footer->column_indexes.data, footer->column_indexes.len);
	bytes_append(out, footer->offset_indexes.data, footer->offset_indexes.len);
	start = out->len;
	put_file_metadata(writer, &cursor, out);
	if (out->len - start > PG_INT32_MAX)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("metadata of a Parquet file grew too large"),
						errhint("Use a smaller part_size.")));
	bytes_append_uint32(out, (uint32) (out->len - start));
	bytes_append(out, PARQUET_MAGIC, strlen(PARQUET_MAGIC));
}
