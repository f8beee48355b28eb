/*
 * arguments.h
 *		The arguments of outflow.export() and its like.
 */
#ifndef OUTFLOW_ARGUMENTS_H
#define OUTFLOW_ARGUMENTS_H

#include "fmgr.h"
#include "export/job/job.h"

/*
 * The arguments of a call for many tables, as outflow.export() has them.  They
 * are the same without columns and filter, which are one table's own.
 */
extern FunctionCallInfo arguments_of_many(FunctionCallInfo fcinfo);

/* The same for outflow.export_query(), whose first one is text. */
extern FunctionCallInfo arguments_of_query(FunctionCallInfo fcinfo);

/* Sets job->sources by the first argument: a table, tables, a schema, a
 * publication. */
typedef void (*SetSources)(Job *job, FunctionCallInfo fcinfo);
extern void arguments_set_source(Job *job, FunctionCallInfo fcinfo);
extern void arguments_set_tables(Job *job, FunctionCallInfo fcinfo);
extern void arguments_set_schema(Job *job, FunctionCallInfo fcinfo);
extern void arguments_set_publication(Job *job, FunctionCallInfo fcinfo);

/*
 * Errors when a secret key stands where it doesn't belong, and keeps the
 * statement out of the server's log: so it comes before any other error.
 */
extern void arguments_refuse_secrets(FunctionCallInfo fcinfo);
extern void arguments_refuse_secret_query(FunctionCallInfo fcinfo);
extern void arguments_refuse_secret_publication(FunctionCallInfo fcinfo);

/* A job that is checked as far as it can be without its destination; it has no
 * base yet. */
extern Job *job_from_arguments(FunctionCallInfo fcinfo,
							   SetSources		set_sources);

/* The job's base, as the arguments name it. */
extern void arguments_choose_base(Job *job);

/* The same for a query; also what it reads: see query_check(). */
extern Job *job_from_query(FunctionCallInfo fcinfo, List **tables);

#endif /* OUTFLOW_ARGUMENTS_H */
