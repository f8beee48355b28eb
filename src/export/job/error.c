/*
 * error.c
 *		Errors that travel between the processes of a job, and the one place
 *		of this folder that catches them.
 */
#include "postgres.h"

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "export/job/error.h"

void
error_text_copy(char *dst, const char *src)
{
	int len = src ? strlen(src) : 0;

	len = pg_mbcliplen(src ? src : "", len, ERROR_TEXT_SIZE - 1);
	memcpy(dst, src ? src : "", len);
	dst[len] = '\0';
}

void
error_set(JobError *error, int code, const char *message, const char *detail,
		  const char *hint, const char *context)
{
	error->code = code;
	error_text_copy(error->message, message);
	error_text_copy(error->detail, detail);
	error_text_copy(error->hint, hint);
	error_text_copy(error->context, context);
}

char *
error_line(const JobError *error)
{
	return error->context[0]
			   ? psprintf("%s (%s)", error->message, error->context)
			   : pstrdup(error->message);
}

bool
guarded_run_if(bool (*wanted)(int code), GuardedBody body, GuardedBody cleanup,
			   void *arg, JobError *error)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool ok = true;

	memset(error, 0, sizeof(JobError));
	PG_TRY();
	{
		body(arg);
	}
	PG_CATCH();
	{
		ErrorData *data;

		if (wanted && !wanted(geterrcode()))
			PG_RE_THROW();
		ok = false;
		HOLD_INTERRUPTS();
		EmitErrorReport();
		MemoryContextSwitchTo(context);
		data = CopyErrorData();
		error_set(error, data->sqlerrcode, data->message, data->detail,
				  data->hint, data->context);
		FreeErrorData(data);
		FlushErrorState();
		cleanup(arg);
		AbortOutOfAnyTransaction();
		MemoryContextSwitchTo(context);
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	return ok;
}

bool
guarded_run(GuardedBody body, GuardedBody cleanup, void *arg, JobError *error)
{
	return guarded_run_if(NULL, body, cleanup, arg, error);
}
