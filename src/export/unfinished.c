/*
 * unfinished.c
 *		Jobs that did not come to their end: begun again, or forgotten.
 */
#include "postgres.h"

#include "encoding.h"
#include "export/export_destination.h"
#include "export/finish/finish.h"
#include "export/job/job.h"
#include "export/job/part_table.h"
#include "export/plan/plan.h"
#include "export/plan/query.h"
#include "export/run/launch.h"
#include "export/run/run.h"
#include "export/unfinished.h"

void
unfinished_report_busy(int64 id)
{
	int pid;

	if (job_is_changed(id, &pid))
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("export job " INT64_FORMAT
					" is being changed by another call",
					id),
			 pid != 0
				 ? errdetail("Process %d has not ended its transaction.", pid)
				 : errdetail("A prepared transaction has it in hand."),
			 pid == 0 ? errhint("COMMIT PREPARED or ROLLBACK PREPARED ends "
								"it; see pg_prepared_xacts.")
					  : 0));
	ereport(
		ERROR,
		(errcode(ERRCODE_OBJECT_IN_USE),
		 errmsg("export job " INT64_FORMAT " is running", id),
		 errhint("SELECT outflow.cancel(" INT64_FORMAT ") stops it.", id)));
}

Job *
unfinished_requeue(int64 id)
{
	Job *job = job_load_own(id, false);

	if (job_is_query(job) && job->state != JOB_DONE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("export job " INT64_FORMAT " cannot be resumed", id),
				 errdetail("It exports a query, which can only be run again "
						   "from its start."),
				 errhint("SELECT outflow.forget(" INT64_FORMAT
						 "), then CALL outflow.export_query again.",
						 id)));
	rights_check_server();
	destination_check_rights(job->destination);
	rights_check_owner(job->owner);
	launch_check_room();
	if (job->state == JOB_DONE)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("export job " INT64_FORMAT " is done", id)));
	if (!job_lock_exclude(id))
		unfinished_report_busy(id);
	/* what it was before the lock may have changed */
	job = job_load_own(id, true);
	if (job->state == JOB_QUEUED)
		queue_start_unless_committed(id, job->owner);
	job_set_server(id);
	if (job->state != JOB_DONE && job->state != JOB_QUEUED)
		job_set_state(id, JOB_QUEUED, NULL);
	return job;
}

/* A store may yet do what was the job's last step: readers would take it for an
 * export without rows. */
static void
tell_late(const Job *job, Destination *root)
{
	const DestinationDriver *driver = root->driver;
	uint64					 size;

	if (driver->wrapper == NULL || driver->tables || job_makes_tables(job) ||
		!older_is_job(root, "", job) ||
		driver->stat(root, PUBLISH_SUCCESS, &size, NULL))
		return;
	ereport(NOTICE,
			(errmsg("file \"%s\" may still appear in \"%s\"", PUBLISH_SUCCESS,
					encoding_shown(root->path)),
			 errdetail("The export may have sent it at last, and a store may "
					   "carry out what nobody waits for any more."),
			 errhint("Look there in some minutes, and remove it.")));
}

/*
 * The files first: a record without files is harmless, the reverse is not.
 * A finished job has none that are its own, and neither has one whose hidden
 * directory is gone: that went last.
 */
static void
remove_unfinished(Job *job)
{
	Destination *root;

	if (job->state == JOB_DONE)
	{
		publish_release(job);
		return;
	}
	job_derive(job);
	root = destination_open_known(job, true);
	if (root == NULL)
		return;
	if (ownership_open(job, root, false))
	{
		if (job->publishing)
		{
			tell_late(job, root);
			publish_undo(job, parts_load(job->id), root);
		}
		root->driver->discard(root);
	}
	else if (destination_keeps_tables(job->location))
	{
		/* before there was a plan, nothing was staged */
		if (job->parts_total >= 0)
			publish_tell_staged(job);
	}
	else if (job->publishing)
		ereport(NOTICE,
				(errmsg("files in \"%s\" stay", encoding_shown(job->location)),
				 errdetail("The job had finished there, or its hidden "
						   "directory was removed.")));
	root->driver->close(root);
}

void
unfinished_forget(Job *job, bool abandon)
{
	bool with_slot = handover_may_forget(job);

	if (abandon)
		publish_abandon(job);
	else
		remove_unfinished(job);
	if (with_slot)
		handover_forget(job);
	job_delete(job->id);
}
