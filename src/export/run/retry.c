/*
 * retry.c
 *		Steps of a job that are done again, when what ended them may pass: a
 *		full disk, a lock, memory, a connection.
 *
 * A step that fails has left nothing: its transaction is aborted, its files are
 * removed, and the next try begins from its first row.  Only the coordinator's
 * snapshot outlives it, which workers import anew.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "export/export_settings.h"
#include "export/job/job.h"
#include "export/run/run.h"

/* The first wait; each one is twice as long as the one before. */
#define FIRST_WAIT_S 1
#define MAX_WAIT_S	 60

typedef struct RetryRecord
{
	const Retry *retry;
	const char	*waiting_for;
	const char	*error; /* NULL when the wait is over */
} RetryRecord;

static bool
may_pass(int code)
{
	int class = ERRCODE_TO_CATEGORY(code);

	return class == ERRCODE_INSUFFICIENT_RESOURCES ||
		   class == ERRCODE_CONNECTION_EXCEPTION ||
		   code == ERRCODE_T_R_SERIALIZATION_FAILURE ||
		   code == ERRCODE_T_R_DEADLOCK_DETECTED ||
		   code == ERRCODE_LOCK_NOT_AVAILABLE ||
		   code == ERRCODE_CANNOT_CONNECT_NOW;
}

static bool
never(int code)
{
	return false;
}

static void
write_retry(void *arg)
{
	RetryRecord *record = arg;
	const Retry *retry = record->retry;

	StartTransactionCommand();
	/* the coordinator's, which ended with the try */
	if (retry->part < 0)
		job_lock_tables();
	(void) job_reload(retry->job, false);
	if (record->error)
		job_set_retry(retry->job->id, retry->part, record->waiting_for,
					  record->error);
	else
		job_end_waiting(retry->job->id, record->waiting_for);
	CommitTransactionCommand();
}

static void
retry_nothing(void *arg)
{
}

/* The job's row may be out of reach for the same reason as the step. */
static void
record_if_possible(RetryRecord *todo)
{
	JobError ignored;

	(void) guarded_run(write_retry, retry_nothing, todo, &ignored);
}

void
retry_check_stop(volatile bool *stop)
{
	/* as an error, so that the job's row can still be written */
	if (ProcDiePending)
		ereport(ERROR, (errcode(ERRCODE_ADMIN_SHUTDOWN),
						errmsg("the export was interrupted")));
	CHECK_FOR_INTERRUPTS();
	if (stop && *stop)
		ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED),
						errmsg("export job is stopping")));
}

static void
wait_for_next_try(const Retry *retry, int seconds)
{
	TimestampTz end =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), seconds * 1000L);

	for (;;)
	{
		long rest =
			TimestampDifferenceMilliseconds(GetCurrentTimestamp(), end);

		retry_check_stop(retry->stop);
		if (rest <= 0)
			break;
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, rest,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

static char *
describe_step(const Retry *retry)
{
	return retry->step ? pstrdup(retry->step)
					   : psprintf("part %d", retry->part);
}

void
retry_run(const Retry *retry, GuardedBody body, GuardedBody cleanup, void *arg)
{
	int		 seconds = FIRST_WAIT_S;
	int		 tried = 0;
	JobError error;

	while (!guarded_run_if(tried < max_retries ? may_pass : never, body,
						   cleanup, arg, &error))
	{
		char	   *step = describe_step(retry);
		char	   *line = error_line(&error);
		RetryRecord todo = {.retry = retry, .error = line};

		tried++;
		todo.waiting_for = psprintf("the next try of %s, %d s after: %s", step,
									seconds, error.message);
		record_if_possible(&todo);
		wait_for_next_try(retry, seconds);
		todo.error = NULL;
		record_if_possible(&todo);
		seconds = Min(2 * seconds, MAX_WAIT_S);
		pfree(unconstify(char *, todo.waiting_for));
		pfree(line);
		pfree(step);
	}
}
