/*
 * unfinished.h
 *		Jobs that did not come to their end: begun again, or forgotten.
 */
#ifndef OUTFLOW_UNFINISHED_H
#define OUTFLOW_UNFINISHED_H

#include "export/job/job.h"

/* The job's lock is not to be had. */
extern void unfinished_report_busy(int64 id);
/* Puts a job that is not running back into the queue. */
extern Job *unfinished_requeue(int64 id);
/*
 * Removes the record of a job whose lock the caller has, and all that is the
 * job's and not finished; with abandon nobody is asked where it went.
 */
extern void unfinished_forget(Job *job, bool abandon);

#endif /* OUTFLOW_UNFINISHED_H */
