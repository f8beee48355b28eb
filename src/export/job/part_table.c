/*
 * part_table.c
 *		Rows of outflow.part: the plan, and the checkpoints.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "export/job/job.h"
#include "export/job/part_table.h"
#include "row/row.h"
#include "export/job/table_row.h"

#define PLANNED	 (FIELD_SELECTED | FIELD_INSERTED)
#define RESULT	 (FIELD_SELECTED | FIELD_RESULT)
#define SELECTED FIELD_SELECTED
#define WRITTEN	 FIELD_RESULT

#define PART_FIELD(kind, member) FIELD_##kind, offsetof(FinishedPart, member)

static const RowField part_fields[] = {
	{"job", PART_FIELD(INT64, job), PLANNED},
	{"part", PART_FIELD(INT32, plan.number), PLANNED},
	{"source", PART_FIELD(INT32, plan.source), PLANNED},
	{"relation", PART_FIELD(OBJECT, plan.relid), PLANNED},
	{"name", PART_FIELD(TEXT, name), PLANNED},
	{"first_block", PART_FIELD(UINT32, plan.first_block), PLANNED},
	{"end_block", PART_FIELD(UINT32, plan.end_block), PLANNED},
	{"state", PART_FIELD(BOOL, done), SELECTED, .reads = "state = 'done'"},
	{"file", PART_FIELD(TEXT, file), RESULT},
	{"rows", PART_FIELD(INT64, rows), RESULT},
	{"bytes", PART_FIELD(INT64, bytes), RESULT},
	{"bytes_stored", PART_FIELD(INT64, bytes_stored), RESULT},
	{"crc32c", PART_FIELD(INT64, crc32c), RESULT, true, -1},
	{"crc32c_stored", PART_FIELD(INT64, crc32c_stored), RESULT, true, -1},
	{"checksum", PART_FIELD(CHECKSUM, checksum), RESULT},
	{"made_null", PART_FIELD(INT64, made_null), RESULT},
	{"snapshot", PART_FIELD(TEXT, snapshot), WRITTEN},
	{"lsn", PART_FIELD(LSN, lsn), WRITTEN},
	{"stamp", PART_FIELD(TEXT, stamp), RESULT},
	{"reason", PART_FIELD(TEXT, reason), RESULT},
	{"statistics", PART_FIELD(TEXT, statistics), RESULT},
	{"location", PART_FIELD(TEXT, location), SELECTED},
};

static const RowTable part_table = {"outflow.part", sizeof(FinishedPart),
									part_fields, lengthof(part_fields)};

char *
part_file(const Job *job, const PlannedPart *part)
{
	JobSource *source = list_nth(job->sources, part->source);

	/* in a lake table no job's files may have the names of another's */
	return psprintf("%s%spart-%06d%s%s.%s%s%s", source->folder,
					source->folder[0] ? "/" : "", part->number,
					job_makes_tables(job) ? "-" : "",
					job_makes_tables(job) ? job->uuid : "",
					job->row_format->extension, job->compress->extension,
					job->encrypt_to != NIL ? ".age" : "");
}

char *
part_file_path(const FinishedPart *part)
{
	return part->location ? psprintf("%s/%s", part->location, part->file)
						  : part->file;
}

/* A part that is new, and the candidate that it may have in another job. */
static void
insert_arguments(RowArguments *arguments, const Job *job,
				 const PlannedPart *part, char *name)
{
	FinishedPart row = {.job = job->id, .plan = *part, .name = name};

	row_arguments(arguments, &part_table, FIELD_INSERTED, &row);
	row_argument(arguments, INT8OID, Int64GetDatum(job->base));
	row_argument(arguments, INT4OID, Int32GetDatum(part->candidate));
}

