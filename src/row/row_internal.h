/*
 * row_internal.h
 *		What the files of row/ share among themselves.
 */
#ifndef OUTFLOW_ROW_INTERNAL_H
#define OUTFLOW_ROW_INTERNAL_H

#include "row/row.h"

/* The fields of a composite type, built in the current context. */
extern RowShape *row_shape_of_composite(Oid type);

/* A relation's shape begins: what its types have in parts counts from here. */
extern void type_parts_begin(void);

/* From now on a change of this type's definition makes shapes stale. */
extern void invalidation_watch_type(Oid type);

#endif /* OUTFLOW_ROW_INTERNAL_H */
