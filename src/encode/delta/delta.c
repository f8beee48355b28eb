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

static RowFormatOptions
with_profile(const RowFormatOptions *options)
{
	RowFormatOptions own = *options;

	own.profile = "delta";
	return own;
}

static void
delta_check(const RowFormatOptions *options)
{
	if (options->profile)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("format \"delta\" takes no option \"profile\""),
				 errdetail("It has types of its own, whoever reads them.")));
	row_format_parquet.check(options);
}

static RowEncoder *
delta_open(RowShape *shape, const RowFormatOptions *options,
		   const RowHost *host, ByteBuffer *out)
{
	RowFormatOptions own = with_profile(options);

	return row_format_parquet.open(shape, &own, host, out);
}

static void
delta_row(RowEncoder *encoder, const Datum *values, const bool *nulls,
		  ByteBuffer *out)
{
	row_format_parquet.row(encoder, values, nulls, out);
}

static void
delta_close(RowEncoder *encoder, ByteBuffer *out)
{
	const RowHost *host = parquet_host(encoder);
	StringInfoData statistics;

	row_format_parquet.close(encoder, out);
	if (host->statistics == NULL)
		return;
	initStringInfo(&statistics);
	delta_statistics(&statistics, parquet_writer(encoder));
	*host->statistics = statistics.data;
}

static RowCounter *
delta_counter(const RowFormatOptions *options)
{
	return row_format_parquet.counter(options);
}

static char *
delta_table_schema(RowShape *shape, const RowFormatOptions *options,
				   const char *const *comments)
{
	RowFormatOptions own = with_profile(options);
	ParquetWriter	 writer = {.context = CurrentMemoryContext};
	StringInfoData	 schema;

	parquet_map_columns(&writer, shape, &own);
	initStringInfo(&schema);
	delta_schema(&schema, &writer, comments);
	return schema.data;
}

const RowFormat row_format_delta = {.name = "delta",
									.extension = "parquet",
									.compresses_itself = true,
									.maps_types = true,
									.canonical_settings = true,
									.check = delta_check,
									.open = delta_open,
									.row = delta_row,
									.close = delta_close,
									.counter = delta_counter,
									.table_schema = delta_table_schema};
