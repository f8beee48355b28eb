/*
 * shape.c
 *		The shape of a relation's rows and of composite values.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "nodes/bitmapset.h"
#include "nodes/nodes.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "compat.h"
#include "row/row_internal.h"

/* Defaults whose stored form is longer than this are not shown. */
#define MAX_DEFAULT (16 * 1024 * 1024)

/*
 * Nor those that are nested so deep that showing them could need more than a
 * part of the stack.  An expression that its author's stack just held would
 * else stop a stream, which has a little less.
 */
static bool
is_too_deep(const char *stored)
{
	int most = max_stack_depth / 2; /* levels; that is in kilobytes */
	int depth = 0;

	for (const char *p = stored; *p != '\0' && depth <= most; p++)
	{
		if (*p == '\\' && p[1] != '\0')
			p++; /* part of a name */
		else if (*p == '{' || *p == '(')
			depth++;
		else if (*p == '}' || *p == ')')
			depth--;
	}
	return depth > most;
}

static bool
is_shown(const char *stored)
{
	return strlen(stored) <= MAX_DEFAULT && !is_too_deep(stored);
}

/*
 * A shape stays as long as its relation is used: constraints, which nobody
 * asks for, and defaults that are not shown don't stay with it.
 */
static void
trim_constraints(TupleDesc desc)
{
	TupleConstr *constr = desc->constr;

	if (constr == NULL)
		return;
	for (int i = 0; i < constr->num_check; i++)
		pfree(constr->check[i].ccbin);
	constr->num_check = 0;
	for (int i = 0; i < constr->num_defval; i++)
	{
		int at = constr->defval[i].adnum - 1;

		if (TupleDescAttr(desc, at)->attgenerated != '\0' ||
			is_shown(constr->defval[i].adbin))
			continue;
		pfree(constr->defval[i].adbin);
		constr->defval[i].adbin = NULL;
	}
}

/*
 * A shape for rows of this relation, without columns yet, in the current
 * context.  All that is looked at for each row is in one piece of memory.
 */
static RowShape *
new_shape(Relation rel)
{
	int		  natts = RelationGetNumberOfAttributes(rel);
	RowShape *shape =
		palloc0(sizeof(RowShape) +
				(sizeof(ColumnShape) + sizeof(Datum) + sizeof(bool)) * natts);

	shape->context = CurrentMemoryContext;
	shape->relid = RelationGetRelid(rel);
	shape->desc = CreateTupleDescCopyConstr(RelationGetDescr(rel));
	trim_constraints(shape->desc);
	shape->values = (Datum *) (shape + 1);
	shape->columns = (ColumnShape *) (shape->values + natts);
	shape->nulls = (bool *) (shape->columns + natts);
	return shape;
}

/* Fills shape->columns from shape->desc, in the current context. */
static void
shape_columns(RowShape *shape, ColumnFilter filter, void *arg)
{
	int natts = shape->desc->natts;

	for (int i = 0; i < natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(shape->desc, i);
		ColumnShape		 *column = &shape->columns[shape->ncolumns];

		if (attr->attisdropped ||
			!(filter ? filter(attr, arg) : attribute_is_stored(attr)))
			continue;
		shape->ncolumns++;
		column->name = NameStr(attr->attname);
		column->attnum = attr->attnum;
		column->not_null = attribute_is_not_null(shape->desc, i);
		column->is_generated =
			attr->attgenerated == ATTRIBUTE_GENERATED_STORED;
		type_shape_init(&column->type, attr->atttypid, attr->atttypmod);
	}
}

/*
 * Reads the index's relcache entry without a lock, as the server itself does
 * while it decodes: what holds a lock may be waiting for the stream, and a
 * historic snapshot doesn't change.
 */
