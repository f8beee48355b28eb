/*
 * patience.h
 *		How long a process that is told to end still waits for other machines.
 *
 * Whoever waits for one asks patience_check(), several times a second, where
 * others CHECK_FOR_INTERRUPTS.
 * That is the same until interrupts are held: for a clean-up, and for the step by
 * which an export is there.  Neither may be cut short at any moment, and neither
 * may take as long as the other machine likes.
 */
#ifndef OUTFLOW_PATIENCE_H
#define OUTFLOW_PATIENCE_H

#include "compat.h"

/* An ERROR when it is time to end, or when patience has come to its end. */
extern void patience_check(void);

/* What may fail, or take too long. */
typedef void (*PatienceBody)(void *arg);

/* ---- the last step of an export */

/* This process makes an export, and says itself whether it is there. */
extern void patience_expect_last_step(void);
/*
 * By the next request the export is there: from now on interrupts are held.
 * Nothing, unless it is expected: whoever ends here finds out later how far it
 * came.
 */
extern void patience_last_step(void);
/* What comes after it, and changes nothing: when it fails, that is a WARNING. */
extern void patience_tidy(PatienceBody body, void *arg, const char *where);
/*
 * What changes nothing at any time: when it fails, that is a WARNING, but for a
 * cancel.  Left out in a clean-up, where nothing can be tried.
 */
extern void patience_try(PatienceBody body, void *arg, const char *where);
/* The export is there, and recorded: a cancel comes too late. */
extern void patience_done(void);
/* After an error: whether that was in the last step.  None is expected now. */
extern bool patience_was_last_step(void);

/* ---- clean-up */

/*
 * In a PG_CATCH, in another memory context than ErrorContext: cleans up, and
 * throws the error on.  What fails meanwhile is a WARNING.
 */
pg_noreturn extern void patience_clean_up(PatienceBody body, void *arg,
										  const char *where);
/* The same at the end of the process, which goes on whatever fails. */
extern void patience_clean_up_at_exit(PatienceBody body, void *arg);

#endif /* OUTFLOW_PATIENCE_H */
