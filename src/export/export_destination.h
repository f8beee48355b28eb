/*
 * export_destination.h
 *		A job's place: where it is, and whose it may be.
 */
#ifndef OUTFLOW_EXPORT_DESTINATION_H
#define OUTFLOW_EXPORT_DESTINATION_H

#include "export/job/job.h"
#include "sink/destination.h"

/* What lies beside the parts; readers of directories skip such names. */
#define PUBLISH_MANIFEST		   "_manifest.json"
#define PUBLISH_MANIFEST_OF_BEFORE "manifest.json"
#define PUBLISH_SUCCESS			   "_SUCCESS"

/* Errors unless the text begins as a destination does. */
extern void destination_check_kind(const char *destination);
/* Errors unless the current user may write to such a place at all. */
extern void destination_check_rights(const char *destination);
/* The same for a job at work, and rights_check_running(). */
extern void destination_check_running(const Job *job);
/* Where the job's destination lies; errors say what is wrong with its text. */
extern char		   *destination_locate(const Job *job);
extern Destination *destination_open(const Job *job, DestinationMode mode);
/*
 * Where a job has written before, whatever the settings allow by now; NULL if
 * it is not there, and with errno if it can't be opened but needn't be.
 */
extern Destination *destination_open_known(const Job *job, bool must_open);
/* The same of a place alone; it needn't be there. */
extern Destination *destination_open_location(const char *location);
/* Whether a location's rows are in tables. */
extern bool destination_keeps_tables(const char *location);
/* The location of a job's database, if it keeps tables; or NULL. */
extern char *destination_database(const Job *job);
/* Whether the job's is that one. */
extern bool destination_shares(const Job *job, const char *database);
extern bool destination_has_folders(const Job *job);
extern bool destination_is_folder(const Job *job, const char *name);
/* Refuses a place that an unfinished job has, or with begun has begun to use */
extern void destination_check_free(const Job *job, bool begun);
/* Refuses to replace what parts of another job refer to. */
extern void destination_check_unreferenced(const Job *job);

/* Whether names there are UTF-8 in all databases whose encoding is known. */
extern bool destination_keeps_utf8(const char *location);

/* ---- destination_uri.c: whether other programs find what lies there */

/* Errors if what they read, in UTF-8, would name another directory. */
extern void destination_check_bytes(const char *location);
/* The same, or if they would read its path as another URI. */
extern void destination_check_uri(const char *location);

/* ---- destination_empty.c: whether it may be used, and holds nothing else */

/* Refuses a folder ("" for the top) where another one's files are staged; those
 * that nobody goes on with are removed. */
extern void destination_check_unclaimed(Destination *root, const char *folder,
										const Job *job);
/* Refuses a directory that holds anything else, lake tables that aren't the
 * job's included; tell: warns of what stays. */
extern void destination_check_empty(Destination *root, const Job *job,
									bool tell);

/* ---- destination_tables.c: destinations that keep tables, else no-ops */

/* Tells an opened destination of the job's sources, which are locked. */
extern void destination_set_tables(const Job *job, Destination *root);
/* For a new job: refuses what is for files, or for tables, only; checks that
 * the targets take the rows, and chooses the job's format.  root is NULL for a
 * place that is still to be made. */
extern void destination_choose_form(Job *job, Destination *root);

/* ---- destination_types.c */

/* As pg_type has it. */
extern char *destination_type_name(Oid type);
/* TableColumn's parts. */
extern char *destination_type_parts(Oid type);

#endif /* OUTFLOW_EXPORT_DESTINATION_H */
