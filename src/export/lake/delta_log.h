/*
 * delta_log.h
 *		A Delta table's log, read from its first version to its last.
 *
 * Delta Transaction Log Protocol, sections "Delta Log Entries" and "Actions".
 */
#ifndef OUTFLOW_DELTA_LOG_H
#define OUTFLOW_DELTA_LOG_H

#include "nodes/pg_list.h"
#include "sink/destination.h"
#include "utils/hsearch.h"
#include "utils/jsonb.h"

#define DELTA_LOG_FOLDER "_delta_log"
/* What our transactions' appId begin with; what follows names the table. */
#define DELTA_APP "outflow/"

/* The two that our tables have: with a timestamp without time zone, and not. */
#define DELTA_PROTOCOL                                                        \
	"{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":2}}"
#define DELTA_PROTOCOL_NTZ                                                    \
	"{\"protocol\":{\"minReaderVersion\":3,\"minWriterVersion\":7,"           \
	"\"readerFeatures\":[\"timestampNtz\"],\"writerFeatures\":"               \
	"[\"timestampNtz\",\"appendOnly\",\"invariants\"]}}"

/* A commit. */
typedef struct DeltaVersion
{
	int64 version;
	int64 timestamp; /* milliseconds since 1970 */
	char *operation; /* these are NULL where the commit says nothing */
	char *engine;
	char *app;	/* the appId of its transaction */
	char *uuid; /* of our job */
	int64 job;	/* 0: none of ours */
	char *source;
	char *snapshot;
	char *lsn;
	int64 rows;
	int64 added;
	int64 removed;
	bool  changes; /* the table; not only what is said of it */
} DeltaVersion;

/* A file that the table has. */
typedef struct DeltaFile
{
	char  path[DESTINATION_NAME_MAX * 4]; /* as the log has it: the key */
	int64 size;
	int64 version; /* that added it */
	char *action;  /* the whole line */
} DeltaFile;

/* One that it had. */
typedef struct DeltaRemoved
{
	char *path;
	int64 timestamp; /* of the removal; when nothing tells it, now */
	int64 size;
	char *action;
} DeltaRemoved;

typedef struct DeltaLog
{
	const char *folder;	  /* of the table */
	int64		first;	  /* the first version that was read by itself */
	int64		last;	  /* the last version; -1: there is no table */
	List	   *versions; /* of DeltaVersion *, oldest first */
	HTAB	   *files;	  /* of DeltaFile, by path */
	List	   *removed;  /* of DeltaRemoved *, oldest first */
	char	   *metadata; /* the last action of these, as lines */
	char	   *protocol;
	char	   *schema; /* schemaString of metadata */
	char	   *id;		/* and these of it */
	char	   *comment;
	List	   *transactions; /* the last "txn" line of each appId */
	bool		is_foreign;	  /* has features that our versions don't */
} DeltaLog;

/*
 * What is left to read after the state that outflow keeps beside the log: all
 * that the table is now, and the versions since.  It is what the log said up to
 * a version, whose file has this sum.
 */
#define DELTA_STATE DELTA_LOG_FOLDER "/_outflow_state"

/*
 * whole: all versions, and all files that were removed, as far as they are
 * there.  Memory is the current context's.  A log that lacks what it takes to
 * know the table is an ERROR.
 */
extern DeltaLog *delta_log_read(Destination *root, const char *folder,
								bool whole);
/* The text of a version's file, and its sum. */
extern char	 *delta_log_get(Destination *root, const char *folder,
							int64 version, size_t *len);
extern uint32 delta_log_sum(const char *text, size_t len);
/* The newest version that changed the table; NULL for none. */
extern const DeltaVersion *delta_log_last_change(const DeltaLog *log);
/* The job's version, or NULL. */
extern const DeltaVersion *delta_log_of_job(const DeltaLog *log,
											const char	   *uuid);
/* Whether a job of this very database has committed it. */
extern bool delta_is_of_this_database(const DeltaVersion *version);
/* "folder/_delta_log/00000000000000000012.json" */
extern char *delta_log_key(const char *folder, int64 version);

/* Milliseconds since 1970. */
extern int64 delta_now(void);

/* ---- delta_checkpoint_file.c */

/* Of every tenth version, for readers; it has just been committed. */
extern void delta_checkpoint_if_due(Destination *root, const char *folder,
									int64 version);

/* ---- delta_json.c: what an action says */

extern Jsonb *delta_json_parse(const char *line, size_t len);
/* NULL where there is none, or it is of another type. */
extern Jsonb *delta_json_object(Jsonb *in, const char *name);
extern char	 *delta_json_text(Jsonb *in, const char *name);
extern int64  delta_json_int(Jsonb *in, const char *name);

/* An empty set of paths as the log has them, in the current context. */
extern HTAB *delta_path_set(void);

#endif /* OUTFLOW_DELTA_LOG_H */
