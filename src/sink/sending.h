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

typedef struct Sending
{
	/*
	 * Before each sending: in so many seconds it is given up, if nothing is
	 * heard.  -1: it is known what became of it, nothing is under way.
	 */
	void (*tell)(void *arg, int seconds);
	void *arg;
} Sending;

#endif /* OUTFLOW_SENDING_H */
