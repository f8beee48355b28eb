/*
 * lake_live.c
 *		Files of an older version that the next one may keep.
 *
 * An Iceberg table never gets back a file that it has lost.  The snapshot without
 * it tells that it was deleted, and whoever expires that snapshot removes it.  So
 * only what the table has now is kept, whatever an older job has proven.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "export/lake/lake.h"
#include "export/lake/lake_table.h"

static bool
is_older(const Job *job, const FinishedPart *part)
{
	return part->file && (part->location || part->job != job->id);
}

static const JobSource *
source_with_file(const Job *job, const char *file)
{
	size_t			len = destination_name(file) - file;
	const ListCell *cell;

	len -= len > 0;
	foreach (cell, job->sources)
	{
		const JobSource *source = lfirst(cell);

		if (strlen(source->folder) == len &&
			strncmp(source->folder, file, len) == 0)
			return source;
	}
	return NULL;
}

typedef struct LiveFiles
{
	Destination		 *root;
	const LakeFormat *format;
	const Job		 *job;
	const JobSource	 *source;  /* whose they are; NULL: not read yet */
	HTAB			 *files;   /* NULL: any */
	MemoryContext	  context; /* of one source at a time */
} LiveFiles;

static void
read_live_files(LiveFiles *live, const JobSource *source)
{
	MemoryContext caller;

	MemoryContextReset(live->context);
	live->source = source;
	live->files = NULL;
	caller = MemoryContextSwitchTo(live->context);
	/* what has its version already is not asked for another one */
	if (!live->job->publishing ||
		!lake_is_committed(live->root, live->job, source))
		live->files = live->format->live(
			live->root, live->format->read(live->root, source->folder, false));
	MemoryContextSwitchTo(caller);
}

static bool
is_live(LiveFiles *live, const FinishedPart *part)
{
	const JobSource *source;

	if (!is_older(live->job, part))
		return true;
	source = source_with_file(live->job, part->file);
	if (source == NULL)
		return false;
	if (source != live->source)
		read_live_files(live, source);
	return live->files == NULL ||
		   hash_search(live->files, lake_name_of_part(part), HASH_FIND, NULL);
}

List *
lake_live_parts(Destination *root, const Job *job, const List *parts)
{
	LiveFiles live = {
		.root = root, .format = lake_format_of(root, job), .job = job};
	List		   *found = NIL;
	const ListCell *cell;

	if (live.format->live == NULL)
		return list_copy(parts);
	live.context = AllocSetContextCreate(
		CurrentMemoryContext, "outflow live files", ALLOCSET_DEFAULT_SIZES);
	foreach (cell, parts)
	{
		CHECK_FOR_INTERRUPTS();
		if (is_live(&live, lfirst(cell)))
			found = lappend(found, lfirst(cell));
	}
	MemoryContextDelete(live.context);
	return found;
}

void
lake_check_live(Destination *root, const Job *job, const List *parts)
{
	List *live = lake_live_parts(root, job, parts);

	for (int i = 0; i < list_length(parts); i++)
	{
		if (i >= list_length(live) || list_nth(live, i) != list_nth(parts, i))
			lake_throw_lost(list_nth(parts, i));
	}
}
