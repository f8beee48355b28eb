/*
 * tell.h
 *		What the session in CALL tells of its job.
 */
#ifndef OUTFLOW_TELL_H
#define OUTFLOW_TELL_H

#include "export/job/job.h"
#include "utils/timestamp.h"

/* What was told last, so that it isn't said again. */
typedef struct Told
{
	MemoryContext context;
	char		 *waiting; /* what the job waits for */
	char		 *blocked; /* who waits for locks */
	int			  parts;   /* that were done */
	TimestampTz	  progress;
	TimestampTz	  blocked_looked;
	TimestampTz	  begun;
} Told;

/* From a zeroed one. */
extern void told_begin(Told *told);
extern void tell_waiting(Told *told, const Job *job);
extern void tell_blocked(Told *told, const Job *job);
extern void tell_progress(Told *told, const Job *job);
/* Throws what a job that has failed, or was interrupted, ended with. */
extern void tell_failure(const Job *job);
/* What a finished job has to say: what was carried over, what was lost. */
extern void tell_result(int64 id);

#endif /* OUTFLOW_TELL_H */
