/*
 * parquet.c
 *		Rows as Parquet: the format's entry points and its row groups.
 *
 * One part is one complete file.  A row group ends when its buffers hold half
 * of the memory that the caller allows, the rest being for compression and for
 * the finished group on its way out; or after group_max_rows rows, so that
 * readers can work on several at once and skip what they don't need.  One row
 * is never split: a row of many large values needs room for all of them in
 * compressed form, and for the largest as it is.
 *
 * All members of the format are here, from a file's first byte to its footer:
 * they share its state, and format delta builds on them.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "encode/parquet/parquet.h"
#include "option.h"

#define DEFAULT_MEMORY	   (INT64CONST(64) * 1024 * 1024)
#define DEFAULT_GROUP_ROWS 122880
/* as its own writer does, for readers that hold a row group in memory */
#define MILVUS_GROUP_BYTES (32 * 1024 * 1024)
#define PAGE_ROWS		   20480
#define MIN_PAGE_BYTES	   4096
#define MAX_PAGE_BYTES	   (1024 * 1024)

/*
 * Readers number a file's row groups in 16 bits.  Where a file comes near to that,
 * its groups get larger, twice as large after so many more.
 */
#define MAX_GROUPS		 PG_INT16_MAX
#define MANY_GROUPS		 (MAX_GROUPS / 2)
#define GROUPS_OF_A_SIZE 512

/* For all leaves, kept from part to part. */
typedef struct Learned
{
	int			nleaves;
	LeafLearned leaves[FLEXIBLE_ARRAY_MEMBER];
} Learned;

struct RowEncoder
{
	ParquetWriter		  writer;
	MemoryContextCallback cleanup;
	const RowHost		 *host;
};

const RowHost *
parquet_host(const RowEncoder *encoder)
{
	return encoder->host;
}

const ParquetWriter *
parquet_writer(const RowEncoder *encoder)
{
	return &encoder->writer;
}

void
parquet_watch_order(RowEncoder *encoder, const List *nodes)
{
	sorting_watch(&encoder->writer, nodes);
}

static void
parquet_check(const RowFormatOptions *options)
{
	int level;

	row_format_refuse_csv_options("parquet", options);
	row_format_require_utf8("parquet", options);
	(void) parquet_codec_parse(options->compression, &level);
	parquet_options_check(options);
}

/* ---- opening ---- */

static void
end_codec(void *arg)
{
	ParquetWriter *writer = arg;

	if (writer->codec_state)
		writer->codec->end(writer->codec_state);
	writer->codec_state = NULL;
}

static void
init_codec(RowEncoder *encoder, const char *compression)
{
	ParquetWriter *writer = &encoder->writer;

	writer->codec = parquet_codec_parse(compression, &writer->codec_level);
	encoder->cleanup.func = end_codec;
	encoder->cleanup.arg = writer;
	MemoryContextRegisterResetCallback(writer->context, &encoder->cleanup);
	writer->codec_state = writer->codec->begin();
	if (writer->codec_state == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"),
				 errdetail("Compression \"%s\" could not begin.",
						   compression ? compression : "zstd")));
}

static void
init_limits(ParquetWriter *writer, const RowFormatOptions *options,
			const RowHost *host)
{
	int64 memory = host->memory > 0 ? host->memory : DEFAULT_MEMORY;
	int64 share;

	writer->group_bytes = memory / 2;
	if (writer->for_milvus)
		writer->group_bytes = Min(writer->group_bytes, MILVUS_GROUP_BYTES);
	writer->group_max_rows =
		options->group_rows > 0 ? options->group_rows : DEFAULT_GROUP_ROWS;
	share = (int64) writer->group_bytes / writer->nleaves / 4;
	writer->page_bytes = Min(Max(share, MIN_PAGE_BYTES), MAX_PAGE_BYTES);
	writer->dictionary_bytes = writer->page_bytes;
}

static void
init_workspaces(ParquetWriter *writer)
{
	rle_init(&writer->indexer, 1, writer->context);
	bytes_init(&writer->page, writer->context);
	bytes_init(&writer->compressed, writer->context);
	bytes_init(&writer->trial, writer->context);
	bytes_init(&writer->header, writer->context);
	text_values_init(&writer->text);
	buffer_init(&writer->json);
	writer->verify = GetDatabaseEncoding() == PG_SQL_ASCII;
	writer->to_utf8 = GetDatabaseEncoding() != PG_UTF8;
}

/* From the part before, if the caller brought it. */
static void
init_learned(ParquetWriter *writer, const RowHost *host)
{
	const Learned *learned = host->learned ? *host->learned : NULL;

	for (int i = 0; i < writer->nleaves; i++)
	{
		LeafLearned *leaf = &writer->leaves[i].learned;

		if (learned && learned->nleaves == writer->nleaves)
			*leaf = learned->leaves[i];
		else
			leaf->codec_level = writer->codec_level
									? writer->codec_level
									: writer->codec->default_level;
	}
}

