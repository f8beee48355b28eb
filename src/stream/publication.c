/*
 * publication.c
 *		What the publications of option "publication_names" say of a table.
 *
 * Publications are read from the catalogs as of the change that is decoded.  A
 * slot may be older than its publications: one that doesn't exist at that
 * moment publishes nothing, which is worth one warning and never stops the
 * stream.
 *
 * Several publications of a table add up: rows that any of them lets through,
 * columns that any of them lists, under the topmost ancestor that any of them
 * names.
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/partition.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_publication_rel.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "compat.h"
#include "encoding.h"
#include "stream/stream.h"
#include "option.h"

static void
warn_missing(StreamSession *session, char *name)
{
	MemoryContext old;

	if (list_member_ptr(session->missing_publications, name))
		return;
	old = MemoryContextSwitchTo(session->context);
	session->missing_publications =
		lappend(session->missing_publications, name);
	MemoryContextSwitchTo(old);
	ereport(WARNING,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("publication \"%s\" does not exist",
					encoding_shown(option_shown(name))),
			 errdetail("The stream is at %X/%X, where nothing is published "
					   "through it.",
					   LSN_FORMAT_ARGS(session->position.lsn))));
}

/* Those that exist, read again after any invalidation. */
static List *
current_publications(StreamSession *session)
{
	ListCell	 *lc;
	MemoryContext old;
	uint64		  generation = session->generation;

	if (session->publications_generation == generation)
		return session->publications;
	session->publications = NIL;
	if (session->publication_context == NULL)
		session->publication_context = AllocSetContextCreate(
			session->context, "outflow publications", ALLOCSET_SMALL_SIZES);
	MemoryContextReset(session->publication_context);
	old = MemoryContextSwitchTo(session->publication_context);
	foreach (lc, session->options.publication_names)
	{
		Publication *publication = GetPublicationByName(lfirst(lc), true);

		if (publication)
			session->publications =
				lappend(session->publications, publication);
		else
			warn_missing(session, lfirst(lc));
	}
	MemoryContextSwitchTo(old);
	session->publications_generation = generation;
	return session->publications;
}

static int
published_actions(const Publication *publication)
{
	return (publication->pubactions.pubinsert ? ACTION_INSERT : 0) |
		   (publication->pubactions.pubupdate ? ACTION_UPDATE : 0) |
		   (publication->pubactions.pubdelete ? ACTION_DELETE : 0) |
		   (publication->pubactions.pubtruncate ? ACTION_TRUNCATE : 0);
}

/* What one publication needs to know of a relation. */
typedef struct Candidate
{
	Oid	  relid;
	Oid	  schema;
	char  relkind;
	List *ancestors; /* of a partition, the root last */
} Candidate;

/*
 * Looked up one by one: the server's lists of a relation's publications are
 * searched from end to end among those of all other relations.
 */
static bool
publication_is_member(const Publication *publication,
					  const Candidate	*candidate)
{
	Datum id = ObjectIdGetDatum(publication->oid);

	return SearchSysCacheExists2(PUBLICATIONRELMAP,
								 ObjectIdGetDatum(candidate->relid), id) ||
		   SearchSysCacheExists2(PUBLICATIONNAMESPACEMAP,
								 ObjectIdGetDatum(candidate->schema), id);
}

/*
 * FOR ALL TABLES EXCEPT: the only entries that such a publication has are of
 * what it leaves out.  Of partitions only the root may be named there.
 */
static bool
is_excepted(const Publication *publication, const Candidate *candidate)
{
	Oid relid = candidate->ancestors != NIL ? llast_oid(candidate->ancestors)
											: candidate->relid;

	return SearchSysCacheExists2(PUBLICATIONRELMAP, ObjectIdGetDatum(relid),
								 ObjectIdGetDatum(publication->oid));
}

/*
 * Whether the publication has the relation; if so, sets under which name it
 * appears, and how many levels above itself.
 */
