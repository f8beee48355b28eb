/*
 * delta_log.h
 *		A Delta table's log, read from its first version to its last.
 *
 * Delta Transaction Log Protocol, sections "Delta Log Entries" and "Actions".
 */
#ifndef OUTFLOW_DELTA_LOG_H
#define OUTFLOW_DELTA_LOG_H

#include "export/lake/lake_table.h"

#define DELTA_LOG_FOLDER "_delta_log"

/* The two that our tables have: with a timestamp without time zone, and not. */
#define DELTA_PROTOCOL                                                        \
	"{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":2}}"
#define DELTA_PROTOCOL_NTZ                                                    \
	"{\"protocol\":{\"minReaderVersion\":3,\"minWriterVersion\":7,"           \
	"\"readerFeatures\":[\"timestampNtz\"],\"writerFeatures\":"               \
	"[\"timestampNtz\",\"appendOnly\",\"invariants\"]}}"

/* A file that the table has. */
typedef struct DeltaFile
{
	char  path[LAKE_PATH_MAX]; /* as the log has it: the key */
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

/* The last "txn" line of an appId. */
typedef struct DeltaTransaction
{
	const char *app; /* the key */
	char	   *line;
} DeltaTransaction;

/* A version that was read by itself. */
typedef struct DeltaVersion
{
	LakeVersion version;
	bool		has_sum;
	Finding		finding; /* by that */
} DeltaVersion;

typedef struct DeltaLog
{
	LakeTable	table;	  /* its versions are of DeltaVersion * */
	int64		first;	  /* the first version that was read by itself */
	const char *unused;	  /* why the state was not; NULL: it was, or is none */
	HTAB	   *files;	  /* of DeltaFile, by path */
	List	   *removed;  /* of DeltaRemoved *, oldest first */
	char	   *metadata; /* the last action of these, as lines */
	char	   *protocol;
	char	   *schema; /* schemaString of metadata */
	char	   *id;		/* and these of it */
	char	   *comment;
	HTAB	   *transactions; /* of DeltaTransaction */
	List	   *jobs; /* of versions before first, as LakeVersion *: those
							 * that files may be of */
} DeltaLog;

/*
 * What is left to read after the state that outflow keeps beside the log: all
 * that the table is now, and the versions since.  It is what the log said up to
 * a version, whose file has this sum, and whose jobs its files and the removed
 * ones are of.  What is damaged there is not believed.
 */
#define DELTA_STATE DELTA_LOG_FOLDER "/_outflow_state"

/* What a version's file can be at most. */
#define DELTA_VERSION_MAX_SIZE ((size_t) 1024 * 1024 * 1024)

/*
 * whole: all versions, and all files that were removed, as far as they are
 * there.  Memory is the current context's.  A log that lacks what it takes to
 * know the table is an ERROR.
 */
extern DeltaLog *delta_log_read(Destination *root, const char *folder,
								bool whole);
/* The same as it was at the version, as far as that is there. */
extern DeltaLog *delta_log_read_until(Destination *root, const char *folder,
									  int64 version);

/* ---- delta_action.c */

/* The text of a version's file. */
extern char *delta_log_get(Destination *root, const char *folder,
						   int64 version, size_t *len);
/* "folder/_delta_log/00000000000000000012.json" */
extern char *delta_log_key(const char *folder, int64 version);

/* An empty one. */
extern DeltaLog *delta_log_new(const char *folder);
/* Each line of the text is an action, of that version, or of those up to it. */
extern void delta_log_take(DeltaLog *log, LakeVersion *version, char *key,
						   char *text, size_t len);

/* ---- delta_state.c */

/* Of the log's last version; actions: all that there are in it. */
extern void delta_put_state(Destination *root, const DeltaLog *log,
							const List *actions);
/* What was kept; no more than an empty one if that is damaged, as the log may
 * well be whole. */
extern DeltaLog *delta_log_of_state(Destination *root, const char *folder,
									int64 last);

/* ---- delta_sum.c */

/*
 * What a file of ours has the sum of all of it in, while that is made: in its
 * first line, of JSON; or at its end, of Parquet.
 */
#define DELTA_NO_SUM_DIGITS "00000000"
#define DELTA_SUM_NAME		"\"crc32c\":"
#define DELTA_NO_SUM		DELTA_SUM_NAME "\"" DELTA_NO_SUM_DIGITS "\""

/* Where its digits are; NULL: there is none. */
extern char *delta_find_sum(char *text, size_t len);
extern char *delta_find_checkpoint_sum(char *file, size_t len);
extern void	 delta_put_sum(char *at, const char *text, size_t len);
/* Whether it is that of the text; at as found, or NULL, which is well. */
extern Finding delta_judge_sum(char *at, const char *text, size_t len);

/* ---- delta_check.c */

extern void delta_check(const LakeCheck *check);

/* ---- delta_checkpoint_file.c */

/* Names the newest one, for readers. */
#define DELTA_LAST_CHECKPOINT DELTA_LOG_FOLDER "/_last_checkpoint"
/* Versions that ours are apart. */
#define DELTA_CHECKPOINT_APART 10

/* "folder/_delta_log/00000000000000000010.checkpoint.parquet" */
extern char *delta_checkpoint_key(const char *folder, int64 version);
/* Of every tenth version, for readers; it has just been committed. */
extern void delta_checkpoint_if_due(Destination *root, const char *folder,
									int64 version);

#endif /* OUTFLOW_DELTA_LOG_H */
