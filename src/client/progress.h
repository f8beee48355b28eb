/*
 * progress.h
 *		How far a job is, read from outflow.jobs through a connection of its
 *		own, while another one waits for the job's end.
 */
#ifndef CLIENT_PROGRESS_H
#define CLIENT_PROGRESS_H

#include <libpq-fe.h>
#include <stdbool.h>

/* A row of outflow.jobs, as far as it is shown. */
typedef struct JobStatus
{
	long long job; /* 0: not known yet */
	char	  state[16];
	long long parts_done;
	long long parts_total; /* 0: not planned yet */
	long long rows;
	long long bytes;
	long long rate; /* bytes a second; -1: not known */
	long long eta;	/* seconds; -1 */
	long long workers;
	char	  waiting_for[512]; /* empty: nothing */
} JobStatus;

typedef struct Progress
{
	PGconn	   *conn; /* NULL: there is none (any more) */
	int			fd;
	int			backend; /* process of the server whose job it is */
	const char *destination;
	bool		ready;
	bool		asked;
	long long	next_at; /* of clock_ms() */
	JobStatus	status;
} Progress;

/*
 * Watches the job that the process is about to make there, or if job isn't 0, that
 * one.  Without a second connection there is no progress, and a warning.
 */
extern void progress_open(Progress *progress, const char *conninfo,
						  int backend, const char *destination, long long job);

/* True if there is news. */
extern bool		 progress_work(Progress *progress);
extern long long progress_wake_at(const Progress *progress);
extern void		 progress_close(Progress *progress);

/* The last word, through a connection that is at rest; false: none. */
extern bool progress_final(Progress *progress, PGconn *conn);

#endif
