/*
 * lake_sent.c
 *		Whether a job's version may still be on its way to a store or a catalog.
 *
 * They may carry out a request long after nobody waits for it any more.  So a
 * file beside the table's, durable before the request, says until when.  A crash
 * leaves it to whoever takes files back.
 */
#include "postgres.h"

#include "export/lake/lake_table.h"
#include "failpoint.h"
#include "sink/patience.h"

/* So long they may be at a request that was given up. */
#define GRACE_SECONDS 600

/* A name that readers leave out. */
static char *
sent_key(const char *folder, const Job *job)
{
	return destination_key(folder, psprintf("_outflow_sent_%s", job->uuid));
}

static void
note_sent(void *arg, int seconds)
{
	LakeSent *sent = arg;
	char	 *until;

	if (seconds < 0)
	{
		if (seconds == SENDING_OVER || !sent->may_be_earlier)
			lake_end_sent(sent->root, sent->folder, sent->job);
		return;
	}
	if (!sent->is_noted)
		sent->may_be_earlier =
			lake_is_sent(sent->root, sent->folder, sent->job);
	sent->is_noted = true;
	until = psprintf(INT64_FORMAT, lake_now() + INT64CONST(1000) *
													(GRACE_SECONDS + seconds));
	sent->root->driver->put(sent->root, sent_key(sent->folder, sent->job),
							until, strlen(until), true);
	FAILPOINT("lake-noted");
}

const Sending *
lake_begin_sent(LakeSent *sent, Destination *root, const char *folder,
				const Job *job)
{
	if (job == NULL)
		return NULL;
	*sent = (LakeSent){.root = root,
					   .folder = folder,
					   .job = job,
					   .sending = {.tell = note_sent, .arg = sent}};
	return &sent->sending;
}

static void
remove_note(void *arg)
{
	const LakeSent *sent = arg;

	(void) sent->root->driver->remove(sent->root,
									  sent_key(sent->folder, sent->job));
}

void
lake_end_sent(Destination *root, const char *folder, const Job *job)
{
	LakeSent sent = {.root = root, .folder = folder, .job = job};

	patience_try(remove_note, &sent, root->path);
}

bool
lake_is_sent(Destination *root, const char *folder, const Job *job)
{
	size_t len;
	char  *until = root->driver->get(root, sent_key(folder, job), 1000, &len);

	return until && lake_now() < strtoll(pnstrdup(until, len), NULL, 10);
}

bool
lake_put_version(Destination *root, const char *folder, const Job *job,
				 const char *key, const char *data, size_t len)
{
	LakeSent sent;

	return root->driver->put_new(root, key, data, len,
								 lake_begin_sent(&sent, root, folder, job));
}
