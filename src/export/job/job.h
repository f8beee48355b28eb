/*
 * job.h
 *		What the files of this folder share: jobs, their sources and parts.
 */
#ifndef OUTFLOW_JOB_H
#define OUTFLOW_JOB_H

#include "access/xlogdefs.h"
#include "encode/encode.h"
#include "export/job/error.h"
#include "executor/tuptable.h"
#include "export/proof/stamp.h"
#include "nodes/pg_list.h"
#include "port/atomics.h"
#include "sink/destination.h"
#include "storage/block.h"
#include "utils/snapshot.h"

/* ---- export_settings.c */

extern int max_jobs;
extern int max_retries;
extern int part_memory_kb;
extern int rate_limit_kb;

/* What text output depends on: names and values, in turn (char *). */
extern List *settings_capture(void);
/*
 * Settings that a worker must not take from its role or database; afterwards
 * it runs as the owner, whatever these say.
 */
extern void settings_pin_worker(Oid owner);
/* Takes over what the configuration files say, if they were read again. */
extern void settings_reload(void);
/* Errors when a setting that limits exports can't be read for certain. */
extern void settings_check_limits(void);
/* outflow.export_root; "" for none. */
extern const char *settings_export_root(void);

/* ---- rights.c: what may have been taken away since a job was submitted */

/* Errors unless the role exists, may log in and may connect. */
extern void		   rights_check_owner(Oid owner);
typedef struct Job Job;

/* The same for the current user, who must be the owner, and the destination. */
extern void rights_check_running(const Job *job);

/* ---- retry.c: what is tried again */

typedef struct Retry
{
	int64		   job;
	int			   part; /* -1: something else */
	const char	  *step; /* what it is called; NULL for a part */
	volatile bool *stop; /* ends the waiting; or NULL */
} Retry;

/*
 * Runs body until it goes well.  After an error that may pass cleanup runs, the
 * transaction is aborted, and there is another try a while later; other errors
 * are thrown, and so is the one of the last try.
 */
extern void retry_run(const Retry *retry, GuardedBody body,
					  GuardedBody cleanup, void *arg);
/* Throws when it is time to end. */
extern void retry_check_stop(volatile bool *stop);

/* ---- export_options.c: the "options" argument */

typedef enum CarryMode
{
	CARRY_LINK,
	CARRY_REFERENCE
} CarryMode;

typedef struct ExportOptions
{
	RowFormatOptions	  row; /* as the format takes them */
	bool				  overwrite;
	bool				  row_security; /* rows may be hidden */
	int					  carry;		/* CarryMode */
	const ChecksumMethod *checksum;		/* of the stored bytes */
} ExportOptions;

/* Parses {"name": value, ...}; errors name the option. */
extern void	 export_options_parse(const char *json, ExportOptions *options);
extern int64 export_size_parse(const char *name, const char *text);

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
	char *folder;	  /* "" for none */
	List *columns;	  /* of char *; NIL for all */
	char *filter;	  /* NULL for none */
	char *definition; /* its columns as JSON, once planned */
	char *manifest;	  /* its manifest's sum as text, once published */
	void *learned; /* by encoders of its parts, for the next; never stored */
} JobSource;

struct Job
{
	int64	   id;
	char	  *uuid;
	Oid		   owner;
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
	char	  *snapshot; /* NULL before the first plan */
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
};

/* NOTIFY, when the transaction commits. */
extern void job_announce(int64 id, JobState state);

/* Fills what is derived from the row; errors name what is wrong. */
extern void job_derive(Job *job);

/*
 * The settings that a part of the job is proven and written under, whatever
 * those of the process are; settings_unpin() or an ERROR ends them.
 */
extern PinnedSettings *settings_pin_job(const Job *job);

/* Inserts job and sources; returns and stores the new id. */
extern int64 job_insert(Job *job);
/* NULL if there is none.  for_update locks the row. */
extern Job *job_load(int64 id, bool for_update);
/* The same, with an error if it is missing or not the caller's. */
extern Job *job_load_own(int64 id, bool for_update);
/* Writes a state, its times and error, and announces it. */
extern void job_set_state(int64 id, JobState state, const JobError *error);
extern void job_set_waiting_for(int64 id, const char *text);
/* The same unless something else has been written since. */
extern void job_end_waiting(int64 id, const char *text);
/* Counts an error after which a part, or with -1 the job, is tried again. */
extern void job_set_retry(int64 id, int part, const char *waiting_for,
						  const char *error);
/* Where the destination was found when it was opened. */
extern void job_set_location(int64 id, const char *location);
extern void job_set_publishing(int64 id, bool publishing);
extern void job_set_slot(const Job *job, bool ready);
/* What a plan decided. */
extern void job_record_plan(int64 id, const char *snapshot, XLogRecPtr lsn,
							int parts);
