/*
 * source.c
 *		What may be exported, by whom, and in which shape.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/catalog.h"
#include "catalog/pg_am.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "commands/comment.h"
#include "commands/defrem.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/syscache.h"

#include "export/export_settings.h"
#include "export/job/job.h"
#include "export/plan/masks.h"
#include "export/plan/source.h"
#include "compat.h"
#include "option.h"

/* What has no rows. */
static void
source_refuse(Relation rel, const char *reason)
{
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("cannot export \"%s\"", RelationGetRelationName(rel)),
			 errdetail_internal("%s", reason),
			 errhint("Tables, partitioned tables and materialized "
					 "views can be exported.")));
}

/* What a query can read, but no scan of blocks. */
static void
source_refuse_scan(Relation rel, int code, const char *reason)
{
	char *name = DatumGetCString(DirectFunctionCall1(
		regclassout, ObjectIdGetDatum(RelationGetRelid(rel))));

	ereport(ERROR,
			(errcode(code),
			 errmsg("cannot export \"%s\"", RelationGetRelationName(rel)),
			 errdetail_internal("%s", reason),
			 errhint("CALL outflow.export_query(%s, ...) exports its rows.",
					 quote_literal_cstr(psprintf("TABLE %s", name)))));
}

/* Refuses kinds of relations that no heap scan can read. */
static void
check_kind(Relation rel)
{
	switch (rel->rd_rel->relkind)
	{
		case RELKIND_RELATION:
		case RELKIND_MATVIEW:
		case RELKIND_PARTITIONED_TABLE:
			break;
		case RELKIND_VIEW:
			source_refuse_scan(rel, ERRCODE_WRONG_OBJECT_TYPE,
							   "It is a view.");
			break;
		case RELKIND_SEQUENCE:
			source_refuse_scan(rel, ERRCODE_WRONG_OBJECT_TYPE,
							   "It is a sequence.");
			break;
		case RELKIND_INDEX:
		case RELKIND_PARTITIONED_INDEX:
			source_refuse(rel, "It is an index.");
			break;
		case RELKIND_COMPOSITE_TYPE:
			source_refuse(rel, "It is a composite type.");
			break;
		default:
			source_refuse(rel, "It is not a table.");
			break;
	}
	if (IsSystemRelation(rel) || IsCatalogNamespace(RelationGetNamespace(rel)))
		source_refuse_scan(rel, ERRCODE_WRONG_OBJECT_TYPE,
						   "It is a system catalog.");
	if (rel->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
		source_refuse_scan(rel, ERRCODE_WRONG_OBJECT_TYPE,
						   "It is a temporary table, which only its session "
						   "can read.");
	if (rel->rd_rel->relkind == RELKIND_MATVIEW && !RelationIsPopulated(rel))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("materialized view \"%s\" has not been populated",
						RelationGetRelationName(rel)),
				 errhint("Use the REFRESH MATERIALIZED VIEW command.")));
}

/* A table is refused for its partition: only a query of all of it has all rows. */
static void
source_refuse_leaf(Relation leaf, Relation root, int code, const char *reason)
{
	const char *name = leaf == root ? "It"
									: psprintf("Its partition \"%s\"",
											   RelationGetRelationName(leaf));

	source_refuse_scan(root, code, psprintf("%s %s", name, reason));
}

void
source_check_leaf(Relation leaf, Relation root)
{
	if (leaf->rd_rel->relkind == RELKIND_FOREIGN_TABLE)
		source_refuse_leaf(leaf, root, ERRCODE_WRONG_OBJECT_TYPE,
						   "is a foreign table.");
	check_kind(leaf);
	if (leaf->rd_rel->relkind != RELKIND_PARTITIONED_TABLE &&
		leaf->rd_rel->relam != HEAP_TABLE_AM_OID)
		source_refuse_leaf(leaf, root, ERRCODE_FEATURE_NOT_SUPPORTED,
						   psprintf("has table access method \"%s\"; only "
									"\"heap\" can be read block by block.",
									get_am_name(leaf->rd_rel->relam)));
}

