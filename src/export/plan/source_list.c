/*
 * source_list.c
 *		What a job of many tables exports: tables by name, a schema's, or a
 *		publication's.
 *
 * Each of them has a folder at the destination, named "schema.table".  Lower
 * case ASCII letters, digits and underscores stand for themselves; every other
 * byte of a name, in UTF-8, is @xx.  So no two names share a folder, not even
 * where case counts for nothing, and none of them hides or leads elsewhere.
 *
 * What comes before xx has to be the same to all that read paths: readers of Delta
 * take % as a URL's and escape other characters again, those of files know globs,
 * lists, partitions ("=") and what is hidden ("_"), a shell at its prompt has ! for
 * older commands even in double quotes, and any program - for its options.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/partition.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "compat.h"
#include "encoding.h"
#include "export/job/job.h"
#include "export/plan/source.h"
#include "export/export_destination.h"
#include "export/job/job_access.h"
#include "sink/postgres/postgres_driver.h"

#define FOLDER_ESCAPE "@%02x"

/* A longer name is cut, and goes on with a dash and its SHA-256. */
#define FOLDER_MAX 200
#define FOLDER_CUT 120

static void
append_identifier(StringInfo out, const char *name)
{
	/* bytes of no known encoding can't be converted */
	if (GetDatabaseEncoding() != PG_SQL_ASCII)
		name = pg_server_to_any(name, strlen(name), PG_UTF8);
	for (; *name; name++)
	{
		uint8 byte = (uint8) *name;

		if ((byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') ||
			byte == '_')
			appendStringInfoChar(out, (char) byte);
		else
			appendStringInfo(out, FOLDER_ESCAPE, byte);
	}
}

static void
shorten(StringInfo folder)
{
	Meter meter = {0};
	Sink *chain =
		meter_new(sink_null_new(), &meter, false, checksum_find("sha256"));

	sink_write(chain, folder->data, folder->len);
	sink_finish(chain);
	sink_cleanup(chain);
	folder->len = FOLDER_CUT;
	appendStringInfo(folder, "-%s", checksum_hex(&meter.checksum));
}

static char *
folder_name(Oid relid)
{
	StringInfoData folder;

	initStringInfo(&folder);
	append_identifier(&folder, get_namespace_name(get_rel_namespace(relid)));
	appendStringInfoChar(&folder, '.');
	append_identifier(&folder, get_rel_name(relid));
	if (folder.len > FOLDER_MAX)
		shorten(&folder);
	/* the only one of our own files that a table could be called */
	if (strcmp(folder.data, PUBLISH_MANIFEST) == 0 ||
		strcmp(folder.data, PUBLISH_MANIFEST_OF_BEFORE) == 0)
		return psprintf(FOLDER_ESCAPE "%s", folder.data[0], folder.data + 1);
	return folder.data;
}

static JobSource *
add_source(List **sources, Oid relid, List *columns, bool may_hide)
{
	JobSource *source = source_new(relid, columns, may_hide);

	source->number = list_length(*sources);
	source->folder = folder_name(relid);
	*sources = lappend(*sources, source);
	return source;
}

List *
sources_of_tables(Datum tables, bool may_hide)
{
	List  *sources = NIL;
	Datum *relids;
	bool  *nulls;
	int	   count;

	deconstruct_array(DatumGetArrayTypeP(tables), REGCLASSOID, sizeof(Oid),
					  true, TYPALIGN_INT, &relids, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (nulls[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("array must not contain nulls")));
		(void) add_source(&sources, DatumGetObjectId(relids[i]), NIL,
						  may_hide);
	}
	if (sources == NIL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("argument \"sources\" must not be empty")));
	sources_check_apart(sources);
	return sources;
}

/*
 * The caller's own right to look into the schema, which naming its tables would
 * need.
 */
static void
check_schema(Oid schema)
{
	if (!SearchSysCacheExists1(NAMESPACEOID, ObjectIdGetDatum(schema)))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_SCHEMA),
						errmsg("schema with OID %u does not exist", schema)));
	if (!schema_allows_usage(schema, GetUserId()))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_SCHEMA,
					   get_namespace_name(schema));
}

