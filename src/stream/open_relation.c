/*
 * open_relation.c
 *		Relations that the statement which reads a slot by SQL has open, or its
 *		transaction has rewritten.
 *
 * Before the server decodes, it forgets what it knows of relations.  What a
 * statement or a cursor has open it looks up again at once, as of now: rows of then
 * that are read by that are other memory.  So it is looked up as of then before
 * the first change, as the server does itself where a definition changes in the
 * stream.  After the call the server looks it up as of now; a descriptor that was
 * in use stays until the transaction's end.
 *
 * It does not so for what the transaction itself has given other storage.  That may
 * be looked up as of then by an invalidation, and stays so, on storage that goes
 * with the commit: what is written into it later would be lost.  So nothing is read
 * meanwhile.  What the transaction has created was not there then.
 *
 * Indexes aren't looked up as of then: what matters of them cannot change, and the
 * server takes one that is younger for an error.
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/catalog.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "storage/sinval.h"
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
		   lock->locktag.locktag_field1 == MyDatabaseId;
}

static bool
may_have_changes(Relation relation)
{
	char kind = relation->rd_rel->relkind;

	return RelationGetRelid(relation) >= FirstNormalObjectId &&
		   (kind == RELKIND_RELATION || kind == RELKIND_MATVIEW ||
			kind == RELKIND_PARTITIONED_TABLE) &&
		   relation->rd_rel->relpersistence != RELPERSISTENCE_TEMP;
}

/* It stays where it is: somebody else has it open. */
static void
add_if_open(StreamSession *session, Relation relation)
{
	if (relation->rd_refcnt > 1 && may_have_changes(relation) &&
		!relation_is_created(relation))
		session->open_relations =
			list_append_unique_ptr(session->open_relations, relation);
}

/* The most of those that are named: an index mostly comes with its table. */
static int
rank_of_name(Relation relation)
{
	char kind = relation->rd_rel->relkind;

	if (IsToastNamespace(RelationGetNamespace(relation)))
		return 1;
	return kind == RELKIND_RELATION || kind == RELKIND_MATVIEW ? 3 : 2;
}

pg_noreturn static void
refuse_rewritten(const char *name)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		 errmsg(
			 "cannot read a slot in a transaction that has rewritten \"%s\"",
			 encoding_shown(name)),
		 errdetail(
			 "After it, rows that the transaction writes could go to the "
			 "storage that it has replaced, and be lost."),
		 errhint("Read the slot before that, or in another transaction.")));
}

void
open_relations_find(StreamSession *session)
{
	LockData *locks = GetLockStatusData();
	char	 *rewritten = NULL;
	int		  rank = 0;

	for (int i = 0; i < locks->nelements; i++)
	{
		Relation relation =
			locks_own_relation(&locks->locks[i])
				? RelationIdGetRelation(locks->locks[i].locktag.locktag_field2)
				: NULL;

		if (!RelationIsValid(relation))
			continue;
		if (relation_is_rewritten(relation) && rank_of_name(relation) > rank)
		{
			rank = rank_of_name(relation);
			rewritten = pstrdup(RelationGetRelationName(relation));
		}
		add_if_open(session, relation);
		RelationClose(relation);
	}
	pfree(locks->locks);
	pfree(locks);
	if (rewritten)
		refuse_rewritten(rewritten);
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
		look_up(lfirst(lc));
}
