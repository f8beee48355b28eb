/*
 * job_access.h
 *		Statements on the job tables, for the files that write them.
 *
 * All of it works between job_access_begin() and job_access_end() only; what
 * it returns lives until then, so callers copy what they keep.
 */
#ifndef OUTFLOW_JOB_ACCESS_H
#define OUTFLOW_JOB_ACCESS_H

#define JOB_QUERY_ARGS 32

typedef struct JobAccess
{
	Oid user;
	int security_context;
	int nestlevel;
} JobAccess;

extern void job_access_begin(JobAccess *access);
extern void job_access_end(JobAccess *access);

extern Oid job_table_oid(const char *name);

/*
 * A job acts as a role.  The tables' owner can write one without being asked,
 * so it has to be one who may act as that role anyway: a superuser, mostly.
 */
extern void job_access_check_owner(Oid role);

/*
 * Errors, in the name of what was called, where the tables can't be written.
 * Where they can, names may be shown from here on, whatever state the
 * transaction is in.
 */
extern void job_check_may_write(const char *name);

/* Runs one statement and returns the number of rows. */
extern uint64 job_query(const char *sql, int nargs, const Oid *types,
						const Datum *values, const bool *nulls);

/* A field of a result row: columns count from 1, NULL is NULL or NIL. */
extern char *job_field(uint64 row, int column);
extern int64 job_field_int(uint64 row, int column, int64 null_value);
extern List *job_field_list(uint64 row, int column);

extern List *text_array_to_list(Datum array);
extern Datum text_array_from_list(const List *list);

/* An error if somebody else's function is, or may become, a trigger of the table. */
extern void job_triggers_check(const char *table, Oid relid, Oid owner);

#endif /* OUTFLOW_JOB_ACCESS_H */
