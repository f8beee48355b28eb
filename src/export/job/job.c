/*
 * job.c
 *		Rows of outflow.job and outflow.source: inserted and loaded.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "compat.h"
#include "export/job/job.h"
#include "export/job/job_access.h"

/* As the state column has them, by JobState. */
const char *const job_state_names[] = {"queued", "running", "interrupted",
									   "failed", "done"};

static JobState
state_from_text(const char *text)
{
	for (int i = 0; i < lengthof(job_state_names); i++)
	{
		if (strcmp(job_state_names[i], text) == 0)
			return (JobState) i;
	}
	elog(ERROR, "unknown job state \"%s\"", text);
}

static void
insert_source(int64 id, const JobSource *source)
{
	const Oid types[] = {INT8OID, INT4OID,		OIDOID, TEXTOID,
						 TEXTOID, TEXTARRAYOID, TEXTOID};
	Datum	  values[lengthof(types)];
	bool	  nulls[lengthof(types)] = {false};

	values[0] = Int64GetDatum(id);
	values[1] = Int32GetDatum(source->number);
	values[2] = ObjectIdGetDatum(source->relid);
	values[3] = CStringGetTextDatum(source->name);
	values[4] = CStringGetTextDatum(source->folder);
	values[5] = text_array_from_list(source->columns);
	nulls[5] = source->columns == NIL;
	values[6] = source->filter ? CStringGetTextDatum(source->filter) : 0;
	nulls[6] = source->filter == NULL;
	(void) job_query("INSERT INTO outflow.source (job, source, relation, "
					 "name, folder, columns, filter) "
					 "VALUES ($1, $2, $3, $4, $5, $6, $7)",
					 lengthof(types), types, values, nulls);
}

/* Names and values in turn as a jsonb object's arguments. */
static void
split_settings(List *settings, List **names, List **values)
{
	*names = *values = NIL;
	for (int i = 0; i + 1 < list_length(settings); i += 2)
	{
		*names = lappend(*names, list_nth(settings, i));
		*values = lappend(*values, list_nth(settings, i + 1));
	}
}

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

int64
job_insert(Job *job)
{
	const Oid	  types[] = {OIDOID,	   TEXTOID, TEXTOID, TEXTOID, TEXTOID,
							 TEXTARRAYOID, INT8OID, INT4OID, TEXTOID, TEXTARRAYOID,
							 TEXTARRAYOID, INT8OID, TEXTOID, TEXTOID};
	Datum		  values[lengthof(types)];
	bool		  nulls[lengthof(types)] = {false};
	MemoryContext context = CurrentMemoryContext;
	List		 *names;
	List		 *settings;
	ListCell	 *cell;
	JobAccess	  access;
	uint64		  count;

	split_settings(job->settings, &names, &settings);
	values[0] = ObjectIdGetDatum(job->owner);
	values[1] = CStringGetTextDatum(job->destination);
	values[2] = CStringGetTextDatum(job->location);
	values[3] = CStringGetTextDatum(job->format);
	values[4] = CStringGetTextDatum(job->compression);
	values[5] = text_array_from_list(job->encrypt_to);
	values[6] = Int64GetDatum(job->part_size);
	values[7] = Int32GetDatum(job->workers);
	values[8] = CStringGetTextDatum(job->options_json);
	values[9] = text_array_from_list(names);
	values[10] = text_array_from_list(settings);
	values[11] = Int64GetDatum(job->base);
	nulls[11] = job->base == 0;
	values[12] = job->slot ? CStringGetTextDatum(job->slot) : 0;
	nulls[12] = job->slot == NULL;
	values[13] = job->publication ? CStringGetTextDatum(job->publication) : 0;
	nulls[13] = job->publication == NULL;

	/* or an INSERT would wait for the end of another transaction */
	if (!job_lock_location(job->location))
		report_other_call(job);
	job_access_begin(&access);
	count =
		job_query("INSERT INTO outflow.job (owner, destination, location, "
				  "format, compression, encrypt_to, part_size, workers, "
				  "options, settings, base, slot, publication) "
				  "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, "
				  "$9::pg_catalog.jsonb, "
				  "pg_catalog.jsonb_object($10, $11), $12, $13, $14) "
				  "ON CONFLICT (location) WHERE state <> 'done' DO NOTHING "
				  "RETURNING job, uuid",
				  lengthof(types), types, values, nulls);
	if (count == 0)
		report_other_call(job);
	job->id = job_field_int(0, 1, 0);
	job->uuid = MemoryContextStrdup(context, job_field(0, 2));
	foreach (cell, job->sources)
		insert_source(job->id, lfirst(cell));
	job_access_end(&access);

	job_announce(job->id, JOB_QUEUED);
	ForceSyncCommit();
	return job->id;
}

static void
load_settings(Job *job, MemoryContext context)
{
	const Oid	type = INT8OID;
	const Datum value = Int64GetDatum(job->id);
	uint64		count;

	count = job_query("SELECT s.key, s.value FROM outflow.job AS j, "
					  "pg_catalog.jsonb_each_text(j.settings) AS s "
					  "WHERE j.job = $1 "
					  "ORDER BY s.key COLLATE \"C\"",
					  1, &type, &value, NULL);
	for (uint64 i = 0; i < count; i++)
	{
		char		 *name = job_field(i, 1);
		char		 *setting = job_field(i, 2);
		MemoryContext old = MemoryContextSwitchTo(context);

		job->settings = lappend(job->settings, pstrdup(name));
		job->settings = lappend(job->settings, pstrdup(setting));
		MemoryContextSwitchTo(old);
	}
}

