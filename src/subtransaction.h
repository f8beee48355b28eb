/*
 * subtransaction.h
 *		A call whose error is an answer.
 */
#ifndef OUTFLOW_SUBTRANSACTION_H
#define OUTFLOW_SUBTRANSACTION_H

/*
 * Calls within a subtransaction of its own, whose end gives back all that an
 * error leaves.  Returns that error, in the memory context at hand, or NULL.
 * What was the current context, owner of resources and count of held
 * interrupts is so again.  Only within a transaction, and not in parallel mode.
 */
extern ErrorData *subtransaction_try(void (*call)(void *arg), void *arg);

#endif