static void
keep_learned(ParquetWriter *writer, const RowHost *host)
{
	Learned *learned = host->learned ? *host->learned : NULL;

	if (host->learned == NULL)
		return;
	if (learned == NULL)
	{
		*host->learned = learned = MemoryContextAlloc(
			host->learned_context,
			offsetof(Learned, leaves) + writer->nleaves * sizeof(LeafLearned));
		learned->nleaves = writer->nleaves;
	}
	for (int i = 0; i < Min(learned->nleaves, writer->nleaves); i++)
		learned->leaves[i] = writer->leaves[i].learned;
}

/* [{"name":"id","type":"bigint"},...]: the types as PostgreSQL names them */
static char *
describe_columns(const RowShape *shape)
{
	JsonStyle  style = json_style_default();
	ByteBuffer json;

	buffer_init(&json);
	buffer_append_char(&json, '[');
	for (int i = 0; i < shape->ncolumns; i++)
	{
		const ColumnShape *column = &shape->columns[i];
		const char		  *type = type_shape_name(&column->type);

		buffer_append_literal(&json, "{\"name\":");
		json_string(&json, &style, column->name, strlen(column->name));
		buffer_append_literal(&json, ",\"type\":");
		json_string(&json, &style, type, strlen(type));
		buffer_append_char(&json, '}');
		if (i + 1 < shape->ncolumns)
			buffer_append_char(&json, ',');
	}
	buffer_append_char(&json, ']');
	buffer_append_char(&json, '\0');
	return json.data;
}

static void
append_file_bytes(RowEncoder *encoder, const char *data, size_t len,
				  ByteBuffer *out)
{
	encoder->writer.offset += len;
	while (len > 0)
	{
		int piece = (int) Min(len, 16 * 1024 * 1024);

		buffer_append(out, data, piece);
		data += piece;
		len -= piece;
		if (encoder->host->drain)
			encoder->host->drain(encoder->host->drain_arg, out);
	}
}

void
parquet_map_columns(ParquetWriter *writer, RowShape *shape,
					const RowFormatOptions *options)
{
	if (shape->ncolumns == 0)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("format \"parquet\" needs a column, and \"%s\" "
							   "has none",
							   shape->name)));
	writer->shape = shape;
	writer->ncolumns = shape->ncolumns;
	writer->columns = palloc0(sizeof(ParquetColumn) * shape->ncolumns);
	for (int i = 0; i < shape->ncolumns; i++)
		writer->columns[i].shape = &shape->columns[i];
	parquet_options_apply(writer, options);
	schema_build(writer);
	if (writer->for_milvus)
		parquet_check_milvus(writer);
}

static char *
parquet_layout(RowShape *shape, const RowFormatOptions *options)
{
	ParquetWriter *writer = palloc0_object(ParquetWriter);

	writer->context = CurrentMemoryContext;
	parquet_map_columns(writer, shape, options);
	return schema_describe(writer);
}

static RowEncoder *
new_encoder(const RowHost *host)
{
	RowEncoder	  *encoder = palloc0_object(RowEncoder);
	ParquetWriter *writer = &encoder->writer;

	encoder->host = host;
	writer->place = host->place;
	writer->context = CurrentMemoryContext;
	/* small blocks, since the limit is about what the context has taken */
	writer->group_context = AllocSetContextCreate(
		CurrentMemoryContext, "outflow row group", 0, 8 * 1024, 512 * 1024);
	return encoder;
}

/* Once the columns are mapped. */
static void
begin_file(RowEncoder *encoder, const RowFormatOptions *options,
		   ByteBuffer *out)
{
	ParquetWriter *writer = &encoder->writer;

	batch_init(writer);
	init_limits(writer, options, encoder->host);
	init_workspaces(writer);
	init_codec(encoder, options->compression);
	writer->footer = footer_new(writer->nleaves, writer->context);
	init_learned(writer, encoder->host);
	append_file_bytes(encoder, PARQUET_MAGIC, strlen(PARQUET_MAGIC), out);
}

static RowEncoder *
parquet_open(RowShape *shape, const RowFormatOptions *options,
			 const RowHost *host, ByteBuffer *out)
{
	RowEncoder *encoder = new_encoder(host);

	parquet_map_columns(&encoder->writer, shape, options);
	begin_file(encoder, options, out);
	encoder->writer.metadata =
		list_make2("outflow.columns", describe_columns(shape));
	return encoder;
}

RowEncoder *
parquet_open_tree(ParquetMapTree map, const RowFormatOptions *options,
				  const RowHost *host, ByteBuffer *out)
{
	RowEncoder *encoder = new_encoder(host);

	map(&encoder->writer);
	begin_file(encoder, options, out);
	return encoder;
}

/* ---- rows ---- */