/* from_base: with all that is known of the candidate's file. */
static SPIPlanPtr
prepare_insert(bool from_base)
{
	RowArguments   arguments = {0};
	StringInfoData sql;
	SPIPlanPtr	   plan;
	int			   last;

	insert_arguments(&arguments, &(Job){0}, &(PlannedPart){0}, "");
	last = arguments.count;
	initStringInfo(&sql);
	appendStringInfoString(&sql, "INSERT INTO outflow.part (");
	row_columns(&sql, &part_table, FIELD_INSERTED, "");
	if (from_base)
	{
		appendStringInfoString(&sql, ", ");
		row_columns(&sql, &part_table, FIELD_RESULT, "");
		appendStringInfoString(&sql, ", location");
	}
	appendStringInfoString(&sql, ") SELECT ");
	row_parameters(&sql, &part_table, FIELD_INSERTED, 1);
	if (from_base)
	{
		appendStringInfoString(&sql, ", ");
		row_columns(&sql, &part_table, FIELD_RESULT, "b.");
		appendStringInfo(&sql,
						 ", coalesce(b.location, j.location) "
						 "FROM outflow.part AS b "
						 "JOIN outflow.job AS j ON j.job = b.job "
						 "WHERE b.job = $%d AND b.part = $%d",
						 last - 1, last);
	}
	plan = SPI_prepare(sql.data, last, arguments.types);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s",
			 SPI_result_code_string(SPI_result));
	return plan;
}

/* False if the plan has nothing to insert. */
static bool
insert_part(const Job *job, const PlannedPart *part, SPIPlanPtr plan)
{
	RowArguments arguments = {0};

	JobSource *source = list_nth(job->sources, part->source);

	insert_arguments(&arguments, job, part,
					 source->query ? source->name
								   : relation_full_name(part->relid));
	if (SPI_execute_plan(plan, arguments.values, NULL, false, 0) !=
		SPI_OK_INSERT)
		elog(ERROR, "could not insert part %d", part->number);
	return SPI_processed > 0;
}

/*
 * What an earlier run of the job left: parts of the new plan wait for their
 * verdict, with all that is known of their files, the others go.
 */
static void
keep_candidates(const Job *job, const PlannedPart *parts, int count)
{
	Oid	   types[] = {INT8OID, INT4ARRAYOID, INT8ARRAYOID};
	Datum  values[lengthof(types)];
	Datum *numbers = palloc(sizeof(Datum) * Max(count, 1));
	Datum *ends = palloc(sizeof(Datum) * Max(count, 1));
	int	   kept = 0;

	for (int i = 0; i < count; i++)
	{
		if (parts[i].candidate < 0)
			continue;
		numbers[kept] = Int32GetDatum(parts[i].number);
		ends[kept++] = Int64GetDatum((int64) parts[i].end_block);
	}
	values[0] = Int64GetDatum(job->id);
	values[1] = PointerGetDatum(construct_array(
		numbers, kept, INT4OID, sizeof(int32), true, TYPALIGN_INT));
	values[2] = PointerGetDatum(construct_array(
		ends, kept, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	(void) job_query("DELETE FROM outflow.part WHERE job = $1 "
					 "AND part <> ALL ($2)",
					 2, types, values, NULL);
	(void) job_query("UPDATE outflow.part AS p SET state = 'pending', "
					 "carried = false, redone = false, error = NULL, "
					 "end_block = k.end_block "
					 "FROM ROWS FROM (pg_catalog.unnest($2), "
					 "pg_catalog.unnest($3)) AS k (part, end_block) "
					 "WHERE p.job = $1 AND p.part = k.part",
					 lengthof(types), types, values, NULL);
	pfree(numbers);
	pfree(ends);
}

void
parts_record(const Job *job, const PlannedPart *parts, int count)
{
	bool		  own = job->parts_total >= 0;
	SPIPlanPtr	  insert;
	SPIPlanPtr	  insert_from_base;
	MemoryContext row_context;
	MemoryContext old;
	JobAccess	  access;

	job_access_begin(&access);
	if (own)
		keep_candidates(job, parts, count);
	insert = prepare_insert(false);
	insert_from_base = prepare_insert(true);
	row_context = AllocSetContextCreate(
		CurrentMemoryContext, "outflow part row", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(row_context);
	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		/* own ones are there already; the base may be forgotten by now */
		if (parts[i].candidate < 0 ||
			(!own && !insert_part(job, &parts[i], insert_from_base)))
			(void) insert_part(job, &parts[i], insert);
		MemoryContextReset(row_context);
	}
	MemoryContextSwitchTo(old);
	job_access_end(&access);
}

static void
report_missing_part(const Job *job, const PlannedPart *part)
{
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
					errmsg("part %d of export job " INT64_FORMAT
						   " does not exist any more",
						   part->number, job->id)));
}

