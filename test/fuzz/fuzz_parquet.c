/*
 * fuzz_parquet.c
 *		Files of random rows in format parquet, read back byte by byte.
 *
 * Columns, their types' modifiers and nullability, policies, codec and the
 * writer's limits are taken from the input, and a few rows, which then repeat
 * in an order from the input, so that pages, dictionaries and row groups fill
 * up.  Limits are so small that all of them overflow often.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "nodes/makefuncs.h"
#include "sanitizer/asan_interface.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "encode/parquet/parquet.h"
#include "fuzz_parquet.h"

#define MAX_COLUMNS 64
#define MAX_POOL	6
#define MAX_STEPS	24

/* Of a file, in all leaves together; less where each takes a page. */
#define MAX_LEVELS		30000
#define USUAL_LEVELS	3000
#define MAX_SMALL_PAGES 1000

/* So many times one row; counting makes them differ. */
typedef struct Step
{
	int	 which;
	int	 length;
	bool counting;
} Step;

typedef struct Pool
{
	int	  nsteps;
	Step  steps[MAX_STEPS];
	int	  nrows;
	Datum values[MAX_POOL][MAX_COLUMNS];
	bool  nulls[MAX_POOL][MAX_COLUMNS];
} Pool;

static Oid		  table_oid;
static ByteBuffer file;

static void
init(void)
{
	table_oid = RangeVarGetRelid(makeRangeVar("public", "fuzz_parquet", -1),
								 AccessShareLock, false);
}

/* ---- the writer's memory */

/*
 * Stands in for the writer's function of that name, by the linker's --wrap.
 * What a buffer has beyond the bytes that were asked for is poisoned.  Blocks
 * of malloc's own, so that nothing of that is ever found in other memory.
 */
extern void __wrap_bytes_grow(Bytes *bytes, size_t n);

#define OWN_BLOCK	 2048
#define CHUNK_HEADER 16

void
__wrap_bytes_grow(Bytes *bytes, size_t n)
{
	size_t needed = bytes->len + n;
	size_t room =
		bytes->data ? GetMemoryChunkSpace(bytes->data) - CHUNK_HEADER : 0;
	char *data = bytes->data;

	if (needed > room)
	{
		room = MAXALIGN(Max(OWN_BLOCK, needed + needed / 2));
		data = MemoryContextAllocHuge(bytes->context, room);
		if (bytes->len > 0)
			memcpy(data, bytes->data, bytes->len);
		if (bytes->data)
			pfree(bytes->data);
	}
	ASAN_UNPOISON_MEMORY_REGION(data, room);
	ASAN_POISON_MEMORY_REGION(data + needed, room - needed);
	bytes->data = data;
	bytes->cap = needed;
}

/* Stands in for the server's: blocks so small that most chunks are malloc's. */
extern MemoryContext fuzz_AllocSetContextCreateInternal(MemoryContext parent,
														const char	 *name,
														Size min, Size init,
														Size max);

MemoryContext
fuzz_AllocSetContextCreateInternal(MemoryContext parent, const char *name,
								   Size min, Size init, Size max)
{
	return AllocSetContextCreateInternal(parent, name, 0, 1024, 1024);
}

/* ---- what is written */

/* Each column is in the row or not by one bit of the input. */
static bool
wanted(Form_pg_attribute attr, void *bits)
{
	return (*(uint64 *) bits >> (attr->attnum % 64)) & 1;
}

static int32
read_typmod(FuzzInput *in)
{
	int precision = 1 + fuzz_below(in, 42);
	int scale = fuzz_below(in, precision + 8) - 4;

	if (fuzz_below(in, 8) == 0)
		return -1;
	return ((precision << 16) | (scale & 0x7FF)) + VARHDRSZ;
}

