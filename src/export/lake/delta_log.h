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

typedef struct DeltaLog
{
	LakeTable table;
	int64	  first;	/* the first version that was read by itself */
	HTAB	 *files;	/* of DeltaFile, by path */
	List	 *removed;	/* of DeltaRemoved *, oldest first */
	char	 *metadata; /* the last action of these, as lines */
	char	 *protocol;
	char	 *schema; /* schemaString of metadata */
	char	 *id;	  /* and these of it */
	char	 *comment;
	List	 *transactions; /* the last "txn" line of each appId */
	List	 *jobs; /* of versions before first, as LakeVersion *: those
							 * that files may be of */
} DeltaLog;

/*
 * What is left to read after the state that outflow keeps beside the log: all
 * that the table is now, and the versions since.  It is what the log said up to
 * a version, whose file has this sum, and whose jobs its files and the removed
 * ones are of.
 */
#define DELTA_STATE DELTA_LOG_FOLDER "/_outflow_state"

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
/* The text of a version's file. */
extern char *delta_log_get(Destination *root, const char *folder,
						   int64 version, size_t *len);
/* "folder/_delta_log/00000000000000000012.json" */
extern char *delta_log_key(const char *folder, int64 version);

/* ---- delta_checkpoint_file.c */

/* Of every tenth version, for readers; it has just been committed. */
extern void delta_checkpoint_if_due(Destination *root, const char *folder,
									int64 version);

#endif /* OUTFLOW_DELTA_LOG_H */
