/*
 * patience.c
 *		How long a process that is told to end still waits for other machines.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "encoding.h"
#include "sink/patience.h"
#include "subtransaction.h"

/* From when it is told to end. */
#define PATIENCE_MS 3000

typedef enum Step
{
	STEP_ANY,	   /* interrupts end it */
	STEP_EXPECTED, /* the same; the last one will come */
	STEP_LAST,
	STEP_CLEAN_UP
} Step;

static Step		   step = STEP_ANY;
static TimestampTz patience_end; /* 0: nobody has told it to end */

static bool
is_held(void)
{
	return step == STEP_LAST || step == STEP_CLEAN_UP;
}

static void
begin_patience(Step next, bool in_a_hurry)
{
	step = next;
	patience_end =
		in_a_hurry
			? TimestampTzPlusMilliseconds(GetCurrentTimestamp(), PATIENCE_MS)
			: 0;
}

static bool
is_told_to_end(void)
{
	return QueryCancelPending || ProcDiePending || ClientConnectionLost;
}

void
patience_check(void)
{
	CHECK_FOR_INTERRUPTS();
	if (!is_held())
		return;
	if (patience_end == 0 && is_told_to_end())
		begin_patience(step, true);
	if (patience_end == 0 || GetCurrentTimestamp() < patience_end)
		return;
	/* the error is the answer to it */
	QueryCancelPending = false;
	if (step == STEP_LAST)
		ereport(ERROR,
				(errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
				 errmsg("the last step of the export was not answered in "
						"time"),
				 errdetail("It is not known whether the export is there.")));
	ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
					errmsg("the clean-up was not answered in time")));
}

static void
warn_of_rest(const char *where, const ErrorData *error)
{
	ereport(WARNING, (errmsg("unfinished files may be left in \"%s\"",
							 encoding_shown(where)),
					  errdetail("%s", encoding_shown(error->message))));
}

/* ---- the last step */

void
patience_expect_last_step(void)
{
	begin_patience(STEP_EXPECTED, false);
}

void
patience_last_step(void)
{
	CHECK_FOR_INTERRUPTS();
	if (step != STEP_EXPECTED)
		return;
	HOLD_INTERRUPTS();
	begin_patience(STEP_LAST, false);
}

void
patience_done(void)
{
	if (step == STEP_LAST)
	{
		QueryCancelPending = false;
		RESUME_INTERRUPTS();
	}
	step = STEP_ANY;
}

bool
patience_was_last_step(void)
{
	bool was_last = step == STEP_LAST;

	step = STEP_ANY;
	return was_last;
}

/* Whether somebody waits for the end. */
static bool
is_interrupt(int code)
{
	return code == ERRCODE_QUERY_CANCELED || code == ERRCODE_ADMIN_SHUTDOWN ||
		   code == ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN;
}

void
patience_tidy(PatienceBody body, void *arg, const char *where)
{
	if (step == STEP_LAST)
		patience_try(body, arg, where);
	else
		body(arg);
}

void
patience_try(PatienceBody body, void *arg, const char *where)
{
	ErrorData *error;

	if (step == STEP_CLEAN_UP)
		return;
	error = subtransaction_try(body, arg);
	if (error == NULL)
		return;
	if (step != STEP_LAST && is_interrupt(error->sqlerrcode))
		ReThrowError(error);
	warn_of_rest(where, error);
}

/* ---- clean-up */

void
patience_clean_up(PatienceBody body, void *arg, const char *where)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData	 *error = CopyErrorData();
	ErrorData	 *another;
	uint32		  held = InterruptHoldoffCount;

	HOLD_INTERRUPTS();
	begin_patience(STEP_CLEAN_UP, is_interrupt(error->sqlerrcode));
	PG_TRY();
	{
		body(arg);
	}
	PG_CATCH();
	{
		/* the error has resumed them */
		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(context);
		another = CopyErrorData();
		FlushErrorState();
		warn_of_rest(where, another);
	}
	PG_END_TRY();
	step = STEP_ANY;
	FlushErrorState();
	InterruptHoldoffCount = held;
	ReThrowError(error);
}

/* An ERROR would be a FATAL one, and go on with what comes next there. */
void
patience_clean_up_at_exit(PatienceBody body, void *arg)
{
	begin_patience(STEP_CLEAN_UP, true);
	body(arg);
	step = STEP_ANY;
}
