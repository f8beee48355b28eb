/*
 * ownership.c
 *		Whether an unfinished job's hidden directory is this server's.
 *
 * A copy of a cluster has its jobs too: see job_server.c.  A copy of a whole disk
 * can't be told from it; then the lock that a running job holds is what keeps it
 * out.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"

#include "export/job/job.h"
#include "export/finish/finish.h"
#include "export/lake/lake.h"
#include "compat.h"

/* What a session exports by itself has no record until it is done: see left.c. */
static char *
job_token(const Job *job)
{
	return psprintf("%s %u " UINT64_FORMAT " %s%s\n", job->uuid, MyDatabaseId,
					GetSystemIdentifier(), job_server(),
					job->workers == 0 ? " inline" : "");
}

pg_noreturn static void
refuse(const Job *job, const Destination *root)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		 errmsg(
			 "directory \"%s/.outflow-%s\" is not known to be this server's",
			 root->path, job->uuid),
		 errdetail("A server or database with the same past has made it, such "
				   "as the one that this one is a copy of."),
		 errhint("If no other server uses it, remove it.")));
}

bool
ownership_open(const Job *job, Destination *root, bool create)
{
	switch (root->driver->claim(root, job->uuid, job_token(job),
								create ? ACCESS_CREATE : ACCESS_TAKE))
	{
		case CLAIM_GRANTED:
			break;
		case CLAIM_MISSING:
			return false;
		case CLAIM_FOREIGN:
			refuse(job, root);
		case CLAIM_LOCKED:
			ereport(
				ERROR,
				(errcode(root->driver->tables ? ERRCODE_LOCK_NOT_AVAILABLE
											  : ERRCODE_OBJECT_IN_USE),
				 errmsg("directory \"%s/.outflow-%s\" is in use by another "
						"process",
						root->path, job->uuid),
				 errdetail(
					 "A server or database with the same past may run the "
					 "job.")));
	}
	return true;
}

void
ownership_check_finished(const Job *job, Destination *root)
{
	bool is_anothers;

	/*
	 * Files that are finished before there was a plan here are in the way as
	 * any others; a version would be taken for the job's own.
	 */
	if (root->driver->tables ||
		(job->parts_total < 0 && !job_makes_tables(job)))
		return;
	if (job_makes_tables(job))
		is_anothers = lake_is_anothers(root, job);
	else
		is_anothers =
			older_is_job(root, "", job) && !older_is_own(root, "", job);
	if (!is_anothers)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("another server or database has finished export "
					"job " INT64_FORMAT,
					job->id),
			 errdetail("What is in \"%s\" is of one with the same past, "
					   "such as the one that this one is a copy of.",
					   root->path),
			 errhint("Forget the job here, which leaves the export as it is, "
					 "and export to another place.")));
}

bool
ownership_try(const Job *job, Destination *root)
{
	return root->driver->claim(root, job->uuid, job_token(job), ACCESS_TAKE) ==
		   CLAIM_GRANTED;
}

DestinationClaim
ownership_claim_left(const Job *left, Destination *root)
{
	return root->driver->claim(root, left->uuid, job_token(left), ACCESS_LEFT);
}

void
ownership_join(const Job *job, Destination *root)
{
	if (root->driver->claim(root, job->uuid, job_token(job), ACCESS_JOIN) !=
		CLAIM_GRANTED)
		refuse(job, root);
}
