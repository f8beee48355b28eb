/*
 * job_triggers.c
 *		Nobody's function runs with the rights of the job tables' owner.
 *
 * Statements on the tables have their owner's rights, and so have triggers on
 * them.  GRANT ALL on what a schema has lets a role put its own there.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "export/job/job_access.h"

/* One could be made at any moment, also just before a statement. */
static void
check_grants(const char *table, Oid relid, Oid owner)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	bool	  isnull;
	Datum	  value;
	Acl		 *acl;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	value = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_relacl, &isnull);
	acl = isnull ? NULL : DatumGetAclPCopy(value);
	ReleaseSysCache(tuple);
	for (int i = 0; acl && i < ACL_NUM(acl); i++)
	{
		const AclItem *item = &ACL_DAT(acl)[i];

		if ((item->ai_grantee == ACL_ID_PUBLIC ||
			 !has_privs_of_role(item->ai_grantee, owner)) &&
			(ACLITEM_GET_PRIVS(*item) & ACL_TRIGGER) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("role \"%s\" may put triggers on table outflow.%s",
							item->ai_grantee == ACL_ID_PUBLIC
								? "public"
								: GetUserNameFromId(item->ai_grantee, true),
							table),
					 errdetail("They would run with the rights of the table's "
							   "owner."),
					 errhint("REVOKE TRIGGER ON ALL TABLES IN SCHEMA outflow "
							 "from that role.")));
	}
}

static Oid
function_owner(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Oid		  owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* Those that were made when it was allowed; not what may act as the owner anyway. */
static void
check_triggers(const char *table, Oid relid, Oid owner)
{
	Relation	catalog = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_trigger_tgrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, TriggerRelidNameIndexId, true, NULL, 1,
							  &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_trigger trigger = (Form_pg_trigger) GETSTRUCT(tuple);

		if (!has_privs_of_role(function_owner(trigger->tgfoid), owner))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("trigger \"%s\" on table outflow.%s runs another "
							"role's function",
							NameStr(trigger->tgname), table),
					 errdetail("It would run with the rights of the table's "
							   "owner."),
					 get_func_namespace(trigger->tgfoid) ==
							 get_namespace_oid("outflow_internal", true)
						 ? errhint("Let a superuser own the functions of "
								   "schema outflow_internal.")
						 : errhint("Drop the trigger.")));
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

void
job_triggers_check(const char *table, Oid relid, Oid owner)
{
	check_grants(table, relid, owner);
	check_triggers(table, relid, owner);
}
