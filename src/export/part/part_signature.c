/*
 * part_signature.c
 *		What a part's output depends on besides its rows: the definitions that
 *		proof/signature.c digests, and the job's choices.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "export/part/part.h"
#include "export/plan/plan.h"

/* Options that decide where files go, not what is in them. */
static const char *const options_without_effect[] = {
	"base", "carry", "catalog", "checksum", "create", "load", "mode",
	"overwrite", "publish", "sequences",
	/* what they make of a table is told with its columns */
	"mask_columns"};

static void
signature_append_item(StringInfo text, const char *item)
{
	appendStringInfo(text, " %zu:%s", strlen(item), item);
}

static void
signature_append_items(StringInfo text, const List *items)
{
	ListCell *cell;

	appendStringInfo(text, " %d", list_length(items));
	foreach (cell, items)
		signature_append_item(text, lfirst(cell));
}

/*
 * As the shape has them, which is what is written: a field can be renamed while
 * nobody can lock its type.
 */
static void
append_field_names(StringInfo text, const TypeShape *type)
{
	check_stack_depth();
	for (; type->element; type = type->element)
		;
	if (type->fields == NULL)
		return;
	for (int i = 0; i < type->fields->ncolumns; i++)
	{
		signature_append_item(text, type->fields->columns[i].name);
		append_field_names(text, &type->fields->columns[i].type);
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
	StringInfoData text;

	initStringInfo(&text);
	signature_append_item(&text, job->format);
	signature_append_item(&text, job->compression);
	signature_append_items(&text, job->encrypt_to);
	signature_append_item(&text, effective_options(job));
	/* other formats are the same under all settings */
	if (!job->row_format->canonical_settings)
		signature_append_items(&text, job->settings);
	signature_append_item(&text, plan_describe(shape));
	for (int i = 0; i < shape->ncolumns; i++)
		append_field_names(&text, &shape->columns[i].type);
	signature_append_item(&text, source->filter ? source->filter : "");
	return text.data;
}

/* The exported columns as the leaf numbers them. */
static Bitmapset *
columns_of_leaf(const RowShape *shape, Relation leaf)
{
	Bitmapset *columns = NULL;

	for (int i = 0; i < shape->ncolumns; i++)
		columns = bms_add_member(columns, get_attnum(RelationGetRelid(leaf),
													 shape->columns[i].name));
	/* none is not the same as all */
	return columns ? columns : bms_make_singleton(0);
}

const char *
part_signature(const Job *job, const JobSource *source, RowShape *shape,
			   Relation leaf, Node *filter, Signature *signature)
{
	if (job->options.row_security)
		return "row security may hide rows";
	return signature_of(signature, leaf, columns_of_leaf(shape, leaf), filter,
						describe_output(job, source, shape));
}
