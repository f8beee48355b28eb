/*
 * inline.h
 *		What jobs in the calling session have in common.
 */
#ifndef OUTFLOW_INLINE_H
#define OUTFLOW_INLINE_H

#include "export/job/job.h"
#include "sink/destination.h"

typedef struct InlineFiles
{
	const Job	*job;
	Destination *root;
	List		*publishing; /* parts that may have their final names by now */
	bool		 left;		 /* not all was taken back */
} InlineFiles;

/*
 * All or nothing: an error of the body, or the end of the process, takes back what
 * was published already, and the directories that were made for it.  A place that
 * doesn't answer in time keeps it: left.
 */
extern void inline_run(InlineFiles *files, void (*body)(void *arg), void *arg);

/*
 * Publishes the job.  Its last step holds interrupts: that and the commit are
 * one, which a cancel comes before or too late for.  It must not report an export
 * as cancelled that is there.
 */
extern void inline_publish(InlineFiles *files);
/* The transaction has committed. */
extern void inline_published(InlineFiles *files);

#endif /* OUTFLOW_INLINE_H */