extern void job_record_definition(int64 id, int source,
								  const char *definition);
/* The sum of a source's manifest, or with -1 of the one above. */
extern void job_record_manifest(int64 id, int source, const char *checksum);
extern void job_delete(int64 id);
/*
 * Another unfinished job whose directory is the same or lies one in the other;
 * 0 for none.  begun: only those that have begun to use it.
 */
extern int64 job_at_location(const char *location, int64 except, bool begun);
/* A job with parts that refer to files there, or beneath; 0 for none. */
extern int64 job_referring_to(const char *location, int64 except);
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
/* Running jobs that are alive, without this one. */
extern int job_count_running(int64 except);

/* ---- job_lock.c: whoever runs a job holds its lock, to the end of the process */

extern bool job_lock_hold(int64 id);
/* A worker's share of its coordinator's lock: no other one may begin. */
extern void job_lock_share(int64 id);
/* To the end of the transaction: keeps the job from being run. */
extern bool job_lock_exclude(int64 id);
/*
 * To the end of the transaction: the only one that makes a job for this place.
 * False if another one is at it, which may take as long as it likes.
 */
extern bool job_lock_location(const char *location);
extern bool job_is_live(int64 id);
/* One at a time may start a job; to the end of the transaction. */
extern void job_lock_submission(void);
/* The process that holds the job's lock, or 0. */
extern int job_holder(int64 id);
/* To the end of the process, or the first ERROR: DROP EXTENSION waits for us. */
extern void job_lock_tables(void);
/*
 * For callers that cannot be interrupted: whether the tables, and the job's row, are at
 * once ours to write, to the end of the transaction.
 */
extern bool job_try_lock_tables(void);
extern bool job_try_lock_row(int64 id);

/* ---- part_table.c: rows of outflow.part */

/* Of another job's part: it may be any one's of this job. */
#define ANY_SOURCE (-1)

/* A range of blocks, as planned; the same in every process. */
typedef struct PlannedPart
{
	int			number;
	int			source;
	Oid			relid; /* the leaf */
	BlockNumber first_block;
	BlockNumber end_block;
	int			candidate; /* an earlier part that may be kept, or -1 */
} PlannedPart;

typedef struct PartResult
{
	char	   *file; /* "folder/name" */
	int64		rows;
	int64		made_null; /* values that the format can't hold */
	Meter		plain;
	Meter		stored;
	XLogRecPtr	lsn;
	const char *snapshot; /* as text */
	char	   *stamp;	  /* as text; NULL if it may never be carried */
	const char *reason;	  /* why not, or why it was exported again */
} PartResult;

/* A part as the table has it. */
typedef struct FinishedPart
{
	int64		job;
	PlannedPart plan;
	char	   *name; /* of the leaf */
	bool		done;
	char	   *file;
	int64		rows;
	int64		made_null;
	int64		bytes;
	int64		bytes_stored;
	int64		crc32c;	  /* -1: not known */
	Checksum	checksum; /* of the stored bytes */
	char	   *stamp;	  /* NULL for none */
	char	   *reason;	  /* why there is none, or NULL */
	char	   *location; /* of the file; NULL: the job's destination */
	XLogRecPtr	lsn;	  /* these two are only written */
	char	   *snapshot;
} FinishedPart;

/* Below the destination: "folder/name", or the name alone. */
extern char *part_file(const Job *job, const PlannedPart *part);
/* Makes the rows those of a new plan; parts done before become candidates. */
extern void parts_record(const Job *job, const PlannedPart *parts, int count);
extern void part_checkpoint(const Job *job, const PlannedPart *part,
							const PartResult *result);
extern void part_failed(int64 job, int part, const char *error);
/* The part has its own file now, or refers to the one that its row names. */
extern void part_carried(const Job *job, const PlannedPart *part,
						 bool referenced);
/* The file for people who look from the destination: its name, or its path. */
extern char *part_file_path(const FinishedPart *part);
extern List *parts_load(int64 job); /* of FinishedPart *, by number */
extern List *parts_of_source(const List *parts, int source);
/* NULL if there is no such row. */
extern FinishedPart *part_load(int64 job, int part);

/* ---- source.c: what may be exported */

/* Errors unless this server and the calling user may export at all. */
extern void source_check_server(void);
/*
 * Opens with ACCESS SHARE and checks kind and rights; an error if row security
 * hides rows and must not.  name, or NULL, is for the error when it is gone.
 */
extern Relation source_open(Oid relid, const char *name, const List *columns,
							bool may_hide);
