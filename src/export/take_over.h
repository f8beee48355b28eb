/*
 * take_over.h
 *		An export to lake tables that an unfinished one stands in the way of.
 */
#ifndef OUTFLOW_TAKE_OVER_H
#define OUTFLOW_TAKE_OVER_H

#include "export/job/job.h"

typedef enum TakeOver
{
	TAKE_NOTHING, /* nothing is in the way, or it is not to be moved */
	TAKE_AWAY,	  /* that job is, by this transaction; there may be others */
	TAKE_FIRST,	  /* that job is queued, and has to be done first */
	TAKE_ON		  /* that job is the one that is asked for, queued or done */
} TakeOver;

/*
 * Before the new job has a base or a slot.  Nothing that is running is touched,
 * and nothing that is not the caller's.  can_wait: as the caller of TAKE_FIRST
 * has to.
 */
extern TakeOver take_over(const Job *job, bool can_wait, int64 *other);

#endif /* OUTFLOW_TAKE_OVER_H */
