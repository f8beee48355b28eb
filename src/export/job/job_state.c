/*
 * job_state.c
 *		The names of a job's states, and telling of a new one.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/async.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"

#include "export/job/job.h"

/* Any role can fill the queue, which is one for all databases. */
#define MAX_QUEUE_USAGE 0.5

typedef struct Announcement
{
	int64		  job;
	JobState	  state;
	TransactionId xid; /* a savepoint's, which may have been rolled back */
} Announcement;

/* As the state column has them, by JobState. */
const char *const job_state_names[] = {"queued", "running", "interrupted",
									   "failed", "done",	NULL};

/* For the present transaction, in TopTransactionContext. */
static List *announcements = NIL;

/* One that is full fails the commit, and a job is worth more than its news. */
static bool
queue_has_room(void)
{
	return DatumGetFloat8(OidFunctionCall0(F_PG_NOTIFICATION_QUEUE_USAGE)) <=
		   MAX_QUEUE_USAGE;
}

/* NOTIFY itself refuses a transaction that is to be prepared. */
static void
notify_of(const Announcement *news, XactEvent event)
{
	const char *state = job_state_names[news->state];

	if (event == XACT_EVENT_PRE_PREPARE || queue_has_room())
		Async_Notify("outflow",
					 psprintf("{\"job\":" INT64_FORMAT ",\"state\":\"%s\"}",
							  news->job, state));
	else
		ereport(LOG,
				(errmsg("state \"%s\" of export job " INT64_FORMAT
						" was not announced",
						state, news->job),
				 errdetail("The queue of NOTIFY is more than half full.")));
}

/* As late as can be: the queue may be filled while a transaction runs. */
static void
announce_at_commit(XactEvent event, void *arg)
{
	ListCell *cell;

	if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE)
	{
		foreach (cell, announcements)
		{
			const Announcement *news = lfirst(cell);

			if (TransactionIdIsCurrentTransactionId(news->xid))
				notify_of(news, event);
		}
	}
	announcements = NIL;
}

void
job_announce(int64 id, JobState state)
{
	static bool	  is_registered = false;
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	Announcement *news = palloc_object(Announcement);

	news->job = id;
	news->state = state;
	news->xid = GetCurrentTransactionId();
	announcements = lappend(announcements, news);
	MemoryContextSwitchTo(old);
	if (!is_registered)
		RegisterXactCallback(announce_at_commit, NULL);
	is_registered = true;
}
