/*
 * lake.c
 *		Whose a lake table is, and a job's version of it, in any format.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/wait_event.h"

#include "encoding.h"
#include "export/lake/iceberg_table.h"
#include "export/lake/lake.h"
#include "export/lake/lake_table.h"
#include "failpoint.h"

/* How often a version goes on from what another writer has made meanwhile, as
 * long as that holds the same. */
#define COMMIT_TRIES 5
/* Another program's commit may last so long. */
#define SETTLE_TRIES	12
#define SETTLE_PAUSE_MS 250L

static const LakeFormat *const lake_formats[] = {&lake_format_delta,
												 &lake_format_iceberg};

const LakeFormat *
lake_format_of(Destination *root, const Job *job)
{
	lake_catalog_attach(root, job);
	for (int i = 0; i < lengthof(lake_formats); i++)
	{
		if (lake_formats[i]->files == job->row_format)
			return lake_formats[i];
	}
	elog(ERROR, "format \"%s\" makes no tables", job->format);
}

const LakeFormat *
lake_find(Destination *root, const char *folder, LakeTable **table)
{
	for (int i = 0; i < lengthof(lake_formats); i++)
	{
		*table = lake_formats[i]->read(root, folder, true);
		if ((*table)->last >= 0)
			return lake_formats[i];
	}
	return NULL;
}

LakeTable *
lake_when_settled(const LakeFormat *format, Destination *root,
				  LakeTable *table, bool whole)
{
	for (int tries = 0; table->is_passing && tries < SETTLE_TRIES; tries++)
	{
		CHECK_FOR_INTERRUPTS();
		(void) WaitLatch(NULL, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 SETTLE_PAUSE_MS, PG_WAIT_EXTENSION);
		table = format->read(root, table->folder, whole);
	}
	return table;
}

/* ---- whose the table is */

static void
check_table(const LakeFormat *format, const Destination *root, const Job *job,
			const JobSource *source, const LakeTable *table)
{
	const LakeVersion *last = lake_last_change(table);
	char			  *path = lake_path_of_folder(root, source->folder);

	lake_check_features(format, table, path,
						_("Export to another directory."));
	(void) lake_next_number(table->last);
	if (last == NULL || job->options.overwrite)
		return;
	if (!lake_is_outflows(last) ||
		strcmp(last->app, lake_app_of_source(source)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_FILE),
				 errmsg("version " INT64_FORMAT
						" of the %s table in \"%s\" is not of an export of "
						"table %s",
						last->version, format->name, path, source->name),
				 errdetail("%s", lake_describe_version(last)),
				 errhint("Choose another directory, or replace what the table "
						 "holds with options => '{\"overwrite\": true}'.")));
	if (!lake_is_of_this_server(last))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_FILE),
				 errmsg("version " INT64_FORMAT
						" of the %s table in \"%s\" is not this server's",
						last->version, format->name, path),
				 errdetail("%s", lake_describe_version(last)),
				 errhint("Choose another directory; or, if no other server "
						 "goes on with the table, take it over with options "
						 "=> '{\"overwrite\": true}'.")));
}

/* Whether there is a table. */
static bool
read_and_check(const LakeFormat *format, Destination *root, const Job *job,
			   const JobSource *source)
{
	LakeTable *table = lake_when_settled(
		format, root, format->read(root, source->folder, false), false);

	check_table(format, root, job, source, table);
	/* at the call, and since the job has planned */
	if (source->table_schema)
		format->check_schema(table, job, source);
	return table->last >= 0;
}

void
lake_check_writer(Destination *root, const Job *job, const JobSource *source)
{
	(void) read_and_check(lake_format_of(root, job), root, job, source);
}

void
lake_check_folder(Destination *root, const Job *job, const JobSource *source)
{
	const LakeFormat *format = lake_format_of(root, job);
	List			 *files;

	if (read_and_check(format, root, job, source))
		return;
	files = root->driver->list(root, source->folder, NULL);
	if (files != NIL)
		ereport(
			ERROR,
			(errcode(ERRCODE_DUPLICATE_FILE),
			 errmsg("\"%s\" is not empty, and no %s table",
					lake_path_of_folder(root, source->folder), format->name),
			 errdetail("It holds \"%s\".",
					   ((DestinationEntry *) linitial(files))->name),
			 errhint("Choose an empty directory.")));
}

void
lake_check_new(const Job *job)
{
	if (job->options.catalog)
		iceberg_rest_check_absent(job);
}

/* ---- whether a version is there */

/* Its version may be told no more, by a log or metadata that others expired. */
static bool
has_version(const LakeFormat *format, Destination *root, const Job *job,
			const LakeTable *table)
{
	return lake_version_of_job(table, job->uuid) ||
		   format->holds(root, table, job->uuid);
}

bool
lake_is_committed(Destination *root, const Job *job, const JobSource *source)
{
	const LakeFormat *format = lake_format_of(root, job);

	/* others may have gone on since an earlier attempt committed */
	return has_version(format, root, job,
					   format->read(root, source->folder, job->publishing));
}

bool
lake_is_anothers(Destination *root, const Job *job)
{
	const LakeFormat *format = lake_format_of(root, job);
	ListCell		 *cell;

	foreach (cell, job->sources)
	{
		/* all that was ever there may be an ERROR: not without a plan here */
		LakeTable *table = format->read(
			root, ((JobSource *) lfirst(cell))->folder, job->parts_total >= 0);
		const LakeVersion *version = lake_version_of_job(table, job->uuid);

		CHECK_FOR_INTERRUPTS();
		if (version && !lake_is_ours(version))
			return true;
	}
	return false;
}