static List *
copy_texts(const List *texts)
{
	List	 *copy = NIL;
	ListCell *cell;

	foreach (cell, texts)
		copy = lappend(copy, pstrdup(lfirst(cell)));
	return copy;
}

static char *
copy_text(const char *text)
{
	return text ? pstrdup(text) : NULL;
}

static void
load_sources(Job *job, MemoryContext context)
{
	const Oid	type = INT8OID;
	const Datum value = Int64GetDatum(job->id);
	uint64		count;

	count =
		job_query("SELECT source, relation, name, folder, columns, filter, "
				  "definition, manifest FROM outflow.source "
				  "WHERE job = $1 ORDER BY source",
				  1, &type, &value, NULL);
	for (uint64 i = 0; i < count; i++)
	{
		int			  number = (int) job_field_int(i, 1, 0);
		Oid			  relid = (Oid) job_field_int(i, 2, 0);
		char		 *name = job_field(i, 3);
		char		 *folder = job_field(i, 4);
		List		 *columns = job_field_list(i, 5);
		char		 *filter = job_field(i, 6);
		char		 *definition = job_field(i, 7);
		char		 *manifest = job_field(i, 8);
		MemoryContext old = MemoryContextSwitchTo(context);
		JobSource	 *source = palloc0_object(JobSource);

		source->number = number;
		source->relid = relid;
		source->name = pstrdup(name);
		source->folder = pstrdup(folder);
		source->columns = copy_texts(columns);
		source->filter = copy_text(filter);
		source->definition = copy_text(definition);
		source->manifest = copy_text(manifest);
		job->sources = lappend(job->sources, source);
		MemoryContextSwitchTo(old);
	}
}

/* As we write LSNs everywhere; servers before and from 19 on print two ways. */
static char *
lsn_text(const char *field)
{
	XLogRecPtr lsn;

	if (field == NULL || !parse_lsn(field, &lsn))
		return NULL;
	return psprintf("%X/%X", LSN_FORMAT_ARGS(lsn));
}

/* The job's own row, from the present result. */
static Job *
job_from_row(MemoryContext context)
{
	List		 *encrypt_to = job_field_list(0, 9);
	MemoryContext old = MemoryContextSwitchTo(context);
	Job			 *job = palloc0_object(Job);
	char		 *code;

	job->id = job_field_int(0, 1, 0);
	job->uuid = copy_text(job_field(0, 2));
	job->owner = (Oid) job_field_int(0, 3, 0);
	job->state = state_from_text(job_field(0, 4));
	job->destination = copy_text(job_field(0, 5));
	job->location = copy_text(job_field(0, 6));
	job->format = copy_text(job_field(0, 7));
	job->compression = copy_text(job_field(0, 8));
	job->encrypt_to = copy_texts(encrypt_to);
	job->part_size = job_field_int(0, 10, 0);
	job->workers = (int) job_field_int(0, 11, 0);
	job->options_json = copy_text(job_field(0, 12));
	job->snapshot = copy_text(job_field(0, 13));
	job->lsn = lsn_text(job_field(0, 14));
	job->parts_total = (int) job_field_int(0, 15, -1);
	job->publishing = job_field_int(0, 16, 0) != 0;
	job->started = copy_text(job_field(0, 17));
	code = job_field(0, 19);
	if (code)
		error_set(&job->error,
				  MAKE_SQLSTATE(code[0], code[1], code[2], code[3], code[4]),
				  job_field(0, 18), job_field(0, 20), job_field(0, 21),
				  job_field(0, 22));
	job->settings_json = copy_text(job_field(0, 23));
	job->waiting_for = copy_text(job_field(0, 24));
	job->base = job_field_int(0, 25, 0);
	job->slot = copy_text(job_field(0, 26));
	job->slot_ready = job_field_int(0, 27, 0) != 0;
	job->publication = copy_text(job_field(0, 28));
	job->slot_start = (XLogRecPtr) job_field_int(0, 29, InvalidXLogRecPtr);
	job->slot_restart = (XLogRecPtr) job_field_int(0, 30, InvalidXLogRecPtr);
	job->manifest = copy_text(job_field(0, 31));
	MemoryContextSwitchTo(old);
	return job;
}

Job *
job_load(int64 id, bool for_update)
{
	const char *sql =
		"SELECT job, uuid, owner, state, destination, location, format, "
		"compression, encrypt_to, part_size, workers, options, snapshot, lsn, "
		"parts_total, publishing::int, pg_catalog.to_char("
		"pg_catalog.timezone('UTC', started), "
		"'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), "
		"error, error_code, error_detail, error_hint, error_context, "
		"settings, waiting_for, base, slot, slot_ready::int, publication, "
		"(slot_start - '0/0')::bigint, (slot_restart - '0/0')::bigint, "
		"manifest "
		"FROM outflow.job WHERE job = $1";
	const Oid	  type = INT8OID;
	const Datum	  value = Int64GetDatum(id);
	MemoryContext context = CurrentMemoryContext;
	JobAccess	  access;
	Job			 *job = NULL;

	job_access_begin(&access);
	if (job_query(for_update ? psprintf("%s FOR UPDATE", sql) : sql, 1, &type,
				  &value, NULL) > 0)
	{
		job = job_from_row(context);
		load_settings(job, context);
		load_sources(job, context);
	}
	job_access_end(&access);
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
	job->options.row.memory = (int64) part_memory_kb * 1024;
	row_format_check(job->row_format, &job->options.row);
}
