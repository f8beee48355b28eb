/*
 * job_server.c
 *		What this server has, and a copy of it does not.
 *
 * A copy of a cluster, from a base backup or by other means, has its jobs too,
 * with the same numbers, uuids and system identifier.  What a copy of files does
 * not have is the same files: the control file's inode, and the time when it was
 * born, are the cluster's own for its life.  A copy of a whole disk has them.
 *
 * A database that is made from another (TEMPLATE) has that one's jobs as well.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "access/xlog_internal.h"
#include "catalog/pg_control.h"
#include "miscadmin.h"

#include "export/job/job.h"
#include "compat.h"

char *
job_server(void)
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

char *
job_database(void)
{
	return psprintf("%s %u", job_server(), MyDatabaseId);
}
