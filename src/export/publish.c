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
	ListCell *cell;

	foreach (cell, parts)
	{
		FinishedPart *part = lfirst(cell);

		if (is_own(part) && strcmp(part->file, name) == 0)
			return true;
	}
	return false;
}

bool
publish_is_ours(const List *parts, const char *name)
{
	return strcmp(name, PUBLISH_MANIFEST) == 0 ||
		   strcmp(name, PUBLISH_SUCCESS) == 0 || is_part_of(parts, name);
}

/* An older export's parts that none of ours has replaced. */
static void
remove_stale_parts(FileRoot *root, const List *parts)
{
	ListCell *cell;

	foreach (cell, file_list(root, FILE_FINAL))
	{
		FileEntry *entry = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (entry->is_regular && strncmp(entry->name, "part-", 5) == 0 &&
			!is_part_of(parts, entry->name))
			(void) file_remove(root, FILE_FINAL, entry->name);
	}
}

static void
remove_marks(FileRoot *root)
{
	bool removed = file_remove(root, FILE_FINAL, PUBLISH_SUCCESS);

	if (removed)
		file_root_sync(root);
	(void) file_remove(root, FILE_FINAL, PUBLISH_MANIFEST);
}

void
publish_job(const Job *job, FileRoot *root)
{
	List	 *parts = parts_load(job->id);
	bool	  replace = job->options.overwrite;
	char	 *manifest;
	ListCell *cell;

	if (replace)
		remove_marks(root);
	foreach (cell, parts)
	{
		FinishedPart *part = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (is_own(part))
			(void) file_publish(root, part->file, replace);
		FAILPOINT("publish-part");
	}
	if (replace)
		remove_stale_parts(root, parts);
	file_root_sync(root);

	manifest = manifest_build(job, parts);
	file_put(root, PUBLISH_MANIFEST, manifest, strlen(manifest), true);
	FAILPOINT("publish-success");
	file_put(root, PUBLISH_SUCCESS, "", 0, true);
	FAILPOINT("publish-clean");
	file_temp_remove(root);
	file_root_sync(root);
}

void
publish_retreat(const Job *job, FileRoot *root)
{
	List	 *parts = parts_load(job->id);
	ListCell *cell;
	uint64	  size;

	foreach (cell, parts)
	{
		FinishedPart *part = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (is_own(part) && !file_stat(root, FILE_TEMP, part->file, &size))
			(void) file_carry(root, part->file, root, part->file);
	}
	publish_undo(parts, root);
}

void
publish_undo(const List *parts, FileRoot *root)
{
	const ListCell *cell;

	remove_marks(root);
	foreach (cell, parts)
	{
		FinishedPart *part = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (is_own(part))
			(void) file_remove(root, FILE_FINAL, part->file);
	}
	file_root_sync(root);
}
