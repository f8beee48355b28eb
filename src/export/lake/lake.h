/*
 * lake.h
 *		Versions of a lake table: what an export commits instead of a manifest.
 *
 * A table is a folder with data files and what says which of them it is: a log,
 * or metadata.  A version is there at once, by one more file of that, or not at
 * all.  That alone is believed, not the job tables: what it has and the job has
 * not is removed, and the reverse is added.
 */
#ifndef OUTFLOW_LAKE_H
#define OUTFLOW_LAKE_H

#include "export/job/finding.h"
#include "export/job/part_table.h"
#include "sink/destination.h"

/* ---- lake.c */

/* Errors unless the job may commit a version to what the source's folder has. */
extern void lake_check_folder(Destination *root, const Job *job,
							  const JobSource *source);
/* The same, but for what may lie there and is no table. */
extern void lake_check_writer(Destination *root, const Job *job,
							  const JobSource *source);
/* The same for a place that is still to be made. */
extern void lake_check_new(const Job *job);
/* The source's published files become a version; a no-op if they are one. */
extern void lake_commit(Destination *root, const Job *job,
						const JobSource *source, const List *parts);
/* Whether the log of the source's folder has a version of this job. */
extern bool lake_is_committed(Destination *root, const Job *job,
							  const JobSource *source);
/* Whether a server with the same past has committed one for it: see
 * job_server.c. */
extern bool lake_is_anothers(Destination *root, const Job *job);
/* Whether its files have to stay, since it may be; an ERROR for now, where that
 * is still to be decided. */
extern bool lake_may_be_committed(Destination *root, const Job *job,
								  const JobSource *source);
/* The same of all sources. */
extern bool lake_is_complete(Destination *root, const Job *job);

typedef enum LakeStanding
{
	LAKE_NONE, /* no version of the job is there, nor will one be */
	LAKE_SOME, /* of some of its tables, or that isn't known yet */
	LAKE_ALL,
	LAKE_ANOTHERS /* one is there, of a server that has the same job */
} LakeStanding;

/* Of a job that nobody runs. */
extern LakeStanding lake_standing(Destination *root, const Job *job);
/* Removes what the job has left beside its files, and no version has. */
extern void lake_undo(Destination *root, const Job *job,
					  const JobSource *source);

/* ---- lake_verify.c */

typedef void (*LakeTellFinding)(void *arg, const char *file, Finding finding);

/* Judges what makes the source's files the job's version, a file at a time.
 * What is damaged there is no error. */
extern void lake_verify(Destination *root, const Job *job,
						const JobSource *source, const List *parts,
						LakeTellFinding tell, void *arg);

/* ---- lake_carried.c */

/* Errors unless the files that the source's next version keeps are there. */
extern void lake_check_carried(Destination *root, const JobSource *source,
							   const List *parts);

/* ---- lake_live.c */

/* Of parts, those whose files are the job's own, or may be kept by the next
 * version of the table in whose folder they are. */
extern List *lake_live_parts(Destination *root, const Job *job,
							 const List *parts);
/* Errors unless these are all of them. */
extern void lake_check_live(Destination *root, const Job *job,
							const List *parts);

/* ---- lake_left.c */

/*
 * Removes what an export that came to nothing has left, by its uuid, in the folder
 * and in those of tables in it, unless a version has it, or may have it.  left is
 * that export, as far as it is known; its format and sources are the next one's.
 * NULL; or the path of the folder where something stays that is or will be in the
 * way.
 */
extern char *lake_remove_left(Destination *root, const Job *left,
							  const char *folder);

/* ---- lake_claim.c */

/* Removes what a vacuum has left that was killed. */
extern void lake_sweep(Destination *root);

#endif /* OUTFLOW_LAKE_H */
