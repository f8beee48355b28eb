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

/*
 * The table's columns: {"type":"struct",...}, and where its key gives an order
 * "order":"1,3", the field ids.
 */
extern void iceberg_schema(StringInfo out, const ParquetWriter *writer,
						   const char *const *comments);

/* ---- iceberg_key.c */

/* The columns of the table's key that give an order; List of ParquetNode *. */
extern List *iceberg_key_nodes(const ParquetWriter *writer);
/* Their field ids, "1,3". */
extern void iceberg_put_order(StringInfo out, const List *nodes);

/* ---- iceberg_statistics.c */

/*
 * What values a file has, as a manifest's entry ends with it: the maps from
 * value_counts to upper_bounds, in Avro and then in hexadecimal.  If its rows
 * are in the key's order, "/1,3" follows, the field ids.
 */
extern void iceberg_statistics(StringInfo out, const ParquetWriter *writer);

#endif /* OUTFLOW_ICEBERG_H */
