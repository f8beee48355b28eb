/*
 * delta.c
 *		The files of Delta tables: Parquet that every reader of Delta takes.
 *
 * What the types become is the profile "delta" of parquet_option.c: Delta knows
 * no uuid, no time of day, no document and no unsigned number, and some of its
 * readers refuse a column that the file calls otherwise than the log does.
 */
#include "postgres.h"

#include "encode/delta/delta.h"
#include "encode/lake/lake_file.h"

#define FORMAT "delta"

static void
delta_check(const RowFormatOptions *options)
{
	lake_file_check(FORMAT, options);
}

static RowEncoder *
delta_open(RowShape *shape, const RowFormatOptions *options,
		   const RowHost *host, ByteBuffer *out)
{
	return lake_file_open(FORMAT, shape, options, host, out);
}

static void
delta_close(RowEncoder *encoder, ByteBuffer *out)
{
	lake_file_close(encoder, out, delta_statistics);
}

static char *
delta_layout(RowShape *shape, const RowFormatOptions *options)
{
	return lake_file_layout(FORMAT, shape, options);
}

static char *
delta_table_schema(RowShape *shape, const RowFormatOptions *options,
				   const char *const *comments)
{
	StringInfoData schema;

	initStringInfo(&schema);
	delta_schema(&schema, lake_file_columns(FORMAT, shape, options), comments);
	return schema.data;
}

const RowFormat row_format_delta = {.name = FORMAT,
									.extension = "parquet",
									.compresses_itself = true,
									.maps_types = true,
									.canonical_settings = true,
									.check = delta_check,
									.open = delta_open,
									.row = lake_file_row,
									.close = delta_close,
									.layout = delta_layout,
									.counter = lake_file_counter,
									.table_schema = delta_table_schema};
