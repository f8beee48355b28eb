/*
 * plan_record.c
 *		A plan becomes the job's: its parts, its moment, the tables' columns.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/comment.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "encode/mask_value.h"
#include "export/job/job.h"
#include "export/job/job_access.h"
#include "export/job/part_table.h"
#include "export/plan/source.h"
#include "export/plan/plan.h"

static void
describe_text(ByteBuffer *out, const char *text)
{
	JsonStyle style = json_style_default();

	text = text_of_names(text);
	json_string(out, &style, text, strlen(text));
}

/* Of the key as much as tells that it is another one. */
static void
describe_mask(ByteBuffer *out, const ColumnMask *mask)
{
	buffer_printf(out, ", \"mask\": \"%s\"",
				  mask_method_text(mask->method, mask->length));
	if (mask->key)
		buffer_printf(out, ", \"mask_key\": \"%.16s\"",
					  mask_key_fingerprint(mask->key));
}

/* Where the values are compared otherwise than those of their type. */
static void
describe_collation(ByteBuffer *out, const RowShape *shape,
				   const ColumnShape *column)
{
	Oid collation =
		TupleDescAttr(shape->desc, column->attnum - 1)->attcollation;

	if (!OidIsValid(collation) || column->mask ||
		collation == get_typcollation(column->type.oid))
		return;
	buffer_append_string(out, ", \"collation\": ");
	describe_text(out, generate_collation_name(collation));
}

char *
plan_describe(RowShape *shape)
{
	/* the same whatever the job's settings are */
	PinnedSettings *pinned = settings_pin_canonical(CurrentMemoryContext);
	ByteBuffer		out;

	buffer_init(&out);
	buffer_append_char(&out, '[');
	for (int i = 0; i < shape->ncolumns; i++)
	{
		ColumnShape *column = &shape->columns[i];

		buffer_append_string(&out, i > 0 ? ", {\"name\": " : "{\"name\": ");
		describe_text(&out, column->name);
		buffer_append_string(&out, ", \"type\": ");
		describe_text(&out, type_shape_name(&column->type));
		buffer_printf(&out, ", \"nullable\": %s",
					  column->not_null ? "false" : "true");
		describe_collation(&out, shape, column);
		if (column->mask)
			describe_mask(&out, column->mask);
		buffer_append_char(&out, '}');
	}
	buffer_append_char(&out, ']');
	settings_unpin(pinned);
	return buffer_text(&out);
}

/* As a lake table can have it, and is compared with what it has. */
static char *
table_comment(const JobSource *source)
{
	char *comment = GetComment(source->relid, RelationRelationId, 0);

	return comment ? unconstify(char *, text_for_utf8(comment)) : NULL;
}

static void
record_definition(const Job *job, const JobSource *source)
{
	Relation  rel = table_open(source->relid, AccessShareLock);
	RowShape *shape = source_shape(rel, source, job, CurrentMemoryContext);
	JobSource planned = *source;

	planned.job = job->id;
	planned.definition = plan_describe(shape);
	planned.table_schema = source_table_schema(job, shape);
	planned.comment = job_makes_tables(job) ? table_comment(source) : NULL;
	job_record_definition(&planned);
	row_shape_free(shape);
	table_close(rel, NoLock);
}

/*
 * What parts may refer to stays until others can see that they do: whoever
 * replaces an export has its place to themselves.
 */
static void
share_locations(const Job *job)
{
	const Oid	type = INT8OID;
	const Datum value = Int64GetDatum(job->id);
	JobAccess	access;
	int			count;

	job_access_begin(&access);
	count = job_query("SELECT DISTINCT location FROM outflow.part "
					  "WHERE job = $1 AND location <> '' ORDER BY 1",
					  1, &type, &value, NULL);
	for (int i = 0; i < count; i++)
	{
		char *location = job_field(i, 1);

		if (!job_share_location(location))
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("\"%s\" is in use by another call", location),
					 errdetail("Parts of this export refer to files there."),
					 errhint("Try again when it has ended.")));
	}
	job_access_end(&access);
}

void
plan_record(const Job *job, const PlannedPart *parts, int nparts,
			const char *snapshot, XLogRecPtr lsn)
{
	PinnedSettings *pinned;
	ListCell	   *cell;

	parts_record(job, parts, nparts);
	if (job->options.carry == CARRY_REFERENCE)
		share_locations(job);
	job_record_plan(job->id, snapshot, lsn, nparts);
	/* names of types are told as the parts' signatures have them */
	pinned = settings_pin_canonical(CurrentMemoryContext);
	foreach (cell, job->sources)
	{
		CHECK_FOR_INTERRUPTS();
		record_definition(job, lfirst(cell));
	}
	settings_unpin(pinned);
}