/* The attribute that a name of the columns argument means. */
static AttrNumber
source_find_column(Relation rel, const char *name)
{
	AttrNumber attnum = get_attnum(RelationGetRelid(rel), name);

	if (attnum == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" does not exist",
						option_shown(name), RelationGetRelationName(rel))));
	if (attnum < 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("system column \"%s\" cannot be exported", name)));
	if (TupleDescAttr(RelationGetDescr(rel), attnum - 1)->attgenerated ==
		ATTRIBUTE_GENERATED_VIRTUAL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("virtual generated column \"%s\" cannot be exported",
						name),
				 errdetail("No row stores it.")));
	return attnum;
}

static void
check_columns(Relation rel, const List *columns)
{
	Bitmapset *seen = NULL;
	ListCell  *cell;

	foreach (cell, columns)
	{
		const char *name = lfirst(cell);
		AttrNumber	attnum = source_find_column(rel, name);

		if (bms_is_member(attnum, seen))
			ereport(ERROR, (errcode(ERRCODE_DUPLICATE_COLUMN),
							errmsg("column \"%s\" specified more than once",
								   option_shown(name))));
		seen = bms_add_member(seen, attnum);
	}
}

/*
 * SELECT on the relation, or on each column that is exported.  On all of them
 * where one has another name by now.
 */
static void
check_select(Oid relid, const List *columns)
{
	Oid		  user = GetUserId();
	bool	  denied = false;
	bool	  all = columns == NIL;
	ListCell *cell;

	if (pg_class_aclcheck(relid, user, ACL_SELECT) == ACLCHECK_OK)
		return;
	foreach (cell, columns)
	{
		AttrNumber attnum = get_attnum(relid, lfirst(cell));

		if (attnum == InvalidAttrNumber)
			all = true;
		else
			denied |= pg_attribute_aclcheck(relid, attnum, user, ACL_SELECT) !=
					  ACLCHECK_OK;
	}
	if (all)
		denied |= pg_attribute_aclcheck_all(relid, user, ACL_SELECT,
											ACLMASK_ALL) != ACLCHECK_OK;
	if (denied)
		aclcheck_error(ACLCHECK_NO_PRIV,
					   get_relkind_objtype(get_rel_relkind(relid)),
					   get_rel_name(relid));
}

static bool
hides_rows(Oid relid)
{
	return check_enable_rls(relid, InvalidOid, true) == RLS_ENABLED;
}

bool
source_hides_rows(Relation rel)
{
	return hides_rows(RelationGetRelid(rel));
}

static void
check_row_security(Oid relid)
{
	if (hides_rows(relid))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("row-level security hides rows of \"%s\" from role "
						"\"%s\"",
						get_rel_name(relid),
						GetUserNameFromId(GetUserId(), false)),
				 errdetail("An export without them would look complete."),
				 errhint("To export the rows that are left, use options => "
						 "'{\"row_security\": true}'.")));
}

static void
check_rights(Oid relid, const List *columns, bool may_hide)
{
	check_select(relid, columns);
	if (!may_hide)
		check_row_security(relid);
}

void
sources_check_rights(const Job *job)
{
	ListCell *cell;

	foreach (cell, job->sources)
	{
		JobSource *source = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(source->relid)))
			check_rights(source->relid, source->columns,
						 job->options.row_security);
	}
}

Relation
source_open(Oid relid, const char *name, const List *columns, bool may_hide)
{
	Relation rel = try_relation_open(relid, AccessShareLock);

	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 name ? errmsg("table %s no longer exists", name)
					  : errmsg("relation with OID %u does not exist", relid)));
	source_check_leaf(rel, rel);
	check_columns(rel, columns);
	check_rights(relid, columns, may_hide);
	return rel;
}

