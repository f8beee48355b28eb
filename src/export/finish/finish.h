/*
 * finish.h
 *		From exported parts to an export: what makes files its files.
 */
#ifndef OUTFLOW_FINISH_H
#define OUTFLOW_FINISH_H

#include "export/job/part_table.h"
#include "sink/destination.h"

/* ---- ownership.c: whose an unfinished job's hidden directory is */

/*
 * Opens it and takes it for this process, until the root is closed; an error if
 * it is not this server's.  False if it is missing and not to be created.
 */
extern bool ownership_open(const Job *job, Destination *root, bool create);
/* Whether it is, and free. */
extern bool ownership_try(const Job *job, Destination *root);
/* Of what is left where there is no job: CLAIM_MISSING if it is gone with that. */
extern DestinationClaim ownership_claim_left(const Job	 *left,
											 Destination *root);
/* The same for a process whose coordinator has taken it. */
extern void ownership_join(const Job *job, Destination *root);
/* Where it is missing: an error if another server has come to the job's end. */
extern void ownership_check_finished(const Job *job, Destination *root);

/* ---- left.c */

/*
 * Removes the hidden directory of that name in a folder ("" for the top), and
 * what of it stands beside it in the job's lake tables, if it is proven that
 * nobody goes on with it; else false.  *stays is the path of the table's folder
 * that it stays for, or NULL.
 */
extern bool left_remove(Destination *root, const char *folder,
						const char *name, const Job *job, char **stays);

/* ---- names.c */

/* A List of char * that can be asked for one of them. */
extern void names_sort(List *names);
extern bool names_have(const List *names, const char *name);

/* ---- own_file.c */

/* Not a file of another export that a part refers to. */
extern bool publish_is_own(const FinishedPart *part);
/* The names of the parts' own files, sorted. */
extern List *publish_names(const List *parts);
/* Whether an entry of a folder ("" for none), whose parts have those names,
 * belongs to the export. */
extern bool publish_is_ours(const Job *job, const char *folder,
							const List *names, const char *manifest,
							const DestinationEntry *entry);

/* ---- publish.c */

/* Errors unless the job's owner may still read what it has, and write there. */
extern void publish_check_rights(const Job *job);
/* The same, then all that publication is. */
extern void publish_job(const Job *job, Destination *root);
/* Of a finished job, removes what was kept for a later one. */
extern void publish_release(Job *job);
/* That they may be left over, and that nothing else will tell. */
extern void publish_tell_staged(const Job *job);
/*
 * Errors if a version has some of the export already: that can't be taken back,
 * nor may the other tables be of another moment.
 */
extern void publish_check_anew(const Job *job, Destination *root);
/* Removes what an unfinished publication has already named. */
extern void publish_undo(const Job *job, const List *parts, Destination *root);
/* The same, but the parts are kept for another attempt. */
extern void publish_retreat(const Job *job, Destination *root);

/* ---- abandon.c */

/* Tells of what the job leaves at a place that is not asked any more. */
extern void publish_abandon(Job *job);

/* ---- manifest.c */

extern char *manifest_build(const Job *job, const JobSource *source,
							const List *parts);
/* The one above those of many tables. */
extern char *manifest_build_common(const Job *job, const List *parts);

/* ---- older.c: an export that was there before, known by its manifest */

/* The key that a folder's manifest has, or would get. */
extern char *older_manifest(Destination *root, const char *folder);
/* Whether the folder's manifest is that of this very job, whichever server with
 * its record has run it. */
extern bool older_is_job(Destination *root, const char *folder,
						 const Job *job);
/* The same, and this server has run it: only such a one is replaced or removed. */
extern bool older_is_own(Destination *root, const char *folder,
						 const Job *job);
/* Whose the folder's manifest is, if it was written here, and not by a server that
 * this one is a copy of, or that is a copy of this one; or NULL. */
extern char *older_uuid(Destination *root, const char *folder);
/* The names of what is not of that export, sorted; NULL for none.  The job's own
 * folders are left out. */
extern List *older_strangers(Destination *root, const char *folder,
							 const char *uuid, const Job *job);
/* Removes what is proven to be its files, with its folders; the rest stays. */
extern void older_remove(Destination *root);
/* The same in one folder, of the export with that uuid; with_folders: a table's own
 * manifest names none, whatever it says. */
extern void older_remove_export(Destination *root, const char *folder,
								const char *uuid, bool with_folders);

#endif /* OUTFLOW_FINISH_H */
