/*
 * tell.c
 *		What the session in CALL tells of its job: what it waits for, how far
 *		it is, and what came of it.
 */
#include "postgres.h"

#include "utils/guc.h"

#include "encoding.h"
#include "export/run/tell.h"

/* Looking at everybody's locks is not for every moment. */
#define BLOCKED_USEC (5 * USECS_PER_SEC)

void
told_begin(Told *told)
{
	told->context = CurrentMemoryContext;
	told->begun = told->progress = told->blocked_looked =
		GetCurrentTimestamp();
}

/* Whether the text differs from what was told last; remembers it. */
static bool
tell_is_news(Told *told, char **last, const char *text)
{
	if (*last && strcmp(*last, text) == 0)
		return false;
	if (*last)
		pfree(*last);
	*last = MemoryContextStrdup(told->context, text);
	return true;
}

void
tell_waiting(Told *told, const Job *job)
{
	if (job->waiting_for == NULL ||
		!tell_is_news(told, &told->waiting, job->waiting_for))
		return;
	if (job->state == JOB_QUEUED)
		ereport(
			NOTICE,
			(errmsg("export job " INT64_FORMAT " is queued", job->id),
			 errdetail("It waits for %s.", encoding_shown(job->waiting_for))));
	else
		ereport(WARNING,
				(errmsg("export job " INT64_FORMAT " tries again", job->id),
				 errdetail_internal("It waits for %s",
									encoding_shown(job->waiting_for))));
}

/* Who stands in the way of the export, and in whose way it stands. */
void
tell_blocked(Told *told, const Job *job)
{
	TimestampTz now = GetCurrentTimestamp();
	char	   *text;

	if (now - told->blocked_looked < BLOCKED_USEC)
		return;
	told->blocked_looked = now;
	text = job_waits(job->id);
	if (text && tell_is_news(told, &told->blocked, text))
		ereport(WARNING, (errmsg("export job " INT64_FORMAT
								 ": somebody waits for a lock",
								 job->id),
						  errdetail_internal("%s", encoding_shown(text))));
}

/* At most once a second, and less often as the export takes longer. */
void
tell_progress(Told *told, const Job *job)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz since = now - told->progress;
	JobProgress progress;

	if (client_min_messages > NOTICE || job->parts_total <= 0 ||
		since < USECS_PER_SEC || since < (now - told->begun) / 20)
		return;
	job_progress(job->id, &progress);
	if (progress.parts_done == told->parts)
		return;
	told->parts = progress.parts_done;
	told->progress = now;
	ereport(NOTICE, (errmsg("export job " INT64_FORMAT
							": %d of %d parts, " INT64_FORMAT
							" rows, " INT64_FORMAT " bytes",
							job->id, progress.parts_done, job->parts_total,
							progress.rows, progress.bytes)));
}

/*
 * The job's own names are looked up before there is any context; a function's,
 * which may be made again, in that of the function or of a row.
 */
static bool
tell_own_name_is_gone(const JobError *error)
{
	return error->context[0] == '\0' &&
		   (error->code == ERRCODE_UNDEFINED_SCHEMA ||
			error->code == ERRCODE_UNDEFINED_TABLE ||
			error->code == ERRCODE_UNDEFINED_COLUMN ||
			error->code == ERRCODE_UNDEFINED_FUNCTION ||
			error->code == ERRCODE_AMBIGUOUS_FUNCTION);
}

static bool
tell_hint_begins(const JobError *error, const char *start)
{
	return strncmp(error->hint, start, strlen(start)) == 0;
}

/*
 * Whether the job would fail again in the same way: what it reads or what it
 * was told to do must be changed, and a job's arguments can't be.
 */
static bool
tell_is_final(const JobError *error)
{
	int class = ERRCODE_TO_CATEGORY(error->code);

	return class == ERRCODE_DATA_EXCEPTION ||
		   class == ERRCODE_PROGRAM_LIMIT_EXCEEDED ||
		   class == ERRCODE_FEATURE_NOT_SUPPORTED ||
		   class == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION ||
		   error->code == ERRCODE_INVALID_OBJECT_DEFINITION ||
		   tell_hint_begins(error, "Choose ") ||
		   tell_hint_begins(error, "Export to another ") ||
		   tell_own_name_is_gone(error);
}

static char *
tell_way_out(const Job *job)
{
	const JobError *error = &job->error;
	const char	   *space = error->hint[0] ? " " : "";

	if (job->state == JOB_FAILED &&
		tell_hint_begins(error, "SELECT outflow.forget("))
		return pstrdup(error->hint);
	if (job->state == JOB_FAILED && tell_hint_begins(error, "Forget the job"))
		return psprintf("%s SELECT outflow.forget(" INT64_FORMAT
						") forgets it.",
						error->hint, job->id);
	if (job->state != JOB_FAILED || !tell_is_final(error))
		return psprintf("%s%sCALL outflow.resume(" INT64_FORMAT
						") continues it.",
						error->hint, space, job->id);
	return psprintf("%s%sSELECT outflow.forget(" INT64_FORMAT
					") removes the job and its unfinished files; change what "
					"the error names, or the export's arguments, and export "
					"again.",
					error->hint, space, job->id);
}

void
tell_failure(const Job *job)
{
	const JobError *error = &job->error;
	bool			failed = job->state == JOB_FAILED;

	ereport(ERROR,
			(errcode(failed ? error->code : ERRCODE_QUERY_CANCELED),
			 failed ? errmsg("export job " INT64_FORMAT " failed: %s", job->id,
							 error->message)
					: errmsg("export job " INT64_FORMAT " was interrupted",
							 job->id),
			 error->detail[0] ? errdetail_internal("%s", error->detail) : 0,
			 errhint("%s", tell_way_out(job)),
			 error->context[0] ? errcontext("%s", error->context) : 0));
}

void
tell_result(int64 id)
{
	JobCarried carried;

	job_carried(id, &carried);
	if (carried.made_null > 0)
		ereport(NOTICE,
				(errmsg("export job " INT64_FORMAT ": " INT64_FORMAT
						" values became nulls",
						id, carried.made_null),
				 errdetail("The format cannot hold them, and the option "
						   "\"lossy\" says \"null\".")));
	if (carried.carried + carried.redone == 0)
		return;
	ereport(NOTICE, (errmsg("export job " INT64_FORMAT
							": %d parts carried over, %d exported again",
							id, carried.carried, carried.redone),
					 carried.reasons ? errdetail("Exported again because: %s.",
												 carried.reasons)
									 : 0));
}