pg_noreturn static void
throw_pending(const LakeFormat *format, const Destination *root,
			  const Job *job, const JobSource *source)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_OBJECT_IN_USE),
		 root->catalog
			 ? errmsg("it is not known yet whether export job " INT64_FORMAT
					  " has changed table \"%s\" of the catalog",
					  job->id,
					  lake_catalog_name(root->catalog, source->folder))
			 : errmsg("it is not known yet whether export job " INT64_FORMAT
					  " has changed the %s table in \"%s\"",
					  job->id, format->name,
					  lake_path_of_folder(root, source->folder)),
		 errdetail("The %s may still be at the last request.",
				   root->catalog ? "catalog" : "store"),
		 errhint("Resume the job, or try again in some minutes.")));
}

bool
lake_may_be_committed(Destination *root, const Job *job,
					  const JobSource *source)
{
	const LakeFormat *format = lake_format_of(root, job);
	bool			  pending = lake_is_sent(root, source->folder, job);
	/* older versions have files, too */
	LakeTable *table = format->read(root, source->folder, true);

	if (has_version(format, root, job, table))
	{
		lake_end_sent(root, source->folder, job);
		return true;
	}
	if (pending)
		throw_pending(format, root, job, source);
	if (format->is_unreadable == NULL || !format->is_unreadable(table))
		return false;
	ereport(
		NOTICE,
		(errmsg("files of export job " INT64_FORMAT " in \"%s\" stay", job->id,
				encoding_shown(lake_path_of_folder(root, source->folder))),
		 errdetail("Another program has changed the table since, and "
				   "which files it has is not known.")));
	return true;
}

bool
lake_is_complete(Destination *root, const Job *job)
{
	ListCell *cell;

	foreach (cell, job->sources)
	{
		CHECK_FOR_INTERRUPTS();
		if (!lake_is_committed(root, job, lfirst(cell)))
			return false;
	}
	return true;
}

LakeStanding
lake_standing(Destination *root, const Job *job)
{
	int		  committed = 0;
	bool	  pending = false;
	ListCell *cell;

	if (lake_is_anothers(root, job))
		return LAKE_ANOTHERS;
	if (!job->publishing)
		return LAKE_NONE;
	foreach (cell, job->sources)
	{
		JobSource *source = lfirst(cell);
		/* before the look at the table, where it may appear meanwhile */
		bool is_sent = lake_is_sent(root, source->folder, job);

		CHECK_FOR_INTERRUPTS();
		if (lake_is_committed(root, job, source))
			committed++;
		else
			pending |= is_sent;
	}
	if (committed == list_length(job->sources))
		return LAKE_ALL;
	return committed > 0 || pending ? LAKE_SOME : LAKE_NONE;
}

void
lake_undo(Destination *root, const Job *job, const JobSource *source)
{
	lake_end_sent(root, source->folder, job);
	lake_format_of(root, job)->undo(root, job, source);
}

/* ---- the commit */

/* The first change that was not there before. */
static const LakeVersion *
first_new_version(const LakeTable *now, const LakeTable *before)
{
	ListCell *cell;
	ListCell *other;

	foreach (cell, now->versions)
	{
		LakeVersion *version = lfirst(cell);
		bool		 known = false;

		CHECK_FOR_INTERRUPTS();
		foreach (other, before->versions)
			known |=
				((LakeVersion *) lfirst(other))->version == version->version;
		if (!known && (version->changes || version->uuid))
			return version;
	}
	return NULL;
}

/* Another writer was first: an ERROR if the table holds something else by now,
 * and that is not an earlier try of ours. */
static void
check_winner(const LakeFormat *format, Destination *root, const Job *job,
			 const JobSource *source, const LakeTable *before)
{
	LakeTable		  *now = format->read(root, source->folder, false);
	const LakeVersion *winner = first_new_version(now, before);

	if (winner == NULL || lake_version_of_job(now, job->uuid))
		return;
	ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
					errmsg("another writer has committed version " INT64_FORMAT
						   " of the %s table in \"%s\"",
						   winner->version, format->name,
						   lake_path_of_folder(root, source->folder)),
					errdetail("%s", lake_describe_version(winner)),
					errhint("Let one writer at a time have a table.")));
}

/* Onto the table as it is; false: it was another one meanwhile. */
static bool
try_commit(const LakeFormat *format, Destination *root, const Job *job,
		   const JobSource *source, const List *parts)
{
	LakeTable *table = lake_when_settled(
		format, root, format->read(root, source->folder, job->publishing),
		job->publishing);

	/* by an earlier try, which may have ended there */
	if (lake_version_of_job(table, job->uuid) == NULL)
		check_table(format, root, job, source, table);
	if (!has_version(format, root, job, table))
	{
		/* readers of the next version may have what it keeps, and no earlier */
		lake_give_mode(root, format, source, parts);
		if (!format->commit(root, table, job, source, parts))
		{
			check_winner(format, root, job, source, table);
			return false;
		}
		FAILPOINT("lake-committed");
	}
	else
		lake_end_sent(root, source->folder, job);
	format->settle(root, source->folder, table->last);
	return true;
}

void
lake_commit(Destination *root, const Job *job, const JobSource *source,
			const List *parts)
{
	const LakeFormat *format = lake_format_of(root, job);

	for (int tries = 0; tries < COMMIT_TRIES; tries++)
	{
		CHECK_FOR_INTERRUPTS();
		if (try_commit(format, root, job, source, parts))
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("other writers keep changing the %s table in \"%s\"",
					format->name, lake_path_of_folder(root, source->folder)),
			 errhint("Let one writer at a time have a table.")));
}