static void
append_chunk(RowEncoder *encoder, ParquetLeaf *leaf, ByteBuffer *out)
{
	ParquetPage *dictionary = leaf_dictionary_page(leaf);
	ParquetPage *page = leaf->pages;

	footer_add_chunk(encoder->writer.footer, leaf, dictionary,
					 encoder->writer.offset);
	leaf->file_nulls += leaf->chunk_nulls;
	bounds_merge(leaf->order, &leaf->file_bounds, &leaf->bounds);
	if (dictionary)
		append_file_bytes(encoder, dictionary->data, dictionary->size, out);
	while (page)
	{
		ParquetPage *next = page->next;

		append_file_bytes(encoder, page->data, page->size, out);
		pfree(page);
		page = next;
	}
}

static void
begin_group(ParquetWriter *writer)
{
	if (writer->ngroups == MAX_GROUPS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a Parquet file cannot have more than %d row groups",
						MAX_GROUPS),
				 errhint("Use a smaller part_size, or a larger "
						 "\"outflow.part_memory\".")));
	writer->ngroups++;
	if (writer->ngroups > MANY_GROUPS &&
		writer->ngroups % GROUPS_OF_A_SIZE == 0)
		writer->group_max_rows =
			Min(2 * writer->group_max_rows, (int64) PG_INT32_MAX);
	for (int i = 0; i < writer->nleaves; i++)
		leaf_begin_group(&writer->leaves[i]);
}

static void
end_group(RowEncoder *encoder, ByteBuffer *out)
{
	ParquetWriter *writer = &encoder->writer;
	MemoryContext  old = MemoryContextSwitchTo(writer->context);

	batch_put(writer);
	for (int i = 0; i < writer->nleaves; i++)
		leaf_end_page(&writer->leaves[i], writer->group_rows);
	sorting_decide(writer);
	for (int i = 0; i < writer->nleaves; i++)
		append_chunk(encoder, &writer->leaves[i], out);
	footer_end_group(writer->footer, writer->group_rows);
	if (writer->for_milvus)
		parquet_check_milvus_size(writer);
	writer->rows += writer->group_rows;
	writer->group_rows = 0;
	writer->page_due = false;
	parquet_shrink_texts(writer);
	MemoryContextReset(writer->group_context);
	MemoryContextSwitchTo(old);
}

static void
end_pages(ParquetWriter *writer, bool all)
{
	batch_put(writer);
	for (int i = 0; i < writer->nleaves; i++)
	{
		ParquetLeaf *leaf = &writer->leaves[i];

		if (all || leaf_page_is_full(leaf, writer->page_bytes))
			leaf_end_page(leaf, writer->group_rows);
	}
	if (all)
		sorting_decide(writer);
	writer->page_due = false;
}

/* Whatever is full after a row is written. */
static pg_attribute_always_inline void
end_parquet_row(RowEncoder *encoder, ByteBuffer *out)
{
	ParquetWriter *writer = &encoder->writer;
	bool		   all;

	all = writer->group_rows % PAGE_ROWS == 0;
	if (unlikely(writer->page_due || all))
		end_pages(writer, all);
	if (unlikely(writer->group_rows >= writer->group_max_rows ||
				 MemoryContextMemAllocated(writer->group_context, false) >
					 writer->group_bytes))
		end_group(encoder, out);
}

static void
parquet_row(RowEncoder *encoder, const Datum *values, const bool *nulls,
			ByteBuffer *out)
{
	ParquetWriter *writer = &encoder->writer;

	if (writer->group_rows == 0)
		begin_group(writer);
	parquet_put_row(writer, values, nulls);
	batch_add(writer, values, nulls);
	writer->group_rows++;
	if (writer->batch.nrows == writer->batch.max_rows)
		batch_put(writer);
	end_parquet_row(encoder, out);
}

void
parquet_put_tree(RowEncoder *encoder, ParquetPutTree put, void *arg,
				 ByteBuffer *out)
{
	ParquetWriter *writer = &encoder->writer;

	if (writer->group_rows == 0)
		begin_group(writer);
	put(writer, arg);
	writer->group_rows++;
	end_parquet_row(encoder, out);
}

static void
parquet_close(RowEncoder *encoder, ByteBuffer *out)
{
	ParquetWriter *writer = &encoder->writer;
	Bytes		   footer;

	if (writer->group_rows > 0)
		end_group(encoder, out);
	keep_learned(writer, encoder->host);
	for (int i = 0; i < writer->ncolumns && encoder->host->made_null; i++)
		*encoder->host->made_null += writer->columns[i].made_null;
	writer->metadata = list_concat(writer->metadata, encoder->host->metadata);
	bytes_init(&footer, writer->context);
	footer_write(writer, &footer);
	append_file_bytes(encoder, footer.data, footer.len, out);
	bytes_free(&footer);
	end_codec(writer);
}

const RowFormat row_format_parquet = {.name = "parquet",
									  .extension = "parquet",
									  .compresses_itself = true,
									  .maps_types = true,
									  .canonical_settings = true,
									  .check = parquet_check,
									  .open = parquet_open,
									  .row = parquet_row,
									  .close = parquet_close,
									  .layout = parquet_layout,
									  .counter = parquet_counter_new};
