/*
 * fuzz_parquet_file.c
 *		A whole Parquet file: footer, schema, row groups, page index.
 *
 * Every byte of the file must belong to exactly one thing.
 */
#include "postgres.h"

#include "fuzz_parquet.h"

#define MAGIC		 "PAR1"
#define TRAILER_SIZE 8

static const char *const repetitions[] = {"required", "optional", "repeated"};

/* What remains to be told of the schema's elements. */
typedef struct SchemaReader
{
	FileContent *content;
	ThriftNode	*elements;
	int			 next;
} SchemaReader;

/* ---- schema */

static int
width_of(int physical, const ThriftNode *element)
{
	switch (physical)
	{
		case PHYSICAL_BOOLEAN:
			return 1;
		case PHYSICAL_INT32:
		case PHYSICAL_FLOAT:
			return 4;
		case PHYSICAL_INT64:
		case PHYSICAL_DOUBLE:
			return 8;
		case PHYSICAL_FIXED:
			return thrift_int_of(element, 2);
		default:
			return 0;
	}
}

/* A union has one field, whose fields are numbers or structs. */
static void
describe_logical(StringInfo out, const ThriftNode *element)
{
	ThriftNode *logical = thrift_get(element, 10);

	if (logical == NULL)
		return;
	if (logical->count != 1)
		fuzz_fail("a logical type of %d types", logical->count);
	appendStringInfo(out, " logical %d", logical->ids[0]);
	logical = logical->items[0];
	for (int i = 0; i < logical->count; i++)
	{
		ThriftNode *field = logical->items[i];

		if (field->count > 0)
			appendStringInfo(out, " unit %d", field->ids[0]);
		else
			appendStringInfo(out, " %d", (int) field->number);
	}
}

static void
add_leaf(SchemaReader *reader, const ThriftNode *element, const char *path,
		 int def, int rep)
{
	FileLeaf   *leaf = file_leaf_add(reader->content);
	ThriftNode *logical = thrift_get(element, 10);

	leaf->path = path;
	leaf->physical = thrift_int_of(element, 1);
	leaf->width = width_of(leaf->physical, element);
	leaf->max_def = def;
	leaf->max_rep = rep;
	if (logical == NULL)
		return;
	leaf->is_unsigned =
		logical->ids[0] == 10 && !thrift_int_of(logical->items[0], 2);
	leaf->is_decimal =
		logical->ids[0] == 5 && leaf->physical == PHYSICAL_FIXED;
	leaf->is_text = leaf->physical == PHYSICAL_BYTE_ARRAY;
}

/* One line: depth, name, repetition, then the numbers of what is there. */
static void
read_element(SchemaReader *reader, const char *parent, int depth, int def,
			 int rep)
{
	ThriftNode *element;
	StringInfo	out = &reader->content->schema;
	int64		repetition;
	char	   *path;

	if (reader->next >= reader->elements->count)
		fuzz_fail("the schema lacks elements");
	element = reader->elements->items[reader->next++];
	repetition = thrift_int_of(element, 3);
	if (repetition < 0 || repetition >= lengthof(repetitions))
		fuzz_fail("repetition %d", (int) repetition);
	path = psprintf("%s%s%s", parent, *parent ? "\n" : "",
					thrift_string_of(element, 4));
	def += repetition != 0;
	rep += repetition == 2;

	appendStringInfo(out, "%d %s %s", depth, thrift_string_of(element, 4),
					 repetitions[repetition]);
	if (thrift_get(element, 5) == NULL)
		appendStringInfo(out, " type %d width %d",
						 (int) thrift_int_of(element, 1),
						 width_of(thrift_int_of(element, 1), element));
	if (thrift_get(element, 6))
		appendStringInfo(out, " converted %d",
						 (int) thrift_int_of(element, 6));
	if (thrift_get(element, 8))
		appendStringInfo(out, " decimal %d %d",
						 (int) thrift_int_of(element, 8),
						 (int) thrift_int_of(element, 7));
	if (thrift_get(element, 9))
		appendStringInfo(out, " id %d", (int) thrift_int_of(element, 9));
	describe_logical(out, element);
	appendStringInfoChar(out, '\n');

	if (thrift_get(element, 5) == NULL)
		add_leaf(reader, element, path, def, rep);
	for (int i = 0; i < thrift_int_or(element, 5, 0); i++)
		read_element(reader, path, depth + 1, def, rep);
}

