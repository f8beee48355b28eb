/*
 * job.c
 *		Rows of outflow.job and outflow.source: inserted and loaded.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"

#include "export/export_options.h"
#include "export/job/job.h"
#include "export/job/table_row.h"

#define SELECTED FIELD_SELECTED
#define INSERTED (FIELD_SELECTED | FIELD_INSERTED)
#define RESULT	 (FIELD_SELECTED | FIELD_RESULT)

#define JOB_FIELD(kind, member)	   FIELD_##kind, offsetof(Job, member)
#define SOURCE_FIELD(kind, member) FIELD_##kind, offsetof(JobSource, member)

/* Names and values in turn, by name. */
#define SETTINGS_AS_TEXTS                                                     \
	"(SELECT pg_catalog.array_agg(t.text ORDER BY s.key COLLATE \"C\", t.n)"  \
	" FROM pg_catalog.jsonb_each_text(settings) AS s,"                        \
	" pg_catalog.unnest(ARRAY[s.key, s.value]) WITH ORDINALITY"               \
	" AS t (text, n))"

static const RowField job_fields[] = {
	{"job", JOB_FIELD(INT64, id), SELECTED},
	{"uuid", JOB_FIELD(TEXT, uuid), SELECTED},
	{"owner", JOB_FIELD(OBJECT, owner), INSERTED},
	{"server", JOB_FIELD(TEXT, server), INSERTED},
	{"state", JOB_FIELD(CHOICE, state), SELECTED, .choices = job_state_names},
	{"destination", JOB_FIELD(TEXT, destination), INSERTED},
	{"location", JOB_FIELD(TEXT, location), INSERTED},
	{"format", JOB_FIELD(TEXT, format), INSERTED},
	{"compression", JOB_FIELD(TEXT, compression), INSERTED},
	{"encrypt_to", JOB_FIELD(TEXTS, encrypt_to), INSERTED},
	{"part_size", JOB_FIELD(INT64, part_size), INSERTED},
	{"workers", JOB_FIELD(INT32, workers), INSERTED},
	{"options", JOB_FIELD(TEXT, options_json), INSERTED,
	 .writes = "$%d::pg_catalog.jsonb"},
	{"settings", JOB_FIELD(TEXTS, settings), INSERTED,
	 .reads = SETTINGS_AS_TEXTS, .writes = "pg_catalog.jsonb_object($%d)"},
	{"base", JOB_FIELD(INT64, base), INSERTED, true, 0},
	{"slot", JOB_FIELD(TEXT, slot), INSERTED},
	{"publication", JOB_FIELD(TEXT, publication), INSERTED},
	{"slot_ready", JOB_FIELD(BOOL, slot_ready), SELECTED},
	{"slot_start", JOB_FIELD(LSN, slot_start), SELECTED},
	{"slot_restart", JOB_FIELD(LSN, slot_restart), SELECTED},
	{"snapshot", JOB_FIELD(TEXT, snapshot), SELECTED},
	{"lsn", JOB_FIELD(LSN_TEXT, lsn), SELECTED},
	{"parts_total", JOB_FIELD(INT32, parts_total), SELECTED, true, -1},
	{"publishing", JOB_FIELD(BOOL, publishing), SELECTED},
	{"manifest", JOB_FIELD(TEXT, manifest), SELECTED},
	{"waiting_for", JOB_FIELD(TEXT, waiting_for), SELECTED},
	{"started", JOB_FIELD(TEXT, started), SELECTED,
	 .reads = "pg_catalog.to_char(pg_catalog.timezone('UTC', started),"
			  " 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"},
	{"error", JOB_FIELD(ERROR_TEXT, error.message), RESULT},
	{"error_code", JOB_FIELD(SQLSTATE, error.code), RESULT},
	{"error_detail", JOB_FIELD(ERROR_TEXT, error.detail), RESULT},
	{"error_hint", JOB_FIELD(ERROR_TEXT, error.hint), RESULT},
	{"error_context", JOB_FIELD(ERROR_TEXT, error.context), RESULT},
};