static Bitmapset *
index_columns(Oid index)
{
	Bitmapset *columns = NULL;
	Relation   rel;

	if (!OidIsValid(index))
		return NULL;
	rel = RelationIdGetRelation(index);
	if (!RelationIsValid(rel))
		elog(ERROR, "could not open index with OID %u", index);
	for (int i = 0; i < IndexRelationGetNumberOfKeyAttributes(rel); i++)
	{
		int attnum = rel->rd_index->indkey.values[i];

		columns = bms_add_member(columns,
								 attnum - FirstLowInvalidHeapAttributeNumber);
	}
	RelationClose(rel);
	return columns;
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

/*
 * Marks the columns of the primary key and of the replica identity.  Under
 * REPLICA IDENTITY FULL the key is the primary key, where there is one: the
 * old row always brings it.
 */
static void
shape_keys(RowShape *shape, Relation rel)
{
	Bitmapset *primary = relation_primary_key(rel);
	Bitmapset *identity = relation_identity_key(rel);
	Bitmapset *pkindex = index_columns(rel->rd_pkindex);

	shape->identity = rel->rd_rel->relreplident;
	shape->has_key = shape->identity == REPLICA_IDENTITY_FULL;
	for (int i = 0; i < shape->ncolumns; i++)
	{
		ColumnShape *column = &shape->columns[i];
		int			 bit = column->attnum - FirstLowInvalidHeapAttributeNumber;

		column->is_primary = bms_is_member(bit, primary);
		column->in_pkindex = bms_is_member(bit, pkindex);
		column->is_key = shape->identity == REPLICA_IDENTITY_FULL
							 ? column->is_primary
							 : bms_is_member(bit, identity);
		shape->has_key |= column->is_key;
	}
	bms_free(primary);
	bms_free(identity);
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
	RowShape	 *shape = new_shape(rel);

	shape->schema = get_namespace_name(RelationGetNamespace(rel));
	if (shape->schema == NULL)
		elog(ERROR, "cache lookup failed for namespace %u",
			 RelationGetNamespace(rel));
	shape->name = pstrdup(RelationGetRelationName(rel));
	type_parts_begin();
	shape_columns(shape, filter, arg);
	shape_keys(shape, rel);
	MemoryContextSwitchTo(old);

	/* until here an error frees the half-built shape with the caller's
	 * context */
	MemoryContextSetParent(context, parent);
	return shape;
}

void
row_shape_free(RowShape *shape)
{
	MemoryContextDelete(shape->context);
}

RowShape *
row_shape_of_composite(Oid type)
{
	Oid		  relid = get_typ_typrelid(type);
	Relation  rel = RelationIdGetRelation(relid); /* no lock, as above */
	RowShape *shape;

	if (!RelationIsValid(rel))
		elog(ERROR, "could not open relation with OID %u", relid);
	shape = new_shape(rel);
	RelationClose(rel);
	shape->schema = "";
	shape->name = "";
	shape_columns(shape, NULL, NULL);
	return shape;
}

static bool
type_uses(const TypeShape *type, Oid relid)
{
	check_stack_depth();
	if (type->element)
		return type_uses(type->element, relid);
	return type->kind == KIND_COMPOSITE && row_shape_uses(type->fields, relid);
}

bool
row_shape_uses(const RowShape *shape, Oid relid)
{
	if (shape->relid == relid)
		return true;
	for (int i = 0; i < shape->ncolumns; i++)
	{
		if (type_uses(&shape->columns[i].type, relid))
			return true;
	}
	return false;
}

const char *
column_default_stored(const RowShape *shape, AttrNumber attnum, bool *left_out)
{
	TupleConstr *constr = shape->desc->constr;
	const char	*stored = NULL;

	for (int i = 0; constr && i < constr->num_defval; i++)
	{
		if (constr->defval[i].adnum != attnum)
			continue;
		stored = constr->defval[i].adbin;
		if (stored == NULL)
			*left_out = true;
	}
	return stored;
}

char *
column_default(const RowShape *shape, const ColumnShape *column,
			   bool *left_out)
{
	const char *stored;

	if (column->is_generated)
		return NULL;
	stored = column_default_stored(shape, column->attnum, left_out);
	/* no columns occur in a default, so no relation needs to be locked */
	return stored ? deparse_expression(stringToNode(stored), NIL, false, false)
				  : NULL;
}
