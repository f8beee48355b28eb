/*
 * lake_file.c
 *		Parquet files for lake tables.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "lib/stringinfo.h"
#include "utils/formatting.h"

#include "encode/lake/lake_file.h"

static RowFormatOptions
with_profile(const char *format, const RowFormatOptions *options)
{
	RowFormatOptions own = *options;

	own.profile = format;
	return own;
}

void
lake_file_check(const char *format, const RowFormatOptions *options)
{
	if (options->profile)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("format \"%s\" takes no option \"profile\"", format),
				 errdetail("It has types of its own, whoever reads them.")));
	row_format_parquet.check(options);
}

RowEncoder *
lake_file_open(const char *format, RowShape *shape,
			   const RowFormatOptions *options, const RowHost *host,
			   ByteBuffer *out)
{
	RowFormatOptions own = with_profile(format, options);

	return row_format_parquet.open(shape, &own, host, out);
}

void
lake_file_row(RowEncoder *encoder, const Datum *values, const bool *nulls,
			  ByteBuffer *out)
{
	row_format_parquet.row(encoder, values, nulls, out);
}

void
lake_file_close(RowEncoder *encoder, ByteBuffer *out,
				void (*describe)(StringInfo out, const ParquetWriter *writer))
{
	const RowHost *host = parquet_host(encoder);
	StringInfoData statistics;

	row_format_parquet.close(encoder, out);
	if (host->statistics == NULL)
		return;
	initStringInfo(&statistics);
	describe(&statistics, parquet_writer(encoder));
	*host->statistics = statistics.data;
}

char *
lake_file_layout(const char *format, RowShape *shape,
				 const RowFormatOptions *options)
{
	RowFormatOptions own = with_profile(format, options);

	return row_format_parquet.layout(shape, &own);
}

RowCounter *
lake_file_counter(const RowFormatOptions *options)
{
	return row_format_parquet.counter(options);
}

ParquetWriter *
lake_file_columns(const char *format, RowShape *shape,
				  const RowFormatOptions *options)
{
	RowFormatOptions own = with_profile(format, options);
	ParquetWriter	*writer = palloc0_object(ParquetWriter);

	writer->context = CurrentMemoryContext;
	parquet_map_columns(writer, shape, &own);
	return writer;
}

char *
lake_fold_case(const char *name)
{
	List *unicode =
		list_make2(makeString("pg_catalog"), makeString("und-x-icu"));
	Oid collation = get_collation_oid(unicode, true);

	return str_tolower(name, strlen(name),
					   OidIsValid(collation) ? collation
											 : DEFAULT_COLLATION_OID);
}

void
lake_check_apart(const char *table, char **folded, int i,
				 const ParquetNode *node)
{
	folded[i] = lake_fold_case(node->name);
	for (int j = 0; j < i; j++)
	{
		if (strcmp(folded[i], folded[j]) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_COLUMN),
					 errmsg("column \"%s\" cannot be in %s table",
							node->column->shape->name, table),
					 errdetail("Its name, or that of a part of it, differs "
							   "from another one in the case of letters "
							   "only."),
					 errhint("Rename it, or leave it out by \"columns\".")));
	}
}

void
lake_refuse_type(const char *table, const ParquetNode *node)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("option \"as\" cannot do that to column \"%s\"",
						   node->column->shape->name),
					errdetail("There is no such type in %s table; it becomes "
							  "another one there.",
							  table)));
}