const RowTable job_table = {"outflow.job", sizeof(Job), job_fields,
							lengthof(job_fields)};

static const RowField source_fields[] = {
	{"job", SOURCE_FIELD(INT64, job), INSERTED},
	{"source", SOURCE_FIELD(INT32, number), INSERTED},
	{"relation", SOURCE_FIELD(OBJECT, relid), INSERTED},
	{"name", SOURCE_FIELD(TEXT, name), INSERTED},
	{"folder", SOURCE_FIELD(TEXT, folder), INSERTED},
	{"columns", SOURCE_FIELD(TEXTS, columns), INSERTED, true},
	{"filter", SOURCE_FIELD(TEXT, filter), INSERTED},
	{"filter_objects", SOURCE_FIELD(TEXT, objects), INSERTED},
	{"masks", SOURCE_FIELD(TEXTS, masks), INSERTED, true},
	{"query", SOURCE_FIELD(TEXT, query), INSERTED},
	{"definition", SOURCE_FIELD(TEXT, definition), SELECTED},
	{"table_schema", SOURCE_FIELD(TEXT, table_schema), SELECTED},
	{"comment", SOURCE_FIELD(TEXT, comment), SELECTED},
	{"structure", SOURCE_FIELD(TEXT, structure), SELECTED},
	{"manifest", SOURCE_FIELD(TEXT, manifest), SELECTED},
};

static const RowTable source_table = {"outflow.source", sizeof(JobSource),
									  source_fields, lengthof(source_fields)};

/* Two calls for one place at the same moment: the other one came first. */
static void
report_other_call(const Job *job)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("destination \"%s\" is in use by another call",
					job->destination),
			 errdetail("An unfinished job has its directory to itself, and a "
					   "transaction at work makes one there."),
			 errhint("Try again when it has ended, or choose another "
					 "directory.")));
}

/*
 * Who may write all tables may set their sequences as well, to one that a job has,
 * or so far that there soon is no next number.
 */
static void
mend_numbers(void)
{
	(void) job_query(
		"SELECT setval('outflow.job_job_seq', greatest(j.last, 1)) "
		"FROM outflow.job_job_seq AS s, (SELECT coalesce(max(job), 0) "
		"AS last FROM outflow.job WHERE job < 1::int8 << 62) AS j "
		"WHERE s.last_value NOT BETWEEN j.last AND j.last + (1::int8 << 32)",
		0, NULL, NULL, NULL);
}

int64
job_insert(Job *job)
{
	MemoryContext context = CurrentMemoryContext;
	ListCell	 *cell;
	JobAccess	  access;

	/* or an INSERT would wait for the end of another transaction */
	if (!job_lock_location(job->location) ||
		job_at_location(job->location, 0, false) != 0)
		report_other_call(job);
	job->server = job_database();
	job_access_begin(&access);
	mend_numbers();
	if (row_insert(&job_table, job,
				   " ON CONFLICT (location) WHERE state <> 'done' DO NOTHING "
				   "RETURNING job, uuid") == 0)
		report_other_call(job);
	job->id = job_field_int(0, 1, 0);
	job->uuid = MemoryContextStrdup(context, job_field(0, 2));
	foreach (cell, job->sources)
	{
		JobSource *source = lfirst(cell);

		source->job = job->id;
		(void) row_insert(&source_table, source, "");
	}
	job_access_end(&access);

	job_announce(job->id, JOB_QUEUED);
	ForceSyncCommit();
	return job->id;
}

