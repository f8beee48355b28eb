/*
 * launch.c
 *		Starts the processes of exports.
 *
 * It knows them by name only; what they do is theirs.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "replication/logicallauncher.h"

#include "export/run/launch.h"

/* After a crash of the launcher, in seconds. */
#define LAUNCHER_PAUSE 1

/* Set in the postmaster, of which every process has a copy. */
static bool has_launcher = false;

/* Those that are always in use: the server's own, and ours. */
static int
count_launchers(void)
{
	return (max_logical_replication_workers > 0 ? 1 : 0) +
		   (has_launcher ? 1 : 0);
}

int
launch_room(void)
{
	return max_worker_processes - count_launchers();
}

void
launch_check_room(void)
{
	if (launch_room() < MIN_PROCESSES)
		ereport(
			ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("this server has too few background workers for an "
					"export"),
			 errdetail("An export needs %d, and max_worker_processes is %d, "
					   "of which launchers have %d.",
					   MIN_PROCESSES, max_worker_processes, count_launchers()),
			 errhint("Increase max_worker_processes, or export with "
					 "workers => 0.")));
}

static void
describe(BackgroundWorker *worker, const char *type, const char *function)
{
	memset(worker, 0, sizeof(BackgroundWorker));
	snprintf(worker->bgw_name, BGW_MAXLEN, "outflow %s", type);
	snprintf(worker->bgw_type, BGW_MAXLEN, "outflow %s", type);
	strlcpy(worker->bgw_library_name, "outflow", BGW_MAXLEN);
	strlcpy(worker->bgw_function_name, function, BGW_MAXLEN);
	worker->bgw_flags =
		BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker->bgw_restart_time = BGW_NEVER_RESTART;
}

bool
launch_coordinator(int64 job, Oid owner, BackgroundWorkerHandle **handle)
{
	BackgroundWorker worker;
	CoordinatorArgs	 args = {MyDatabaseId, owner};

	describe(&worker, "coordinator", "outflow_coordinator_main");
	snprintf(worker.bgw_name, BGW_MAXLEN, "outflow job " INT64_FORMAT, job);
	worker.bgw_main_arg = Int64GetDatum(job);
	worker.bgw_notify_pid = handle ? MyProcPid : 0;
	memcpy(worker.bgw_extra, &args, sizeof(args));
	return RegisterDynamicBackgroundWorker(&worker, handle);
}

bool
launch_worker(int64 job, int number, dsm_handle shared,
			  BackgroundWorkerHandle **handle)
{
	BackgroundWorker worker;

	describe(&worker, "worker", "outflow_worker_main");
	snprintf(worker.bgw_name, BGW_MAXLEN,
			 "outflow job " INT64_FORMAT " worker %d", job, number);
	worker.bgw_main_arg = UInt32GetDatum(shared);
	worker.bgw_notify_pid = MyProcPid;
	memcpy(worker.bgw_extra, &number, sizeof(number));
	return RegisterDynamicBackgroundWorker(&worker, handle);
}

bool
launch_queue(Oid database, BackgroundWorkerHandle **handle)
{
	BackgroundWorker worker;

	describe(&worker, "queue", "outflow_queue_main");
	worker.bgw_main_arg = ObjectIdGetDatum(database);
	worker.bgw_notify_pid = MyProcPid;
	return RegisterDynamicBackgroundWorker(&worker, handle);
}

void
launch_at_start(void)
{
	BackgroundWorker worker;

	describe(&worker, "launcher", "outflow_launcher_main");
	worker.bgw_restart_time = LAUNCHER_PAUSE;
	RegisterBackgroundWorker(&worker);
	has_launcher = true;
}
