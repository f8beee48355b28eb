/*
 * lake_table.h
 *		What tables of all lake formats have in common, and how they differ.
 *
 *	lake.c			whose a table is; a version of it
 *	lake_version.c	what is known of a version
 *	lake_claim.c	who may write to it without a job
 *	lake_sent.c		whether a version may still be on its way
 *	lake_left.c		files that no version has
 *	lake_live.c		files that the next version may keep
 *	lake_carried.c	files that it keeps
 *	lake_json.c		members of JSON objects
 *	lake_check.c	reads what may be damaged
 *	lake_verify.c	whether a version is what the job has made
 *	lake_sql.c		what users ask of a table
 *	delta_*.c, iceberg_*.c	a format each
 */
#ifndef OUTFLOW_LAKE_TABLE_H
#define OUTFLOW_LAKE_TABLE_H

#include "compat.h"
#include "datatype/timestamp.h"
#include "export/job/part_table.h"
#include "export/lake/lake.h"
#include "nodes/pg_list.h"
#include "sink/destination.h"
#include "utils/hsearch.h"
#include "utils/jsonb.h"

/* What names us in a table begins with; what follows names the source. */
#define LAKE_APP "outflow/"

/* A commit. */
typedef struct LakeVersion
{
	int64 version;	 /* as readers of the format ask for it */
	int64 timestamp; /* milliseconds since 1970 */
	char *operation; /* these are NULL where the commit says nothing */
	char *engine;
	char *app;	  /* LAKE_APP, and the source of an export */
	char *server; /* that ran it; NULL if it was made before that was said */
	char *uuid;	  /* of our job */
	int64 job;	  /* 0: none of ours */
	char *source;
	char *snapshot;
	char *lsn;
	int64 rows;
	int64 added;
	int64 removed;
	bool  changes; /* the table; not only what is said of it */
} LakeVersion;

/* Formats add their own members after these. */
typedef struct LakeTable
{
	const char *folder;
	int64		last;		  /* the number of its last commit; -1: no table */
	List	   *versions;	  /* of LakeVersion *, oldest first */
	bool		is_foreign;	  /* has features that our versions don't */
	const char *foreign_file; /* that tells so; NULL: none does alone */
	bool is_passing; /* that may be of a commit that is under way, and go */
} LakeTable;

/* A file that a vacuum has removed. */
typedef void (*LakeTold)(void *arg, const char *file, int64 bytes);

/* A version whose files are judged. */
typedef struct LakeCheck
{
	Destination		  *root;
	const char		  *folder;
	const LakeTable	  *table;
	const LakeVersion *version;
	const List		  *parts; /* what it has to have, and no more */
	LakeTellFinding	   tell;
	void			  *arg;
} LakeCheck;

typedef struct LakeFormat
{
	const char		*name;	 /* as people write it */
	const char		*folder; /* in the table's: with what says what it has */
	const RowFormat *files;

	/*
	 * whole: with all that is known of older versions.  Memory is the current
	 * context's.  What can't be known any more is an ERROR.
	 */
	LakeTable *(*read)(Destination *root, const char *folder, bool whole);
	/* An error unless the table may have the columns that the source has. */
	void (*check_schema)(const LakeTable *table, const Job *job,
						 const JobSource *source);
	/*
	 * The source's published files become the next version, whose number last
	 * is then.  False: another writer has made that since the table was read.
	 */
	bool (*commit)(Destination *root, LakeTable *table, const Job *job,
				   const JobSource *source, const List *parts);
	/* Whether the table, as it is, has files of the job, whoever committed them. */
	bool (*holds)(Destination *root, const LakeTable *table, const char *uuid);
	/* The files that the next version may keep, by name; NULL: any. */
	HTAB *(*live)(Destination *root, const LakeTable *table);
	/* Whether that can't be told, since others have gone on; NULL: never. */
	bool (*is_unreadable)(const LakeTable *table);
	/* What readers find sooner a version by, that is there without it. */
	void (*settle)(Destination *root, const char *folder, int64 last);
	/* What a job has left that has no version and will have none. */
	void (*undo)(Destination *root, const Job *job, const JobSource *source);
	/* Tells what is to be said of each file that makes the version. */
	void (*check)(const LakeCheck *check);
	/* Removes what no version has had since that time, in milliseconds. */
	void (*vacuum)(Destination *root, LakeTable *table, int64 limit,
				   LakeTold tell, void *arg);
} LakeFormat;

extern const LakeFormat lake_format_delta;
extern const LakeFormat lake_format_iceberg;

/* ---- lake.c */

/* The job's; opens the catalog that its tables are in, too. */
extern const LakeFormat *lake_format_of(Destination *root, const Job *job);
/* Whichever format's table is there; NULL: none is. */
extern const LakeFormat *lake_find(Destination *root, const char *folder,
								   LakeTable **table);
/* The table, read again as long as another program may be at a commit of it. */
extern LakeTable *lake_when_settled(const LakeFormat *format,
									Destination *root, LakeTable *table,
									bool whole);
/* As lake_undo, of a job whose format is not known. */

/* ---- lake_claim.c */

/* Files may be written by no job, until they are discarded; false: another one
 * is at that. */
extern bool lake_claim(Destination *root);

/* ---- lake_sent.c */

/* A job's version that is about to be sent; all of it stays in place. */
typedef struct LakeSent
{
	Destination *root;
	const char	*folder;
	const Job	*job;
	bool		 is_noted;
	bool		 may_be_earlier; /* by an attempt that was given up */
	Sending		 sending;
} LakeSent;

