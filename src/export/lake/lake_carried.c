/*
 * lake_carried.c
 *		Files of an older version that the next one keeps.
 *
 * They were proven when their parts were carried over.  Others may remove them
 * since: a vacuum of another database's, or another program's.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "export/lake/lake.h"
#include "export/lake/lake_table.h"

static int
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(((DestinationEntry *) lfirst(a))->name,
				  ((DestinationEntry *) lfirst(b))->name);
}

static int
compare_with_name(const void *name, const void *cell)
{
	const DestinationEntry *entry = lfirst((const ListCell *) cell);

	return strcmp(name, entry->name);
}

static bool
is_there(const List *entries, const FinishedPart *part)
{
	const ListCell		   *found = NULL;
	const DestinationEntry *entry;

	if (entries != NIL)
		found = bsearch(lake_name_of_part(part), entries->elements,
						entries->length, sizeof(ListCell), compare_with_name);
	if (found == NULL)
		return false;
	entry = lfirst(found);
	return entry->is_regular && (int64) entry->size == part->bytes_stored;
}

void
lake_check_carried(Destination *root, const JobSource *source,
				   const List *parts)
{
	List		   *entries = NIL;
	bool			listed = false;
	const ListCell *cell;

	foreach (cell, parts)
	{
		const FinishedPart *part = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (part->location == NULL)
			continue;
		if (!listed)
		{
			entries = root->driver->list(root, source->folder, NULL);
			list_sort(entries, compare_names);
			listed = true;
		}
		if (!is_there(entries, part))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_FILE),
					 errmsg("file \"%s\" of the last version was removed or "
							"changed",
							part->file),
					 errdetail("The export was to keep it."),
					 errhint("Its rows are exported anew by the next "
							 "attempt.")));
	}
}

void
lake_give_mode(Destination *root, const LakeFormat *format,
			   const JobSource *source, const List *parts)
{
	const ListCell *cell;

	foreach (cell, parts)
	{
		const FinishedPart *part = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (part->location)
			root->driver->give_mode(
				root,
				destination_key(source->folder, lake_name_of_part(part)));
	}
	root->driver->give_mode(
		root,
		destination_key(source->folder, psprintf("%s/", format->folder)));
}
