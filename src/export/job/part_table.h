/*
 * part_table.h
 *		Rows of outflow.part: the plan, and the checkpoints.
 */
#ifndef OUTFLOW_PART_TABLE_H
#define OUTFLOW_PART_TABLE_H

#include "export/job/job.h"
#include "storage/block.h"

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
	const char *snapshot;	/* as text */
	char	   *stamp;		/* as text; NULL if it may never be carried */
	const char *reason;		/* why not, or why it was exported again */
	char	   *statistics; /* of a lake table's file; NULL for none */
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
	int64		crc32c;		   /* -1: not known */
	int64		crc32c_stored; /* the same of the stored bytes */
	Checksum	checksum;	   /* of the stored bytes */
	char	   *stamp;		   /* NULL for none */
	char	   *reason;		   /* why there is none, or NULL */
	char	   *statistics; /* what a lake table's log says of it, or NULL */
	char	   *location;	/* of the file; NULL: the job's destination */
	XLogRecPtr	lsn;		/* these two are only written */
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

#endif /* OUTFLOW_PART_TABLE_H */