/* Whom to tell of its requests; NULL for a change of no job. */
extern const Sending *lake_begin_sent(LakeSent *sent, Destination *root,
									  const char *folder, const Job *job);
/* Nothing of the job is on its way any more. */
extern void lake_end_sent(Destination *root, const char *folder,
						  const Job *job);
/* Whether a version of the job may still come that nobody has seen yet. */
extern bool lake_is_sent(Destination *root, const char *folder,
						 const Job *job);
/* By a file that must be new, which is then the version; false: another writer
 * has it.  job: NULL for a change of none. */
extern bool lake_put_version(Destination *root, const char *folder,
							 const Job *job, const char *key, const char *data,
							 size_t len);

/* ---- lake_carried.c */

/* What the version keeps, and all that says what the table has, gets the mode of
 * its job. */
extern void lake_give_mode(Destination *root, const LakeFormat *format,
						   const JobSource *source, const List *parts);

/* ---- lake_version.c */

/* "outflow/SYSTEM/DATABASE/TABLE": the source, as long as it lives. */
extern char *lake_app_of_source(const JobSource *source);
extern bool	 lake_is_outflows(const LakeVersion *version);
/* Of an export: whether no other server with the same past has made it, as far
 * as it says. */
extern bool lake_is_of_this_server(const LakeVersion *version);
/* Whether a job of this very database has committed it, on this server. */
extern bool lake_is_ours(const LakeVersion *version);
/* The same on a server that is a copy of this one, or the reverse. */
extern bool lake_is_of_a_copy(const LakeVersion *version);
/* Who has made it, as a sentence. */
extern char *lake_describe_version(const LakeVersion *version);
/* The newest version that changed the table; NULL for none. */
extern const LakeVersion *lake_last_change(const LakeTable *table);
/* The job's version, or NULL. */
extern const LakeVersion *lake_version_of_job(const LakeTable *table,
											  const char	  *uuid);
/* An empty set of uuids of jobs, in the current context. */
extern HTAB *lake_uuid_set(void);
/* Takes up those of jobs that made one of the versions, if that is ours. */
extern void lake_take_uuids(HTAB *uuids, const List *versions);
/* Takes up what stands there, if that is a uuid; and that of the job of a data
 * file, by its name. */
extern void lake_take_uuid(HTAB *uuids, const char *at);
extern void lake_take_uuid_of_file(HTAB *uuids, const char *name);
/* Whether one of them stands there; *rest is what follows it. */
extern bool lake_has_uuid(HTAB *uuids, const char *at, const char **rest);
/* Whether the name is that of a data file of one of them. */
extern bool	 lake_file_is_ours(HTAB *uuids, const char *name);
extern char *lake_path_of_folder(const Destination *root, const char *folder);
/* The file of a part, whose folder is the table's. */
extern const char *lake_name_of_part(const FinishedPart *part);
/* An empty set of names of files, in the current context. */
extern HTAB *lake_path_set(void);
/* As a file's name has it; -1: it is too great. */
extern int64 lake_number(const char *digits, char **rest);
/* An ERROR where there is none. */
extern int64 lake_next_number(int64 last);
/* Milliseconds since 1970. */
extern int64	   lake_now(void);
extern TimestampTz lake_timestamp(int64 milliseconds);
extern int64	   lake_milliseconds(TimestampTz timestamp);

/* ---- lake_check.c */

/* Errors if the table has what exports do not write; path: as messages name it,
 * hint: what to do where it is so for good. */
extern void lake_check_features(const LakeFormat *format,
								const LakeTable *table, const char *path,
								const char *hint);
/* A link, folder or special file has a name of the table's. */
extern void lake_throw_no_file(const Destination *root, const char *key);
/* The table has lost a file since it was to be kept. */
pg_noreturn extern void lake_throw_lost(const FinishedPart *part);
/* Whether what was read is what the error is about, and not the reading. */
extern bool lake_is_damage(const ErrorData *error);
/* What a call found by its error; ok if it has none. */
extern Finding lake_try(void (*call)(void *arg), void *arg);
/* Of a version, what it has of the part by its name (NULL: not there), and how
 * many files in all. */
typedef bool (*LakeHasPart)(const void *files, const FinishedPart *part);
extern Finding lake_check_parts(const LakeCheck *check, LakeHasPart has,
								const void *files, long count);

/* ---- lake_json.c */

/* From UTF-8. */
extern Jsonb *lake_json_parse(const char *text, size_t len);
/* NULL where there is none, or it is of another type. */
extern Jsonb *lake_json_object(Jsonb *in, const char *name);
extern char	 *lake_json_text(Jsonb *in, const char *name);
/* An ERROR where there is none: the table cannot be used without. */
extern char *lake_json_need_text(Jsonb *in, const char *name);
/* Whether there is a number. */
extern bool lake_json_get_int(Jsonb *in, const char *name, int64 *found);
/* 0 where there is none. */
extern int64 lake_json_int(Jsonb *in, const char *name);
extern bool	 lake_json_is_true(Jsonb *in, const char *name);
/* Its objects, a List of Jsonb *. */
extern List *lake_json_objects(Jsonb *in, const char *name);
/* The text of any member; NULL where there is none. */
extern char *lake_json_any(Jsonb *in, const char *name);
/* Of an object (NULL: it has none), as texts. */
extern List *lake_json_names(Jsonb *object);
/* From the server's encoding, "..." in ASCII. */
extern void lake_json_put_text(StringInfo out, const char *text);

/* The path of a file may be so long. */
#define LAKE_PATH_MAX (DESTINATION_NAME_MAX * 4)

#endif /* OUTFLOW_LAKE_TABLE_H */
