/*
 * publish.c
 *		Gives finished files their final names.
 *
 * Each step may have been done by an earlier attempt that a crash ended; then
 * it is a no-op.  Readers who wait for _SUCCESS never see half an export: it
 * comes last, and goes first where an older export is replaced.  What is taken
 * back is proven to be the job's: by the manifest, and by each file's sum.
 *
 * The way there and the way back are here together, as each step of the one
 * undoes, or passes over, what the other may have left.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "encoding.h"
#include "export/job/job.h"
#include "export/part/part_check.h"
#include "export/job/part_table.h"
#include "export/export_destination.h"
#include "export/finish/finish.h"
#include "export/lake/lake.h"
#include "export/plan/source.h"
#include "failpoint.h"
#include "sink/patience.h"
#include "utils/memutils.h"

/*
 * What a finished file's final name is taken by, unless that is the job's own
 * file, is an error before anything of an older export is removed.
 */
static void
check_names(Destination *root, const char *folder, const char *older,
			const Job *job, const List *parts)
{
	List		   *strangers = older_strangers(root, folder, older, job);
	List		   *names = publish_names(parts);
	const ListCell *cell;

	foreach (cell, strangers)
	{
		char *name = lfirst(cell);
		char *key = destination_key(folder, name);

		CHECK_FOR_INTERRUPTS();
		if (names_have(names, name) && root->driver->is_staged(root, key))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_FILE),
					 errmsg("file \"%s/%s\" already exists", root->path, key),
					 errdetail("It is not known to be part of an export of "
							   "this database, so it is not replaced."),
					 errhint("Move it away.")));
	}
}

/* Or one that is being planned, and nobody sees yet, could refer to files. */
static void
lock_older(const Job *job)
{
	if (!job_lock_location(job->location))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("destination \"%s\" is in use by another call",
						job->destination),
				 errdetail("An export that is under way may refer to files "
						   "that this one would replace."),
				 errhint("Resume this job when that call has ended.")));
}

/* Takes away what the export replaces; a no-op when that has been done. */
static void
remove_older(const Job *job, Destination *root, const List *parts)
{
	const char	   *older = older_uuid(root, "");
	const ListCell *cell;

	if (job->options.overwrite)
		lock_older(job);
	destination_check_unreferenced(job);
	foreach (cell, job->sources)
	{
		JobSource *source = lfirst(cell);

		check_names(root, source->folder, older, job,
					parts_of_source(parts, source->number));
	}
	if (!older_is_own(root, "", job))
		older_remove(root);
}

/* An earlier attempt's manifest may be there; another one stays. */
static void
put_manifest(Destination *root, const char *folder, const Job *job, int source,
			 const char *manifest)
{
	Meter meter = {0};
	Sink *chain =
		meter_new(sink_null_new(), &meter, false, job->options.checksum);

	sink_write(chain, manifest, strlen(manifest));
	sink_finish(chain);
	job_record_manifest(job->id, source, checksum_to_text(&meter.checksum));
	root->driver->put(root, destination_key(folder, PUBLISH_MANIFEST),
					  manifest, strlen(manifest),
					  older_is_own(root, folder, job));
}

static void
publish_part(Destination *root, const FinishedPart *part)
{
	DestinationLook written = {.size = (uint64) part->bytes_stored,
							   .has_crc = part->crc32c_stored >= 0,
							   .crc = (pg_crc32c) part->crc32c_stored};

	/* what has its name already was moved there by an earlier attempt? */
	if (!root->driver->publish(root, part->file, &written) &&
		!part_is_stored(root, DESTINATION_FINAL, part))
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_FILE),
						errmsg("file \"%s/%s\" is not the one that the export "
							   "wrote",
							   root->path, part->file)));
}

/* There may be any number of them: what is needed for one goes before the next. */
static MemoryContext
begin_parts(void)
{
	return AllocSetContextCreate(CurrentMemoryContext, "outflow publish part",
								 ALLOCSET_DEFAULT_SIZES);
}

