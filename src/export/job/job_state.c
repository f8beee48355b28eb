/*
 * job_state.c
 *		The names of a job's states, and telling of a new one.
 */
#include "postgres.h"

#include "commands/async.h"

#include "export/job/job.h"

/* As the state column has them, by JobState. */
const char *const job_state_names[] = {"queued", "running", "interrupted",
									   "failed", "done",	NULL};

void
job_announce(int64 id, JobState state)
{
	char *payload = psprintf("{\"job\":" INT64_FORMAT ",\"state\":\"%s\"}", id,
							 job_state_names[state]);

	Async_Notify("outflow", payload);
}
