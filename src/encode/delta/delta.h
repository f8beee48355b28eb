/*
 * delta.h
 *		What the log of a Delta table says of a Parquet file and its columns.
 *
 * The files are Parquet's, under its profile "delta".  Delta Transaction Log
 * Protocol, sections "Schema Serialization Format" and "Per-file Statistics".
 */
#ifndef OUTFLOW_DELTA_H
#define OUTFLOW_DELTA_H

#include "encode/lake/lake_text.h"
#include "encode/parquet/parquet.h"

/* ---- delta_schema.c */

/* The table's columns: {"type":"struct",...}. */
extern void delta_schema(StringInfo out, const ParquetWriter *writer,
						 const char *const *comments);

/* ---- delta_statistics.c */

/* How many rows a file has, and what values: {"numRecords":...}. */
extern void delta_statistics(StringInfo out, const ParquetWriter *writer);

#endif /* OUTFLOW_DELTA_H */
