/*
 * sending.h
 *		Requests that another machine may carry out after they were given up.
 *
 * What such a request names must not be taken back for a while.  Between its
 * first and its last try may be a long time: so whoever has to know is told of
 * each.
 */
#ifndef OUTFLOW_SENDING_H
#define OUTFLOW_SENDING_H

/* Nothing is under way: it was done, or can't be done any more. */
#define SENDING_OVER (-1)
/* It was turned away at its first try, which says nothing of earlier requests
 * for the same. */
#define SENDING_REFUSED (-2)

typedef struct Sending
{
	/* Before each sending: in so many seconds it is given up, if nothing is
	 * heard; or one of the above. */
	void (*tell)(void *arg, int seconds);
	void *arg;
} Sending;

#endif /* OUTFLOW_SENDING_H */
