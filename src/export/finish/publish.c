/*
 * publish.c
 *		Gives finished files their final names.
 *
 * Each step may have been done by an earlier attempt that a crash ended; then
 * it is a no-op.  Readers who wait for _SUCCESS never see half an export: it
 * comes last, and goes first where an older export is replaced.  What is taken
 * back is proven to be the job's: by the manifest, and by each file's sum.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "export/job/job.h"
#include "failpoint.h"

/* Not a file of another export that a part refers to. */
static bool
is_own(const FinishedPart *part)
{
	return part->file && part->location == NULL;
}

static bool
is_part_of(const List *parts, const char *name)
{
	const ListCell *cell;

	foreach (cell, parts)
	{
		FinishedPart *part = lfirst(cell);

		if (is_own(part) &&
			strcmp(destination_file_name(part->file), name) == 0)
			return true;
	}
	return false;
}

/* Whether a part's file hasn't been given its final name. */
static bool
is_waiting(FileRoot *folder, const char *name)
{
	uint64 size;

	return file_stat(folder, FILE_TEMP, name, &size);
}

bool
publish_is_ours(const Job *job, const char *folder, const List *parts,
				const char *manifest, const FileEntry *entry)
{
	bool in_root = folder[0] == '\0';

	if (strcmp(entry->name, manifest) == 0)
		return true;
	if (in_root && strcmp(entry->name, PUBLISH_SUCCESS) == 0)
		return true;
	if (in_root && destination_has_folders(job))
		return entry->is_directory && destination_is_folder(job, entry->name);
	return is_part_of(parts, entry->name);
}

/*
 * What a finished file's final name is taken by, unless that is the job's own
 * file, is an error before anything of an older export is removed.
 */
static void
check_names(FileRoot *folder, const List *parts)
{
	List		   *strangers = older_strangers(folder);
	const ListCell *cell;

	foreach (cell, strangers)
	{
		char *name = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (is_part_of(parts, name) && is_waiting(folder, name))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_FILE),
					 errmsg("file \"%s/%s\" already exists",
							file_root_path(folder), name),
					 errdetail("It is not known to be part of an export of "
							   "this server, so it is not replaced."),
					 errhint("Move it away.")));
	}
}

/* Takes away what the export replaces; a no-op when that has been done. */
static void
remove_older(const Job *job, FileRoot *root, const List *parts)
{
	const ListCell *cell;

	destination_check_unreferenced(job);
	foreach (cell, job->sources)
	{
		JobSource *source = lfirst(cell);
		FileRoot  *folder =
			destination_folder(root, source->folder, FILE_ROOT_MISSING_OK);

		if (folder)
			check_names(folder, parts_of_source(parts, source->number));
		destination_folder_close(folder, root);
	}
	if (!older_is_job(root, job))
		older_remove(root);
	foreach (cell, job->sources)
	{
		JobSource *source = lfirst(cell);
		FileRoot  *folder =
			destination_folder(root, source->folder, FILE_ROOT_MISSING_OK);

		if (folder && folder != root && !older_is_job(folder, job))
			older_remove(folder);
		destination_folder_close(folder, root);
	}
}

/* An earlier attempt's manifest may be there; another one stays. */
static void
put_manifest(FileRoot *directory, const Job *job, int source,
			 const char *manifest)
{
	Meter meter = {0};
	Sink *chain =
		meter_new(sink_null_new(), &meter, false, job->options.checksum);

	sink_write(chain, manifest, strlen(manifest));
	sink_finish(chain);
	job_record_manifest(job->id, source, checksum_to_text(&meter.checksum));
	file_put(directory, PUBLISH_MANIFEST, manifest, strlen(manifest),
			 older_is_job(directory, job));
}

static void
publish_part(FileRoot *root, FileRoot *folder, const FinishedPart *part)
{
	const char *name = destination_file_name(part->file);

	/* what has its name already was moved there by an earlier attempt? */
	if (!file_publish(folder, name, false) &&
		!part_is_stored(root, FILE_FINAL, part))
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_FILE),
						errmsg("file \"%s/%s\" is not the one that the export "
							   "wrote",
							   file_root_path(folder), name)));
}

