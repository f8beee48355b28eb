/*
 * job_update.c
 *		What happens to a job's row after it was inserted.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"

#include "export/job/job.h"
#include "export/job/table_row.h"

void
job_set_state(int64 id, JobState state, const JobError *error)
{
	Job			   row = {.id = id};
	RowArguments   arguments = {0};
	StringInfoData sql;
	JobAccess	   access;

	if (error)
		row.error = *error;
	job_access_begin(&access);
	row_argument(&arguments, INT8OID, Int64GetDatum(id));
	row_argument(&arguments, TEXTOID,
				 CStringGetTextDatum(job_state_names[state]));
	row_arguments(&arguments, &job_table, FIELD_RESULT, &row);
	initStringInfo(&sql);
	appendStringInfoString(&sql, "UPDATE outflow.job SET state = $2, ");
	row_assignments(&sql, &job_table, FIELD_RESULT, 3);
	appendStringInfoString(
		&sql,
		/* what stood in its way is worth knowing afterwards */
		", waiting_for = CASE $2 WHEN 'interrupted' THEN waiting_for END, "
		"started = CASE $2 WHEN 'running' THEN pg_catalog.clock_timestamp() "
		"ELSE started END, "
		"finished = CASE WHEN $2 = "
		"ANY (ARRAY['queued', 'running']) THEN NULL "
		"ELSE pg_catalog.clock_timestamp() END "
		"WHERE job = $1");
	(void) row_query(sql.data, &arguments);
	job_access_end(&access);

	job_announce(id, state);
	ForceSyncCommit();
}

void
job_set_waiting_for(int64 id, const char *text)
{
	const Oid	types[] = {INT8OID, TEXTOID};
	const Datum values[] = {Int64GetDatum(id), CStringGetTextDatum(text)};
	JobAccess	access;

	job_access_begin(&access);
	(void) job_query("UPDATE outflow.job SET waiting_for = $2, "
					 "tried = pg_catalog.clock_timestamp() "
					 "WHERE job = $1",
					 lengthof(types), types, values, NULL);
	job_access_end(&access);
}

void
job_set_processes(int64 id, int processes)
{
	const Oid	types[] = {INT8OID, INT4OID};
	const Datum values[] = {Int64GetDatum(id), Int32GetDatum(processes)};
	JobAccess	access;

	job_access_begin(&access);
	(void) job_query("UPDATE outflow.job SET processes = $2 WHERE job = $1",
					 lengthof(types), types, values, NULL);
	job_access_end(&access);
}

void
job_end_waiting(int64 id, const char *text)
{
	const Oid	types[] = {INT8OID, TEXTOID};
	const Datum values[] = {Int64GetDatum(id), CStringGetTextDatum(text)};
	JobAccess	access;

	job_access_begin(&access);
	(void) job_query("UPDATE outflow.job SET waiting_for = NULL "
					 "WHERE job = $1 AND waiting_for = $2",
					 lengthof(types), types, values, NULL);
	job_access_end(&access);
}

void
job_set_retry(int64 id, int part, const char *waiting_for, const char *error)
{
	const Oid	types[] = {INT8OID, TEXTOID, INT4OID, TEXTOID};
	const Datum values[] = {Int64GetDatum(id),
							CStringGetTextDatum(waiting_for),
							Int32GetDatum(part), CStringGetTextDatum(error)};
	JobAccess	access;

	job_access_begin(&access);
	(void) job_query("UPDATE outflow.job SET retries = retries + 1, "
					 "waiting_for = $2 WHERE job = $1",
					 2, types, values, NULL);
	(void) job_query("UPDATE outflow.part SET attempts = attempts + 1, "
					 "error = $4 WHERE job = $1 AND part = $3",
					 lengthof(types), types, values, NULL);
	job_access_end(&access);
}

void
job_set_server(int64 id)
{
	const Oid	types[] = {INT8OID, TEXTOID};
	const Datum values[] = {Int64GetDatum(id),
							CStringGetTextDatum(job_database())};
	JobAccess	access;

	job_access_begin(&access);
	(void) job_query("UPDATE outflow.job SET server = $2 WHERE job = $1",
					 lengthof(types), types, values, NULL);
	job_access_end(&access);
}

void
job_set_publishing(int64 id, bool publishing)
{
	const Oid	types[] = {INT8OID, BOOLOID};
	const Datum values[] = {Int64GetDatum(id), BoolGetDatum(publishing)};
	JobAccess	access;

	job_access_begin(&access);
	(void) job_query("UPDATE outflow.job SET publishing = $2 "
					 "WHERE job = $1",
					 lengthof(types), types, values, NULL);
	job_access_end(&access);
	ForceSyncCommit();
}

void
job_renew(int64 id)
{
	const Oid	type = INT8OID;
	const Datum value = Int64GetDatum(id);
	JobAccess	access;

	job_access_begin(&access);
	(void) job_query("UPDATE outflow.job SET snapshot = NULL WHERE job = $1",
					 1, &type, &value, NULL);
	job_access_end(&access);
}

void
job_set_slot(const Job *job, bool ready)
{
	const Oid	types[] = {INT8OID, BOOLOID, LSNOID, LSNOID};
	const Datum values[] = {Int64GetDatum(job->id), BoolGetDatum(ready),
							LSNGetDatum(job->slot_start),
							LSNGetDatum(job->slot_restart)};
	JobAccess	access;

	job_access_begin(&access);
	(void) job_query("UPDATE outflow.job SET slot_ready = $2, "
					 "slot_start = $3, slot_restart = $4 WHERE job = $1",
					 lengthof(types), types, values, NULL);
	job_access_end(&access);
	ForceSyncCommit();
}