void
part_checkpoint(const Job *job, const PlannedPart *part,
				const PartResult *result)
{
	FinishedPart row = {
		.file = result->file,
		.rows = result->rows,
		.bytes = (int64) result->plain.bytes,
		.bytes_stored = (int64) result->stored.bytes,
		.crc32c = job->encrypt_to != NIL ? -1 : (int64) result->plain.crc,
		.crc32c_stored = (int64) result->stored.crc,
		.checksum = result->stored.checksum,
		.made_null = result->made_null,
		.snapshot = unconstify(char *, result->snapshot),
		.lsn = result->lsn,
		.stamp = result->stamp,
		.reason = unconstify(char *, result->reason),
		.statistics = result->statistics};
	RowArguments   arguments = {0};
	StringInfoData sql;
	JobAccess	   access;

	job_access_begin(&access);
	row_argument(&arguments, INT8OID, Int64GetDatum(job->id));
	row_argument(&arguments, INT4OID, Int32GetDatum(part->number));
	row_arguments(&arguments, &part_table, FIELD_RESULT, &row);
	initStringInfo(&sql);
	appendStringInfoString(&sql, "UPDATE outflow.part SET state = 'done', "
								 "redone = file IS NOT NULL, "
								 "location = NULL, attempts = attempts + 1, "
								 "error = NULL, ");
	row_assignments(&sql, &part_table, FIELD_RESULT, 3);
	appendStringInfoString(&sql, " WHERE job = $1 AND part = $2");
	if (row_query(sql.data, &arguments) != 1)
		report_missing_part(job, part);
	job_access_end(&access);
	ForceSyncCommit();
}

void
part_carried(const Job *job, const PlannedPart *part, bool referenced)
{
	const Oid	types[] = {INT8OID, INT4OID, TEXTOID, BOOLOID};
	const Datum values[] = {
		Int64GetDatum(job->id), Int32GetDatum(part->number),
		CStringGetTextDatum(part_file(job, part)), BoolGetDatum(referenced)};
	JobAccess access;

	job_access_begin(&access);
	if (job_query("UPDATE outflow.part SET state = 'done', "
				  "file = CASE WHEN $4 THEN file ELSE $3 END, "
				  "location = CASE WHEN $4 THEN location END, "
				  "carried = true, reason = NULL, "
				  "error = NULL "
				  "WHERE job = $1 AND part = $2",
				  lengthof(types), types, values, NULL) != 1)
		report_missing_part(job, part);
	job_access_end(&access);
	ForceSyncCommit();
}

void
part_failed(int64 job, int part, const char *error)
{
	const Oid	types[] = {INT8OID, INT4OID, TEXTOID};
	const Datum values[] = {Int64GetDatum(job), Int32GetDatum(part),
							CStringGetTextDatum(error)};
	JobAccess	access;

	job_access_begin(&access);
	/* unless somebody has locked the row: the job's has the error, too */
	(void) job_query("UPDATE outflow.part SET state = 'failed', error = $3, "
					 "attempts = attempts + 1 WHERE job = $1 AND part = "
					 "(SELECT part FROM outflow.part WHERE job = $1 "
					 "AND part = $2 FOR UPDATE SKIP LOCKED)",
					 lengthof(types), types, values, NULL);
	job_access_end(&access);
}

static List *
load_parts(int64 job, int part)
{
	MemoryContext context = CurrentMemoryContext;
	RowArguments  arguments = {0};
	List		 *parts;
	JobAccess	  access;

	row_argument(&arguments, INT8OID, Int64GetDatum(job));
	row_argument(&arguments, INT4OID, Int32GetDatum(part));
	job_access_begin(&access);
	parts = row_select(&part_table,
					   "job = $1 AND ($2 < 0 OR part = $2) ORDER BY part",
					   &arguments, context);
	job_access_end(&access);
	return parts;
}

List *
parts_load(int64 job)
{
	return load_parts(job, -1);
}

List *
parts_of_source(const List *parts, int source)
{
	List		   *found = NIL;
	const ListCell *cell;

	foreach (cell, parts)
	{
		FinishedPart *part = lfirst(cell);

		if (part->plan.source == source)
			found = lappend(found, part);
	}
	return found;
}

FinishedPart *
part_load(int64 job, int part)
{
	List *parts = load_parts(job, part);

	return parts == NIL ? NULL : linitial(parts);
}