/*
 * The schema's tables by name.  A partition is exported with its table, or by
 * itself where the caller may read nothing that it is a part of.  What may not
 * be read is counted, partitions with their table.
 */
static List *
load_schema(Oid schema, int *unreadable)
{
	const Oid	  types[] = {OIDOID, OIDOID};
	const Datum	  values[] = {ObjectIdGetDatum(schema),
							  ObjectIdGetDatum(GetUserId())};
	MemoryContext context = CurrentMemoryContext;
	List		 *relids = NIL;
	uint64		  count;
	JobAccess	  access;

	job_access_begin(&access);
	count = job_query(
		"SELECT c.oid, c.readable "
		"FROM (SELECT *, has_table_privilege($2, oid, 'SELECT') AS readable "
		"FROM pg_class) AS c "
		"WHERE c.relnamespace = $1 AND c.relkind IN ('r', 'p') "
		/* one that is being dropped is null */
		"AND c.readable IS NOT NULL "
		"AND NOT EXISTS (SELECT FROM pg_partition_ancestors(c.oid) AS p "
		"JOIN pg_class AS a ON a.oid = p.relid "
		"WHERE a.oid <> c.oid AND a.relnamespace = $1 "
		"AND (NOT c.readable OR has_table_privilege($2, a.oid, 'SELECT'))) "
		"ORDER BY c.relname",
		lengthof(types), types, values, NULL);
	*unreadable = 0;
	for (uint64 i = 0; i < count; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(context);

		if (strcmp(job_field(i, 2), "t") == 0)
			relids = lappend_oid(relids, (Oid) job_field_int(i, 1, 0));
		else
			(*unreadable)++;
		MemoryContextSwitchTo(old);
	}
	job_access_end(&access);
	return relids;
}

List *
sources_of_schema(Oid schema, bool may_hide)
{
	List	 *sources = NIL;
	List	 *relids;
	ListCell *cell;
	int		  unreadable;

	check_schema(schema);
	relids = load_schema(schema, &unreadable);
	if (relids == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("schema \"%s\" has no tables that role \"%s\" may "
						"read",
						get_namespace_name(schema),
						GetUserNameFromId(GetUserId(), false))));
	if (unreadable > 0)
		ereport(
			WARNING,
			(errmsg("the export leaves out %d tables of schema \"%s\"",
					unreadable, encoding_shown(get_namespace_name(schema))),
			 errdetail(
				 "Role \"%s\" has no right to read them.",
				 encoding_shown(GetUserNameFromId(GetUserId(), false)))));
	foreach (cell, relids)
	{
		CHECK_FOR_INTERRUPTS();
		(void) add_source(&sources, lfirst_oid(cell), NIL, may_hide);
	}
	sources_check_apart(sources);
	return sources;
}

/* What the catalogs say of a publication's table. */
typedef struct PublishedTable
{
	Oid	  relid;
	List *columns; /* NIL for all */
	char *filter;  /* NULL for none; as filter_begin() would keep it */
} PublishedTable;

/*
 * The tables that a stream names, with their row filters and column lists, or
 * NIL.  Our own tables never appear in a stream.  Where other servers export to
 * this one, a publication of all tables has the records of that too.
 */