static void
read_schema(FileContent *content, ThriftNode *elements)
{
	SchemaReader reader = {content, elements, 1};
	ThriftNode	*root = elements->items[0];

	for (int i = 0; i < thrift_int_of(root, 5); i++)
		read_element(&reader, "", 0, 0, 0);
	if (reader.next != elements->count)
		fuzz_fail("the schema has %d elements too many",
				  elements->count - reader.next);
}

/* ---- row groups */

/* Where the next thing must begin. */
typedef struct FileCursor
{
	const char		 *file;
	const FileLimits *limits;
	int64			  pages;
	int64			  column_index;
	int64			  offset_index;
} FileCursor;

static void
check_path(const FileLeaf *leaf, const ThriftNode *metadata)
{
	ThriftNode	  *names = thrift_list_of(metadata, 3);
	StringInfoData path;

	initStringInfo(&path);
	for (int i = 0; i < names->count; i++)
		appendStringInfo(&path, "%s%.*s", i > 0 ? "\n" : "",
						 (int) names->items[i]->len, names->items[i]->data);
	if (strcmp(path.data, leaf->path) != 0 ||
		thrift_int_of(metadata, 1) != leaf->physical)
		fuzz_fail("a chunk of %s where %s is due", path.data, leaf->path);
}

/* An index of the page index, which takes all of its bytes. */
static ThriftNode *
read_index(const char *file, int64 offset, int64 len, int64 *cursor)
{
	FileBytes	bytes;
	ThriftNode *index;

	if (offset != *cursor)
		fuzz_fail("an index begins at %d, not %d", (int) *cursor,
				  (int) offset);
	bytes.at = (const uint8 *) file + offset;
	bytes.end = bytes.at + len;
	index = thrift_read_struct(&bytes);
	if (bytes.at != bytes.end)
		fuzz_fail("an index has %d bytes too many",
				  (int) (bytes.end - bytes.at));
	*cursor += len;
	return index;
}

static void
check_offset_index(const FileChunk *chunk, const ThriftNode *index)
{
	ThriftNode *places = thrift_list_of(index, 1);

	if (places->count != chunk->npages)
		fuzz_fail("an offset index of %d pages, not %d", places->count,
				  chunk->npages);
	for (int i = 0; i < chunk->npages; i++)
	{
		const FilePage *page = &chunk->pages[i];

		if (thrift_int_of(places->items[i], 1) != page->offset ||
			thrift_int_of(places->items[i], 2) != page->size ||
			thrift_int_of(places->items[i], 3) != page->first_row)
			fuzz_fail("page %d is not where the index says", i);
	}
}

static void
read_chunk(FileCursor *cursor, const ThriftNode *node, FileLeaf *leaf,
		   int64 rows, int64 *plain, int64 *stored)
{
	ThriftNode *metadata = thrift_struct_of(node, 3);
	int64	  start = thrift_int_or(metadata, 11, thrift_int_of(metadata, 9));
	FileChunk chunk = {0};
	ThriftNode *column_index = NULL;

	check_path(leaf, metadata);
	if (thrift_int_of(node, 2) != 0 || start != cursor->pages)
		fuzz_fail("a chunk begins at %d, not %d", (int) cursor->pages,
				  (int) start);
	if (thrift_int_of(metadata, 4) != cursor->limits->codec)
		fuzz_fail("codec %d", (int) thrift_int_of(metadata, 4));
	file_read_pages(cursor->file, metadata, leaf, &chunk);
	if (chunk.rows != rows)
		fuzz_fail("%s has %d rows, its group %d", leaf->path, (int) chunk.rows,
				  (int) rows);
	if (chunk.dictionary_bytes > cursor->limits->dictionary_bytes)
		fuzz_fail("a dictionary of %d bytes", (int) chunk.dictionary_bytes);
	file_check_statistics(leaf, &chunk, thrift_struct_of(metadata, 12));
	if (thrift_get(node, 6))
		column_index =
			read_index(cursor->file, thrift_int_of(node, 6),
					   thrift_int_of(node, 7), &cursor->column_index);
	file_check_column_index(leaf, &chunk, column_index);
	check_offset_index(&chunk, read_index(cursor->file, thrift_int_of(node, 4),
										  thrift_int_of(node, 5),
										  &cursor->offset_index));
	cursor->pages += thrift_int_of(metadata, 7);
	*plain += thrift_int_of(metadata, 6);
	*stored += thrift_int_of(metadata, 7);
}

