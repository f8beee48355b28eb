/*
 * abandon.c
 *		What a job leaves behind that is forgotten without its destination.
 *
 * The place may be gone for good, with nobody left to ask; or it comes back one
 * day, when no record tells any more whose these things are.  So they are told
 * by name, from the job's record alone.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "encoding.h"
#include "export/export_destination.h"
#include "export/finish/finish.h"
#include "export/job/job.h"
#include "export/job/part_table.h"

#define FILES_NAMED 100

/* Those that may have their final names by now. */
static void
add_names(StringInfo left, const Job *job)
{
	const ListCell *cell;
	int				count = 0;

	appendStringInfoString(left, "  Published already, perhaps:");
	foreach (cell, parts_load(job->id))
	{
		const FinishedPart *part = lfirst(cell);

		if (publish_is_own(part) && ++count <= FILES_NAMED)
			appendStringInfo(left, " \"%s\",", part->file);
	}
	if (count > FILES_NAMED)
		appendStringInfo(left, " %d more,", count - FILES_NAMED);
	appendStringInfoString(left, job_makes_tables(job)
									 ? " and the table's next version."
									 : " each \"" PUBLISH_MANIFEST
									   "\" and \"" PUBLISH_SUCCESS "\".");
}

static const char *
left_in_tables(const Job *job)
{
	return psprintf("Tables whose names begin with \"%s\", rows of the ledger "
					"with that job%s.",
					job->uuid,
					job->options.load == LOAD_DIRECT
						? ", and rows that were loaded directly"
						: "");
}

static const char *
left_in_files(const Job *job)
{
	StringInfoData left;

	initStringInfo(&left);
	appendStringInfo(&left,
					 "All that is in \".outflow-%s\", and of a store "
					 "unfinished uploads to there.",
					 job->uuid);
	if (job->publishing)
		add_names(&left, job);
	return left.data;
}

void
publish_abandon(Job *job)
{
	bool tables = destination_keeps_tables(job->location);

	job_derive(job);
	/* what is finished stays in any case */
	if (job->state == JOB_DONE && !(tables && job->options.load == LOAD_KEPT))
		return;
	ereport(WARNING,
			(errmsg("what export job " INT64_FORMAT
					" has left at \"%s\" stays there",
					job->id, encoding_shown(job->location)),
			 errdetail_internal("%s", tables ? left_in_tables(job)
											 : left_in_files(job)),
			 job_makes_tables(job) && job->publishing
				 ? errhint("If the place is still there, remove what no "
						   "version of the table names.")
				 : errhint("If the place is still there, remove it.")));
}
