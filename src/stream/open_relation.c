/*
 * open_relation.c
 *		Relations that the statement which reads a slot by SQL has open.
 *
 * Before the server decodes, it forgets what it knows of relations.  What a
 * statement or a cursor has open it looks up again at once, as of now: rows of then
 * that are read by that are other memory.  So it is looked up as of then before
 * the first change, as the server does itself where a definition changes in the
 * stream.  After the call the server looks it up as of now; a descriptor that was
 * in use stays until the transaction's end.
 *
 * It does neither for what the transaction itself has created or rewritten, open
 * or not.  That has to be now what it was then, or not to have been there.
 *
 * Indexes aren't looked up as of then: what matters of them cannot change, and the
 * server takes one that is younger for an error.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/indexing.h"
#include "catalog/pg_attribute.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "storage/sinval.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

#include "compat.h"
#include "encoding.h"
#include "stream/stream.h"

/* Whatever is open is locked. */
static bool
locks_own_relation(const LockInstanceData *lock)
{
	return lock->pid == MyProcPid && lock->holdMask != 0 &&
		   lock->locktag.locktag_type == LOCKTAG_RELATION &&
		   lock->locktag.locktag_field1 == MyDatabaseId &&
		   lock->locktag.locktag_field2 >= FirstNormalObjectId;
}

static bool
may_have_changes(Relation relation)
{
	char kind = relation->rd_rel->relkind;

	return (kind == RELKIND_RELATION || kind == RELKIND_MATVIEW ||
			kind == RELKIND_PARTITIONED_TABLE) &&
		   relation->rd_rel->relpersistence != RELPERSISTENCE_TEMP;
}

/* It stays where it is: somebody else has it open, or it is the transaction's. */
static void
add_if_open(StreamSession *session, Oid relid)
{
	Relation relation = RelationIdGetRelation(relid);

	if (!RelationIsValid(relation))
		return;
	if ((relation->rd_refcnt > 1 || relation_is_of_transaction(relation)) &&
		may_have_changes(relation))
		session->open_relations =
			list_append_unique_ptr(session->open_relations, relation);
	RelationClose(relation);
}

void
open_relations_find(StreamSession *session)
{
	LockData *locks = GetLockStatusData();

	for (int i = 0; i < locks->nelements; i++)
		if (locks_own_relation(&locks->locks[i]))
			add_if_open(session, locks->locks[i].locktag.locktag_field2);
	pfree(locks->locks);
	pfree(locks);
}

static bool
is_same_attribute(Form_pg_attribute a, Form_pg_attribute b)
{
	return a->atttypid == b->atttypid && a->atttypmod == b->atttypmod &&
		   a->attlen == b->attlen && a->attalign == b->attalign &&
		   a->attisdropped == b->attisdropped &&
		   strcmp(NameStr(a->attname), NameStr(b->attname)) == 0;
}

/* Whether it is what the catalogs of then say, or they know nothing of it. */
static bool
is_as_then(Relation relation)
{
	Relation	attributes = table_open(AttributeRelationId, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(relation);
	int			found = 0;
	bool		is_same = true;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_attribute_attrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(RelationGetRelid(relation)));
	ScanKeyInit(&keys[1], Anum_pg_attribute_attnum, BTGreaterStrategyNumber,
				F_INT2GT, Int16GetDatum(0));
	scan = systable_beginscan(attributes, AttributeRelidNumIndexId, true, NULL,
							  2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_attribute attr = (Form_pg_attribute) GETSTRUCT(tuple);

		found++;
		if (attr->attnum > desc->natts ||
			!is_same_attribute(attr, TupleDescAttr(desc, attr->attnum - 1)))
			is_same = false;
	}
	systable_endscan(scan);
	table_close(attributes, AccessShareLock);
	return found == 0 || (is_same && found == desc->natts);
}

static void
require_as_then(Relation relation)
{
	if (is_as_then(relation))
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_OBJECT_IN_USE),
		 errmsg("table \"%s\" is not what it was when the changes were made "
				"that are to be read",
				encoding_shown(RelationGetRelationName(relation))),
		 errdetail(
			 "This transaction has created, truncated or rewritten it, so "
			 "it can't be looked up as of then meanwhile."),
		 errhint("Read the slot before that, or in another transaction.")));
}

static void
look_up(Relation relation)
{
	SharedInvalidationMessage message;

	memset(&message, 0, sizeof(message));
	message.rc.id = SHAREDINVALRELCACHE_ID;
	message.rc.dbId = MyDatabaseId;
	message.rc.relId = RelationGetRelid(relation);
	LocalExecuteInvalidationMessage(&message);
}

void
open_relations_as_of_then(StreamSession *session)
{
	ListCell *lc;

	foreach (lc, session->open_relations)
	{
		Relation relation = lfirst(lc);

		if (relation_is_of_transaction(relation))
			require_as_then(relation);
		else
			look_up(relation);
	}
}

void
open_relations_as_of_now(StreamSession *session)
{
	ListCell *lc;

	foreach (lc, session->open_relations)
	{
		Relation relation = lfirst(lc);

		if (relation_is_of_transaction(relation))
			look_up(relation);
	}
}