static bool
publication_is_published(const Publication *publication,
						 const Candidate *candidate, Oid *as, int *level)
{
	Oid ancestor = InvalidOid;
	int found = 0;

	*as = candidate->relid;
	*level = 0;
	if (publication->alltables && is_excepted(publication, candidate))
		return false;
	if (candidate->ancestors != NIL)
	{
		if (publication->alltables)
		{
			ancestor = llast_oid(candidate->ancestors);
			found = list_length(candidate->ancestors);
		}
		else
			ancestor = GetTopMostAncestorInPublication(
				publication->oid, candidate->ancestors, &found);
		if (OidIsValid(ancestor) && publication->pubviaroot)
		{
			*as = ancestor;
			*level = found;
		}
	}
	if (!publication->alltables && !OidIsValid(ancestor) &&
		!publication_is_member(publication, candidate))
		return false;
	return candidate->relkind != RELKIND_PARTITIONED_TABLE ||
		   publication->pubviaroot;
}

/*
 * Fills published; false if nothing of the relation is.  Lists are allocated
 * in the current memory context.
 */
bool
publication_find(StreamSession *session, Relation relation,
				 Published *published)
{
	Candidate candidate = {0};
	int		  highest = 0;
	ListCell *lc;

	memset(published, 0, sizeof(*published));
	published->as = RelationGetRelid(relation);
	if (published->as < FirstNormalObjectId ||
		(relation->rd_rel->relkind != RELKIND_RELATION &&
		 relation->rd_rel->relkind != RELKIND_PARTITIONED_TABLE))
		return false;

	candidate.relid = published->as;
	candidate.relkind = relation->rd_rel->relkind;
	candidate.schema = RelationGetNamespace(relation);
	if (relation->rd_rel->relispartition)
		candidate.ancestors = get_partition_ancestors(candidate.relid);

	foreach (lc, current_publications(session))
	{
		Publication *publication = lfirst(lc);
		Oid			 as;
		int			 level;

		if (!publication_is_published(publication, &candidate, &as, &level))
			continue;
		published->actions |= published_actions(publication);
		if (level > highest)
		{
			highest = level;
			published->as = as;
			published->through = NIL;
		}
		if (level == highest)
			published->through = lappend(published->through, publication);
	}
	return published->actions != 0;
}

/* An attribute of the publication's entry for the table; NULL if not set. */
static bool
membership_attribute(const Publication *publication, Oid relid, int attribute,
					 Datum *value, HeapTuple *tuple)
{
	bool isnull;

	*tuple = NULL;
	/* all tables, and those of a schema, are published whole */
	if (publication->alltables ||
		SearchSysCacheExists2(PUBLICATIONNAMESPACEMAP,
							  ObjectIdGetDatum(get_rel_namespace(relid)),
							  ObjectIdGetDatum(publication->oid)))
		return false;
	*tuple = SearchSysCache2(PUBLICATIONRELMAP, ObjectIdGetDatum(relid),
							 ObjectIdGetDatum(publication->oid));
	if (!HeapTupleIsValid(*tuple))
		return false;
	*value = SysCacheGetAttr(PUBLICATIONRELMAP, *tuple, attribute, &isnull);
	if (!isnull)
		return true;
	ReleaseSysCache(*tuple);
	return false;
}

/* The attribute numbers of all column lists; NULL for all columns. */
Bitmapset *
publication_columns(const Published *published)
{
	Bitmapset *columns = NULL;
	ListCell  *lc;

	foreach (lc, published->through)
	{
		HeapTuple  tuple;
		Datum	   value;
		ArrayType *array;
		int		   i;

		if (!membership_attribute(lfirst(lc), published->as,
								  Anum_pg_publication_rel_prattrs, &value,
								  &tuple))
			return NULL;
		array = DatumGetArrayTypeP(value);
		for (i = 0; i < ARR_DIMS(array)[0]; i++)
			columns =
				bms_add_member(columns, ((int16 *) ARR_DATA_PTR(array))[i]);
		ReleaseSysCache(tuple);
	}
	return columns;
}

/*
 * The row filters, one of which must let a row of this action through; NIL if
 * some publication takes all rows.
 */
List *
publication_filters(const Published *published, int action)
{
	List	 *filters = NIL;
	ListCell *lc;

	foreach (lc, published->through)
	{
		HeapTuple tuple;
		Datum	  value;

		if (!(published_actions(lfirst(lc)) & action))
			continue;
		if (!membership_attribute(lfirst(lc), published->as,
								  Anum_pg_publication_rel_prqual, &value,
								  &tuple))
			return NIL;
		filters = lappend(filters, stringToNode(TextDatumGetCString(value)));
		ReleaseSysCache(tuple);
	}
	return filters;
}
