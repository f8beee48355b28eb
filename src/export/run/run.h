/*
 * run.h
 *		Who runs jobs, waits for them and tries again.
 */
#ifndef OUTFLOW_RUN_H
#define OUTFLOW_RUN_H

#include "export/job/job.h"

/* ---- retry.c: what is tried again */

typedef struct Retry
{
	const Job	  *job;
	int			   part; /* -1: something else */
	const char	  *step; /* what it is called; NULL for a part */
	volatile bool *stop; /* ends the waiting; or NULL */
} Retry;

/*
 * Runs body until it goes well.  After an error that may pass cleanup runs, the
 * transaction is aborted, and there is another try a while later; other errors
 * are thrown, and so is the one of the last try.
 */
extern void retry_run(const Retry *retry, GuardedBody body,
					  GuardedBody cleanup, void *arg);
/* Throws when it is time to end. */
extern void retry_check_stop(volatile bool *stop);

/* ---- queue.c: jobs that nobody waits for */

extern void queue_start_at_commit(int64 id, Oid owner);
/* It was queued when the transaction locked it, and is again if that fails. */
extern void queue_start_unless_committed(int64 id, Oid owner);
/* What the job waits for before it may run; NULL for nothing. */
extern char *queue_wait(const Job *job);
/* How many workers it may have then: as many as it was told to, or fewer. */
extern int queue_workers(const Job *job);
/*
 * Starts so many of the queued jobs, or as many as there is room for, in turns
 * by role; returns how many.  patient: not one that was tried in vain a moment ago.
 */
extern int queue_start_next(int most, bool patient);
/* Errors if the role has as many queued jobs as one may have. */
extern void queue_check_room(Oid owner);

/* ---- worker_process.c */

/* Once, at the beginning of a worker's process. */
extern void worker_process_begin(void);

/* ---- waiter.c, inline.c, query_run.c */

extern void wait_for_job(int64 id);
extern void run_inline(Job *job);
/* A job of a query, and what query_check() has found it to read. */
extern void run_query(Job *job, const List *tables);

#endif /* OUTFLOW_RUN_H */
