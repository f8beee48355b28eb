/*
 * job.h
 *		Rows of outflow.job and outflow.source, and who may run a job.
 */
#ifndef OUTFLOW_JOB_H
#define OUTFLOW_JOB_H

#include "access/xlogdefs.h"
#include "export/export_options.h"
#include "export/job/error.h"
#include "nodes/pg_list.h"

/* ---- job.c: rows of outflow.job */

typedef enum JobState
{
	JOB_QUEUED,
	JOB_RUNNING,
	JOB_INTERRUPTED,
	JOB_FAILED,
	JOB_DONE
} JobState;

extern const char *const job_state_names[]; /* ends with a NULL */

/* More than any machine has cores for. */
#define MAX_JOB_WORKERS 256

typedef struct JobSource
{
	int64 job;
	int	  number;
	Oid	  relid;
	char *name;
	char *folder;		/* "" for none */
	List *columns;		/* of char *; NIL for all */
	char *filter;		/* NULL for none */
	char *objects;		/* that it names: see filter_objects.c */
	List *masks;		/* char *, kept from the beginning: see row/mask.h */
	char *query;		/* in place of a relation; NULL for none */
	char *definition;	/* its columns as JSON, once planned */
	char *table_schema; /* of a lake table: its columns as the log has them */
	char *comment;		/* of a lake table: the table's, or NULL */
	char *structure;	/* JSON: its columns and key, or NULL */
	char *manifest;		/* its manifest's sum as text, once published */
	void *learned; /* by encoders of its parts, for the next; never stored */
} JobSource;

typedef struct Job
{
	int64	   id;
	char	  *uuid;
	Oid		   owner;
	char	  *server; /* that queued it; NULL before the insert */
	JobState   state;
	char	  *destination;
	char	  *location;
	char	  *format;
	char	  *compression;
	List	  *encrypt_to; /* of char * */
	int64	   part_size;
	int		   workers;
	char	  *options_json;
	List	  *settings;	 /* names and values, in turn */
	char	  *slot;		 /* that a stream goes on from; NULL for none */
	char	  *publication;	 /* that named the sources; NULL for none */
	XLogRecPtr slot_start;	 /* the slot's positions when the job made it */
	XLogRecPtr slot_restart; /* invalid: it hasn't yet */
	bool	   slot_ready;	 /* and all that it can't show has ended */
	int64	   base;	 /* the job whose parts may be carried; 0 for none */
	char	  *manifest; /* the sum of the one above its sources', or NULL */
	char	  *waiting_for;
	char	  *snapshot; /* NULL: the next run takes one */
	char	  *lsn;
	int		   parts_total; /* -1 before the first plan */
	bool	   publishing;
	char	  *started; /* ISO 8601 in UTC, or NULL */
	JobError   error;
	List	  *sources; /* of JobSource * */

	/* derived */
	ExportOptions		  options;
	const RowFormat		 *row_format;
	const CompressMethod *compress;
	int					  compress_level;
	AgeRecipients		 *recipients; /* NULL for none */
} Job;

/* Whether it makes versions of lake tables, and no manifests. */
static inline bool
job_makes_tables(const Job *job)
{
	return job->row_format->table_schema != NULL;
}

/* NOTIFY, when the transaction commits; nothing while the queue is nearly full. */
extern void job_announce(int64 id, JobState state);

/* Fills what is derived from the row; errors name what is wrong. */
extern void job_derive(Job *job);

/*
 * The settings that a part of the job is proven and written under, whatever
 * those of the process are; settings_unpin() or an ERROR ends them.
 */
extern PinnedSettings *settings_pin_job(const Job *job);
/* Those of them that the job has captured: its format leaves them to the session. */
extern List *settings_in_force(const Job *job);

/* Inserts job and sources; returns and stores the new id. */
extern int64 job_insert(Job *job);
/*
 * NULL if there is none.  for_update locks the row, beside those who keep it, as
 * writing to it does.
 */
extern Job *job_load(int64 id, bool for_update);
/*
 * What its row says by now, with an error if that is gone: a superuser can delete
 * it, and an extension that is made anew numbers its jobs anew.
 */
extern Job *job_reload(const Job *job, bool for_update);
/* Whether its row is still there. */
extern bool job_is_there(const Job *job);
/* Whether they are to do the same for the same role. */
extern bool job_is_same(const Job *job, const Job *other);
/* A job as it stands: one that was running and that nobody runs is interrupted. */
extern Job *job_load_now(int64 id);
/* The same as job_load, with an error if it is missing or not the caller's. */
extern Job *job_load_own(int64 id, bool for_update);
/* Writes a state, its times and error, and announces it. */
extern void job_set_state(int64 id, JobState state, const JobError *error);
extern void job_set_waiting_for(int64 id, const char *text);
/* The same unless something else has been written since. */
extern void job_end_waiting(int64 id, const char *text);
/* What a run has: its coordinator and the workers that it began with. */
extern void job_set_processes(int64 id, int processes);
/* Counts an error after which a part, or with -1 the job, is tried again. */
extern void job_set_retry(int64 id, int part, const char *waiting_for,
						  const char *error);
