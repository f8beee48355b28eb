/*
 * prune.c
 *		Old exports that make room for new ones.
 *
 * An export counts as long as its directory has its manifest: one that was
 * replaced or removed by hand is none.  Only what the manifest proves to be its
 * files goes.  Newer ones go first, since they may refer to older ones.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "encoding.h"
#include "export/export_destination.h"
#include "export/finish/finish.h"
#include "export/job/job.h"
#include "export/job/job_access.h"
#include "option.h"

PG_FUNCTION_INFO_V1(outflow_prune);
PGDLLEXPORT Datum outflow_prune(PG_FUNCTION_ARGS);

/* Why the export must stay, or NULL; from then on nobody can begin to need it. */
static const char *
reason_to_stay(const Job *job, Destination *root)
{
	int64 other;

	if (older_uuid(root, "") == NULL)
		return "A server with the same past has written it, such as the one "
			   "that this one is a copy of.";
	if (!job_lock_exclude(job->id))
		return "Another call is at it.";
	other = job_at_location(job->location, job->id, false);
	if (other != 0)
		return psprintf("Export job " INT64_FORMAT " has its directory.",
						other);
	other = job_based_on(job->id, job->id);
	if (other != 0)
		return psprintf("It is the base of export job " INT64_FORMAT
						", which is not done.",
						other);
	other = job_referring_to(job->location, job->id);
	if (other != 0)
		return psprintf(
			"Parts of export job " INT64_FORMAT " refer to its files.", other);
	return NULL;
}

static void
prune_remove_export(const Job *job, Destination *root)
{
	older_remove(root);
	if (root->driver->list(root, "", NULL) == NIL)
		root->driver->remove_place(root);
	else
		ereport(
			WARNING,
			(errmsg("directory \"%s\" stays", encoding_shown(job->location)),
			 errdetail("It holds something that is not known to be part "
					   "of the export.")));
	job_delete(job->id);
}

/* Whether it is removed. */
static bool
prune_job(int64 id, Destination *root)
{
	Job		   *job = job_load(id, false);
	const char *reason = "Another call is at it.";

	/* first, or its row would be waited for as long as others refer to it */
	if (job && job_lock_location(job->location))
	{
		bool is_free = job_lock_record(id);

		job = job_load(id, false);
		if (job && is_free)
			reason = reason_to_stay(job, root);
	}
	/* forgotten, or replaced, before we had it */
	if (job == NULL || !older_is_job(root, "", job))
		return false;
	if (reason == NULL)
		prune_remove_export(job, root);
	else
		ereport(NOTICE, (errmsg("export job " INT64_FORMAT " stays", id),
						 errdetail("%s", reason)));
	return reason == NULL;
}

static void
prune_report(ReturnSetInfo *result, const Job *job)
{
	Datum values[2];
	bool  nulls[2] = {false};

	values[0] = Int64GetDatum(job->id);
	values[1] = CStringGetTextDatum(job->destination);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

typedef struct PruneOwner
{
	Oid owner;
	int left; /* exports that may still stay */
} PruneOwner;

/*
 * Each owner has a count of their own: else whoever exports often could make
 * a superuser, who sees all jobs, prune everybody's by nothing but names.
 */
static bool
prune_is_among_newest(List **owners, Oid owner, int keep)
{
	PruneOwner *found = NULL;
	ListCell   *cell;

	foreach (cell, *owners)
	{
		if (((PruneOwner *) lfirst(cell))->owner == owner)
			found = lfirst(cell);
	}
	if (found == NULL)
	{
		found = palloc(sizeof(PruneOwner));
		found->owner = owner;
		found->left = keep;
		*owners = lappend(*owners, found);
	}
	if (found->left == 0)
		return false;
	found->left--;
	return true;
}

Datum
outflow_prune(PG_FUNCTION_ARGS)
{
	char  *prefix = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int	   keep = PG_GETARG_INT32(1);
	List  *owners = NIL;
	int	   count;
	int64 *ids;

	option_refuse_secret_argument(fcinfo, 0, "prefix");
	job_check_may_write("prune");
	rights_check_server();
	if (keep < 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("argument \"keep\" must be at least 1")));
	destination_check_kind(prefix);
	destination_check_rights(prefix);
	InitMaterializedSRF(fcinfo, 0);
	ids = job_ids_finished(prefix, &count);
	for (int i = 0; i < count; i++)
	{
		Job			*job = job_load(ids[i], false);
		Destination *root = job ? destination_open_known(job, false) : NULL;

		CHECK_FOR_INTERRUPTS();
		if (root == NULL)
			continue;
		if (older_is_job(root, "", job) &&
			!prune_is_among_newest(&owners, job->owner, keep) &&
			prune_job(job->id, root))
			prune_report((ReturnSetInfo *) fcinfo->resultinfo, job);
		root->driver->close(root);
	}
	return (Datum) 0;
}
