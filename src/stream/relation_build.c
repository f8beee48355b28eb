/*
 * relation_build.c
 *		Decides once how a relation is streamed: what of it, under which name.
 *
 * Everything that costs a look into the catalogs or at an option is done here,
 * and never per row.
 */
#include "postgres.h"

#include "access/transam.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "compat.h"
#include "row/mask.h"
#include "stream/stream.h"

/* Schema of our own objects; its changes never appear in a stream. */
#define OWN_SCHEMA "outflow"

/* What is decided before there is a shape. */
typedef struct Decision
{
	Relation	relation; /* the changed one */
	Relation	as;		  /* the one under whose name it appears */
	const char *schema;	  /* of the latter, or of its root */
	const char *name;
	int			actions;
	Published	published;
	bool		virtual_columns; /* are wanted, too */
	List	   *exclude; /* NamePatterns of columns that are for this table */
	Bitmapset  *columns; /* attribute numbers; NULL for all */
} Decision;

static bool
column_wanted(Form_pg_attribute attr, void *arg)
{
	Decision *decision = arg;
	ListCell *lc;

	if (!decision->virtual_columns && !attribute_is_stored(attr))
		return false;
	if (decision->columns && !bms_is_member(attr->attnum, decision->columns))
		return false;
	foreach (lc, decision->exclude)
	{
		NamePattern *pattern = lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		if (name_matches(pattern->column, NameStr(attr->attname)))
			return false;
	}
	return true;
}

/*
 * A materialized view is derived data, and its REFRESH isn't in the stream.  A
 * partitioned table has no rows of its own; unless publications say otherwise,
 * its leaves are streamed.
 */
static bool
is_streamed_kind(const StreamOptions *options, Relation relation)
{
	char kind = relation->rd_rel->relkind;

	return kind == RELKIND_RELATION || options->traits.all_kinds ||
		   (kind == RELKIND_PARTITIONED_TABLE &&
			options->publication_names != NIL);
}

/* Of a partition, the root last: what happens to one of them counts. */
static List *
watch_ancestors(StreamSession *session, Relation relation)
{
	List	 *ancestors = relation_ancestors(RelationGetRelid(relation));
	ListCell *lc;

	foreach (lc, ancestors)
		relation_watch(session, lfirst_oid(lc));
	return ancestors;
}

/* Relations whose names filters and snapshots may use. */
static List *
filtered_relations(StreamSession *session, const Decision *decision)
{
	Oid relid = RelationGetRelid(decision->relation);

	return lcons_oid(relid, watch_ancestors(session, decision->relation));
}

static bool
relation_matches(List *patterns, const char *schema, const char *name)
{
	return schema && name && name_patterns_match_table(patterns, schema, name);
}

/* Whether one of the patterns is for the name that appears, or a relation's. */
static bool
filter_matches(List *patterns, const Decision *decision, const List *relids)
{
	const ListCell *lc;

	if (relation_matches(patterns, decision->schema, decision->name))
		return true;
	foreach (lc, relids)
	{
		Oid relid = lfirst_oid(lc);

		if (relation_matches(patterns,
							 get_namespace_name(get_rel_namespace(relid)),
							 get_rel_name(relid)))
			return true;
	}
	return false;
}

/*
 * Narrows the actions and columns by what names are filtered by.  As with masks,
 * what is said of a partitioned table holds for its partitions, and what is said
 * of a partition under whatever name it appears.
 */
static void
filter_by_name(StreamSession *session, Decision *decision)
{
	const StreamOptions *options = &session->options;
	List				*relids = NIL;
	ListCell			*lc;

	if (!options->traits.one_name &&
		(options->tables || options->exclude_tables ||
		 options->exclude_columns))
		relids = filtered_relations(session, decision);
	if (decision->schema == NULL ||
		strcmp(decision->schema, OWN_SCHEMA) == 0 ||
		(options->tables != NIL &&
		 !filter_matches(options->tables, decision, relids)) ||
		filter_matches(options->exclude_tables, decision, relids))
	{
		decision->actions = 0;
		return;
	}
	foreach (lc, options->exclude_columns)
	{
		NamePattern *pattern = lfirst(lc);

		if (filter_matches(list_make1(pattern), decision, relids))
			decision->exclude = lappend(decision->exclude, pattern);
	}
}

/*
 * An index of a partitioned table becomes valid with the last of its partitions'.
 * That changes the index alone, so that the server goes on with the keys that it
 * has read with the table.
 */
