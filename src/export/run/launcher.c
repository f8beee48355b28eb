/*
 * launcher.c
 *		Starts the queued jobs of a server that has just begun.
 *
 * Jobs outlive the server, the processes that would start them don't.  With
 * the library in shared_preload_libraries a launcher goes through the
 * databases once, after each start and crash, with a process for each, which
 * can only be in one database.  Then it sleeps, to be there after a crash.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "export/export_settings.h"
#include "export/job/job.h"
#include "export/run/run.h"
#include "compat.h"
#include "export/export.h"
#include "export/run/launch.h"

/* Between tries to get a free background worker. */
#define PAUSE_S 1

/*
 * What a database takes at most: who owns one can hold up whoever connects, and
 * must not hold up the others' jobs.
 */
#define PATIENCE_S 10

PGDLLEXPORT void outflow_launcher_main(Datum arg);
PGDLLEXPORT void outflow_queue_main(Datum arg);

void
export_register_launcher(void)
{
	/* pg_upgrade wants a server that does nothing by itself */
	if (process_shared_preload_libraries_in_progress && !IsBinaryUpgrade)
		launch_at_start();
}

static List *
connectable_databases(void)
{
	MemoryContext context = CurrentMemoryContext;
	List		 *databases = NIL;
	Relation	  rel;
	TableScanDesc scan;
	HeapTuple	  tuple;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);
		MemoryContext	 old = MemoryContextSwitchTo(context);

		if (database->datallowconn && !database_is_invalid(database))
			databases = lappend_oid(databases, database->oid);
		MemoryContextSwitchTo(old);
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
	return databases;
}

static void
rest(int seconds)
{
	(void) WaitLatch(MyLatch,
					 WL_LATCH_SET | WL_EXIT_ON_PM_DEATH |
						 (seconds > 0 ? WL_TIMEOUT : 0),
					 seconds * 1000L, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* Whether it ended within the time. */
static bool
wait_for_end(BackgroundWorkerHandle *handle)
{
	TimestampTz begun = GetCurrentTimestamp();
	pid_t		pid;

	while (GetBackgroundWorkerPid(handle, &pid) != BGWH_STOPPED)
	{
		if (TimestampDifferenceExceeds(begun, GetCurrentTimestamp(),
									   PATIENCE_S * 1000))
			return false;
		rest(PAUSE_S);
	}
	return true;
}

static void
visit(Oid database)
{
	BackgroundWorkerHandle *handle;

	while (!launch_queue(database, &handle))
		rest(PAUSE_S);
	if (!wait_for_end(handle))
		TerminateBackgroundWorker(handle);
	pfree(handle);
}

void
outflow_launcher_main(Datum arg)
{
	List	 *databases;
	ListCell *cell;

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	databases = connectable_databases();
	foreach (cell, databases)
		visit(lfirst_oid(cell));
	for (;;)
		rest(0);
}

void
outflow_queue_main(Datum arg)
{
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(arg),
											  InvalidOid, 0);
	settings_pin_worker(GetSessionUserId());
	StartTransactionCommand();
	if (OidIsValid(get_extension_oid("outflow", true)) &&
		job_try_lock_tables())
		(void) queue_start_next(max_jobs, false);
	CommitTransactionCommand();
}
