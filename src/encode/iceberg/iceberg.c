/*
 * iceberg.c
 *		The files of Iceberg tables.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "encode/iceberg/iceberg.h"
#include "encode/lake/lake_file.h"

#define FORMAT "iceberg"

static void
iceberg_check(const RowFormatOptions *options)
{
	lake_file_check(FORMAT, options);
}

static RowEncoder *
iceberg_open(RowShape *shape, const RowFormatOptions *options,
			 const RowHost *host, ByteBuffer *out)
{
	RowEncoder *encoder = lake_file_open(FORMAT, shape, options, host, out);
	List	   *key = iceberg_key_nodes(parquet_writer(encoder));

	if (key != NIL)
		parquet_watch_order(encoder, key);
	return encoder;
}

static void
iceberg_close(RowEncoder *encoder, ByteBuffer *out)
{
	lake_file_close(encoder, out, iceberg_statistics);
}

static char *
iceberg_layout(RowShape *shape, const RowFormatOptions *options)
{
	return lake_file_layout(FORMAT, shape, options);
}

static char *
iceberg_table_schema(RowShape *shape, const RowFormatOptions *options,
					 const char *const *comments)
{
	StringInfoData schema;

	initStringInfo(&schema);
	iceberg_schema(&schema, lake_file_columns(FORMAT, shape, options),
				   comments);
	return schema.data;
}

const RowFormat row_format_iceberg = {.name = FORMAT,
									  .extension = "parquet",
									  .compresses_itself = true,
									  .maps_types = true,
									  .canonical_settings = true,
									  .check = iceberg_check,
									  .open = iceberg_open,
									  .row = lake_file_row,
									  .close = iceberg_close,
									  .layout = iceberg_layout,
									  .counter = lake_file_counter,
									  .table_schema = iceberg_table_schema};
