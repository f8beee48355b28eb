/*
 * query.h
 *		A query whose rows are exported: what it may be, and how it is run.
 */
#ifndef OUTFLOW_QUERY_H
#define OUTFLOW_QUERY_H

#include "export/job/job.h"
#include "tcop/dest.h"
#include "utils/snapshot.h"

/* What stands where a table's name would: no table's is written so. */
#define QUERY_NAME "(query)"

static inline bool
job_is_query(const Job *job)
{
	return ((JobSource *) linitial(job->sources))->query != NULL;
}

/* The job's only source. */
extern JobSource *query_source_new(char *text);

/*
 * Errors if the caller may not run the query, or the job's format can't hold
 * its rows.  Returns what it reads, for query_tables_lock().
 */
extern List *query_check(const Job *job);

/*
 * The snapshot of the transaction, which is active from now on; as text, and the
 * log's end.
 */
extern Snapshot query_begin_reading(char **text, XLogRecPtr *lsn);

/*
 * Runs it, read-only, in the current user's name and under the settings in
 * force, and sends its rows to the receiver, whose rStartup() learns their
 * descriptor.  The snapshot is active.
 */
extern void query_run(const Job *job, Snapshot snapshot,
					  DestReceiver *receiver);

#endif /* OUTFLOW_QUERY_H */