/* A source's files, then the manifest that says that they are all there. */
static void
publish_source(const Job *job, const JobSource *source, const List *parts,
			   FileRoot *root)
{
	FileRoot *folder =
		destination_folder(root, source->folder, FILE_ROOT_CREATE);
	const ListCell *cell;

	foreach (cell, parts)
	{
		FinishedPart *part = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (is_own(part))
			publish_part(root, folder, part);
		FAILPOINT("publish-part");
	}
	file_root_sync(folder);
	put_manifest(folder, job, source->number,
				 manifest_build(job, source, parts));
	destination_folder_close(folder, root);
}

void
publish_job(const Job *job, FileRoot *root)
{
	List	 *parts = parts_load(job->id);
	bool	  again = older_is_job(root, job);
	ListCell *cell;

	if (job->options.overwrite)
		remove_older(job, root, parts);
	foreach (cell, job->sources)
	{
		JobSource *source = lfirst(cell);

		publish_source(job, source, parts_of_source(parts, source->number),
					   root);
	}
	if (destination_has_folders(job))
		put_manifest(root, job, -1, manifest_build_common(job, parts));
	FAILPOINT("publish-success");
	file_root_check_place(root);
	file_put(root, PUBLISH_SUCCESS, "", 0, again);
	FAILPOINT("publish-clean");
	file_temp_remove(root);
	file_root_sync(root);
}

/* The part's finished file, under its final name, and nobody else's. */
static bool
is_published(FileRoot *root, FileRoot *folder, const FinishedPart *part)
{
	const char *name = destination_file_name(part->file);

	return (!is_waiting(folder, name) || file_is_both(folder, name)) &&
		   part_is_stored(root, FILE_FINAL, part);
}

void
publish_retreat(const Job *job, FileRoot *root)
{
	List	 *parts = parts_load(job->id);
	ListCell *cell;

	foreach (cell, parts)
	{
		FinishedPart *part = lfirst(cell);
		FileRoot	 *folder;

		CHECK_FOR_INTERRUPTS();
		if (!is_own(part))
			continue;
		folder = destination_folder_of(root, part->file);
		if (folder)
		{
			const char *name = destination_file_name(part->file);

			if (!is_waiting(folder, name) && is_published(root, folder, part))
				(void) file_carry(root, name, folder, name);
		}
		destination_folder_close(folder, root);
	}
	publish_undo(job, parts, root);
}

/* Nothing, where somebody else's manifest says that the files are theirs. */
static void
undo_source(const Job *job, const JobSource *source, const List *parts,
			FileRoot *root)
{
	FileRoot *folder =
		destination_folder(root, source->folder, FILE_ROOT_MISSING_OK);
	const ListCell *cell;
	uint64			size;
	bool			ours;

	if (folder == NULL)
		return;
	ours = older_is_job(folder, job);
	if (ours)
		(void) file_remove(folder, FILE_FINAL, older_manifest_name(folder));
	else if (file_stat(folder, FILE_FINAL, older_manifest_name(folder), &size))
	{
		destination_folder_close(folder, root);
		return;
	}
	foreach (cell, parts)
	{
		FinishedPart *part = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (is_own(part) && is_published(root, folder, part))
			(void) file_remove(folder, FILE_FINAL,
							   destination_file_name(part->file));
	}
	file_root_sync(folder);
	destination_folder_close(folder, root);
	if (source->folder[0])
		(void) file_root_remove_subdir(root, source->folder);
}

void
publish_undo(const Job *job, const List *parts, FileRoot *root)
{
	const ListCell *cell;

	if (older_is_job(root, job))
	{
		if (file_remove(root, FILE_FINAL, PUBLISH_SUCCESS))
			file_root_sync(root);
		if (destination_has_folders(job))
			(void) file_remove(root, FILE_FINAL, older_manifest_name(root));
	}
	foreach (cell, job->sources)
	{
		JobSource *source = lfirst(cell);

		undo_source(job, source, parts_of_source(parts, source->number), root);
	}
	file_root_sync(root);
}
