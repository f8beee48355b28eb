/*
 * launch.h
 *		The processes of exports: how each of them is started.
 */
#ifndef OUTFLOW_LAUNCH_H
#define OUTFLOW_LAUNCH_H

#include "postmaster/bgworker.h"
#include "storage/dsm.h"

/* In a coordinator's bgw_extra; its argument is the job. */
typedef struct CoordinatorArgs
{
	Oid database;
	Oid owner;
} CoordinatorArgs;

/* A job's coordinator and one worker. */
#define MIN_PROCESSES 2

/* How many background workers this server has for jobs and whatever else. */
extern int launch_room(void);
/* Errors if no job can ever run, for want of background workers. */
extern void launch_check_room(void);

/*
 * These return false when there is no room for another process.  handle may be
 * NULL: then nobody will ask how it goes.
 */
extern bool launch_coordinator(int64 job, Oid owner,
							   BackgroundWorkerHandle **handle);
/* number, in bgw_extra, is its place in the shared memory of its job. */
extern bool launch_worker(int64 job, int number, dsm_handle shared,
						  BackgroundWorkerHandle **handle);
/* Goes through the queue of a database, which is its argument. */
extern bool launch_queue(Oid database, BackgroundWorkerHandle **handle);

/* Registers what launch_queue()s each database when the server starts. */
extern void launch_at_start(void);

#endif /* OUTFLOW_LAUNCH_H */