static void
publish_files(const List *parts, Destination *root, const char *folder)
{
	MemoryContext	context = begin_parts();
	MemoryContext	caller = MemoryContextSwitchTo(context);
	const ListCell *cell;

	foreach (cell, parts)
	{
		FinishedPart *part = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (publish_is_own(part))
			publish_part(root, part);
		MemoryContextReset(context);
		FAILPOINT("publish-part");
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	root->driver->sync(root, folder);
}

/* A source's files, then the manifest that says that they are all there. */
static void
publish_source(const Job *job, const JobSource *source, const List *parts,
			   Destination *root)
{
	publish_files(parts, root, source->folder);
	put_manifest(root, source->folder, job, source->number,
				 manifest_build(job, source, parts));
}

/* What is staged; nobody waits for it any more. */
static void
discard(void *arg)
{
	Destination *root = arg;

	root->driver->discard(root);
	root->driver->sync(root, "");
}

/*
 * Versions of lake tables: nothing of an export is seen before its table's
 * version is committed.  Then it is done, whatever becomes of its files later.
 */
static void
publish_versions(const Job *job, Destination *root, const List *parts)
{
	List *new = NIL;
	ListCell *cell;

	foreach (cell, job->sources)
	{
		JobSource *source = lfirst(cell);

		if (lake_is_committed(root, job, source))
			continue;
		publish_files(parts_of_source(parts, source->number), root,
					  source->folder);
		new = lappend(new, source);
	}
	root->driver->check_place(root);
	/* of all tables before the first: after a version there is no way back */
	foreach (cell, new)
	{
		JobSource *source = lfirst(cell);

		lake_check_carried(root, source,
						   parts_of_source(parts, source->number));
	}
	lake_check_live(root, job, parts);
	patience_last_step();
	foreach (cell, job->sources)
	{
		JobSource *source = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		lake_commit(root, job, source, parts_of_source(parts, source->number));
	}
	FAILPOINT("publish-clean");
	patience_tidy(discard, root, root->path);
}

/* What the base has kept is needed no more, unless by another job: this one
 * keeps its own, in the same database. */
static void
release_base(const Job *job)
{
	Job *base = job->base && job->options.load == LOAD_KEPT
					? job_load(job->base, false)
					: NULL;

	if (base && destination_shares(base, destination_database(job)) &&
		job_based_on(base->id, job->id) == 0)
		publish_release(base);
}

void
publish_tell_staged(const Job *job)
{
	ereport(NOTICE,
			(errmsg("staging tables of export job " INT64_FORMAT
					" may stay in \"%s\"",
					job->id, encoding_shown(job->location)),
			 errdetail("They are not within reach of the role that logs in "
					   "there now, or in use."),
			 errhint("There, drop the tables whose names begin with \"%s\".",
					 job->uuid)));
}

void
publish_release(Job *job)
{
	Destination *root;

	job_derive(job);
	if (job->options.load != LOAD_KEPT ||
		!destination_keeps_tables(job->location))
		return;
	root = destination_open_known(job, false);
	if (root == NULL)
	{
		publish_tell_staged(job);
		return;
	}
	if (ownership_try(job, root))
		root->driver->discard(root);
	else
		publish_tell_staged(job);
	root->driver->close(root);
}

/* All of them at once; where that has been done, nothing. */
static void
publish_tables(const Job *job, const List *parts, Destination *root)
{
	List		   *keys = NIL;
	const ListCell *cell;

	foreach (cell, parts)
	{
		FinishedPart *part = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (!part_is_stored(root, DESTINATION_STAGED, part))
			ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
							errmsg("part %d is not there as it was exported",
								   part->plan.number),
							errhint("Resume the job: it is exported again.")));
		keys = lappend(keys, part->file);
	}
	root->driver->tables->publish(root, keys);
	root->driver->discard(root);
	release_base(job);
}

void
publish_check_rights(const Job *job)
{
	destination_check_running(job);
	sources_check_rights(job);
}

