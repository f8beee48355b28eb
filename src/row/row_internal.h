/*
 * row_internal.h
 *		What the files of row/ share among themselves.
 */
#ifndef OUTFLOW_ROW_INTERNAL_H
#define OUTFLOW_ROW_INTERNAL_H

#include "row/row.h"

/*
 * A shape for rows of this relation, or of none, without columns yet, in the
 * current context.  All that is looked at for each row is in one piece of
 * memory.
 */
extern RowShape *row_shape_new(Oid relid, TupleDesc desc);

/* Without constraints and, unless they are asked for, defaults. */
extern TupleDesc row_desc_copy(TupleDesc desc, bool with_defaults);

/*
 * Fills shape->columns from shape->desc, in the current context.  What the
 * types have in parts counts from here.
 */
extern void row_shape_columns(RowShape *shape, ColumnFilter filter, void *arg);

/* From now on a change of this type's definition makes shapes stale. */
extern void invalidation_watch_type(Oid type);
/* The same for whatever values or definitions may name. */
extern void invalidation_watch_names(void);

#endif /* OUTFLOW_ROW_INTERNAL_H */
