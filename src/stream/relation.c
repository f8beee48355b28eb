/*
 * relation.c
 *		The relations of a stream: the cache, and their schema records.
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
#include "utils/memutils.h"
#include "utils/rel.h"

#include "compat.h"
#include "stream/stream.h"

/* So many marked entries keep what they hold. */
#define MAX_STALE 256

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
	RelationSlot *slot;

	if (listening == NULL)
		return;
	if (OidIsValid(relid))
	{
		slot = relation_lookup(listening->relations, relid);
		if (slot)
			mark(slot->rel);
		if (slot && slot->rel->has_leaves)
			invalidate_leaves(slot->rel);
		if (listening->options.traits.shows_defaults ||
			hash_search(listening->watched, &relid, HASH_FIND, NULL))
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

void
relation_cache_invalidate(void)
{
	invalidate(InvalidOid);
}

/* Most of many marked entries are of tables that are gone for good. */
void
relation_cache_trim(StreamSession *session)
{
	relation_iterator iterator;
	RelationSlot	 *slot;

	if (likely(session->stale < MAX_STALE))
		return;
	session->stale = 0;
	relation_start_iterate(session->relations, &iterator);
	while ((slot = relation_iterate(session->relations, &iterator)))
	{
		StreamRelation *rel = slot->rel;

		if (rel->valid || rel->shape == NULL)
			continue;
		row_shape_free(rel->shape);
		rel->shape = NULL;
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
	listening = session;
	row_listen_invalidations(invalidate);
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
	return rel;
}

StreamRelation *
relation_find(StreamSession *session, Relation relation)
{
	Oid				relid = RelationGetRelid(relation);
	StreamRelation *rel = session->last;

	if (rel == NULL || rel->relid != relid)
		session->last = rel = relation_entry(session, relid);
	if (unlikely(!rel->valid || rel->generation != session->generation))
		relation_build(session, rel, relation);
	return rel;
}

/* Where the hash of the definition is kept that the consumer saw last. */
static uint64 *
last_definition(StreamSession *session, Oid relid, StreamRelation *as)
{
	StreamedDefinition *seen;
	bool				found;

	if (session->streamed == NULL)
		return &as->schema_hash;
	seen = hash_search(session->streamed->schemas, &relid, HASH_ENTER, &found);
	if (!found)
		seen->hash = 0;
	return &seen->hash;
}

/*
 * A definition is written again when its record would read differently, which
 * is found out once per rebuild, and once per transaction in progress.
 */
void
relation_announce(StreamSession *session, StreamRelation *rel)
{
	TransactionId streamed =
		session->streamed ? session->txn.xid : InvalidTransactionId;
	StringInfo out;
	int		   start;
	uint64	   hash;
	uint64	  *last;

	if (likely(!rel->schema_due && rel->schema_in == streamed))
		return;
	if (session->options.include_schemas)
	{
		last = last_definition(session, rel->as->relid, rel->as);
		out = writer_begin(session);
		start = out->len;
		session->format->schema(out, &session->format_options, &session->txn,
								rel->shape);
		hash = hash_bytes_extended((unsigned char *) out->data + start,
								   out->len - start, 0);
		if (hash == *last)
			out->len = start; /* nothing new */
		writer_end(session);
		*last = hash;
	}
	rel->schema_due = false;
	rel->schema_in = streamed;
}
