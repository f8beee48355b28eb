/*
 * shape.c
 *		The shape of a relation's rows: its columns, keys and defaults.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/partition.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "nodes/bitmapset.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "compat.h"
#include "row/row_internal.h"

/*
 * Reads the index's relcache entry without a lock, as the server itself does
 * while it decodes: what holds a lock may be waiting for the stream, and a
 * historic snapshot doesn't change.
 */
static Relation
open_index(Oid index)
{
	Relation rel = RelationIdGetRelation(index);

	if (!RelationIsValid(rel))
		elog(ERROR, "could not open index with OID %u", index);
	return rel;
}

static Bitmapset *
index_columns(Oid index)
{
	Bitmapset *columns = NULL;
	Relation   rel;

	if (!OidIsValid(index))
		return NULL;
	rel = open_index(index);
	for (int i = 0; i < IndexRelationGetNumberOfKeyAttributes(rel); i++)
	{
		int attnum = rel->rd_index->indkey.values[i];

		columns = bms_add_member(columns,
								 attnum - FirstLowInvalidHeapAttributeNumber);
	}
	RelationClose(rel);
	return columns;
}

char *
relation_full_name(Oid relid)
{
	return quote_qualified_identifier(
		get_namespace_name(get_rel_namespace(relid)), get_rel_name(relid));
}

List *
relation_ancestors(Oid relid)
{
	List *ancestors = NIL;

	while (get_rel_relispartition(relid))
	{
		relid = get_partition_parent(relid, true);
		ancestors = lappend_oid(ancestors, relid);
	}
	return ancestors;
}

Bitmapset *
relation_primary_key(Relation rel)
{
	return index_columns(relation_primary_key_index(rel));
}

Bitmapset *
relation_identity_key(Relation rel)
{
	return index_columns(RelationGetReplicaIndex(rel));
}

/* An index has its columns in an order of its own. */
static void
shape_key_places(RowShape *shape, Oid index)
{
	Relation rel;

	if (!OidIsValid(index))
		return;
	rel = open_index(index);
	for (int i = 0; i < shape->ncolumns; i++)
	{
		ColumnShape *column = &shape->columns[i];

		for (int k = 0; k < IndexRelationGetNumberOfKeyAttributes(rel); k++)
		{
			if (rel->rd_index->indkey.values[k] == column->attnum)
				column->key_place = k + 1;
		}
	}
	RelationClose(rel);
}

/*
 * Marks the columns of the primary key and of the replica identity.  Under
 * REPLICA IDENTITY FULL the key is the primary key, where there is one: the
 * old row always brings it.
 */
static void
shape_keys(RowShape *shape, Relation rel)
{
	Bitmapset *primary = relation_primary_key(rel);
	Bitmapset *pkindex = index_columns(relation_any_primary_key_index(rel));

	shape->identity = rel->rd_rel->relreplident;
	shape->has_key = shape->identity == REPLICA_IDENTITY_FULL;
	shape_key_places(shape, shape->has_key ? relation_primary_key_index(rel)
										   : RelationGetReplicaIndex(rel));
	for (int i = 0; i < shape->ncolumns; i++)
	{
		ColumnShape *column = &shape->columns[i];
		int			 bit = column->attnum - FirstLowInvalidHeapAttributeNumber;

		column->is_primary = bms_is_member(bit, primary);
		column->in_pkindex = bms_is_member(bit, pkindex);
		column->is_key = column->key_place > 0;
		shape->has_key |= column->is_key;
	}
	bms_free(primary);
	bms_free(pkindex);
}

RowShape *
row_shape_build(Relation rel, ColumnFilter filter, void *arg,
				MemoryContext parent)
{
	/* of this kind, as it doesn't round sizes up: there may be thousands */
	MemoryContext context = GenerationContextCreate(
		CurrentMemoryContext, "outflow row shape", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	RowShape	 *shape =
		row_shape_new(RelationGetRelid(rel), RelationGetDescr(rel));

	shape->schema = get_namespace_name(RelationGetNamespace(rel));
	if (shape->schema == NULL)
		elog(ERROR, "cache lookup failed for namespace %u",
			 RelationGetNamespace(rel));
	shape->name = pstrdup(RelationGetRelationName(rel));
	row_shape_columns(shape, filter, arg);
	MemoryContextSwitchTo(old);
	/* outside: what scans of catalogs free would stay as holes in the context */
	shape_keys(shape, rel);

	/* until here an error frees the half-built shape with the caller's
	 * context */
	MemoryContextSetParent(context, parent);
	return shape;
}

RowShape *
row_shape_of_result(TupleDesc desc, const char *name, MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "outflow row shape",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	RowShape	 *shape = row_shape_new(InvalidOid, desc);

	shape->schema = "";
	shape->name = pstrdup(name);
	row_shape_columns(shape, NULL, NULL);
	MemoryContextSwitchTo(old);
	return shape;
}

void
row_shape_free(RowShape *shape)
{
	MemoryContextDelete(shape->context);
}