void
job_record_plan(int64 id, const char *snapshot, XLogRecPtr lsn, int parts)
{
	const Oid	types[] = {INT8OID, TEXTOID, LSNOID, INT4OID};
	const Datum values[] = {Int64GetDatum(id), CStringGetTextDatum(snapshot),
							LSNGetDatum(lsn), Int32GetDatum(parts)};
	JobAccess	access;

	job_access_begin(&access);
	(void) job_query("UPDATE outflow.job SET snapshot = $2, lsn = $3, "
					 "parts_total = $4 WHERE job = $1",
					 lengthof(types), types, values, NULL);
	job_access_end(&access);
}

void
job_record_definition(const JobSource *source)
{
	RowArguments arguments = {0};
	JobAccess	 access;

	row_argument(&arguments, INT8OID, Int64GetDatum(source->job));
	row_argument(&arguments, INT4OID, Int32GetDatum(source->number));
	row_text_argument(&arguments, source->definition);
	row_text_argument(&arguments, source->table_schema);
	row_text_argument(&arguments, source->comment);
	job_access_begin(&access);
	(void) row_query("UPDATE outflow.source SET definition = $3, "
					 "table_schema = $4, comment = $5, structure = "
					 "outflow_internal.table_structure(relation, "
					 "coalesce(masks, '{}')) "
					 "WHERE job = $1 AND source = $2",
					 &arguments);
	job_access_end(&access);
}

void
job_record_manifest(int64 id, int source, const char *checksum)
{
	const Oid	types[] = {INT8OID, TEXTOID, INT4OID};
	const Datum values[] = {Int64GetDatum(id), CStringGetTextDatum(checksum),
							Int32GetDatum(source)};
	JobAccess	access;

	job_access_begin(&access);
	if (source < 0)
		(void) job_query("UPDATE outflow.job SET manifest = $2 WHERE job = $1",
						 2, types, values, NULL);
	else
		(void) job_query("UPDATE outflow.source SET manifest = $2 "
						 "WHERE job = $1 AND source = $3",
						 lengthof(types), types, values, NULL);
	job_access_end(&access);
}

void
job_delete(int64 id)
{
	const Oid	type = INT8OID;
	const Datum value = Int64GetDatum(id);
	JobAccess	access;

	job_access_begin(&access);
	(void) job_query("DELETE FROM outflow.part "
					 "WHERE job = $1",
					 1, &type, &value, NULL);
	(void) job_query("DELETE FROM outflow.source "
					 "WHERE job = $1",
					 1, &type, &value, NULL);
	(void) job_query("DELETE FROM outflow.job "
					 "WHERE job = $1",
					 1, &type, &value, NULL);
	job_access_end(&access);
}

void
job_carried(int64 id, JobCarried *carried)
{
	const Oid	  type = INT8OID;
	const Datum	  value = Int64GetDatum(id);
	MemoryContext context = CurrentMemoryContext;
	char		 *reasons;
	JobAccess	  access;

	job_access_begin(&access);
	(void) job_query("SELECT sum(carried)::int, sum(redone)::int, "
					 "pg_catalog.string_agg(reason || ' (' || redone || ')', "
					 "', ' ORDER BY reason) FILTER (WHERE redone > 0), "
					 "sum(made_null)::bigint "
					 "FROM (SELECT p.reason, sum(p.made_null) AS made_null, "
					 "count(*) FILTER (WHERE p.carried) AS carried, "
					 "count(*) FILTER (WHERE p.redone) AS redone "
					 "FROM outflow.part AS p WHERE p.job = $1 "
					 "GROUP BY p.reason) AS r",
					 1, &type, &value, NULL);
	carried->carried = (int) job_field_int(0, 1, 0);
	carried->redone = (int) job_field_int(0, 2, 0);
	reasons = job_field(0, 3);
	carried->made_null = job_field_int(0, 4, 0);
	carried->reasons = reasons ? MemoryContextStrdup(context, reasons) : NULL;
	job_access_end(&access);
}

void
job_progress(int64 id, JobProgress *progress)
{
	const Oid	type = INT8OID;
	const Datum value = Int64GetDatum(id);
	JobAccess	access;

	job_access_begin(&access);
	(void) job_query("SELECT count(*), coalesce(sum(rows), 0)::bigint, "
					 "coalesce(sum(bytes), 0)::bigint FROM outflow.part "
					 "WHERE job = $1 AND state = 'done'",
					 1, &type, &value, NULL);
	progress->parts_done = (int) job_field_int(0, 1, 0);
	progress->rows = job_field_int(0, 2, 0);
	progress->bytes = job_field_int(0, 3, 0);
	job_access_end(&access);
}

char *
job_waits(int64 id)
{
	MemoryContext context = CurrentMemoryContext;
	const Oid	  type = INT8OID;
	const Datum	  value = Int64GetDatum(id);
	JobAccess	  access;
	char		 *text;

	job_access_begin(&access);
	(void) job_query("SELECT outflow_internal.job_waiting_for($1)", 1, &type,
					 &value, NULL);
	text = job_field(0, 1);
	if (text)
		text = MemoryContextStrdup(context, text);
	job_access_end(&access);
	return text;
}

void
job_set_location(int64 id, const char *location)
{
	const Oid	types[] = {INT8OID, TEXTOID};
	const Datum values[] = {Int64GetDatum(id), CStringGetTextDatum(location)};
	JobAccess	access;

	job_access_begin(&access);
	(void) job_query("UPDATE outflow.job SET location = $2 WHERE job = $1",
					 lengthof(types), types, values, NULL);
	job_access_end(&access);
}
