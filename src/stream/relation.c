/*
 * relation.c
 *		The relations of a stream: shape, filter decision, schema record.
 *
 * One entry per relation, found by OID, so that a change costs one hash lookup
 * or, mostly, none.  An invalidation only marks: it may come in the middle of
 * encoding a row, and whoever uses an entry keeps it until the next
 * relation_find(), which rebuilds what was marked.
 *
 * What concerns every relation (types, schemas, publications) moves the
 * cache's generation on; entries of an older generation are rebuilt too.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "compat.h"
#include "stream/stream.h"

/* Schema of our own objects; its changes never appear in a stream. */
#define OWN_SCHEMA "outflow"

/*
 * The session whose cache invalidations mark.  They outlive every session, so
 * this is reset by the end of the session's memory, whatever ends it.
 */
static StreamSession *listening = NULL;

static void
invalidate(Oid relid)
{
	StreamRelation *rel;

	if (listening == NULL)
		return;
	if (OidIsValid(relid))
	{
		rel = hash_search(listening->relations, &relid, HASH_FIND, NULL);
		if (rel)
			rel->valid = false;
		if (listening->options.traits.shows_defaults ||
			hash_search(listening->composites, &relid, HASH_FIND, NULL))
			listening->generation++;
	}
	else
		listening->generation++;
}

static void
forget_session(void *arg)
{
	if (listening == arg)
		listening = NULL;
}