/* Where the destination was found when it was opened. */
extern void job_set_location(int64 id, const char *location);
/* It is this server's to run, whichever has queued it. */
extern void job_set_server(int64 id);
extern void job_set_publishing(int64 id, bool publishing);
/* The next run takes another moment, even if all parts are finished. */
extern void job_renew(int64 id);
extern void job_set_slot(const Job *job, bool ready);
/* What a plan decided. */
extern void job_record_plan(int64 id, const char *snapshot, XLogRecPtr lsn,
							int parts);
/* definition, table_schema and comment of the source */
extern void job_record_definition(const JobSource *source);
/* The sum of a source's manifest, or with -1 of the one above. */
extern void job_record_manifest(int64 id, int source, const char *checksum);
extern void job_delete(int64 id);
/*
 * Another unfinished job whose directory is the same or lies one in the other;
 * 0 for none.  begun: only those that have begun to use it.  Those of others that
 * were stopped before they were planned have no more than their own.
 */
extern int64 job_at_location(const char *location, int64 except, bool begun);
/*
 * The owner's last finished job of the same format, in a directory beside this
 * one's, that has one of its tables; first of all one that has the same tables,
 * columns and filters.  0 for none.  It stays to the end of the transaction.
 * Of one that makes lake tables: in this very directory; of one to tables, in
 * that database, by its location.
 */
extern int64 job_find_base(const Job *job, const char *database);
/*
 * Keeps the record of a job of the caller's to the end of the transaction, with
 * an error if it is gone or may be soon.
 */
extern void job_keep(int64 id);
/* The same, false for an error. */
extern bool job_try_keep(int64 id);
/* Another unfinished job that may take parts of this one; 0 for none. */
extern int64 job_based_on(int64 base, int64 except);
/* The caller's finished jobs whose destinations begin so, newest first. */
extern int64 *job_ids_finished(const char *prefix, int *count);
/* Whether any job has it, also one that a transaction at work has made or removed. */
extern bool job_has_uuid(const char *uuid);
/* A job with parts that refer to files there, or beneath; 0 for none. */
extern int64 job_referring_to(const char *location, int64 except);
/* The job of that uuid, if a table's folder of it lies there; or 0. */
extern int64 job_with_folder(const char *location, const char *uuid);
typedef struct JobProgress
{
	int	  parts_done;
	int64 rows;
	int64 bytes;
} JobProgress;

extern void job_progress(int64 id, JobProgress *progress);
/* What became of parts that had been finished before: counts, and reasons. */
typedef struct JobCarried
{
	int	  carried;
	int	  redone;
	char *reasons;	 /* NULL for none */
	int64 made_null; /* of all parts: values that the format can't hold */
} JobCarried;

extern void job_carried(int64 id, JobCarried *carried);
/* Who waits for whom because of a running job; NULL if nobody does. */
extern char *job_waits(int64 id);

/* What the jobs that run take, those that are alive. */
typedef struct JobLoad
{
	int jobs;
	int own; /* of these, of one role */
	int processes;
} JobLoad;

extern JobLoad job_load_at_hand(int64 except, Oid owner);

/* ---- job_server.c */

/* What a server has for its life, and a copy of it does not. */
extern char *job_server(void);
/* And what this database has, and one that is made from it does not. */
extern char *job_database(void);

/* ---- rights.c: what may have been taken away since a job was submitted */

/* Errors unless this server and the calling user may export at all. */
extern void rights_check_server(void);
/* Errors unless the role exists, may log in and may connect. */
extern void rights_check_owner(Oid owner);
/* The same for the current user, who must be that owner, and their files. */
extern void rights_check_running(Oid owner);

/* ---- job_lock.c: whoever runs a job holds its lock, to the end of the process */

extern bool job_lock_hold(int64 id);
/* Before the end of the process, when the job has ended. */
extern void job_lock_release(int64 id);
/* A worker's share of its coordinator's lock: no other one may begin. */
extern void job_lock_share(int64 id);
/* To the end of the transaction: keeps the job from being run. */
extern bool job_lock_exclude(int64 id);
/*
 * To the end of the transaction: the only one at this place, what it lies in and
 * what lies in it.  False if another one is, which may take as long as it likes.
 * Jobs that are there already are asked for afterwards: job_at_location().
 */
extern bool job_lock_location(const char *location);

/*
 * So that nobody else locks it as above until the end of the transaction.
 * Several can have it so; false if another call is at it.
 */
extern bool job_share_location(const char *location);
/* Whether it runs; and whether a coordinator would find it run, or changed by a call. */
extern bool job_is_live(int64 id);
extern bool job_is_held(int64 id);
/* One at a time may start a job; to the end of the transaction. */
extern void job_lock_submission(void);
/* The process that runs the job; 0: none. */
extern int job_runner(int64 id);
/* Whether a call changes it, and in which process; 0: its transaction is prepared. */
extern bool job_is_changed(int64 id, int *pid);
/* Tells the coordinator of a job to end, whoever started it; false: there is none. */
extern bool job_terminate(int64 id);
/* To the end of the process, or of a transaction that fails: DROP EXTENSION waits. */
extern void job_lock_tables(void);
/* Before that, where no ERROR came. */
extern void job_unlock_tables(void);
/*
 * For callers that cannot be interrupted: whether the tables, and the job's row, are at
 * once ours to write, to the end of the transaction.
 */
extern bool job_try_lock_tables(void);
extern bool job_try_lock_row(int64 id);
/* Whether the row is ours to remove: nobody keeps it, who may do so for long. */
extern bool job_lock_record(int64 id);

#endif /* OUTFLOW_JOB_H */
