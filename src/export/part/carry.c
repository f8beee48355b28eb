/*
 * carry.c
 *		Parts of an earlier run or export, and whether they still hold.
 *
 * A candidate is a part that was finished before, with its stamp.  Its file is
 * kept if the stamp is valid under the present snapshot and the file is still
 * the one that was stamped; otherwise its blocks are exported again.
 */
#include "postgres.h"

#include "access/relation.h"
#include "miscadmin.h"
#include "utils/rel.h"

#include "encoding.h"
#include "export/export_destination.h"
#include "export/export_options.h"
#include "export/job/job.h"
#include "export/job/part_table.h"
#include "export/part/part.h"
#include "export/part/part_check.h"
#include "export/plan/plan.h"
#include "export/plan/source.h"
#include "export/proof/validity.h"

List *
carry_candidates(const Job *job)
{
	List	 *candidates = NIL;
	ListCell *cell;

	if (job->parts_total >= 0)
		return parts_load(job->id);
	if (job->base == 0)
		return NIL;
	foreach (cell, parts_load(job->base))
	{
		FinishedPart *part = lfirst(cell);

		/* a leaf is one table's only, but the base may number it otherwise */
		part->plan.source = ANY_SOURCE;
		if (part->done)
			candidates = lappend(candidates, part);
	}
	return candidates;
}

static bool
has_part_of(const List *parts, const List *leaves)
{
	const ListCell *cell;

	foreach (cell, parts)
	{
		FinishedPart *part = lfirst(cell);

		if (list_member_oid(leaves, part->plan.relid))
			return true;
	}
	return false;
}

/* The manifest is to name the files that are referred to. */
static void
check_told(const Job *job, const List *parts)
{
	Job			   *base = job_load(job->base, false);
	const ListCell *cell;

	if (base)
		destination_check_bytes(base->location);
	foreach (cell, parts)
	{
		FinishedPart *part = lfirst(cell);

		if (part->location)
			destination_check_bytes(part->location);
	}
}

void
carry_check_base(const Job *job)
{
	List	 *parts;
	ListCell *cell;

	/* who didn't name a base need not be told */
	if (job->base == 0 || job_makes_tables(job))
		return;
	parts = parts_load(job->base);
	if (job->options.carry == CARRY_REFERENCE)
		check_told(job, parts);
	foreach (cell, job->sources)
	{
		JobSource *source = lfirst(cell);
		Relation   rel = relation_open(source->relid, NoLock);
		bool	   found = has_part_of(parts, source_leaves(rel));

		CHECK_FOR_INTERRUPTS();
		relation_close(rel, NoLock);
		if (!found)
			ereport(WARNING, (errmsg("nothing of table %s can be carried over",
									 encoding_shown(source->name)),
							  errdetail("Export job " INT64_FORMAT
										", the base, has no part of it.",
										job->base)));
	}
}

bool
carry_refers(const Job *job, const FinishedPart *candidate)
{
	/* a lake table's file stays where it is, version after version */
	if (job_makes_tables(job))
		return candidate->location != NULL;
	/* what this very export replaces can't be referred to */
	return job->options.carry == CARRY_REFERENCE && candidate->location &&
		   strcmp(candidate->location, job->location) != 0;
}

static bool
is_referable(const FinishedPart *candidate)
{
	Destination *from = part_open_location(candidate);
	bool		 stored;

	if (from == NULL)
		return false;
	stored = part_is_stored(from, DESTINATION_FINAL, candidate);
	from->driver->close(from);
	return stored;
}

/* The same where there are rows: those of the base, if it has kept them. */
static bool
fetch_rows(const Job *job, const PlannedPart *part,
		   const FinishedPart *candidate, Destination *root, const char *file)
{
	const TableDriver *driver = root->driver->tables;
	Job				  *base = job_load(job->base, false);

	if (base == NULL)
		return false;
	driver->begin_table(root, part->source);
	return driver->carry(root, file, base->uuid, candidate->file);
}

/* Puts the candidate's file where the part's belongs, if it is elsewhere. */
static bool
fetch_file(const Job *job, const PlannedPart *part,
		   const FinishedPart *candidate, Destination *root, const char *file)
{
	Destination *from;
	bool		 found;

	if (candidate->location == NULL)
		return strcmp(candidate->file, file) == 0;
	if (root->driver->tables)
		return fetch_rows(job, part, candidate, root, file);
	from = part_open_location(candidate);
	if (from == NULL)
		return false;
	/* from one kind of place to another it would pass through here anyway */
	found = from->driver == root->driver &&
			root->driver->carry(root, file, from, candidate->file);
	from->driver->close(from);
	return found;
}

static const char *
judge(const PartContext *context, const PlannedPart *part,
	  const FinishedPart *candidate)
{
	const Job  *job = context->job;
	JobSource  *source = list_nth(job->sources, part->source);
	Relation	rel = source_open(source->relid, source->name, source->columns,
								  job->options.row_security);
	Relation	leaf = relation_open(part->relid, AccessShareLock);
	Node	   *filter = NULL;
	RowShape   *shape;
	Stamp		stamp;
	Signature	signature;
	const char *trouble;

	source_check_leaf(leaf, rel);
	shape = source_shape(rel, source, job, CurrentMemoryContext);
	planned_check(source, rel, leaf, shape);
	if (source->filter)
		filter = filter_plan(source, rel);
	trouble = part_signature(job, source, shape, leaf, filter, &signature);
	part_check_definitions(context, source, shape, rel, leaf, filter,
						   &signature);
	if (trouble == NULL)
	{
		Verdict verdict;

		stamp_from_text(&stamp, candidate->stamp);
		verdict =
			validity_check(&stamp, leaf, context->snapshot, &signature, NULL);
		if (!verdict_is_valid(verdict))
			trouble = verdict_reason(verdict);
	}
	row_shape_free(shape);
	relation_close(leaf, NoLock);
	relation_close(rel, NoLock);
	return trouble;
}

/* A table's log names files of its own folder only. */
static bool
is_of_folder(const char *file, const char *other)
{
	size_t folder = destination_name(file) - file;

	return folder == (size_t) (destination_name(other) - other) &&
		   strncmp(file, other, folder) == 0;
}

const char *
carry_keep(const PartContext *context, const PlannedPart *part,
		   const FinishedPart *candidate)
{
	const Job	*job = context->job;
	FinishedPart kept = *candidate;
	const char	*trouble;
	bool		 holds;

	if (candidate->stamp == NULL)
		return candidate->reason ? candidate->reason
								 : "the part was not stamped by this cluster";
	if (job->options.checksum == checksum_find("sha256") &&
		candidate->checksum.method != job->options.checksum)
		return "its file has no sha256";
	trouble = judge(context, part, candidate);
	if (trouble)
		return trouble;
	kept.file = part_file(job, part);
	if (carry_refers(job, candidate))
		holds = (!job_makes_tables(job) ||
				 is_of_folder(candidate->file, kept.file)) &&
				is_referable(candidate);
	else
		holds = fetch_file(job, part, candidate, context->root, kept.file) &&
				part_is_stored(context->root, DESTINATION_STAGED, &kept);
	return holds ? NULL : "its file is missing or was changed";
}