static void
read_keys(StreamSession *session, Relation relation)
{
	Oid				relid = RelationGetRelid(relation);
	StreamRelation *as;
	ListCell	   *lc;

	if (relation->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		return;
	as = relation_entry(session, relid);
	if (as->keys_checked != session->generation)
		RelationCacheInvalidateEntry(relid);
	as->keys_checked = session->generation;
	foreach (lc, RelationGetIndexList(relation))
		relation_watch(session, lfirst_oid(lc));
}

/* Under which name the relation appears. */
static void
decide_name(StreamSession *session, Decision *decision)
{
	Oid	  relid = RelationGetRelid(decision->as);
	List *ancestors = session->options.traits.root_names
						  ? watch_ancestors(session, decision->as)
						  : NIL;

	if (ancestors != NIL)
		relid = llast_oid(ancestors);
	decision->schema = get_namespace_name(get_rel_namespace(relid));
	decision->name = get_rel_name(relid);
}

/*
 * A TRUNCATE of a partition alone is no truncation of the ancestor that it
 * appears as.
 */
static void
decide(StreamSession *session, StreamRelation *rel, Decision *decision)
{
	const StreamOptions *options = &session->options;

	decision->actions = 0;
	if (!is_streamed_kind(options, decision->relation))
		return;
	decision->actions = ACTION_ALL;
	if (options->publication_names != NIL)
	{
		/* whose schemas, and whose place in the tree, publications name */
		(void) watch_ancestors(session, decision->relation);
		if (!publication_find(session, decision->relation,
							  &decision->published))
		{
			decision->actions = 0;
			return;
		}
		decision->actions = decision->published.actions;
		decision->columns = publication_columns(&decision->published);
		if (decision->published.as != RelationGetRelid(decision->relation))
		{
			/* first, so that no change of the ancestor is missed */
			rel->as = relation_entry(session, decision->published.as);
			rel->as->has_leaves = true;
			decision->as = RelationIdGetRelation(decision->published.as);
			if (!RelationIsValid(decision->as))
				elog(ERROR, "could not open relation with OID %u",
					 decision->published.as);
			decision->actions &= ~ACTION_TRUNCATE;
		}
		read_keys(session, decision->as);
	}
	decide_name(session, decision);
	filter_by_name(session, decision);
}

/*
 * The snapshot of the export that has the relation's rows.  That may have been
 * one of a partitioned table, and the nearest's is the one that was meant.
 */
static const JobSnapshot *
find_job_snapshot(StreamSession *session, const Decision *decision)
{
	const JobSnapshot *found;
	ListCell		  *lc;

	if (session->options.after_snapshot == NIL)
		return NULL;
	found = snapshot_of_table(session, decision->schema, decision->name);
	foreach (lc, filtered_relations(session, decision))
	{
		Oid			relid = lfirst_oid(lc);
		const char *schema = get_namespace_name(get_rel_namespace(relid));
		const char *name = get_rel_name(relid);

		if (found == NULL && schema && name)
			found = snapshot_of_table(session, schema, name);
	}
	return found ? found : snapshot_of_rest(session);
}

/* Remembers which composite types, if altered, make shapes stale. */
static void
watch_composites(StreamSession *session, const RowShape *shape)
{
	int i;

	check_stack_depth();
	for (i = 0; i < shape->ncolumns; i++)
	{
		const TypeShape *type = &shape->columns[i].type;

		while (type->element) /* of arrays and ranges */
			type = type->element;
		if (type->kind != KIND_COMPOSITE)
			continue;
		relation_watch(session, type->fields->relid);
		watch_composites(session, type->fields);
	}
}

/* Index among the leaf's attributes of the one with this name, or -1. */
static int
find_attribute(TupleDesc leaf, const char *name, int guess)
{
	int i;

	for (i = 0; i < leaf->natts; i++)
	{
		/* mostly the leaf's order is the ancestor's */
		int				  at = (guess + i) % leaf->natts;
		Form_pg_attribute attr = TupleDescAttr(leaf, at);

		if (!attr->attisdropped && strcmp(NameStr(attr->attname), name) == 0)
			return at;
	}
	return -1;
}

static LeafMap *
map_leaf(const RowShape *shape, Relation relation)
{
	LeafMap	 *map = palloc(sizeof(LeafMap));
	TupleDesc leaf = RelationGetDescr(relation);
	int		  natts = shape->desc->natts;
	int		  i;

	map->schema = get_namespace_name(RelationGetNamespace(relation));
	map->name = pstrdup(RelationGetRelationName(relation));
	map->attributes = palloc(sizeof(int) * natts);
	map->values = palloc0(sizeof(Datum) * leaf->natts);
	map->nulls = palloc0(sizeof(bool) * leaf->natts);
	for (i = 0; i < natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(shape->desc, i);

		map->attributes[i] =
			attr->attisdropped
				? -1
				: find_attribute(leaf, NameStr(attr->attname), i);
	}
	return map;
}

/* Sets all that hangs on the shape, in the shape's context. */
static void
set_workspace(StreamSession *session, StreamRelation *rel, RowShape *shape,
			  const Decision *decision)
{
	int natts = shape->desc->natts;
	int i;

	rel->old_values = palloc0(
		(sizeof(Datum) + sizeof(int) + sizeof(bool) + sizeof(uint8)) * natts);
	rel->varlena = (int *) (rel->old_values + natts);
	rel->old_nulls = (bool *) (rel->varlena + natts);
	rel->states = (uint8 *) (rel->old_nulls + natts);
	rel->nvarlena = 0;
	for (i = 0; i < shape->ncolumns; i++)
		if (shape->columns[i].type.len == -1)
			rel->varlena[rel->nvarlena++] = i;
	rel->leaf = decision->as != decision->relation
					? map_leaf(shape, decision->relation)
					: NULL;
	rel->identity = decision->relation->rd_rel->relreplident;
	rel->filters = NULL;
	if (session->options.publication_names != NIL)
		rel->filters =
			row_filters_build(&decision->published, decision->as, shape);
}

/*
 * After all that looks at values as they are stored.  A new name of one of the
 * relations may be another rule's.
 */
static void
set_masks(StreamSession *session, RowShape *shape, const Decision *decision)
{
	MemoryContext old = MemoryContextSwitchTo(session->change_context);
	List		 *relids = list_make2_oid(RelationGetRelid(decision->as),
										  RelationGetRelid(decision->relation));
	ListCell	 *lc;

	if (session->options.masks || mask_setting_rules())
	{
		if (session->mask_key == NULL)
		{
			MaskKey *key = mask_key_for(session->options.masks);

			if (key)
			{
				session->mask_key = MemoryContextAlloc(
					session->context, offsetof(MaskKey, bytes) + key->size);
				memcpy(session->mask_key, key,
					   offsetof(MaskKey, bytes) + key->size);
			}
		}
		row_shape_mask(shape, relids, NIL, session->options.masks,
					   session->mask_key);
		foreach (lc, mask_relations(relids))
			relation_watch(session, lfirst_oid(lc));
	}
	MemoryContextSwitchTo(old);
}

static RowShape *
build_shape(StreamSession *session, StreamRelation *rel, Decision *decision)
{
	bool choose =
		decision->exclude || decision->columns || decision->virtual_columns;
	RowShape *shape =
		row_shape_build(decision->as, choose ? column_wanted : NULL, decision,
						session->change_context);
	MemoryContext old;

	if (session->options.traits.root_names)
	{
		shape->schema = MemoryContextStrdup(shape->context, decision->schema);
		shape->name = MemoryContextStrdup(shape->context, decision->name);
	}

	watch_composites(session, shape);
	old = MemoryContextSwitchTo(shape->context);
	set_workspace(session, rel, shape, decision);
	set_masks(session, shape, decision);
	MemoryContextSwitchTo(old);
	relation_find_key(session, rel, shape, decision->relation, decision->as);
	session->format->prepare_shape(shape, &session->format_options);
	return shape;
}

/*
 * An error in here (a concurrent abort of a transaction in progress) leaves
 * the entry with generation 0, to be rebuilt at its next use.
 */
void
relation_build(StreamSession *session, StreamRelation *rel, Relation relation)
{
	MemoryContext old = MemoryContextSwitchTo(session->change_context);
	uint64		  generation = session->generation;
	Decision	  decision = {.relation = relation,
							  .as = relation,
							  .virtual_columns =
								  session->options.traits.virtual_columns};
	RowShape	 *shape = NULL;

	/* what comes in while the catalogs are read shall count */
	rel->valid = true;
	rel->generation = 0;
	decide(session, rel, &decision);
	if (decision.actions)
	{
		shape = build_shape(session, rel, &decision);
		rel->after = find_job_snapshot(session, &decision);
		MemoryContextSetParent(shape->context, session->context);
	}
	relation_set_shape(session, rel, shape);
	rel->actions = decision.actions;
	if (shape && rel->filters == NULL)
		rel->actions &= session->options.action_mask;
	rel->as = relation_entry(session, RelationGetRelid(decision.as));
	rel->schema_due = true;
	rel->generation = generation;
	if (decision.as != relation)
		RelationClose(decision.as);
	MemoryContextSwitchTo(old);
	MemoryContextReset(session->change_context);
}
