/*
 * relation_cache.c
 *		The entries of a stream's relations.
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

#include "access/genam.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "compat.h"
#include "stream/stream.h"

/* So many marked entries keep what they hold. */
#define MAX_STALE 256

/*
 * Beyond so many bytes all entries give back what they hold: whoever may create
 * tables decides how many there are, and how large their types.
 */
#define MAX_SHAPES ((Size) 128 * 1024 * 1024)

/* Entries stay where they are, since one points to another. */
typedef struct RelationSlot
{
	Oid				relid;
	char			status;
	StreamRelation *rel;
} RelationSlot;

#define SH_PREFIX				relation
#define SH_ELEMENT_TYPE			RelationSlot
#define SH_KEY_TYPE				Oid
#define SH_KEY					relid
#define SH_HASH_KEY(table, key) murmurhash32(key)
#define SH_EQUAL(table, a, b)	((a) == (b))
#define SH_SCOPE				static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/*
 * The session whose cache invalidations mark.  They outlive every session, so
 * this is reset by the end of the session's memory, whatever ends it.
 */
static StreamSession *listening = NULL;

static void
mark(StreamRelation *rel)
{
	if (rel->valid)
		listening->stale++;
	rel->valid = false;
}

/* What has its name and definition from a root. */
static void
invalidate_leaves(const StreamRelation *root)
{
	relation_iterator iterator;
	RelationSlot	 *slot;

	relation_start_iterate(listening->relations, &iterator);
	while ((slot = relation_iterate(listening->relations, &iterator)))
		if (slot->rel->as == root)
			mark(slot->rel);
}

static void
invalidate(Oid relid)
{
	RelationSlot *slot = NULL;
	bool		  is_watched = false;

	if (listening == NULL)
		return;
	if (OidIsValid(relid))
	{
		slot = relation_lookup(listening->relations, relid);
		if (slot)
			mark(slot->rel);
		if (slot && slot->rel->has_leaves)
			invalidate_leaves(slot->rel);
		is_watched =
			hash_search(listening->watched, &relid, HASH_REMOVE, NULL);
	}
	if (!OidIsValid(relid) || is_watched ||
		listening->options.traits.shows_defaults)
		listening->generation++;
	overlap_changed(listening, relid, slot || is_watched);
}

/* By the hash as if it were an OID: what shares it is taken as changed too. */
static void
notice_type(uint32 hash, bool is_used)
{
	if (listening == NULL)
		return;
	if (is_used)
		overlap_uses(listening, hash);
	else
		overlap_changed(listening, hash, false);
}

static void
publications_changed(Datum arg, int cacheid, uint32 hash)
{
	invalidate(InvalidOid);
}

/* The server keeps such callbacks for the life of the process. */
static void
listen_to_publications(void)
{
	static bool listening = false;

	if (listening)
		return;
	listening = true;
	CacheRegisterSyscacheCallback(PUBLICATIONOID, publications_changed,
								  (Datum) 0);
	CacheRegisterSyscacheCallback(PUBLICATIONRELMAP, publications_changed,
								  (Datum) 0);
	CacheRegisterSyscacheCallback(PUBLICATIONNAMESPACEMAP,
								  publications_changed, (Datum) 0);
}

static void
forget_session(void *arg)
{
	if (listening == arg)
		listening = NULL;
	overlap_close(arg);
}

