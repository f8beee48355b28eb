/*
 * iceberg.h
 *		What the metadata of an Iceberg table says of a Parquet file and its
 *		columns.
 *
 * The files are Parquet's, under its profile "iceberg", with a field id for each
 * column and each part of one.  Iceberg Table Spec, version 2: "Schemas and Data
 * Types", "Manifests", and appendices C and D.
 */
#ifndef OUTFLOW_ICEBERG_H
#define OUTFLOW_ICEBERG_H

#include "encode/parquet/parquet.h"
#include "lib/stringinfo.h"

/* ---- iceberg_schema.c */

/* The table's columns: {"type":"struct",...}. */
extern void iceberg_schema(StringInfo out, const ParquetWriter *writer,
						   const char *const *comments);

/* ---- iceberg_statistics.c */

/*
 * What values a file has, as a manifest's entry ends with it: the maps from
 * value_counts to upper_bounds, in Avro and then in hexadecimal.
 */
extern void iceberg_statistics(StringInfo out, const ParquetWriter *writer);

#endif /* OUTFLOW_ICEBERG_H */