/* Modifiers and dimensions as some other table would declare them. */
static void
vary_type(FuzzInput *in, TypeShape *type)
{
	static const int dimensions[] = {0, 1, 1, 2, 3, 1, 0, 1};

	check_stack_depth();
	if (type->kind == KIND_NUMERIC)
		type->typmod = read_typmod(in);
	else if (type->kind == KIND_ARRAY)
		vary_type(in, type->element);
	else if (type->kind == KIND_COMPOSITE)
	{
		for (int i = 0; i < type->fields->ncolumns; i++)
		{
			ColumnShape *field = &type->fields->columns[i];

			vary_type(in, &field->type);
			TupleDescAttr(type->fields->desc, field->attnum - 1)->attndims =
				dimensions[fuzz_below(in, lengthof(dimensions))];
		}
	}
}

/* First of all, since values take all bytes that there are. */
static void
read_steps(FuzzInput *in, Pool *pool)
{
	static const int lengths[] = {1, 1, 1, 2, 3, 7, 8, 9, 20, 64, 500, 10000};

	pool->nrows = 1 + fuzz_below(in, MAX_POOL);
	pool->nsteps = fuzz_below(in, MAX_STEPS + 1);
	for (int i = 0; i < pool->nsteps; i++)
	{
		pool->steps[i].which = fuzz_below(in, pool->nrows);
		pool->steps[i].length = lengths[fuzz_below(in, lengthof(lengths))];
		pool->steps[i].counting = fuzz_below(in, 4) == 0;
	}
}

static void
read_pool(FuzzInput *in, RowShape *shape, Pool *pool)
{
	memset(pool->nulls, true, sizeof(pool->nulls));
	for (int row = 0; row < pool->nrows; row++)
	{
		for (int i = 0; i < shape->ncolumns; i++)
		{
			ColumnShape *column = &shape->columns[i];
			int			 attribute = column->attnum - 1;
			Datum		*value = &pool->values[row][attribute];

			pool->nulls[row][attribute] =
				fuzz_below(in, 6) == 0 ||
				!fuzz_value(in, &column->type, value);
			if (!pool->nulls[row][attribute] && column->type.len == -1)
				*value = fuzz_stored_form(in, *value);
		}
	}
}

/* Declared as the first row's array is, so that some fit; NOT NULL if it can be. */
static void
vary_column(FuzzInput *in, RowShape *shape, int i, const Pool *pool)
{
	ColumnShape *column = &shape->columns[i];
	int			 attribute = column->attnum - 1;
	int			 ndims = 0;
	bool		 has_null = false;

	for (int row = 0; row < pool->nrows; row++)
		has_null |= pool->nulls[row][attribute];
	column->not_null = fuzz_below(in, 2) && !has_null;
	if (column->type.kind == KIND_ARRAY)
	{
		if (!pool->nulls[0][attribute])
			ndims = ARR_NDIM(DatumGetArrayTypeP(pool->values[0][attribute]));
		TupleDescAttr(shape->desc, attribute)->attndims = ndims;
	}
}

static void
read_policies(FuzzInput *in, RowShape *shape, ExpectPolicy *policies,
			  RowFormatOptions *options)
{
	static const char *const names[] = {"error", "null", "string"};
	ExpectPolicy			 most = fuzz_below(in, lengthof(names));

	options->lossy =
		most == EXPECT_ERROR ? NIL : list_make1(pstrdup(names[most]));
	for (int i = 0; i < shape->ncolumns; i++)
	{
		int choice = fuzz_below(in, 6);

		policies[i] = most;
		if (choice >= lengthof(names))
			continue;
		/* what has no effect is refused */
		if (choice == EXPECT_STRING &&
			!may_be_unholdable(&shape->columns[i].type))
			continue;
		policies[i] = choice == EXPECT_NULL ? EXPECT_NULL_NAMED : choice;
		options->lossy =
			lappend(options->lossy,
					psprintf("%s=%s", shape->columns[i].name, names[choice]));
	}
}

static void
choose_codec(FuzzInput *in, RowFormatOptions *options, FileLimits *limits)
{
	static const struct
	{
		const char *text;
		int			id;
	} codecs[] = {{"none", 0}, {"snappy", 1}, {"gzip", 2}, {"zstd", 6},
				  {"lz4", 7},  {"lz4:9", 7},  {NULL, 6},   {"gzip:1", 2}};
	int choice = fuzz_below(in, lengthof(codecs));

	options->compression = codecs[choice].text;
	limits->codec = codecs[choice].id;
}

