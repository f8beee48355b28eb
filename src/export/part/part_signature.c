/*
 * part_signature.c
 *		What a part's output depends on besides its rows: the definitions that
 *		proof/signature.c digests, and the job's choices.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/sysattr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "export/part/part.h"
#include "export/plan/plan.h"
#include "export/plan/source.h"
#include "export/proof/signature_type.h"

/* Options that decide where files go, not what is in them. */
static const char *const options_without_effect[] = {
	"base", "carry", "catalog", "checksum", "create", "load", "mode",
	"overwrite", "publish", "sequences",
	/* what they make of a table is told with its columns */
	"mask_columns"};

static void
append_items(StringInfo text, const List *items)
{
	ListCell *cell;

	appendStringInfo(text, " %d", list_length(items));
	foreach (cell, items)
		description_append(text, lfirst(cell));
}

/*
 * As the shape has it, which is what is written: a field can be renamed while
 * nobody can lock its type.
 */
static void
describe_shape(Description *description, const TypeShape *type)
{
	check_stack_depth();
	for (; type; type = type->element)
	{
		int nfields = type->fields ? type->fields->ncolumns : 0;

		appendStringInfo(&description->text, " %d %d%s", type->kind, nfields,
						 type->is_whole ? " whole" : "");
		if (type->to_json)
			describe_function(description, type->to_json->fn_oid);
		for (int i = 0; i < nfields; i++)
		{
			description_append(&description->text,
							   type->fields->columns[i].name);
			describe_shape(description, &type->fields->columns[i].type);
		}
	}
}

static char *
effective_options(const Job *job)
{
	Datum options =
		DirectFunctionCall1(jsonb_in, CStringGetDatum(job->options_json));

	for (int i = 0; i < lengthof(options_without_effect); i++)
		options = DirectFunctionCall2(
			jsonb_delete, options,
			CStringGetTextDatum(options_without_effect[i]));
	return JsonbToCString(NULL, &DatumGetJsonbP(options)->root, 0);
}

/* What the output is besides the rows: each job's own choice. */
static char *
describe_output(const Job *job, const JobSource *source, RowShape *shape)
{
	Description description = {0};
	StringInfo	text = &description.text;

	initStringInfo(text);
	description_append(text, job->format);
	description_append(text, job->compression);
	append_items(text, job->encrypt_to);
	description_append(text, effective_options(job));
	/* other formats are the same under all settings, filters are not */
	if (!job->row_format->canonical_settings || source->filter)
		append_items(text, settings_in_force(job));
	description_append(text, plan_describe(shape));
	for (int i = 0; i < shape->ncolumns; i++)
		describe_shape(&description, &shape->columns[i].type);
	if (job->row_format->layout)
		description_append(text,
						   job->row_format->layout(shape, &job->options.row));
	description_append(text, source->filter ? source->filter : "");
	return text->data;
}

/* The columns that are exported or decide, as the leaf numbers them. */
static Bitmapset *
columns_of_leaf(const JobSource *source, const RowShape *shape, Relation leaf,
				Node *filter)
{
	Oid		   relid = RelationGetRelid(leaf);
	Bitmapset *columns = NULL;
	Bitmapset *used = NULL;
	int		   member = -1;

	for (int i = 0; i < shape->ncolumns; i++)
		columns =
			bms_add_member(columns, get_attnum(relid, shape->columns[i].name));
	pull_varattnos(filter, 1, &used);
	while ((member = bms_next_member(used, member)) >= 0)
	{
		char *name = get_attname(
			source->relid, member + FirstLowInvalidHeapAttributeNumber, false);

		columns = bms_add_member(columns, get_attnum(relid, name));
	}
	/* none is not the same as all */
	return columns ? columns : bms_make_singleton(0);
}

const char *
part_signature(const Job *job, const JobSource *source, RowShape *shape,
			   Relation leaf, Node *filter, Signature *signature)
{
	const char *trouble = signature_of(
		signature, leaf, columns_of_leaf(source, shape, leaf, filter), filter,
		describe_output(job, source, shape));

	return job->options.row_security ? "row security may hide rows" : trouble;
}

/*
 * What all leaves have in common, and what may change under the locks of an
 * export: enum labels, fields, functions.  Whether a part with it may ever be
 * carried is another question.
 */
static void
source_signature(const Job *job, const JobSource *source, RowShape *shape,
				 Relation root, Node *filter, Signature *signature)
{
	char *output = describe_output(job, source, shape);

	if (source_hides_rows(root))
		output =
			psprintf("%s %s", output,
					 signature_query_text(planned_query(source, root, shape)));
	(void) signature_of(signature, root,
						columns_of_leaf(source, shape, root, filter), filter,
						output);
}

static void
sign_source(const Job *job, const JobSource *source, Signature *signature)
{
	Relation  root = source_open(source->relid, source->name, source->columns,
								 job->options.row_security);
	RowShape *shape = source_shape(root, source, job, CurrentMemoryContext);
	Node	 *filter = source->filter ? filter_plan(source, root) : NULL;

	source_signature(job, source, shape, root, filter, signature);
	row_shape_free(shape);
	relation_close(root, NoLock);
}

void
part_sign_sources(const Job *job, Signature *definitions)
{
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "outflow definitions", ALLOCSET_DEFAULT_SIZES);
	PinnedSettings *pinned = settings_pin_job(job);
	MemoryContext	old = MemoryContextSwitchTo(context);
	ListCell	   *cell;

	foreach (cell, job->sources)
	{
		CHECK_FOR_INTERRUPTS();
		sign_source(job, lfirst(cell),
					&definitions[foreach_current_index(cell)]);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	settings_unpin(pinned);
}

void
part_check_definitions(const PartContext *context, const JobSource *source,
					   RowShape *shape, Relation root, Relation leaf,
					   Node *filter, const Signature *signature)
{
	const Signature *expected = &context->definitions[source->number];
	Signature		 own;

	/* where both are the same it need not be made twice */
	if (RelationGetRelid(leaf) != RelationGetRelid(root) ||
		source_hides_rows(root))
	{
		source_signature(context->job, source, shape, root, filter, &own);
		signature = &own;
	}
	if (memcmp(signature, expected, sizeof(Signature)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("definitions of table %s were changed while it is "
						"exported",
						source->name),
				 errdetail("A type, or a function that decides which rows are "
						   "exported, is not what it was."),
				 context->job->workers > 0
					 ? errhint("Resume the job: what was written before is "
							   "exported again.")
					 : errhint("Export it again.")));
}