/* Not by the caches, which would remember each that is gone. */
static bool
relation_exists(Relation pg_class, Oid relid)
{
	ScanKeyData key;
	SysScanDesc scan;
	bool		found;

	ScanKeyInit(&key, Anum_pg_class_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(pg_class, ClassOidIndexId, true, NULL, 1, &key);
	found = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	return found;
}

void
relation_set_shape(StreamSession *session, StreamRelation *rel,
				   RowShape *shape)
{
	Size size = shape ? MemoryContextMemAllocated(shape->context, true) : 0;

	session->shapes_size += size - rel->shape_size;
	rel->shape_size = size;
	if (rel->shape)
		row_shape_free(rel->shape);
	rel->shape = shape;
}

/* Not while one is in use.  What consumers know of definitions stays. */
void
relation_cache_shed(StreamSession *session)
{
	relation_iterator iterator;
	RelationSlot	 *slot;

	if (likely(session->shapes_size <= MAX_SHAPES))
		return;
	relation_start_iterate(session->relations, &iterator);
	while ((slot = relation_iterate(session->relations, &iterator)))
	{
		if (slot->rel->shape)
			slot->rel->generation = 0; /* built again at its next use */
		relation_set_shape(session, slot->rel, NULL);
	}
}

/*
 * Marks the entries that may go, all of which can be made again: of those that
 * consumers know a definition of, only what is gone for good, lest they get it
 * once more.  The others give back what they hold.
 */
static void
find_expendable(StreamSession *session)
{
	Relation pg_class = table_open(RelationRelationId, AccessShareLock);
	relation_iterator iterator;
	RelationSlot	 *slot;

	relation_start_iterate(session->relations, &iterator);
	while ((slot = relation_iterate(session->relations, &iterator)))
	{
		StreamRelation *rel = slot->rel;

		rel->expendable = false; /* an error may have kept it here */
		if (rel->valid)
			continue;
		CHECK_FOR_INTERRUPTS();
		relation_set_shape(session, rel, NULL);
		rel->expendable = (rel->schema_hash == 0 && !rel->warned_identity &&
						   !rel->warned_oversize && !rel->warned_partial) ||
						  !relation_exists(pg_class, rel->relid);
	}
	table_close(pg_class, AccessShareLock);
}

/*
 * Most of many marked entries are of tables that are gone for good.  A root
 * that goes while one of its leaves stays leaves that to be built again.
 */
void
relation_cache_trim(StreamSession *session)
{
	relation_iterator iterator;
	RelationSlot	 *slot;

	if (likely(session->stale < MAX_STALE))
		return;
	session->stale = 0;
	find_expendable(session);
	relation_start_iterate(session->relations, &iterator);
	while ((slot = relation_iterate(session->relations, &iterator)))
	{
		if (!slot->rel->as->expendable)
			continue;
		slot->rel->as = slot->rel;
		slot->rel->valid = false;
	}
	session->last = NULL;
	relation_start_iterate(session->relations, &iterator);
	while ((slot = relation_iterate(session->relations, &iterator)))
	{
		if (!slot->rel->expendable)
			continue;
		pfree(slot->rel);
		relation_delete_item(session->relations, slot);
	}
}

HTAB *
relation_table(const char *name, Size entrysize, MemoryContext context)
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

	session->relations = relation_create(session->context, 128, NULL);
	session->watched = relation_table("outflow stream watched relations",
									  sizeof(Oid), session->context);
	callback->func = forget_session;
	callback->arg = session;
	MemoryContextRegisterResetCallback(session->context, callback);
	session->generation = 1;
	overlap_open(session);
	listening = session;
	row_listen_invalidations(invalidate, notice_type);
	if (session->options.publication_names != NIL)
		listen_to_publications();
}

void
relation_watch(StreamSession *session, Oid relid)
{
	(void) hash_search(session->watched, &relid, HASH_ENTER, NULL);
	overlap_uses(session, relid);
}

StreamRelation *
relation_entry(StreamSession *session, Oid relid)
{
	RelationSlot   *slot = relation_lookup(session->relations, relid);
	StreamRelation *rel;
	bool			found;

	if (likely(slot))
		return slot->rel;
	rel = MemoryContextAllocZero(session->context, sizeof(StreamRelation));
	rel->relid = relid;
	rel->as = rel;
	relation_insert(session->relations, relid, &found)->rel = rel;
	overlap_uses(session, relid);
	return rel;
}
