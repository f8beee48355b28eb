/*
 * wal2json_v1.h
 *		What format-version 1 of wal2json renders once for a shape.
 */
#ifndef OUTFLOW_WAL2JSON_V1_H
#define OUTFLOW_WAL2JSON_V1_H

#include "encode/wal2json/wal2json.h"

/* The lists that describe a row, in their order. */
typedef enum V1List
{
	LIST_NAMES,
	LIST_TYPES,
	LIST_TYPE_OIDS,
	LIST_POSITIONS,
	LIST_OPTIONALS,
	LIST_DEFAULTS,
	NLISTS
} V1List;

#define NKEY_LISTS LIST_POSITIONS

typedef struct V1Column
{
	Wal2jsonColumn base;
	ShapeText	   items[NLISTS];
} V1Column;

typedef struct V1Shape
{
	ShapeText head[3]; /* by ChangeOp: up to the table's name */
	ShapeText columns; /* the lists of all columns, up to the values */
	ShapeText keys;	   /* the same of all key columns */
	int		  nkeys;
	ShapeText primary; /* "pk" without the comma that follows; or empty */
	bool	 *present; /* workspace: which columns a row has */
	int		  ncolumns;
	V1Column  columns_of[FLEXIBLE_ARRAY_MEMBER];
} V1Shape;

/* A layout shows tabs, newlines and spaces as pretty-print wants them. */
extern void v1_append_layout(ByteBuffer *out, const Wal2json *wal2json,
							 const char *layout);

/* The lists, of the columns that are present, up to the values. */
extern void v1_append_lists(ByteBuffer *out, const Wal2json *wal2json,
							const V1Shape *shape, bool keys);

extern void v1_prepare_shape(RowShape				   *shape,
							 const ChangeFormatOptions *options);

#endif /* OUTFLOW_WAL2JSON_V1_H */
