/*
 * lake_file.h
 *		The data files of lake tables: Parquet under a profile of their own.
 *
 * What the types become is that profile's, in parquet_option.c.  What a table
 * format adds is the table's schema, and what it says of each file's values.
 */
#ifndef OUTFLOW_LAKE_FILE_H
#define OUTFLOW_LAKE_FILE_H

#include "compat.h"
#include "encode/parquet/parquet.h"

/* A format of tables is called as its profile is. */
extern void		   lake_file_check(const char			  *format,
								   const RowFormatOptions *options);
extern RowEncoder *lake_file_open(const char *format, RowShape *shape,
								  const RowFormatOptions *options,
								  const RowHost *host, ByteBuffer *out);
extern void		   lake_file_row(RowEncoder *encoder, const Datum *values,
								 const bool *nulls, ByteBuffer *out);
/* describe: what the table says of the file's values. */
extern void		   lake_file_close(RowEncoder *encoder, ByteBuffer *out,
								   void (*describe)(StringInfo			 out,
												const ParquetWriter *writer));
extern char		  *lake_file_layout(const char *format, RowShape *shape,
									const RowFormatOptions *options);
extern RowCounter *lake_file_counter(const RowFormatOptions *options);

/* The columns that files of the shape have, and no file. */
extern ParquetWriter *lake_file_columns(const char *format, RowShape *shape,
										const RowFormatOptions *options);

/* As readers do, whatever letters the database knows. */
extern char *lake_fold_case(const char *name);
/*
 * Errors if the name differs from those before in the case of letters only, which
 * readers of tables, called so, don't tell apart.  Sets folded[i].
 */
extern void lake_check_apart(const char *table, char **folded, int i,
							 const ParquetNode *node);
/* An option has undone what the profile does. */
pg_noreturn extern void lake_refuse_type(const char		   *table,
										 const ParquetNode *node);

#endif /* OUTFLOW_LAKE_FILE_H */
