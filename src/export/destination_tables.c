/*
 * destination_tables.c
 *		Exports to destinations that keep rows in tables, and no files.
 *
 * Rows go there in COPY's text or binary format, whichever the targets take,
 * under settings in which text loses nothing.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "export/export_destination.h"
#include "export/plan/source.h"
#include "row/mask.h"

/* By name, as they are captured; see export_settings.c. */
static const char *const lossless[] = {
	"DateStyle",		  "ISO, MDY", "IntervalStyle", "postgres",
	"TimeZone",			  "UTC",	  "bytea_output",  "hex",
	"extra_float_digits", "1",		  "lc_monetary",   "C"};

static bool
has_binary_form(const TypeShape *type)
{
	if (kind_form(type->kind).binary == BINARY_SEND && !OidIsValid(type->send))
		return false;
	return type->element == NULL || OidIsValid(type->element->send);
}

/* A pg_catalog of another server has no objects of our own, nor our tables. */
static bool
is_own_function(Oid function, void *context)
{
	return function >= FirstUnpinnedObjectId;
}

static bool
has_own_objects(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, NextValueExpr) || IsA(node, CoerceToDomain) ||
		check_functions_in_node(node, is_own_function, context))
		return true;
	if (IsA(node, Const) || IsA(node, RelabelType) || IsA(node, CoerceViaIO))
	{
		Oid type = exprType(node);

		/* the name of an object, as nextval has */
		if (type >= FirstUnpinnedObjectId || type == REGCLASSOID ||
			get_element_type(type) == REGCLASSOID)
			return true;
	}
	return expression_tree_walker(node, has_own_objects, context);
}

static char *
portable_default(Relation rel, AttrNumber attnum)
{
	Form_pg_attribute attribute =
		TupleDescAttr(RelationGetDescr(rel), attnum - 1);
	PinnedSettings *pinned;
	Node		   *value;
	char		   *text;

	if (!attribute->atthasdef || attribute->attgenerated)
		return NULL;
	value = build_column_default(rel, attnum);
	if (value == NULL || has_own_objects(value, NULL))
		return NULL;
	pinned = filter_pin_settings();
	text = deparse_expression(value, NIL, false, false);
	settings_unpin(pinned);
	return text;
}

/* Whether its next number is that of a sequence of its own. */
static bool
is_serial(Relation rel, const FormData_pg_attribute *attribute)
{
	Node		*value = attribute->atthasdef && !attribute->attgenerated
							 ? build_column_default(rel, attribute->attnum)
							 : NULL;
	const Const *sequence;
	Oid			 owner;
	int32		 column;

	value = value ? strip_implicit_coercions(value) : NULL;
	if (value == NULL || !IsA(value, FuncExpr) ||
		castNode(FuncExpr, value)->funcid != F_NEXTVAL)
		return false;
	sequence = linitial(castNode(FuncExpr, value)->args);
	return IsA(sequence, Const) && !sequence->constisnull &&
		   sequenceIsOwned(DatumGetObjectId(sequence->constvalue),
						   DEPENDENCY_AUTO, &owner, &column) &&
		   owner == RelationGetRelid(rel) && column == attribute->attnum;
}

/* What a serial becomes where its sequence is not: as in restore_script(). */
static char
identity_of(Relation rel, const FormData_pg_attribute *attribute)
{
	Oid type = attribute->atttypid;

	if (attribute->attidentity == '\0' && attribute->attnotnull &&
		(type == INT2OID || type == INT4OID || type == INT8OID) &&
		is_serial(rel, attribute))
		return ATTRIBUTE_IDENTITY_BY_DEFAULT;
	return attribute->attidentity;
}

static void
table_column(TableColumn *column, const ColumnShape *shape, Relation rel)
{
	Form_pg_attribute attribute =
		TupleDescAttr(RelationGetDescr(rel), shape->attnum - 1);

	column->name = pstrdup(shape->name);
	column->type = format_type_extended(
		attribute->atttypid, attribute->atttypmod,
		FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
	column->type_name = destination_type_name(shape->type.base);
	column->parts = destination_type_parts(shape->type.base);
	column->base = shape->type.base;
	column->is_binary = has_binary_form(&shape->type);
	column->not_null = shape->not_null;
	column->is_primary = shape->is_primary;
	column->identity = identity_of(rel, attribute);
	column->default_value = portable_default(rel, shape->attnum);
	column->typmod = attribute->atttypmod;
	(void) getBaseTypeAndTypmod(attribute->atttypid, &column->typmod);
	if (shape->mask == NULL)
		return;
	column->identity = '\0';
	column->default_value = NULL;
	/* another mask's value is text */
	if (shape->mask->method == MASK_NULL)
		return;
	column->typmod = -1;
	column->type = pstrdup("pg_catalog.text");
}

/* A key that is not exported as a whole is none. */
static void
forget_partial_key(TableSource *table, Relation rel)
{
	int count = 0;

	for (int i = 0; i < table->ncolumns; i++)
		count += table->columns[i].is_primary;
	if (count == bms_num_members(relation_primary_key(rel)))
		return;
	for (int i = 0; i < table->ncolumns; i++)
		table->columns[i].is_primary = false;
}

static TableSource *
table_source(const Job *job, const JobSource *source)
{
	TableSource *table = palloc0_object(TableSource);
	Relation  rel = source_open(source->relid, source->name, source->columns,
								job->options.row_security);
	RowShape *shape = source_shape(rel, source, job, CurrentMemoryContext);

	table->schema = get_namespace_name(RelationGetNamespace(rel));
	table->name = pstrdup(RelationGetRelationName(rel));
	table->ncolumns = shape->ncolumns;
	table->columns = palloc0_array(TableColumn, shape->ncolumns + 1);
	for (int i = 0; i < shape->ncolumns; i++)
		table_column(&table->columns[i], &shape->columns[i], rel);
	forget_partial_key(table, rel);
	row_shape_free(shape);
	relation_close(rel, NoLock);
	return table;
}

/* format: NULL for whichever fits */
static void
set_tables(const Job *job, Destination *root, const char *format)
{
	TableOptions options = {
		.format = format,
		.encoding = job->options.row.encoding == PG_SQL_ASCII
						? NULL
						: pg_encoding_to_char(job->options.row.encoding),
		.checksum = job->options.checksum,
		.replace = job->options.publish == PUBLISH_REPLACE,
		.create = job->options.create,
		.sequences = job->options.sequences,
		.direct = job->options.load == LOAD_DIRECT,
		.keep = job->options.load == LOAD_KEPT};
	List	 *tables = NIL;
	ListCell *cell;

	foreach (cell, job->sources)
	{
		CHECK_FOR_INTERRUPTS();
		tables = lappend(tables, table_source(job, lfirst(cell)));
	}
	root->driver->tables->set(root, tables, &options);
}

void
destination_set_tables(const Job *job, Destination *root)
{
	if (root->driver->tables)
		set_tables(job, root, job->format);
}

static void
refuse_argument(const char *name, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("argument \"%s\" is not for exports to tables", name),
			 errhint("%s", hint)));
}

