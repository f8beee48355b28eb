/*
 * ownership.c
 *		Whether an unfinished job's hidden directory is this server's.
 *
 * A copy of a cluster, from a base backup or by other means, has its jobs too,
 * with the same numbers, uuids and system identifier.  What a copy of files does
 * not have is the same files: the control file's inode, and the time when it was
 * born, are the cluster's own for its life.  A copy of a whole disk has them;
 * then the lock that a running job holds is what keeps it out.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "catalog/pg_control.h"
#include "miscadmin.h"

#include "export/job/job.h"
#include "export/finish/finish.h"
#include "compat.h"

char *
ownership_server(void)
{
	struct statx st;

	if (statx(AT_FDCWD, XLOG_CONTROL_FILE, 0, STATX_INO | STATX_BTIME, &st) !=
		0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not stat file \"%s\": %m", XLOG_CONTROL_FILE)));
	/* some file systems don't tell the birth */
	if ((st.stx_mask & STATX_BTIME) == 0)
		memset(&st.stx_btime, 0, sizeof(st.stx_btime));
	return psprintf(UINT64_FORMAT " " INT64_FORMAT ".%09u",
					(uint64) st.stx_ino, (int64) st.stx_btime.tv_sec,
					st.stx_btime.tv_nsec);
}

static char *
job_token(const Job *job)
{
	return psprintf("%s %u " UINT64_FORMAT " %s\n", job->uuid, MyDatabaseId,
					GetSystemIdentifier(), ownership_server());
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
		 errdetail("A server with the same past has made it, such as the one "
				   "that this one is a copy of."),
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
				 errdetail("A server with the same past may run the job.")));
	}
	return true;
}

bool
ownership_try(const Job *job, Destination *root)
{
	return root->driver->claim(root, job->uuid, job_token(job), ACCESS_TAKE) ==
		   CLAIM_GRANTED;
}

void
ownership_join(const Job *job, Destination *root)
{
	if (root->driver->claim(root, job->uuid, job_token(job), ACCESS_JOIN) !=
		CLAIM_GRANTED)
		refuse(job, root);
}
