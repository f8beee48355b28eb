/*
 * invalidate.c
 *		Tells one listener when cached shapes may be stale.
 *
 * The server keeps invalidation callbacks for the life of the process and has
 * room for few of them, so they are registered once.
 */
#include "postgres.h"

#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "access/transam.h"

#include "row/row_internal.h"

static ShapeInvalidation listener = NULL;
static TypeNotice		 type_notice = NULL;

/*
 * Hash values, as the type cache's invalidations name them, of the
 * user-defined types that shapes were built from.  Every CREATE TABLE, a
 * temporary one's too, invalidates the types that it makes; without this set
 * each of them would throw away all shapes.
 */
static HTAB *watched_types = NULL;

void
invalidation_watch_type(Oid type)
{
	uint32 hash;

	if (listener == NULL || type < FirstNormalObjectId)
		return;
	hash = GetSysCacheHashValue1(TYPEOID, ObjectIdGetDatum(type));
	(void) hash_search(watched_types, &hash, HASH_ENTER, NULL);
	if (type_notice)
		type_notice(hash, true);
}

static void
relation_changed(Datum arg, Oid relid)
{
	listener(relid);
}

static void
type_changed(Datum arg, int cacheid, uint32 hash)
{
	/* shapes that are built again watch it again, and a dropped one is gone */
	if (hash == 0 || hash_search(watched_types, &hash, HASH_REMOVE, NULL))
		listener(InvalidOid);
	else if (type_notice)
		type_notice(hash, false);
}

static void
anything_changed(Datum arg, int cacheid, uint32 hash)
{
	listener(InvalidOid);
}

/* But for relations, types and schemas. */
static const int named[] = {PROCOID, OPEROID,	  COLLOID,
							AUTHOID, TSCONFIGOID, TSDICTOID};

/* Most streams have no such values, and need not be bothered. */
void
invalidation_watch_names(void)
{
	static bool listening = false;

	if (listener == NULL)
		return;
	for (int i = 0; !listening && i < lengthof(named); i++)
		CacheRegisterSyscacheCallback(named[i], anything_changed, (Datum) 0);
	listening = true;
	if (type_notice)
		type_notice(0, true);
}

void
row_listen_invalidations(ShapeInvalidation callback, TypeNotice notice)
{
	HASHCTL ctl;

	Assert(listener == NULL || listener == callback);
	if (listener)
		return;

	ctl.keysize = sizeof(uint32);
	ctl.entrysize = sizeof(uint32);
	ctl.hcxt = CacheMemoryContext;
	watched_types = hash_create("outflow watched types", 64, &ctl,
								HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	listener = callback;
	type_notice = notice;
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(TYPEOID, type_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(ENUMOID, anything_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, anything_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(REPLORIGIDENT, anything_changed, (Datum) 0);
}

void
row_invalidate_all(void)
{
	if (listener)
		listener(InvalidOid);
}