/* Returns how many levels a file with these limits should have at most. */
static int
choose_limits(FuzzInput *in, ParquetWriter *writer, FileLimits *limits)
{
	static const int pages[] = {1, 100, 500, 4096, 1024 * 1024};
	static const int dictionaries[] = {0, 40, 300, 4096, 1024 * 1024};
	static const int leaf_bytes[] = {0, 20000, 1000000, 1000000};

	writer->page_bytes = pages[fuzz_below(in, lengthof(pages))];
	writer->dictionary_bytes =
		dictionaries[fuzz_below(in, lengthof(dictionaries))];
	writer->group_bytes =
		writer->nleaves * leaf_bytes[fuzz_below(in, lengthof(leaf_bytes))];
	limits->group_rows = writer->group_max_rows;
	limits->dictionary_bytes = writer->dictionary_bytes;
	if (writer->page_bytes == 1 || writer->group_bytes == 0 ||
		writer->group_max_rows < 9)
		return MAX_SMALL_PAGES;
	return writer->page_bytes >= 4096 && fuzz_below(in, 32) == 0
			   ? MAX_LEVELS
			   : USUAL_LEVELS;
}

/* ---- rows */

static void
take_bytes(void *arg, ByteBuffer *out)
{
	buffer_append(&file, out->data, out->len);
	out->len = 0;
}

/* Makes values differ from row to row. */
static Datum
count_on(const TypeShape *type, Datum value, uint32 number)
{
	switch (type->kind)
	{
		case KIND_INT4:
			return Int32GetDatum(
				(int32) ((uint32) DatumGetInt32(value) + number));
		case KIND_INT8:
			return Int64GetDatum((int64) ((uint64) DatumGetInt64(value) -
										  (uint64) number * 1000003));
		case KIND_TEXT:
			return CStringGetTextDatum(psprintf("%u %s", number * 7919 % 10007,
												TextDatumGetCString(value)));
		default:
			return value;
	}
}

/* Numbers wait for more rows, but at the end all have been looked at. */
static ErrorData *
error_of_row(RowEncoder *encoder, const Datum *values, const bool *nulls)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData *volatile error = NULL;

	PG_TRY();
	{
		row_format_parquet.row(encoder, values, nulls, &fuzz_out);
		row_format_parquet.close(encoder, &fuzz_out);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	return error;
}

static void
write_row(RowEncoder *encoder, MemoryContext row_context, const Datum *values,
		  const bool *nulls)
{
	MemoryContext old = MemoryContextSwitchTo(row_context);

	row_format_parquet.row(encoder, values, nulls, &fuzz_out);
	MemoryContextSwitchTo(old);
	MemoryContextReset(row_context);
	take_bytes(NULL, &fuzz_out);
}

/* A row that must stop the export, with an error about one of the columns. */
static void
write_last_row(RowEncoder *encoder, RowShape *shape, const Datum *values,
			   const bool *nulls, const bool *stops, int64 row)
{
	bool	   found = false;
	ErrorData *error;

	fuzz_must_succeed(false);
	error = error_of_row(encoder, values, nulls);
	if (error == NULL)
		fuzz_fail("row %d must stop it", (int) row);
	for (int i = 0; i < shape->ncolumns; i++)
		found |= stops[i] &&
				 strstr(error->message, psprintf("column \"%s\" has a value",
												 shape->columns[i].name));
	if (!found || error->sqlerrcode != ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE ||
		strncmp(error->detail, "A row has ", 10) != 0)
		fuzz_fail("not the error of row %d: %s", (int) row, error->message);
}

static int64
count_levels(const FileContent *content)
{
	int64 levels = 0;

	for (int i = 0; i < content->nleaves; i++)
		levels += content->leaves[i].count;
	return levels;
}