void
publish_job(const Job *job, Destination *root)
{
	List	 *parts = parts_load(job->id);
	bool	  again;
	ListCell *cell;

	publish_check_rights(job);
	if (job_makes_tables(job))
	{
		publish_versions(job, root, parts);
		return;
	}
	if (root->driver->tables)
	{
		publish_tables(job, parts, root);
		return;
	}
	again = older_is_own(root, "", job);
	if (job->options.overwrite)
		remove_older(job, root, parts);
	foreach (cell, job->sources)
	{
		JobSource *source = lfirst(cell);

		publish_source(job, source, parts_of_source(parts, source->number),
					   root);
	}
	if (destination_has_folders(job))
		put_manifest(root, "", job, -1, manifest_build_common(job, parts));
	FAILPOINT("publish-success");
	root->driver->check_place(root);
	patience_last_step();
	root->driver->put(root, PUBLISH_SUCCESS, "", 0, again);
	FAILPOINT("publish-clean");
	patience_tidy(discard, root, root->path);
}

/* The part's finished file, under its final name, and nobody else's. */
static bool
part_is_published(Destination *root, const FinishedPart *part)
{
	return !root->driver->is_staged(root, part->file) &&
		   part_is_stored(root, DESTINATION_FINAL, part);
}

void
publish_check_anew(const Job *job, Destination *root)
{
	ListCell *cell;

	foreach (cell, job_makes_tables(job) ? job->sources : NIL)
	{
		JobSource *source = lfirst(cell);

		if (lake_may_be_committed(root, job, source))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("export job " INT64_FORMAT
							" cannot begin anew after it committed a version "
							"of table %s",
							job->id, source->name),
					 errdetail("Files of its other tables were removed or "
							   "changed."),
					 errhint("Forget the job and export again.")));
	}
}

void
publish_retreat(const Job *job, Destination *root)
{
	List	 *parts = parts_load(job->id);
	ListCell *cell;

	publish_check_anew(job, root);
	if (root->driver->tables)
	{
		if (root->driver->tables->is_published(root))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("the rows are in their tables already, and cannot "
							"be exported once more"),
					 errhint("Forget the job.")));
		return;
	}
	foreach (cell, parts)
	{
		FinishedPart *part = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (publish_is_own(part) && part_is_published(root, part))
			(void) root->driver->carry(root, part->file, root, part->file);
	}
	publish_undo(job, parts, root);
}

/* Nothing, where somebody else's manifest says that the files are theirs, or
 * where the job has committed a version. */
static void
undo_source(const Job *job, const JobSource *source, const List *parts,
			Destination *root)
{
	const char	   *folder = source->folder;
	char		   *manifest = older_manifest(root, folder);
	MemoryContext	context;
	MemoryContext	caller;
	const ListCell *cell;
	uint64			size;

	if (job_makes_tables(job) && lake_may_be_committed(root, job, source))
		return;
	if (older_is_own(root, folder, job))
		(void) root->driver->remove(root, manifest);
	else if (root->driver->stat(root, manifest, &size, NULL))
		return;
	context = begin_parts();
	caller = MemoryContextSwitchTo(context);
	foreach (cell, parts)
	{
		FinishedPart *part = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (publish_is_own(part) && part_is_published(root, part))
			(void) root->driver->remove(root, part->file);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	if (job_makes_tables(job))
		lake_undo(root, job, source);
	root->driver->sync(root, folder);
	if (folder[0])
		(void) root->driver->remove(root, psprintf("%s/", folder));
}

void
publish_undo(const Job *job, const List *parts, Destination *root)
{
	const ListCell *cell;

	if (root->driver->tables)
	{
		if (root->driver->tables->is_published(root))
			ereport(NOTICE, (errmsg("the rows stay in \"%s\"",
									encoding_shown(root->path)),
							 errdetail("The export had come to its end "
									   "there.")));
		return;
	}
	if (older_is_own(root, "", job))
	{
		if (root->driver->remove(root, PUBLISH_SUCCESS))
			root->driver->sync(root, "");
		if (destination_has_folders(job))
			(void) root->driver->remove(root, older_manifest(root, ""));
	}
	foreach (cell, job->sources)
	{
		JobSource *source = lfirst(cell);

		undo_source(job, source, parts_of_source(parts, source->number), root);
	}
	root->driver->sync(root, "");
}
