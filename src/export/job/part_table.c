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
#include "utils/pg_lsn.h"

#include "export/job/job.h"
#include "export/job/job_access.h"

/* What an INSERT of a part needs, and whether it has a candidate elsewhere. */
static SPIPlanPtr
prepare_insert(bool from_base)
{
	Oid			types[] = {INT8OID, INT4OID, INT4OID, OIDOID, TEXTOID,
						   INT8OID, INT8OID, INT8OID, INT4OID};
	const char *sql =
		from_base
			? "INSERT INTO outflow.part (job, part, source, relation, name, "
			  "first_block, end_block, file, rows, bytes, bytes_stored, "
			  "crc32c, checksum, snapshot, lsn, stamp, reason, location, "
			  "made_null) "
			  "SELECT $1, $2, $3, $4, $5, $6, $7, b.file, b.rows, b.bytes, "
			  "b.bytes_stored, b.crc32c, b.checksum, b.snapshot, b.lsn, "
			  "b.stamp, b.reason, coalesce(b.location, j.location), "
			  "b.made_null "
			  "FROM outflow.part AS b JOIN outflow.job AS j ON j.job = b.job "
			  "WHERE b.job = $8 AND b.part = $9"
			: "INSERT INTO outflow.part (job, part, source, relation, name, "
			  "first_block, end_block) VALUES ($1, $2, $3, $4, $5, $6, $7)";
	SPIPlanPtr plan = SPI_prepare(sql, from_base ? 9 : 7, types);

	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s",
			 SPI_result_code_string(SPI_result));
	return plan;
}

static void
insert_part(const Job *job, const PlannedPart *part, SPIPlanPtr plan)
{
	char *name = source_name(part->relid);
	Datum values[9];

	values[0] = Int64GetDatum(job->id);
	values[1] = Int32GetDatum(part->number);
	values[2] = Int32GetDatum(part->source);
	values[3] = ObjectIdGetDatum(part->relid);
	values[4] = CStringGetTextDatum(name);
	values[5] = Int64GetDatum((int64) part->first_block);
	values[6] = Int64GetDatum((int64) part->end_block);
	values[7] = Int64GetDatum(job->base);
	values[8] = Int32GetDatum(part->candidate);
	if (SPI_execute_plan(plan, values, NULL, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not insert part %d", part->number);
	pfree(name);
	pfree(DatumGetPointer(values[4]));
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
	bool	   own = job->parts_total >= 0;
	SPIPlanPtr insert;
	SPIPlanPtr insert_from_base;
	JobAccess  access;

	job_access_begin(&access);
	if (own)
		keep_candidates(job, parts, count);
	insert = prepare_insert(false);
	insert_from_base = prepare_insert(true);
	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (parts[i].candidate < 0)
			insert_part(job, &parts[i], insert);
		else if (!own)
			insert_part(job, &parts[i], insert_from_base);
	}
	job_access_end(&access);
}

void
part_checkpoint(const Job *job, const PlannedPart *part,
				const PartResult *result)
{
	const Oid types[] = {INT8OID, INT4OID, TEXTOID, INT8OID, INT8OID,
						 INT8OID, INT8OID, TEXTOID, TEXTOID, LSNOID,
						 TEXTOID, TEXTOID, INT8OID};
	Datum	  values[lengthof(types)];
	bool	  nulls[lengthof(types)] = {false};
	JobAccess access;

	values[0] = Int64GetDatum(job->id);
	values[1] = Int32GetDatum(part->number);
	values[2] = CStringGetTextDatum(result->file);
	values[3] = Int64GetDatum(result->rows);
	values[4] = Int64GetDatum((int64) result->plain.bytes);
	values[5] = Int64GetDatum((int64) result->stored.bytes);
	values[6] = Int64GetDatum((int64) result->plain.crc);
	nulls[6] = job->encrypt_to != NIL;
	values[7] =
		CStringGetTextDatum(checksum_to_text(&result->stored.checksum));
	values[8] = CStringGetTextDatum(result->snapshot);
	values[9] = LSNGetDatum(result->lsn);
	values[10] = result->stamp ? CStringGetTextDatum(result->stamp) : 0;
	nulls[10] = result->stamp == NULL;
	values[11] = result->reason ? CStringGetTextDatum(result->reason) : 0;
	nulls[11] = result->reason == NULL;
	values[12] = Int64GetDatum(result->made_null);

	job_access_begin(&access);
	if (job_query("UPDATE outflow.part SET state = 'done', file = $3, "
				  "rows = $4, bytes = $5, bytes_stored = $6, crc32c = $7, "
				  "checksum = $8, snapshot = $9, lsn = $10, stamp = $11, "
				  "reason = $12, made_null = $13, redone = file IS NOT NULL, "
				  "location = NULL, "
				  "attempts = attempts + 1, error = NULL "
				  "WHERE job = $1 AND part = $2",
				  lengthof(types), types, values, nulls) != 1)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("part %d of export job " INT64_FORMAT
							   " does not exist any more",
							   part->number, job->id)));
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
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("part %d of export job " INT64_FORMAT
							   " does not exist any more",
							   part->number, job->id)));
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

static FinishedPart *
part_from_row(uint64 row, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	FinishedPart *part = palloc0_object(FinishedPart);
	char		 *text;

	part->plan.number = (int) job_field_int(row, 1, 0);
	part->plan.source = (int) job_field_int(row, 2, 0);
	part->plan.relid = (Oid) job_field_int(row, 3, 0);
	part->name = pstrdup(job_field(row, 4));
	part->plan.first_block = (BlockNumber) job_field_int(row, 5, 0);
	part->plan.end_block = (BlockNumber) job_field_int(row, 6, 0);
	part->done = strcmp(job_field(row, 7), "done") == 0;
	text = job_field(row, 8);
	part->file = text ? pstrdup(text) : NULL;
	part->rows = job_field_int(row, 9, 0);
	part->bytes = job_field_int(row, 10, 0);
	part->bytes_stored = job_field_int(row, 11, 0);
	part->crc32c = job_field_int(row, 12, -1);
	text = job_field(row, 13);
	if (text)
		checksum_from_text(text, &part->checksum);
	text = job_field(row, 14);
	part->stamp = text ? pstrdup(text) : NULL;
	text = job_field(row, 15);
	part->reason = text ? pstrdup(text) : NULL;
	text = job_field(row, 16);
	part->location = text ? pstrdup(text) : NULL;
	part->made_null = job_field_int(row, 17, 0);
	MemoryContextSwitchTo(old);
	return part;
}

static List *
load_parts(int64 job, int part)
{
	MemoryContext context = CurrentMemoryContext;
	const Oid	  types[] = {INT8OID, INT4OID};
	const Datum	  values[] = {Int64GetDatum(job), Int32GetDatum(part)};
	List		 *parts = NIL;
	uint64		  count;
	JobAccess	  access;

	job_access_begin(&access);
	count = job_query("SELECT part, source, relation, name, first_block, "
					  "end_block, state, file, rows, bytes, bytes_stored, "
					  "crc32c, checksum, stamp, reason, location, made_null "
					  "FROM outflow.part "
					  "WHERE job = $1 AND ($2 < 0 OR part = $2) ORDER BY part",
					  lengthof(types), types, values, NULL);
	for (uint64 i = 0; i < count; i++)
	{
		FinishedPart *found = part_from_row(i, context);
		MemoryContext old = MemoryContextSwitchTo(context);

		parts = lappend(parts, found);
		MemoryContextSwitchTo(old);
	}
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