/* False if a value has stopped it, as it must. */
static bool
write_rows(RowEncoder *encoder, RowShape *shape, const Pool *pool,
		   const ExpectPolicy *policies, FileContent *expected, int max_levels)
{
	MemoryContext row_context = AllocSetContextCreate(
		CurrentMemoryContext, "fuzz row", ALLOCSET_DEFAULT_SIZES);
	uint32 number = 0;

	for (int i = 0; i < pool->nsteps; i++)
	{
		const Step *step = &pool->steps[i];
		const bool *nulls = pool->nulls[step->which];
		Datum		values[MAX_COLUMNS];

		memcpy(values, pool->values[step->which], sizeof(values));
		for (int n = 0; n < step->length; n++, number++)
		{
			bool stops[MAX_COLUMNS];

			if (count_levels(expected) > max_levels)
				return true;
			for (int j = 0; step->counting && j < shape->ncolumns; j++)
			{
				int attribute = shape->columns[j].attnum - 1;

				if (!nulls[attribute])
					values[attribute] =
						count_on(&shape->columns[j].type,
								 pool->values[step->which][attribute], number);
			}
			if (!expect_row(expected, shape, policies, values, nulls, stops))
			{
				write_last_row(encoder, shape, values, nulls, stops,
							   expected->rows + 1);
				return false;
			}
			write_row(encoder, row_context, values, nulls);
		}
	}
	return true;
}

/* ---- comparison */

static void
compare_leaf(const FileLeaf *expected, const FileLeaf *found)
{
	if (strcmp(expected->path, found->path) != 0 ||
		expected->max_def != found->max_def ||
		expected->max_rep != found->max_rep)
		fuzz_fail("leaf %s, levels %d and %d, where %s, %d and %d, was due",
				  found->path, found->max_def, found->max_rep, expected->path,
				  expected->max_def, expected->max_rep);
	if (expected->count != found->count)
		fuzz_fail("%s: %d pairs of levels, not %d", found->path,
				  (int) found->count, (int) expected->count);
	for (int64 i = 0; i < expected->count; i++)
	{
		const FileEntry *e = &expected->entries[i];
		const FileEntry *f = &found->entries[i];

		if (e->rep != f->rep || e->def != f->def)
			fuzz_fail("%s, %d: levels %d and %d, not %d and %d", found->path,
					  (int) i, f->rep, f->def, e->rep, e->def);
		if ((e->data == NULL) != (f->data == NULL) || e->len != f->len ||
			(e->len > 0 && memcmp(e->data, f->data, e->len) != 0))
			fuzz_fail("%s, %d: another value of %d bytes, not %d", found->path,
					  (int) i, (int) f->len, (int) e->len);
	}
}

static void
compare(const FileContent *expected, const FileContent *found)
{
	static const char metadata[] = "]\nname=value\nsecond=\303\244\n";
	int				  start = found->metadata.len - strlen(metadata);

	if (strcmp(expected->schema.data, found->schema.data) != 0)
		fuzz_fail("schema:\n%sbut must be:\n%s", found->schema.data,
				  expected->schema.data);
	if (expected->rows != found->rows || expected->nleaves != found->nleaves)
		fuzz_fail("%d rows and %d leaves, not %d and %d", (int) found->rows,
				  found->nleaves, (int) expected->rows, expected->nleaves);
	for (int i = 0; i < expected->nleaves; i++)
		compare_leaf(&expected->leaves[i], &found->leaves[i]);
	if (strncmp(found->metadata.data, "outflow.columns=[", 17) != 0 ||
		start < 0 || strcmp(found->metadata.data + start, metadata) != 0)
		fuzz_fail("metadata: %s", found->metadata.data);
}

