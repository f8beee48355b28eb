/*
 * publish.c
 *		Gives finished files their final names.
 *
 * Each step may have been done by an earlier attempt that a crash ended; then
 * it is a no-op.  Readers who wait for _SUCCESS never see half an export: it
 * comes last, and goes first where an older export is replaced.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "export/job.h"
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

static bool
is_folder_of(const Job *job, const char *name)
{
	const ListCell *cell;

	foreach (cell, job->sources)
	{
		JobSource *source = lfirst(cell);

		if (strcmp(source->folder, name) == 0)
			return true;
	}
	return false;
}

bool
publish_is_ours(const Job *job, const char *folder, const List *parts,
				const FileEntry *entry)
{
	bool in_root = folder[0] == '\0';

	if (strcmp(entry->name, PUBLISH_MANIFEST) == 0)
		return true;
	if (in_root && strcmp(entry->name, PUBLISH_SUCCESS) == 0)
		return true;
	if (in_root && destination_has_folders(job))
		return entry->is_directory && is_folder_of(job, entry->name);
	return is_part_of(parts, entry->name);
}

static bool
looks_like_part(const FileEntry *entry)
{
	return entry->is_regular && strncmp(entry->name, "part-", 5) == 0;
}

/* An older export's parts that none of ours has replaced. */
static void
remove_stale_parts(FileRoot *directory, const List *parts)
{
	ListCell *cell;

	foreach (cell, file_list(directory, FILE_FINAL))
	{
		FileEntry *entry = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (looks_like_part(entry) && !is_part_of(parts, entry->name))
			(void) file_remove(directory, FILE_FINAL, entry->name);
	}
}

/* Whether a table's folder of an older export is all that it is. */
static bool
is_stale_folder(FileRoot *folder)
{
	bool	  has_manifest = false;
	ListCell *cell;

	foreach (cell, file_list(folder, FILE_FINAL))
	{
		FileEntry *entry = lfirst(cell);

		if (entry->is_regular && strcmp(entry->name, PUBLISH_MANIFEST) == 0)
			has_manifest = true;
		else if (!looks_like_part(entry))
			return false;
	}
	return has_manifest;
}

/*
 * An older export's folders that none of ours has replaced.  One that holds
 * anything else is another's, such as an export of its own with _SUCCESS.
 */
static void
remove_stale_folders(FileRoot *root, const Job *job)
{
	ListCell *cell;

	foreach (cell, file_list(root, FILE_FINAL))
	{
		FileEntry *entry = lfirst(cell);
		FileRoot  *folder;
		bool	   stale;

		CHECK_FOR_INTERRUPTS();
		if (!entry->is_directory || entry->name[0] == '.' ||
			strchr(entry->name, '.') == NULL || is_folder_of(job, entry->name))
			continue;
		folder = file_root_subdir(root, entry->name, 0);
		stale = is_stale_folder(folder);
		if (stale)
		{
			remove_stale_parts(folder, NIL);
			/* last, as the mark of what a crash left */
			(void) file_remove(folder, FILE_FINAL, PUBLISH_MANIFEST);
		}
		file_root_close(folder);
		if (stale)
			(void) file_root_remove_subdir(root, entry->name);
	}
}

static void
remove_marks(FileRoot *directory)
{
	bool removed = file_remove(directory, FILE_FINAL, PUBLISH_SUCCESS);

	if (removed)
		file_root_sync(directory);
	(void) file_remove(directory, FILE_FINAL, PUBLISH_MANIFEST);
}

static void
put_manifest(FileRoot *directory, const char *manifest)
{
	file_put(directory, PUBLISH_MANIFEST, manifest, strlen(manifest), true);
}

/* A source's files, then the manifest that says that they are all there. */
static void
publish_source(const Job *job, const JobSource *source, const List *parts,
			   FileRoot *root)
{
	bool	  replace = job->options.overwrite;
	FileRoot *folder =
		destination_folder(root, source->folder, FILE_ROOT_CREATE);
	const ListCell *cell;

	if (replace)
		remove_marks(folder);
	foreach (cell, parts)
	{
		FinishedPart *part = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (is_own(part))
			(void) file_publish(folder, destination_file_name(part->file),
								replace);
		FAILPOINT("publish-part");
	}
	if (replace)
		remove_stale_parts(folder, parts);
	file_root_sync(folder);
	put_manifest(folder, manifest_build(job, source, parts));
	destination_folder_close(folder, root);
}

void
publish_job(const Job *job, FileRoot *root)
{
	List	 *parts = parts_load(job->id);
	ListCell *cell;

	if (job->options.overwrite)
		remove_marks(root);
	foreach (cell, job->sources)
	{
		JobSource *source = lfirst(cell);

		publish_source(job, source, parts_of_source(parts, source->number),
					   root);
	}
	if (job->options.overwrite)
	{
		remove_stale_folders(root, job);
		if (destination_has_folders(job))
			remove_stale_parts(root, NIL);
	}
	if (destination_has_folders(job))
		put_manifest(root, manifest_build_common(job, parts));
	FAILPOINT("publish-success");
	file_root_check_place(root);
	file_put(root, PUBLISH_SUCCESS, "", 0, true);
	FAILPOINT("publish-clean");
	file_temp_remove(root);
	file_root_sync(root);
}

static bool
is_hidden(FileRoot *root, const FinishedPart *part)
{
	uint64 size;

	return file_stat(root, FILE_TEMP, destination_file_name(part->file),
					 &size);
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
		if (!is_own(part) || is_hidden(root, part))
			continue;
		folder = destination_folder_of(root, part->file);
		if (folder)
		{
			const char *name = destination_file_name(part->file);

			(void) file_carry(root, name, folder, name);
		}
		destination_folder_close(folder, root);
	}
	publish_undo(job, parts, root, false);
}

static void
undo_source(const JobSource *source, const List *parts, FileRoot *root,
			bool only_moved)
{
	FileRoot *folder =
		destination_folder(root, source->folder, FILE_ROOT_MISSING_OK);
	const ListCell *cell;

	if (folder == NULL)
		return;
	remove_marks(folder);
	foreach (cell, parts)
	{
		FinishedPart *part = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (is_own(part) && !(only_moved && is_hidden(root, part)))
			(void) file_remove(folder, FILE_FINAL,
							   destination_file_name(part->file));
	}
	file_root_sync(folder);
	destination_folder_close(folder, root);
	if (source->folder[0])
		(void) file_root_remove_subdir(root, source->folder);
}

void
publish_undo(const Job *job, const List *parts, FileRoot *root,
			 bool only_moved)
{
	const ListCell *cell;

	remove_marks(root);
	foreach (cell, job->sources)
	{
		JobSource *source = lfirst(cell);

		undo_source(source, parts_of_source(parts, source->number), root,
					only_moved);
	}
	file_root_sync(root);
}
