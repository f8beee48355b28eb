/*
 * rights.c
 *		Whether a job's owner may still do what the job does.
 *
 * A job runs for hours, and rights may be taken from its owner meanwhile.  They
 * are asked for at submission, before each part and by publish_job(); those on
 * the tables are in source.c.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/inval.h"
#include "utils/syscache.h"

#include "compat.h"
#include "export/export_settings.h"
#include "export/job/job.h"
#include "export/job/job_access.h"
#include "limit.h"

void
rights_check_server(void)
{
	limits_check_export();
}

static void
check_can_log_in(Oid owner)
{
	HeapTuple tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(owner));
	bool	  can_log_in;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("the job's owner does not exist any more"),
						errdetail("An export's background workers run as the "
								  "job's owner."),
						errhint("Forget the job.")));
	can_log_in = ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
	ReleaseSysCache(tuple);
	if (!can_log_in)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("role \"%s\" is not permitted to log in",
						GetUserNameFromId(owner, false)),
				 errdetail("An export is of a role that can log in, with and "
						   "without background workers.")));
}

void
rights_check_owner(Oid owner)
{
	check_can_log_in(owner);
	job_access_check_owner(owner);
	if (!database_allows_connect(MyDatabaseId, owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for role \"%s\" to connect to this "
						"database",
						GetUserNameFromId(owner, false)),
				 errdetail("An export is of a role that can connect, with and "
						   "without background workers.")));
}

void
rights_check_running(Oid owner)
{
	/* also within a transaction, as with "workers => 0" */
	AcceptInvalidationMessages();
	rights_check_owner(owner);
	/* a function that a policy or a type calls may have changed it */
	if (GetUserId() != owner)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("the export runs as another role than its owner"),
				 errdetail("It was begun as role \"%s\".",
						   GetUserNameFromId(owner, false))));
	rights_check_server();
}
