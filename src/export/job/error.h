/*
 * error.h
 *		Errors of one process that another one reports.
 */
#ifndef OUTFLOW_ERROR_H
#define OUTFLOW_ERROR_H

#define ERROR_TEXT_SIZE 1024
typedef struct JobError
{
	int	 code; /* SQLSTATE; 0 for none */
	char message[ERROR_TEXT_SIZE];
	char detail[ERROR_TEXT_SIZE];
	char hint[ERROR_TEXT_SIZE];
	char context[ERROR_TEXT_SIZE]; /* where in the table */
} JobError;

/* Into a member of it; NULL is "". */
extern void error_text_copy(char *dst, const char *src);
extern void error_set(JobError *error, int code, const char *message,
					  const char *detail, const char *hint,
					  const char *context);

/* Message and context, for where one text must do. */
extern char *error_line(const JobError *error);

/*
 * Runs body.  An ERROR in it is logged and copied; then cleanup runs and the
 * transaction is aborted, in this order.  Returns whether all went well.
 */
typedef void (*GuardedBody)(void *arg);
extern bool guarded_run(GuardedBody body, GuardedBody cleanup, void *arg,
						JobError *error);
/* The same for the errors whose SQLSTATE is wanted; others are thrown on. */
extern bool guarded_run_if(bool (*wanted)(int code), GuardedBody body,
						   GuardedBody cleanup, void *arg, JobError *error);

#endif /* OUTFLOW_ERROR_H */
