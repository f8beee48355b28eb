/*
 * relation_key.c
 *		Which columns name a row of a relation as it is streamed.
 *
 * That is the changed relation's replica identity, and under REPLICA IDENTITY
 * FULL its primary key.  A partition that appears under the name of an ancestor
 * has a key of its own, which tells its rows apart, but not always from those of
 * other partitions.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "catalog/partition.h"
#include "catalog/pg_partitioned_table.h"
#include "nodes/bitmapset.h"
#include "nodes/nodes.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "compat.h"
#include "row/mask.h"
#include "stream/stream.h"

#define KEY_BIT(attnum) ((attnum) -FirstLowInvalidHeapAttributeNumber)

/* The changed relation's attribute number of one of the shape's. */
static AttrNumber
own_attnum(const StreamRelation *rel, AttrNumber attnum)
{
	return rel->leaf ? rel->leaf->attributes[attnum - 1] + 1 : attnum;
}

/*
 * The columns that a partitioned table distributes its rows by.  As they are
 * stored: the relation's partition key would be simplified, which may fail.
 */
static Bitmapset *
partitioned_by(Oid relid)
{
	HeapTuple tuple = SearchSysCache1(PARTRELID, ObjectIdGetDatum(relid));
	Form_pg_partitioned_table form;
	Bitmapset				 *columns = NULL;
	Datum					  value;
	bool					  isnull;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for partition key of relation %u",
			 relid);
	form = (Form_pg_partitioned_table) GETSTRUCT(tuple);
	for (int i = 0; i < form->partnatts; i++)
		if (form->partattrs.values[i] != 0)
			columns =
				bms_add_member(columns, KEY_BIT(form->partattrs.values[i]));
	value = SysCacheGetAttr(PARTRELID, tuple,
							Anum_pg_partitioned_table_partexprs, &isnull);
	if (!isnull)
		pull_varattnos(stringToNode(TextDatumGetCString(value)), 1, &columns);
	ReleaseSysCache(tuple);
	return columns;
}

/* Whether columns of a leaf have those of its ancestor, by name. */
static bool
has_columns_of(const Bitmapset *columns, Oid leaf, Oid ancestor,
			   const Bitmapset *wanted)
{
	int bit = -1;

	while ((bit = bms_next_member(wanted, bit)) >= 0)
	{
		char *name = get_attname(
			ancestor, bit + FirstLowInvalidHeapAttributeNumber, true);

		if (name == NULL ||
			!bms_is_member(KEY_BIT(get_attnum(leaf, name)), columns))
			return false;
	}
	return true;
}

/*
 * Whether the key of a leaf says which leaf of the ancestor it is of, so that no
 * other leaf has a row with the same.
 */
static bool
tells_leaf(const Bitmapset *key, Relation leaf, Relation as)
{
	ListCell *lc;

	foreach (lc, relation_ancestors(RelationGetRelid(leaf)))
	{
		Oid ancestor = lfirst_oid(lc);

		if (!has_columns_of(key, RelationGetRelid(leaf), ancestor,
							partitioned_by(ancestor)))
			return false;
		if (ancestor == RelationGetRelid(as))
			return true;
	}
	return false;
}

/*
 * The ancestor's own key, which its schema record tells, in the leaf's columns;
 * NULL if the WAL has not all of it.  One that some leaves don't have yet tells
 * nothing apart.
 */
static Bitmapset *
ancestor_key(const StreamRelation *rel, Relation as, const Bitmapset *logged)
{
	bool full = as->rd_rel->relreplident == REPLICA_IDENTITY_FULL;
	Oid	 index =
		 full ? relation_primary_key_index(as) : RelationGetReplicaIndex(as);
	Bitmapset *key =
		full ? relation_primary_key(as) : relation_identity_key(as);
	Bitmapset *own = NULL;
	int		   bit = -1;

	if (key == NULL || !get_index_isvalid(index))
		return NULL;
	while ((bit = bms_next_member(key, bit)) >= 0)
	{
		int attnum = own_attnum(rel, bit + FirstLowInvalidHeapAttributeNumber);

		if (rel->identity != REPLICA_IDENTITY_FULL &&
			!bms_is_member(KEY_BIT(attnum), logged))
			return NULL;
		own = bms_add_member(own, KEY_BIT(attnum));
	}
	return own;
}

/* The attributes of the changed relation that name a row; NULL for none. */
static Bitmapset *
key_columns(StreamRelation *rel, Relation relation, Relation as)
{
	Bitmapset *key = rel->identity == REPLICA_IDENTITY_FULL
						 ? relation_primary_key(relation)
						 : relation_identity_key(relation);
	Bitmapset *shared;

	rel->key_is_leafs = false;
	if (rel->leaf == NULL)
		return key;
	shared = ancestor_key(rel, as, key);
	if (shared)
		return shared;
	if (key == NULL || tells_leaf(key, relation, as))
		return key;
	rel->key_is_leafs = true;
	return NULL;
}

/* A consumer files new rows by the key of which a schema record tells. */
static void
tell_key(const StreamRelation *rel, RowShape *shape, const Bitmapset *key)
{
	for (int i = 0; i < shape->ncolumns; i++)
	{
		ColumnShape *column = &shape->columns[i];

		column->is_key =
			rel->has_key &&
			bms_is_member(KEY_BIT(own_attnum(rel, column->attnum)), key);
	}
}

/* As half a key, half a primary key would file different rows as one. */
static void
tell_primary(RowShape *shape, Relation as)
{
	int missing = bms_num_members(relation_primary_key(as));

	for (int i = 0; i < shape->ncolumns; i++)
		missing -= shape->columns[i].is_primary;
	for (int i = 0; missing > 0 && i < shape->ncolumns; i++)
		shape->columns[i].is_primary = false;
}

/*
 * Without a key under FULL it is the whole old row, which needs to be written
 * once only.  Half a key, the rest of which is filtered away, would name the
 * wrong rows.
 */
void
relation_find_key(StreamSession *session, StreamRelation *rel, RowShape *shape,
				  Relation relation, Relation as)
{
	bool	   full = rel->identity == REPLICA_IDENTITY_FULL;
	Bitmapset *key = key_columns(rel, relation, as);
	bool	   whole = key == NULL && full && !session->options.include_old;
	int		   missing = bms_num_members(key);
	bool	   blurred = false;
	int		   i;

	for (i = 0; i < shape->ncolumns; i++)
	{
		const ColumnShape *column = &shape->columns[i];

		if (!bms_is_member(KEY_BIT(own_attnum(rel, column->attnum)), key))
		{
			if (!whole)
				rel->states[i] = COLUMN_NOT_KEY;
		}
		else if (column_tells_rows_apart(column))
			missing--;
		else
			blurred = true;
	}
	rel->has_identity = full || (key != NULL && !blurred);
	rel->key_masked = blurred && !full;
	rel->key_filtered = missing > 0 && !blurred && !full;
	rel->has_key = whole || (key != NULL && missing == 0);
	tell_key(rel, shape, key);
	tell_primary(shape, as);
}