static void
refuse_option(const char *name, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("export option \"%s\" is not for exports to tables", name),
			 errhint("%s", hint)));
}

/* What makes sense for files only. */
static void
check_arguments(const Job *job)
{
	const RowFormatOptions *row = &job->options.row;

	if (strcmp(job->format, "csv") != 0 && strcmp(job->format, "text") != 0 &&
		strcmp(job->format, "binary") != 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("format \"%s\" is not for exports to tables", job->format),
			 errhint("Leave it out, and the rows go in binary form where "
					 "both sides have the same; \"text\" and \"binary\" "
					 "force one.")));
	if (job->workers == 0)
		refuse_argument("workers", "Set it to at least 1.");
	if (job->encrypt_to != NIL)
		refuse_argument("encrypt_to", "The connection is encrypted.");
	if (strcmp(job->compression, "none") != 0)
		refuse_argument("compression", "Leave it out.");
	if (job->options.overwrite)
		refuse_option("overwrite",
					  "To replace the rows that are there, use options => "
					  "'{\"publish\": \"replace\"}'.");
	if (job->options.load == LOAD_DIRECT &&
		job->options.publish == PUBLISH_REPLACE)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("export options \"load\": \"direct\" and \"publish\": "
					"\"replace\" exclude each other"),
			 errdetail("Rows are loaded directly into empty tables only.")));
	if (job->options.mode != 0)
		refuse_option("mode", "No files are made.");
	if (row->header || row->delimiter || row->quote || row->escape ||
		row->null || row->force_quote || row->force_quote_columns)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options of format \"csv\" are not for exports to "
						"tables")));
}

/* An export whose staging tables are there still, for one that replaces rows. */
static void
check_base(Job *job)
{
	char *database = destination_database(job);
	Job	 *base;

	if (job->options.base_is_last)
		job->base = job_find_base(job, database);
	if (job->base == 0)
		return;
	base = job_load(job->base, false);
	if (base == NULL)
		return;
	job_derive(base);
	if (job->options.publish != PUBLISH_REPLACE)
		refuse_argument("base", "It needs options => '{\"publish\": "
								"\"replace\"}'.");
	if (base->options.load == LOAD_KEPT && destination_shares(base, database))
		return;
	if (!job->options.base_is_last)
		refuse_argument("base", "Only an export with options => '{\"load\": "
								"\"kept\"}' to the same database can be "
								"one.");
	job->base = 0;
}

/* What a filter reads besides stays the session's. */
static void
pin_lossless(Job *job)
{
	for (int i = 0; i < list_length(job->settings); i += 2)
	{
		for (int k = 0; k < lengthof(lossless); k += 2)
		{
			if (strcmp(list_nth(job->settings, i), lossless[k]) == 0)
				lfirst(list_nth_cell(job->settings, i + 1)) =
					unconstify(char *, lossless[k + 1]);
		}
	}
}

static void
refuse_table_options(const Job *job)
{
	const char *name = job->options.create					   ? "create"
					   : job->options.sequences				   ? "sequences"
					   : job->options.publish != PUBLISH_UNSET ? "publish"
					   : job->options.load != LOAD_UNSET	   ? "load"
															   : NULL;

	if (name)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("export option \"%s\" is for exports to tables only",
						name)));
}

void
destination_choose_form(Job *job, Destination *root)
{
	const TableDriver *driver = root ? root->driver->tables : NULL;
	bool			   any = strcmp(job->format, "csv") == 0;
	const char		  *fits;

	if (driver == NULL)
	{
		refuse_table_options(job);
		return;
	}
	check_arguments(job);
	set_tables(job, root, any ? NULL : job->format);
	fits = driver->check(root);
	if (strcmp(job->format, "binary") == 0 && strcmp(fits, "binary") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("not all columns can be sent in binary form"),
						errhint("Leave \"format\" out.")));
	if (any)
		job->format = pstrdup(fits);
	check_base(job);
	pin_lossless(job);
	job_derive(job);
}
