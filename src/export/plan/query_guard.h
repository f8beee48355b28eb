/*
 * query_guard.h
 *		What a query may not do while it is exported, nor its functions.
 *
 * It runs as in a read-only transaction, so that what its functions try to write
 * is an error.
 *
 * A masked column's values could leave in any expression, so no table that has
 * one may be read, whether the query names it, or a view or a function does:
 * each plan that is begun meanwhile is looked at, where the server checks its
 * rights.
 */
#ifndef OUTFLOW_QUERY_GUARD_H
#define OUTFLOW_QUERY_GUARD_H

typedef void (*GuardedQuery)(const char *text, void *arg);

/* When the library is loaded. */
extern void query_guard_init(void);

/* Plans or runs a query so. */
extern void query_run_guarded(const char *text, GuardedQuery body, void *arg);

#endif /* OUTFLOW_QUERY_GUARD_H */