JobSource *
source_new(Oid relid, List *columns, bool may_hide)
{
	JobSource *source = palloc0_object(JobSource);
	Relation   rel = source_open(relid, NULL, columns, may_hide);

	(void) source_leaves(rel);
	source->relid = relid;
	source->name = relation_full_name(relid);
	source->folder = "";
	source->columns = columns;
	relation_close(rel, NoLock);
	return source;
}

List *
source_leaves(Relation rel)
{
	List	 *leaves = NIL;
	List	 *all;
	ListCell *cell;

	if (rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		return list_make1_oid(RelationGetRelid(rel));

	all = find_all_inheritors(RelationGetRelid(rel), AccessShareLock, NULL);
	foreach (cell, all)
	{
		Relation leaf = relation_open(lfirst_oid(cell), NoLock);

		source_check_leaf(leaf, rel);
		if (leaf->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
			leaves = lappend_oid(leaves, lfirst_oid(cell));
		relation_close(leaf, NoLock);
	}
	return leaves;
}

typedef struct ColumnChoice
{
	const List *columns; /* of char *; NIL for all */
	bool		as_copy;
} ColumnChoice;

/* Without a list, formats that mirror COPY leave out what COPY does. */
static bool
choose_column(Form_pg_attribute attribute, void *arg)
{
	const ColumnChoice *choice = arg;
	ListCell		   *cell;

	if (!attribute_is_stored(attribute))
		return false;
	if (choice->columns == NIL)
		return !choice->as_copy || attribute->attgenerated == '\0';
	foreach (cell, choice->columns)
	{
		if (strcmp(lfirst(cell), NameStr(attribute->attname)) == 0)
			return true;
	}
	return false;
}

/* Puts the shape's columns into the order of the list. */
static void
order_columns(RowShape *shape, const List *columns)
{
	ListCell *cell;

	foreach (cell, columns)
	{
		int target = foreach_current_index(cell);

		for (int i = target + 1; i < shape->ncolumns; i++)
		{
			if (strcmp(shape->columns[i].name, lfirst(cell)) == 0)
			{
				ColumnShape column = shape->columns[i];

				shape->columns[i] = shape->columns[target];
				shape->columns[target] = column;
				break;
			}
		}
	}
}

RowShape *
source_shape(Relation rel, const JobSource *source, const Job *job,
			 MemoryContext parent)
{
	ColumnChoice choice = {source->columns,
						   !job->row_format->canonical_settings};
	RowShape	*shape = row_shape_build(rel, choose_column, &choice, parent);

	order_columns(shape, source->columns);
	masks_set(shape, rel, source, job);
	return shape;
}

char *
source_table_schema(const Job *job, RowShape *shape)
{
	const char **comments;

	if (!job_makes_tables(job))
		return NULL;
	comments = palloc0(mul_size(sizeof(char *), shape->ncolumns));
	for (int i = 0; i < shape->ncolumns; i++)
	{
		const char *comment = GetComment(shape->relid, RelationRelationId,
										 shape->columns[i].attnum);

		if (comment == NULL)
			continue;
		comment = text_for_utf8(comment);
		comments[i] = pg_server_to_any(comment, strlen(comment), PG_UTF8);
	}
	return job->row_format->table_schema(shape, &job->options.row, comments);
}

/* An encoder that is opened and thrown away says what a worker's would. */
void
sources_check_format(const Job *job)
{
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "outflow format check", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ListCell	 *cell;

	foreach (cell, job->sources)
	{
		JobSource *source = lfirst(cell);
		Relation   rel = relation_open(source->relid, AccessShareLock);
		RowShape  *shape = source_shape(rel, source, job, context);
		ByteBuffer out;
		char	  *schema;

		CHECK_FOR_INTERRUPTS();
		buffer_init(&out);
		(void) job->row_format->open(shape, &job->options.row, &(RowHost){0},
									 &out);
		schema = source_table_schema(job, shape);
		/* a lake table is asked whether it may have that */
		source->table_schema =
			schema ? MemoryContextStrdup(old, schema) : NULL;
		relation_close(rel, NoLock);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}