Job *
job_load(int64 id, bool for_update)
{
	RowArguments  arguments = {0};
	MemoryContext context = CurrentMemoryContext;
	JobAccess	  access;
	List		 *found;
	Job			 *job = NULL;

	row_argument(&arguments, INT8OID, Int64GetDatum(id));
	job_access_begin(&access);
	found = row_select(&job_table,
					   for_update ? "job = $1 FOR NO KEY UPDATE" : "job = $1",
					   &arguments, context);
	if (found != NIL)
	{
		job = linitial(found);
		job->sources = row_select(&source_table, "job = $1 ORDER BY source",
								  &arguments, context);
		/* it was forgotten between the two */
		if (job->sources == NIL)
			job = NULL;
	}
	job_access_end(&access);
	return job;
}

static bool
is_same_job(const Job *job, const Job *now)
{
	return now && strcmp(now->uuid, job->uuid) == 0;
}

bool
job_is_same(const Job *job, const Job *other)
{
	Job		  a = *job;
	Job		  b = *other;
	ListCell *mine;
	ListCell *its;

	/* what follows from the rest, and what has no effect */
	a.base = b.base = 0;
	a.server = b.server = NULL;
	a.settings = settings_in_force(job);
	b.settings = settings_in_force(other);
	if (!row_is_same(&job_table, &a, &b) ||
		list_length(job->sources) != list_length(other->sources))
		return false;
	forboth (mine, job->sources, its, other->sources)
	{
		JobSource source = *(JobSource *) lfirst(mine);

		source.job = other->id;
		if (!row_is_same(&source_table, &source, lfirst(its)))
			return false;
	}
	return true;
}

bool
job_is_there(const Job *job)
{
	return is_same_job(job, job_load(job->id, false));
}

Job *
job_reload(const Job *job, bool for_update)
{
	Job *now = job_load(job->id, for_update);

	if (!is_same_job(job, now))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("export job " INT64_FORMAT " does not exist any more",
						job->id)));
	return now;
}

Job *
job_load_now(int64 id)
{
	Job *job = job_load(id, false);

	if (job == NULL || job->state != JOB_RUNNING || job_is_live(id))
		return job;
	/* the row that was read may be older than what the lock says; or another run
	 * has begun since */
	job = job_load(id, false);
	if (job && job->state == JOB_RUNNING && !job_is_live(id))
		job->state = JOB_INTERRUPTED;
	return job;
}

Job *
job_load_own(int64 id, bool for_update)
{
	Job *job = job_load(id, for_update);

	if (job == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("export job " INT64_FORMAT " does not exist", id)));
	if (!has_privs_of_role(GetUserId(), job->owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for export job " INT64_FORMAT, id),
				 errdetail("Only its owner may do this.")));
	return job;
}

bool
job_try_keep(int64 id)
{
	const Oid	type = INT8OID;
	const Datum value = Int64GetDatum(id);
	JobAccess	access;
	bool		kept;

	job_access_begin(&access);
	kept = job_query("SELECT FROM outflow.job WHERE job = $1 "
					 "FOR KEY SHARE SKIP LOCKED",
					 1, &type, &value, NULL) > 0;
	job_access_end(&access);
	return kept;
}

void
job_keep(int64 id)
{
	if (job_try_keep(id))
		return;
	(void) job_load_own(id, false);
	ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
					errmsg("export job " INT64_FORMAT
						   " is being removed by another call",
						   id),
					errhint("Try again when that has ended its "
							"transaction.")));
}

void
job_derive(Job *job)
{
	export_options_parse(job->options_json, &job->options);
	job->row_format = row_format_find(job->format);
	if (job->row_format->compresses_itself)
		job->options.row.compression = job->compression;
	job->compress = compress_parse(
		job->row_format->compresses_itself ? "none" : job->compression,
		&job->compress_level);
	if (job->encrypt_to)
	{
		int	   count = list_length(job->encrypt_to);
		char **texts = palloc(sizeof(char *) * count);

		for (int i = 0; i < count; i++)
			texts[i] = list_nth(job->encrypt_to, i);
		job->recipients = age_recipients_parse(texts, count);
	}
	row_format_check(job->row_format, &job->options.row);
}