/* Whether the calling user may see some of the rows only. */
extern bool source_hides_rows(Relation rel);
/* The same for all its leaves, for a new job; without number and filter. */
extern JobSource *source_new(Oid relid, List *columns, bool may_hide);
/* The leaves of an opened source, itself included, all locked. */
extern List *source_leaves(Relation rel);
/* Errors unless the leaf can be read block by block. */
extern void source_check_leaf(Relation leaf, Relation root);
/* As users write it: schema and name. */
extern char *source_name(Oid relid);
/* The shape of what is exported, in the caller's order of columns. */
extern RowShape *source_shape(Relation rel, const JobSource *source,
							  const RowFormat *format, MemoryContext parent);

/* Errors if the job's format can't hold the sources, or its options don't fit. */
extern void sources_check_format(const Job *job);

/* ---- export_filter.c */

/* The expression with every name qualified; errors unless it may be used. */
extern char *filter_qualify(const char *text, Relation rel);
/*
 * What filter_qualify() returned, ready for ExecInitQual(): simplified, with
 * SQL functions inlined.  rel's columns are those of range table entry 1.
 */
extern Node *filter_plan(const char *text, Relation rel);
/* The settings under which such text means what it says. */
extern PinnedSettings *filter_pin_settings(void);

/* ---- planned_scan.c */

typedef void (*PlannedRow)(void *arg, TupleTableSlot *slot);

/*
 * Calls row for each row of the part that row security and the filter leave;
 * its slot is laid out like root.
 */
extern void planned_scan(const JobSource *source, Relation root, Relation leaf,
						 const RowShape *shape, const PlannedPart *part,
						 Snapshot snapshot, PlannedRow row, void *arg);
/*
 * Where an extension audits reads or decides on them: lets it see this one, as
 * it would see a SELECT of the same columns, of the root and of the leaf.
 */
extern void planned_check(const JobSource *source, Relation root,
						  Relation leaf, const RowShape *shape);

/* ---- source_list.c: what a job of many tables exports */

/* Each of them opened and checked. */
extern List *sources_of_tables(Datum tables, bool may_hide);
extern List *sources_of_publication(const char *publication, bool may_hide);
/* Errors if two of them would export the same rows. */
extern void sources_check_apart(const List *sources);

/* ---- destination.c */

/* Errors unless the current user may write to such a place at all. */
extern void destination_check_rights(const Job *job);
/* Where the job's destination lies; errors say what is wrong with its text. */
extern char		   *destination_locate(const Job *job);
extern Destination *destination_open(const Job *job, DestinationMode mode);
/*
 * Where a job has written before, whatever the settings allow by now; NULL if
 * it is not there, and with errno if it can't be opened but needn't be.
 */
extern Destination *destination_open_known(const char *location,
										   bool		   must_open);
extern bool			destination_has_folders(const Job *job);
extern bool			destination_is_folder(const Job *job, const char *name);
/* Refuses a place that an unfinished job has, or with begun has begun to use */
extern void destination_check_free(const Job *job, bool begun);
/* Refuses to replace what parts of another job refer to. */
extern void destination_check_unreferenced(const Job *job);
/* Refuses a directory that holds anything else; tell: warns of what stays. */
extern void destination_check_empty(Destination *root, const Job *job,
									bool tell);

/* ---- ownership.c: whose an unfinished job's hidden directory is */

/*
 * Opens it and takes it for this process, until the root is closed; an error if
 * it is not this server's.  False if it is missing and not to be created.
 */
extern bool ownership_open(const Job *job, Destination *root, bool create);
/* The same for a process whose coordinator has taken it. */
extern void ownership_join(const Job *job, Destination *root);

/* ---- plan.c */

typedef struct ExportPlan
{
	Snapshot	 snapshot;
	char		*snapshot_text;
	XLogRecPtr	 lsn;
	int			 nparts;
	int			 room; /* for so many */
	PlannedPart *parts;
} ExportPlan;

/*
 * Locks, then snapshot, then block counts; in a fresh transaction of the
 * caller, which keeps it open.  May end it and begin another one by calling
 * restart when partitions came or went meanwhile.
 *
 * earlier are finished parts (FinishedPart *) that may still hold: their blocks
 * stay parts, and with them their numbers if they are the job's own.
 */
extern ExportPlan *plan_make(const Job *job, const List			 *earlier,
							 void (*restart)(void), MemoryContext context);

/* Writes a plan, of the same parts in every process, into the job tables. */
extern void plan_record(const Job *job, const PlannedPart *parts, int nparts,
						const char *snapshot, XLogRecPtr lsn);
/* A shape's columns as a JSON array: a source's definition. */
extern char *plan_describe(RowShape *shape);

/* Errors if a small part_size would make too many files; sources are locked. */
extern void plan_check_part_size(const Job *job);

/* ---- throttle.c: the bytes that a job may write in a second */

typedef struct Throttle
{
	pg_atomic_uint64 spent_until; /* TimestampTz */
} Throttle;

