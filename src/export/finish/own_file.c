/*
 * own_file.c
 *		Which files of a directory are an export's own.
 */
#include "postgres.h"

#include "export/export_destination.h"
#include "export/finish/finish.h"

/* Not a file of another export that a part refers to. */
bool
publish_is_own(const FinishedPart *part)
{
	return part->file && part->location == NULL;
}

List *
publish_names(const List *parts)
{
	List		   *names = NIL;
	const ListCell *cell;

	foreach (cell, parts)
	{
		FinishedPart *part = lfirst(cell);

		if (publish_is_own(part))
			names = lappend(names,
							unconstify(char *, destination_name(part->file)));
	}
	names_sort(names);
	return names;
}

bool
publish_is_ours(const Job *job, const char *folder, const List *names,
				const char *manifest, const DestinationEntry *entry)
{
	bool in_root = folder[0] == '\0';

	if (strcmp(entry->name, manifest) == 0)
		return true;
	if (in_root && strcmp(entry->name, PUBLISH_SUCCESS) == 0)
		return true;
	if (in_root && destination_has_folders(job))
		return entry->is_directory && destination_is_folder(job, entry->name);
	return names_have(names, entry->name);
}