static HTAB *
create_table(const char *name, Size entrysize, MemoryContext context)
{
	HASHCTL ctl;

	ctl.keysize = sizeof(Oid);
	ctl.entrysize = entrysize;
	ctl.hcxt = context;
	return hash_create(name, 128, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

void
relation_cache_open(StreamSession *session)
{
	MemoryContextCallback *callback =
		MemoryContextAlloc(session->context, sizeof(MemoryContextCallback));

	session->relations = create_table(
		"outflow stream relations", sizeof(StreamRelation), session->context);
	session->composites = create_table("outflow stream composite types",
									   sizeof(Oid), session->context);
	callback->func = forget_session;
	callback->arg = session;
	MemoryContextRegisterResetCallback(session->context, callback);
	session->generation = 1;
	listening = session;
	row_listen_invalidations(invalidate);
}

typedef struct ColumnChoice
{
	List *exclude; /* of NamePattern whose table matches */
} ColumnChoice;

static bool
column_wanted(Form_pg_attribute attr, void *arg)
{
	ColumnChoice *choice = arg;
	ListCell	 *lc;

	foreach (lc, choice->exclude)
	{
		NamePattern *pattern = lfirst(lc);

		if (name_matches(pattern->column, NameStr(attr->attname)))
			return false;
	}
	return true;
}

/*
 * A materialized view is derived data, and its REFRESH isn't in the stream.  A
 * partitioned table has no rows of its own; its leaves are streamed.
 */
static bool
is_streamed_kind(StreamSession *session, Relation relation)
{
	char kind = relation->rd_rel->relkind;

	return kind == RELKIND_RELATION || session->options.traits.all_kinds;
}

/* The ACTION_ bits that a stream wants of a table. */
static int
wanted_actions(const StreamOptions *options, const char *schema,
			   const char *table)
{
	if (strcmp(schema, OWN_SCHEMA) == 0)
		return 0;
	if (options->tables != NIL &&
		!name_patterns_match_table(options->tables, schema, table))
		return 0;
	if (name_patterns_match_table(options->exclude_tables, schema, table))
		return 0;
	return options->action_mask;
}

static RowShape *
build_shape(StreamSession *session, Relation relation, const char *schema)
{
	ColumnChoice choice = {NIL};
	ListCell	*lc;

	foreach (lc, session->options.exclude_columns)
	{
		NamePattern *pattern = lfirst(lc);

		if (name_matches(pattern->schema, schema) &&
			name_matches(pattern->table, RelationGetRelationName(relation)))
			choice.exclude = lappend(choice.exclude, pattern);
	}
	return row_shape_build(relation, choice.exclude ? column_wanted : NULL,
						   &choice, session->change_context);
}

/* Remembers which composite types, if altered, make shapes stale. */
static void
watch_composites(StreamSession *session, const RowShape *shape)
{
	int i;

	for (i = 0; i < shape->ncolumns; i++)
	{
		const TypeShape *type = &shape->columns[i].type;

		while (type->kind == KIND_ARRAY)
			type = type->element;
		if (type->kind != KIND_COMPOSITE)
			continue;
		(void) hash_search(session->composites, &type->fields->relid,
						   HASH_ENTER, NULL);
		watch_composites(session, type->fields);
	}
}

/*
 * Which columns don't belong to the key.  Under REPLICA IDENTITY FULL the key
 * is the primary key.  Without one it is the whole old row, which needs to be
 * written once only.  Half a key, the rest of which is filtered away, would
 * name the wrong rows.
 */
static bool *
find_key(StreamSession *session, StreamRelation *rel, RowShape *shape,
		 Relation relation)
{
	bool	  *skip = palloc0(sizeof(bool) * Max(shape->ncolumns, 1));
	bool	   full = shape->identity == REPLICA_IDENTITY_FULL;
	Bitmapset *key = RelationGetIndexAttrBitmap(
		relation,
		full ? INDEX_ATTR_BITMAP_PRIMARY_KEY : INDEX_ATTR_BITMAP_IDENTITY_KEY);
	int missing = bms_num_members(key);
	int i;

	rel->has_identity = full || missing > 0;
	for (i = 0; i < shape->ncolumns; i++)
	{
		skip[i] = !shape->columns[i].is_key;
		if (!skip[i])
			missing--;
	}
	if (missing > 0)
		return NULL;
	if (key != NULL)
		return skip;
	if (!full || session->options.include_old)
		return NULL;
	memset(skip, 0, sizeof(bool) * shape->ncolumns);
	return skip;
}

/* Sets all that hangs on the shape. */
static void
set_workspace(StreamSession *session, StreamRelation *rel, RowShape *shape,
			  Relation relation)
{
	MemoryContext old = MemoryContextSwitchTo(shape->context);
	int			  natts = Max(shape->desc->natts, 1);
	int			  i;

	rel->old_values = palloc0(sizeof(Datum) * natts);
	rel->old_nulls = palloc0(sizeof(bool) * natts);
	rel->unchanged = palloc0(sizeof(bool) * natts);
	rel->omitted = palloc0(sizeof(bool) * natts);
	rel->left_out = palloc0(sizeof(bool) * natts);
	rel->key_left_out = palloc0(sizeof(bool) * natts);
	rel->varlena = palloc0(sizeof(int) * natts);
	rel->nvarlena = 0;
	for (i = 0; i < shape->ncolumns; i++)
		if (shape->columns[i].type.len == -1)
			rel->varlena[rel->nvarlena++] = i;
	rel->key_skip = find_key(session, rel, shape, relation);
	MemoryContextSwitchTo(old);
}

/*
 * An error in here (a concurrent abort of a transaction in progress) leaves
 * the entry with generation 0, to be rebuilt at its next use.
 */
static void
rebuild(StreamSession *session, StreamRelation *rel, Relation relation)
{
	MemoryContext old = MemoryContextSwitchTo(session->change_context);
	const char	 *schema = get_namespace_name(RelationGetNamespace(relation));
	uint64		  generation = session->generation;
	RowShape	 *shape = NULL;
	int			  actions = 0;

	/* what comes in while the catalogs are read shall count */
	rel->valid = true;
	rel->generation = 0;
	if (schema && is_streamed_kind(session, relation))
		actions = wanted_actions(&session->options, schema,
								 RelationGetRelationName(relation));
	if (actions)
	{
		shape = build_shape(session, relation, schema);
		session->format->prepare_shape(shape, &session->format_options);
		watch_composites(session, shape);
		set_workspace(session, rel, shape, relation);
		MemoryContextSetParent(shape->context, session->context);
	}
	if (rel->shape)
		row_shape_free(rel->shape);
	rel->shape = shape;
	rel->actions = actions;
	rel->schema_due = true;
	rel->generation = generation;
	MemoryContextSwitchTo(old);
	MemoryContextReset(session->change_context);
}

StreamRelation *
relation_find(StreamSession *session, Relation relation)
{
	Oid				relid = RelationGetRelid(relation);
	StreamRelation *rel = session->last;
	bool			found;

	if (rel == NULL || rel->relid != relid)
	{
		rel = hash_search(session->relations, &relid, HASH_ENTER, &found);
		if (!found)
		{
			memset(rel, 0, sizeof(*rel));
			rel->relid = relid;
		}
		session->last = rel;
	}
	if (unlikely(!rel->valid || rel->generation != session->generation))
		rebuild(session, rel, relation);
	return rel;
}

/*
 * A definition is written again when its record would read differently, which
 * is found out once per rebuild.
 */
void
relation_announce(StreamSession *session, StreamRelation *rel)
{
	StringInfo out;
	int		   start;
	uint64	   hash;

	if (likely(!rel->schema_due))
		return;
	if (!session->options.include_schemas)
	{
		rel->schema_due = false;
		return;
	}
	out = writer_begin(session);
	start = out->len;
	session->format->schema(out, &session->format_options, &session->txn,
							rel->shape);
	hash = hash_bytes_extended((unsigned char *) out->data + start,
							   out->len - start, 0);
	if (hash == rel->schema_hash)
		out->len = start; /* nothing new */
	rel->schema_hash = hash;
	rel->schema_due = false;
	writer_end(session);
}