extern void throttle_init(Throttle *throttle);
/* Sleeps as long as these bytes have to take; returns early to stop. */
extern void throttle_spend(Throttle *throttle, uint64 bytes,
						   volatile bool *stop);

/* ---- part.c: exports one part */

/* What all parts that a process exports have in common. */
typedef struct PartContext
{
	const Job	  *job;
	Destination	  *root;
	Snapshot	   snapshot;
	const char	  *snapshot_text;
	Throttle	  *throttle;
	volatile bool *stop; /* an ERROR as soon as it is set */
} PartContext;

extern void part_export(const PartContext *context, const PlannedPart *part,
						PartResult *result);

/* ---- carry.c: parts that were finished before, and may still hold */

/* The finished parts that a new run of the job starts from. */
extern List *carry_candidates(const Job *job);
/* Warns of tables that the base has not exported; they are locked. */
extern void carry_check_base(const Job *job);
/*
 * The signature of a leaf's part; or a reason why its output depends on more,
 * so that it may never be carried.  filter comes from filter_plan().
 */
extern const char *carry_signature(const Job *job, const JobSource *source,
								   RowShape *shape, Relation leaf,
								   Node *filter, Signature *signature);
/* Whether a candidate that holds stays where it is, in another export. */
extern bool carry_refers(const Job *job, const FinishedPart *candidate);
/* Another export's directory, or NULL if it is gone. */
extern Destination *carry_open(const FinishedPart *part);
/*
 * Keeps the candidate's file, if there is one and it is proven to be what an
 * export under the snapshot would give; then true.  Else exports the part.
 */
extern bool carry_or_export(const PartContext  *context,
							const PlannedPart  *part,
							const FinishedPart *candidate, PartResult *result);

/* ---- handover.c: slot => name */

/* Errors that are better told when the job is created. */
extern void handover_check(const Job *job);
/* Makes the slot unless an earlier run has; the snapshot may be taken then. */
extern void handover_prepare(Job *job);
/* Whether the slot is still there for a job whose parts are finished. */
extern bool handover_holds(const Job *job);
/* Whether the slot goes with the job; an error if the caller may not do that. */
extern bool handover_may_forget(const Job *job);
extern void handover_forget(const Job *job);

/* ---- publish.c, manifest.c */

/* readers of directories skip what begins so */
#define PUBLISH_MANIFEST		   "_manifest.json"
#define PUBLISH_MANIFEST_OF_BEFORE "manifest.json"
#define PUBLISH_SUCCESS			   "_SUCCESS"

extern void publish_job(const Job *job, Destination *root);
/* Removes what an unfinished publication has already named. */
extern void publish_undo(const Job *job, const List *parts, Destination *root);
/* The same, but the parts are kept for another attempt. */
extern void publish_retreat(const Job *job, Destination *root);
/* Whether an entry of a folder ("" for none) belongs to the export. */
extern bool publish_is_ours(const Job *job, const char *folder,
							const List *parts, const char *manifest,
							const DestinationEntry *entry);

/* ---- older.c: an export that was there before, known by its manifest */

/* The key that a folder's manifest has, or would get. */
extern char *older_manifest(Destination *root, const char *folder);
/* Whether the folder's manifest is that of this very job. */
extern bool older_is_job(Destination *root, const char *folder,
						 const Job *job);
/* The names of what is no export of this database's, sorted. */
extern List *older_strangers(Destination *root, const char *folder);
/* Removes what is proven to be its files, with its folders; the rest stays. */
extern void older_remove(Destination *root, const char *folder);

extern char *manifest_build(const Job *job, const JobSource *source,
							const List *parts);
/* The one above those of many tables. */
extern char *manifest_build_common(const Job *job, const List *parts);

/* ---- verify.c */

/* Whether the file is the one that was written, byte for byte. */
extern bool part_is_stored(Destination *root, DestinationPlace place,
						   const FinishedPart *part);
/* The same, wherever an unfinished job has it by now. */
extern bool part_is_intact(const Job *job, Destination *root,
						   const FinishedPart *part);

/* ---- queue.c: jobs that nobody waits for */

extern void queue_start_at_commit(int64 id, Oid owner);
/*
 * Starts so many of the oldest queued jobs, or as many as there is room for;
 * returns how many.  patient: not one that was tried in vain a moment ago.
 */
extern int queue_start_next(int most, bool patient);
/* Errors if the role has as many queued jobs as one may have. */
extern void queue_check_room(Oid owner);

/* ---- waiter.c, inline.c */

extern void wait_for_job(int64 id);
/* What a finished job has to say: what was carried over, what was lost. */
extern void tell_result(int64 id);
extern void run_inline(Job *job);

#endif /* OUTFLOW_JOB_H */
