/*
 * deny_reads.c
 *		Forbids to read the column that "deny_reads.what" names, written as
 *		table.column, in whatever process: by the hook that label-based
 *		security uses.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "nodes/parsenodes.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

PG_MODULE_MAGIC;

void _PG_init(void);

static char *denied = NULL;

static void
check(Oid relid, const Bitmapset *columns)
{
	int member = -1;

	while ((member = bms_next_member(columns, member)) >= 0)
	{
		AttrNumber attnum = member + FirstLowInvalidHeapAttributeNumber;
		char	  *name;

		if (attnum <= 0)
			continue;
		name = psprintf("%s.%s", get_rel_name(relid),
						get_attname(relid, attnum, false));
		if (strcmp(name, denied) == 0)
			ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
							errmsg("label forbids to read %s", name)));
	}
}

#if PG_VERSION_NUM >= 160000
static bool
check_rights(List *tables, List *rights, bool throws)
{
	ListCell *cell;

	foreach (cell, rights)
	{
		RTEPermissionInfo *right = lfirst(cell);

		check(right->relid, right->selectedCols);
	}
	return true;
}
#else
static bool
check_rights(List *tables, bool throws)
{
	ListCell *cell;

	foreach (cell, tables)
	{
		RangeTblEntry *table = lfirst(cell);

		if (table->rtekind == RTE_RELATION)
			check(table->relid, table->selectedCols);
	}
	return true;
}
#endif

void
_PG_init(void)
{
	DefineCustomStringVariable("deny_reads.what", "table.column", NULL,
							   &denied, "", PGC_SIGHUP, 0, NULL, NULL, NULL);
	ExecutorCheckPerms_hook = check_rights;
}
