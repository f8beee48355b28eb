/*
 * part_table.c
 *		Rows of outflow.part: the plan, and the checkpoints.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"

#include "export/job.h"
#include "export/job_access.h"

void
parts_insert(int64 job, const PlannedPart *parts, int count)
{
	Oid		   types[] = {INT8OID, INT4OID, INT4OID, OIDOID,
						  TEXTOID, INT8OID, INT8OID};
	Datum	   values[lengthof(types)];
	SPIPlanPtr plan;
	JobAccess  access;

	job_access_begin(&access);
	plan = SPI_prepare("INSERT INTO outflow.part (job, part, source, "
					   "relation, name, first_block, end_block) "
					   "VALUES ($1, $2, $3, $4, $5, $6, $7)",
					   lengthof(types), types);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s",
			 SPI_result_code_string(SPI_result));
	for (int i = 0; i < count; i++)
	{
		const PlannedPart *part = &parts[i];
		char			  *name;

		CHECK_FOR_INTERRUPTS();
		name = source_name(part->relid);
		values[0] = Int64GetDatum(job);
		values[1] = Int32GetDatum(part->number);
		values[2] = Int32GetDatum(part->source);
		values[3] = ObjectIdGetDatum(part->relid);
		values[4] = CStringGetTextDatum(name);
		values[5] = Int64GetDatum((int64) part->first_block);
		values[6] = Int64GetDatum((int64) part->end_block);
		if (SPI_execute_plan(plan, values, NULL, false, 0) != SPI_OK_INSERT)
			elog(ERROR, "could not insert part %d", part->number);
		pfree(name);
		pfree(DatumGetPointer(values[4]));
	}
	job_access_end(&access);
}

void
parts_delete(int64 job)
{
	const Oid	type = INT8OID;
	const Datum value = Int64GetDatum(job);
	JobAccess	access;

	job_access_begin(&access);
	(void) job_query("DELETE FROM outflow.part WHERE job = $1", 1, &type,
					 &value, NULL);
	(void) job_query("UPDATE outflow.job SET parts_total = NULL, "
					 "snapshot = NULL, lsn = NULL, publishing = false "
					 "WHERE job = $1",
					 1, &type, &value, NULL);
	job_access_end(&access);
}

void
part_checkpoint(const Job *job, const PlannedPart *part,
				const PartResult *result)
{
	const Oid types[] = {INT8OID, INT4OID, TEXTOID,	 INT8OID, INT8OID,
						 INT8OID, INT8OID, BYTEAOID, TEXTOID, LSNOID};
	Datum	  values[lengthof(types)];
	bytea	 *sha256 = palloc(VARHDRSZ + SHA256_LEN);
	bool	  nulls[lengthof(types)] = {false};
	JobAccess access;

	SET_VARSIZE(sha256, VARHDRSZ + SHA256_LEN);
	memcpy(VARDATA(sha256), result->stored.sha256, SHA256_LEN);
	values[0] = Int64GetDatum(job->id);
	values[1] = Int32GetDatum(part->number);
	values[2] = CStringGetTextDatum(result->file);
	values[3] = Int64GetDatum(result->rows);
	values[4] = Int64GetDatum((int64) result->plain.bytes);
	values[5] = Int64GetDatum((int64) result->stored.bytes);
	values[6] = Int64GetDatum((int64) result->plain.crc);
	nulls[6] = job->encrypt_to != NIL;
	values[7] = PointerGetDatum(sha256);
	values[8] = CStringGetTextDatum(result->snapshot);
	values[9] = LSNGetDatum(result->lsn);

	job_access_begin(&access);
	if (job_query("UPDATE outflow.part SET state = 'done', file = $3, "
				  "rows = $4, bytes = $5, bytes_stored = $6, crc32c = $7, "
				  "sha256 = $8, snapshot = $9, lsn = $10, "
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
part_failed(int64 job, int part, const char *error)
{
	const Oid	types[] = {INT8OID, INT4OID, TEXTOID};
	const Datum values[] = {Int64GetDatum(job), Int32GetDatum(part),
							CStringGetTextDatum(error)};
	JobAccess	access;

	job_access_begin(&access);
	(void) job_query("UPDATE outflow.part SET state = 'failed', error = $3, "
					 "attempts = attempts + 1 WHERE job = $1 AND part = $2",
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
	part->sha256 = text ? pstrdup(text) : NULL;
	MemoryContextSwitchTo(old);
	return part;
}

List *
parts_load(int64 job)
{
	MemoryContext context = CurrentMemoryContext;
	const Oid	  type = INT8OID;
	const Datum	  value = Int64GetDatum(job);
	List		 *parts = NIL;
	uint64		  count;
	JobAccess	  access;

	job_access_begin(&access);
	count = job_query("SELECT part, source, relation, name, first_block, "
					  "end_block, state, file, rows, bytes, bytes_stored, "
					  "crc32c, encode(sha256, 'hex') FROM outflow.part "
					  "WHERE job = $1 ORDER BY part",
					  1, &type, &value, NULL);
	for (uint64 i = 0; i < count; i++)
	{
		FinishedPart *part = part_from_row(i, context);
		MemoryContext old = MemoryContextSwitchTo(context);

		parts = lappend(parts, part);
		MemoryContextSwitchTo(old);
	}
	job_access_end(&access);
	return parts;
}
