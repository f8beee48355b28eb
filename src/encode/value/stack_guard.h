/*
 * stack_guard.h
 *		Calls that may need more stack than there is.
 */
#ifndef OUTFLOW_STACK_GUARD_H
#define OUTFLOW_STACK_GUARD_H

/*
 * Calls a function of the server's or an extension's that must not change
 * anything.  False if it failed for want of stack, or of room for a text; any
 * other error goes on.
 */
extern bool stack_guarded(void (*call)(void *arg), void *arg);

#endif /* OUTFLOW_STACK_GUARD_H */