static void
read_group(FileCursor *cursor, FileContent *content, const ThriftNode *group,
		   int number)
{
	ThriftNode *chunks = thrift_list_of(group, 1);
	int64		rows = thrift_int_of(group, 3);
	int64		start = cursor->pages;
	int64		plain = 0, stored = 0;

	if (chunks->count != content->nleaves)
		fuzz_fail("a row group of %d chunks", chunks->count);
	if (rows <= 0 || rows > cursor->limits->group_rows)
		fuzz_fail("a row group of %d rows", (int) rows);
	for (int i = 0; i < chunks->count; i++)
		read_chunk(cursor, chunks->items[i], &content->leaves[i], rows, &plain,
				   &stored);
	if (thrift_int_of(group, 2) != plain ||
		thrift_int_of(group, 6) != stored ||
		thrift_int_of(group, 5) != start || thrift_int_of(group, 7) != number)
		fuzz_fail("sizes, place or number of row group %d", number);
	content->rows += rows;
	content->ngroups++;
}

/* ---- file */

/* The page index stands between row groups and metadata. */
static void
find_indexes(FileCursor *cursor, ThriftNode *groups, int64 metadata_at)
{
	int64 column_bytes = 0, offset_bytes = 0;

	for (int i = 0; i < groups->count; i++)
	{
		ThriftNode *chunks = thrift_list_of(groups->items[i], 1);

		for (int j = 0; j < chunks->count; j++)
		{
			column_bytes += thrift_int_or(chunks->items[j], 7, 0);
			offset_bytes += thrift_int_of(chunks->items[j], 5);
		}
	}
	cursor->offset_index = metadata_at - offset_bytes;
	cursor->column_index = cursor->offset_index - column_bytes;
}

static void
read_key_values(FileContent *content, ThriftNode *pairs)
{
	initStringInfo(&content->metadata);
	for (int i = 0; i < pairs->count; i++)
		appendStringInfo(&content->metadata, "%s=%s\n",
						 thrift_string_of(pairs->items[i], 1),
						 thrift_string_of(pairs->items[i], 2));
}

static void
check_column_orders(FileContent *content, ThriftNode *orders)
{
	if (orders->count != content->nleaves)
		fuzz_fail("%d column orders", orders->count);
	for (int i = 0; i < orders->count; i++)
	{
		if (thrift_struct_of(orders->items[i], 1)->count != 0)
			fuzz_fail("a column order that is none of the type's");
	}
}

FileContent *
file_read_whole(const char *data, size_t len, const FileLimits *limits)
{
	FileContent *content = palloc0(sizeof(FileContent));
	FileCursor	 cursor = {
		  .file = data, .limits = limits, .pages = strlen(MAGIC)};
	FileBytes	bytes;
	ThriftNode *metadata, *groups;
	uint32		size;
	int64		metadata_at, indexes_at;

	if (len < strlen(MAGIC) + TRAILER_SIZE || memcmp(data, MAGIC, 4) != 0 ||
		memcmp(data + len - 4, MAGIC, 4) != 0)
		fuzz_fail("no Parquet file");
	memcpy(&size, data + len - TRAILER_SIZE, sizeof(size));
	metadata_at = (int64) len - TRAILER_SIZE - size;
	if (metadata_at < strlen(MAGIC))
		fuzz_fail("metadata of %u bytes", size);
	bytes.at = (const uint8 *) data + metadata_at;
	bytes.end = bytes.at + size;
	metadata = thrift_read_struct(&bytes);
	if (bytes.at != bytes.end || thrift_int_of(metadata, 1) != 1)
		fuzz_fail("the metadata's end or version");

	initStringInfo(&content->schema);
	read_schema(content, thrift_list_of(metadata, 2));
	groups = thrift_list_of(metadata, 4);
	find_indexes(&cursor, groups, metadata_at);
	indexes_at = cursor.column_index;
	for (int i = 0; i < groups->count; i++)
		read_group(&cursor, content, groups->items[i], i);
	/* each cursor is where the next one began */
	if (cursor.pages != indexes_at)
		fuzz_fail("bytes between row groups and page index");
	if (thrift_int_of(metadata, 3) != content->rows)
		fuzz_fail("the file says %d rows, its groups %d",
				  (int) thrift_int_of(metadata, 3), (int) content->rows);
	for (int i = 0; i < content->nleaves; i++)
	{
		const FileLeaf *leaf = &content->leaves[i];

		if (leaf->unbounded ? leaf->bounded : leaf->left_out)
			fuzz_fail("bounds of %s in some row groups, or in none",
					  leaf->path);
	}
	read_key_values(content, thrift_list_of(metadata, 5));
	check_column_orders(content, thrift_list_of(metadata, 7));
	return content;
}
