/*
 * stack_guard.c
 *		Calls that may need more stack than there is.
 *
 * What lacks stack raises an error, wherever it is just then: within a lookup
 * of a catalog that holds buffers and pins, or in the midst of building an
 * entry of a cache.  So the call is a subtransaction, whose end gives all of
 * that back.  It has no number and writes nothing, and costs some microseconds:
 * it is for what may fail by its size.
 *
 * A decoded change is always within a transaction.  So is all else, but for
 * parallel queries, which can have no subtransactions and raise the error.
 */
#include "postgres.h"

#include "access/xact.h"

#include "encode/value/stack_guard.h"
#include "subtransaction.h"

/*
 * By the class of errors that tell of the server's limits.  Memory that is
 * asked for beyond 1 GB has no class of its own, and no translation.
 */
static bool
is_limit(const ErrorData *error)
{
	static const char too_large[] = "invalid memory alloc request size";

	return ERRCODE_TO_CATEGORY(error->sqlerrcode) ==
			   ERRCODE_PROGRAM_LIMIT_EXCEEDED ||
		   (error->sqlerrcode == ERRCODE_INTERNAL_ERROR &&
			strncmp(error->message, too_large, strlen(too_large)) == 0);
}

bool
stack_guarded(void (*call)(void *arg), void *arg)
{
	ErrorData *error;

	if (!IsTransactionState() || IsInParallelMode())
	{
		call(arg);
		return true;
	}
	error = subtransaction_try(call, arg);
	if (error == NULL)
		return true;
	if (!is_limit(error))
		ReThrowError(error);
	FreeErrorData(error);
	return false;
}
