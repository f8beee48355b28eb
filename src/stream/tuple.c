/*
 * tuple.c
 *		From the tuples of a change to a row as the consumer shall see it.
 *
 * Tuples are deformed once, into the relation's workspace.  Values that the
 * WAL only points to are taken from the old row where it has them; row filters
 * may then turn an update into something else.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/rel.h"

#include "compat.h"
#include "encode/mask_value.h"
#include "stream/stream.h"

static void
deform(StreamRelation *rel, HeapTuple tuple, TupleDesc desc, Datum *values,
	   bool *nulls)
{
	const LeafMap *leaf = rel->leaf;
	int			   natts;
	int			   i;

	if (likely(leaf == NULL))
	{
		heap_deform_tuple(tuple, desc, values, nulls);
		return;
	}
	heap_deform_tuple(tuple, desc, leaf->values, leaf->nulls);
	natts = rel->shape->desc->natts;
	for (i = 0; i < natts; i++)
	{
		int at = leaf->attributes[i];

		nulls[i] = at < 0 || leaf->nulls[at];
		values[i] = nulls[i] ? (Datum) 0 : leaf->values[at];
	}
}

/* What oversize.c looks at first. */
static inline int64
tuple_bytes(HeapTuple tuple)
{
	return HeapTupleHasExternal(tuple) ? MaxAllocSize : tuple->t_len;
}

/* Whether the value is stored elsewhere, where this change didn't touch it. */
static inline bool
is_unchanged_toast(Datum value, bool isnull)
{
	return !isnull && VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(value));
}

/*
 * Takes values that the new row only points to from the old row, where the WAL
 * has them there; marks the rest.  Must run before anything detoasts, since
 * what the pointers point to may be gone long since.
 */
static bool
resolve_unchanged(StreamRelation *rel, bool has_old)
{
	RowShape *shape = rel->shape;
	bool	  any = false;
	int		  k;

	for (k = 0; k < rel->nvarlena; k++)
	{
		int i = rel->varlena[k];
		int att = shape->columns[i].attnum - 1;

		rel->states[i] &= ~COLUMN_UNCHANGED;
		if (!is_unchanged_toast(shape->values[att], shape->nulls[att]))
			continue;
		if (has_old && !rel->old_nulls[att] &&
			!is_unchanged_toast(rel->old_values[att], false))
			shape->values[att] = rel->old_values[att];
		else
		{
			rel->states[i] |= COLUMN_UNCHANGED;
			any = true;
		}
	}
	return any;
}

/* Where the values are that name the row: as it was, or as it came. */
static void
set_key(StreamRelation *rel, RowChange *row)
{
	if (!rel->has_key)
		return;
	if (row->old_values && row->op != CHANGE_INSERT)
	{
		row->key_values = row->old_values;
		row->key_nulls = row->old_nulls;
	}
	else
	{
		row->key_values = row->new_values;
		row->key_nulls = row->new_nulls;
	}
	if (row->key_values)
		row->used |= COLUMN_NOT_KEY;
}

/*
 * What the WAL only points to can't be hashed, and stays unchanged; the other
 * masks don't need it.
 */
static void
mask_change(StreamRelation *rel, RowChange *row)
{
	const RowShape *shape = rel->shape;
	uint8			used = 0;
	int				i;

	if (row->old_values)
		mask_row(shape, rel->old_values, rel->old_nulls, false);
	if (row->new_values)
		mask_row(shape, shape->values, shape->nulls, false);
	if (!(row->used & COLUMN_UNCHANGED))
		return;
	for (i = 0; i < shape->ncolumns; i++)
	{
		const ColumnMask *mask = shape->columns[i].mask;

		if (mask && (mask->method == MASK_NULL || mask->method == MASK_REDACT))
			rel->states[i] &= ~COLUMN_UNCHANGED;
		used |= rel->states[i] & COLUMN_UNCHANGED;
	}
	row->used = (row->used & ~COLUMN_UNCHANGED) | used;
}

typedef struct FilterLook
{
	StreamRelation *rel;
	RowChange	   *row;
} FilterLook;

static bool
ask_filters(void *arg)
{
	FilterLook *look = arg;

	return row_filters_apply(look->rel->filters, look->row);
}

static bool
passes_filters(StreamRelation *rel, RowChange *row)
{
	if (likely(!rel->shape->is_secret))
		return row_filters_apply(rel->filters, row);
	return mask_hide_reports(rel->shape, NULL, ask_filters,
							 &(FilterLook){rel, row});
}

bool
tuple_read(StreamSession *session, StreamRelation *rel, Relation relation,
		   ReorderBufferChange *change, RowChange *row)
{
	RowShape *shape = rel->shape;
	TupleDesc desc = RelationGetDescr(relation);
	HeapTuple new_tuple = change_new_tuple(change);
	HeapTuple old_tuple = change_old_tuple(change);

	row->shape = shape;
	row->states = rel->states;
	if (rel->leaf)
	{
		row->leaf_schema = rel->leaf->schema;
		row->leaf_name = rel->leaf->name;
	}
	session->tuple_bytes = 0;
	if (old_tuple && row->op != CHANGE_INSERT)
	{
		session->tuple_bytes += tuple_bytes(old_tuple);
		deform(rel, old_tuple, desc, rel->old_values, rel->old_nulls);
		row->old_values = rel->old_values;
		row->old_nulls = rel->old_nulls;
		row->old_is_key = rel->identity != REPLICA_IDENTITY_FULL;
	}
	if (new_tuple && row->op != CHANGE_DELETE)
	{
		session->tuple_bytes += tuple_bytes(new_tuple);
		deform(rel, new_tuple, desc, shape->values, shape->nulls);
		row->new_values = shape->values;
		row->new_nulls = shape->nulls;
		if (HeapTupleHasExternal(new_tuple) &&
			!session->options.traits.keep_unchanged &&
			resolve_unchanged(rel, row->old_values != NULL))
			row->used |= COLUMN_UNCHANGED;
	}
	if (rel->filters && !passes_filters(rel, row))
		return false;
	if (unlikely(shape->nmasks > 0))
		mask_change(rel, row);
	set_key(rel, row);
	return true;
}