/* What verify() reads must be right, and survive damage. */
static void
check_tail(const FileContent *content, uint32 noise)
{
	size_t size = parquet_tail_size(file.data, file.len);
	int64  rows;
	char  *tail;

	if (size == 0 || size > file.len)
		fuzz_fail("a tail of %zu bytes", size);
	tail = fuzz_exact(file.data + file.len - size, size);
	if (!parquet_tail_rows(tail, size, &rows) || rows != content->rows)
		fuzz_fail("the tail does not tell %d rows", (int) content->rows);
	if (parquet_tail_rows(tail + 1, size - 1, &rows))
		fuzz_fail("a cut tail is taken for a whole one");
	for (int i = 0; i < 4; i++)
	{
		tail[noise % size] = (char) (noise >> 16);
		(void) parquet_tail_rows(tail, size, &rows);
		noise = noise * 1664525 + 1013904223;
	}
}

/* A part of the export, which may learn from the one before. */
static bool
write_part(FuzzInput *in, RowShape *shape, const Pool *pool,
		   const RowFormatOptions *options, const RowHost *host,
		   const ExpectPolicy *policies, FileLimits *limits)
{
	uint32		 noise = fuzz_bits(in, 4);
	FileContent *expected;
	RowEncoder	*encoder;
	int			 max_levels;

	buffer_clear(&file);
	fuzz_must_succeed(true);
	expected = expect_begin(shape, policies);
	encoder = row_format_parquet.open(shape, options, host, &fuzz_out);
	/* the writer is what an encoder begins with */
	max_levels = choose_limits(in, (ParquetWriter *) encoder, limits);
	if (!write_rows(encoder, shape, pool, policies, expected, max_levels))
		return false;
	row_format_parquet.close(encoder, &fuzz_out);
	take_bytes(NULL, &fuzz_out);
	compare(expected, file_read_whole(fuzz_exact(file.data, file.len),
									  file.len, limits));
	check_tail(expected, noise);
	fuzz_must_succeed(false);
	return true;
}

static void
write_parts(FuzzInput *in, RowShape *shape, const Pool *pool)
{
	static const int group_rows[] = {0, 0, 0, 1, 9, 100};
	RowFormatOptions options = {.encoding = -1};
	RowHost			 host = {.drain = take_bytes};
	FileLimits		 limits = {0};
	ExpectPolicy	 policies[MAX_COLUMNS];
	void			*learned = NULL;
	int				 parts = 1 + fuzz_below(in, 3) / 2;

	choose_codec(in, &options, &limits);
	read_policies(in, shape, policies, &options);
	options.group_rows = group_rows[fuzz_below(in, lengthof(group_rows))];
	host.metadata = list_make4("name", "value", "second", "\303\244");
	host.learned = &learned;
	host.learned_context = CurrentMemoryContext;
	(void) settings_pin_canonical(CurrentMemoryContext);
	row_format_check(&row_format_parquet, &options);
	while (parts-- > 0 &&
		   write_part(in, shape, pool, &options, &host, policies, &limits))
		;
}

/* A half, a quarter, an eighth of them and so on. */
static uint64
read_columns(FuzzInput *in)
{
	uint64 columns = ~UINT64CONST(0);

	for (int halvings = 1 + fuzz_below(in, 5); halvings > 0; halvings--)
		columns &= fuzz_bits(in, 8);
	return columns;
}

static void
run(FuzzInput *in)
{
	uint64	  columns = read_columns(in);
	Relation  rel = table_open(table_oid, AccessShareLock);
	RowShape *shape =
		row_shape_build(rel, wanted, &columns, CurrentMemoryContext);
	Pool *pool = palloc(sizeof(Pool));

	read_steps(in, pool);
	buffer_init(&file);
	for (int i = 0; i < shape->ncolumns; i++)
	{
		TypeShape *type = &shape->columns[i].type;

		/* pgvector's type has a bytea's form on the outside */
		if (type->kind == KIND_BYTEA && fuzz_below(in, 2))
			type->kind = KIND_VECTOR;
		vary_type(in, type);
	}
	if (shape->ncolumns > 0)
	{
		read_pool(in, shape, pool);
		for (int i = 0; i < shape->ncolumns; i++)
			vary_column(in, shape, i, pool);
		write_parts(in, shape, pool);
	}
	table_close(rel, AccessShareLock);
}

const FuzzTarget fuzz_parquet = {"parquet", init, run};