static List *
load_publication(const char *publication, int *records)
{
	const Oid		type = TEXTOID;
	const Datum		value = CStringGetTextDatum(publication);
	MemoryContext	context = CurrentMemoryContext;
	List		   *tables = NIL;
	uint64			count;
	PinnedSettings *pinned = filter_pin_settings();
	JobAccess		access;

	job_access_begin(&access);
	/* unlike the function's attrs, prattrs tells a list from none */
	count = job_query(
		"SELECT t.relid, (SELECT array_agg(a.attname::text ORDER BY a.attnum) "
		"FROM pg_attribute AS a WHERE a.attrelid = t.relid "
		"AND a.attnum = ANY (r.prattrs)), pg_get_expr(t.qual, t.relid), "
		"p.puballtables AND " POSTGRES_IS_LEDGER " FROM pg_publication AS p "
		"CROSS JOIN LATERAL pg_get_publication_tables(p.pubname::text) AS t "
		"JOIN pg_class AS c ON c.oid = t.relid "
		"JOIN pg_namespace AS n ON n.oid = c.relnamespace "
		"LEFT JOIN pg_publication_rel AS r "
		"ON r.prpubid = p.oid AND r.prrelid = t.relid "
		"WHERE p.pubname::text = $1 AND n.nspname <> 'outflow' "
		"ORDER BY n.nspname, c.relname",
		1, &type, &value, NULL);
	*records = 0;
	for (uint64 i = 0; i < count; i++)
	{
		Oid				relid = (Oid) job_field_int(i, 1, 0);
		MemoryContext	old = MemoryContextSwitchTo(context);
		PublishedTable *table = palloc0_object(PublishedTable);

		table->relid = relid;
		table->columns = job_field_list(i, 2);
		table->filter = job_field(i, 3);
		if (strcmp(job_field(i, 4), "t") == 0)
			(*records)++;
		else
			tables = lappend(tables, table);
		MemoryContextSwitchTo(old);
	}
	job_access_end(&access);
	settings_unpin(pinned);
	return tables;
}

static void
name_publication(void *arg)
{
	encoding_context("a table of publication \"%s\"", (char *) arg);
}

static void
add_published(List **sources, const PublishedTable *table, bool may_hide)
{
	JobSource *source =
		add_source(sources, table->relid, table->columns, may_hide);
	Relation rel;

	if (table->filter == NULL)
		return;
	rel = relation_open(table->relid, NoLock);
	source->filter = table->filter;
	/* its rights, and whether it is any: it names the server's own only */
	(void) filter_plan(source, rel);
	relation_close(rel, NoLock);
}

List *
sources_of_publication(const char *publication, bool may_hide)
{
	ErrorContextCallback callback = {.callback = name_publication,
									 .arg = unconstify(char *, publication),
									 .previous = error_context_stack};
	int					 records;
	List				*tables = load_publication(publication, &records);
	List				*sources = NIL;
	ListCell			*cell;

	if (tables == NIL &&
		!SearchSysCacheExists1(PUBLICATIONNAME, CStringGetDatum(publication)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("publication \"%s\" does not exist", publication)));
	if (tables == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("publication \"%s\" has no tables", publication)));
	if (records > 0)
		ereport(
			WARNING,
			(errmsg("the export leaves out %d tables of publication \"%s\"",
					records, encoding_shown(publication)),
			 errdetail("They are the records of exports that came to this "
					   "database, and their staging tables.")));
	error_context_stack = &callback;
	foreach (cell, tables)
	{
		CHECK_FOR_INTERRUPTS();
		add_published(&sources, lfirst(cell), may_hide);
	}
	sources_check_apart(sources);
	error_context_stack = callback.previous;
	return sources;
}

/* Errors if the table is a partition of another one of the list. */
static void
check_ancestors(Oid relid, const List *relids)
{
	ListCell *cell;

	if (!get_rel_relispartition(relid))
		return;
	foreach (cell, get_partition_ancestors(relid))
	{
		if (list_member_oid(relids, lfirst_oid(cell)))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the export has table %s twice",
							relation_full_name(relid)),
					 errdetail("It is a partition of %s, which is exported "
							   "too.",
							   relation_full_name(lfirst_oid(cell)))));
	}
}

void
sources_check_apart(const List *sources)
{
	List		   *relids = NIL;
	const ListCell *cell;

	foreach (cell, sources)
	{
		JobSource *source = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (list_member_oid(relids, source->relid))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("the export has table %s twice",
								   relation_full_name(source->relid))));
		relids = lappend_oid(relids, source->relid);
	}
	foreach (cell, relids)
		check_ancestors(lfirst_oid(cell), relids);
	list_free(relids);
}
