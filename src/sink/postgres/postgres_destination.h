/*
 * postgres_destination.h
 *		A destination in another PostgreSQL, as the files of its driver see it.
 *
 * What is ours there lies in a schema of the mapped user, outflow_USER: table
 * job has a row for each job, with its owner's token and the time of its
 * publication, table part one for each part that was committed, with its sum,
 * and table target one for each table that rows of the job are in.
 * A job's rows wait in a staging table for each target, JOB_NUMBER, with their
 * part's number in a column more; or they are loaded directly.
 */
#ifndef OUTFLOW_POSTGRES_DESTINATION_H
#define OUTFLOW_POSTGRES_DESTINATION_H

#include "foreign/foreign.h"
#include "sink/destination.h"
#include "sink/postgres/remote.h"

#define POSTGRES_LOCATION "postgresql://"
/* The class of the advisory locks there: to run a job. */
#define POSTGRES_LOCK_JOB "28522"
#define POSTGRES_PART	  "outflow part" /* the staging tables' own column */

/* For formats: what queries call a relation c of schema n.  What inherits from a
 * table is no part of it. */
#define POSTGRES_RELATION                                                     \
	"CASE relkind WHEN 'p' THEN '' ELSE 'ONLY ' END || "                      \
	"format('%%I.%%I', nspname, relname)"
/*
 * For a job's row, and a parameter that is postgres_cluster: its numbers are
 * another one's.  Of what only one of the two knows, nothing is said.
 */
#define POSTGRES_IS_MOVED(parameter)                                          \
	"split_part(cluster, ' ', 1) <> split_part(" parameter "::text, ' ', 1) " \
	"OR (split_part(cluster, ' ', 2) <> '' AND "                              \
	"split_part(" parameter "::text, ' ', 2) NOT IN ('', "                    \
	"split_part(cluster, ' ', 2)))"
#define POSTGRES_MOVED                                                        \
	"Their record is of another cluster, from which it came in a dump or by " \
	"an upgrade."
/* What rows' xmin is compared with for a transaction's number; and whether that
 * is short enough ago to be proof. */
#define POSTGRES_XID "(xact %% 4294967296)::text::xid"
#define POSTGRES_IS_RECENT                                                    \
	"xact > txid_snapshot_xmax(txid_current_snapshot()) - 2147483648"

/* A table that rows go to. */
typedef struct PostgresTarget
{
	const TableSource *source;
	char			  *schema;
	char			  *name;
	/* from here on as it was when it was last looked at */
	bool   exists;
	char  *oid;			 /* as text */
	bool   has_children; /* that are a part of it */
	char **types;		 /* of the staging table's columns */
	char **forms;		 /* of the columns as they are read back */
	bool   is_ready;	 /* rows may be sent, to it or its staging table */
	bool   is_made;		 /* by this job */
} PostgresTarget;

typedef struct PostgresDestination
{
	Destination		base;
	Remote		   *remote;
	char		   *schema; /* of the place; NULL: those of the sources */
	char		   *name;
	char		   *job; /* its uuid; NULL: nothing is claimed */
	char		   *token;
	bool			is_taken; /* the job's lock is asked for */
	bool			is_binary;
	bool			is_moved; /* the job's record is of another cluster */
	int				table;	  /* of the parts that are made */
	PostgresTarget *targets;
	int				ntargets;
	TableOptions	options;
} PostgresDestination;

static inline PostgresDestination *
postgres_self(const Destination *to)
{
	return (PostgresDestination *) to;
}

/* ---- postgres_place.c */

typedef struct PostgresPlace
{
	ForeignServer *server;
	char		  *schema; /* NULL for none */
	char		  *name;
	char		  *location;
} PostgresPlace;

extern char *postgres_place_parse(const char *destination);
extern void	 postgres_place_find(const char *place, PostgresPlace *found);
/*
 * The place of a location, by the server that a destination names, if that leads
 * there, or any that does; an error, or in TRY mode false and errno, if there is
 * none, or some are of different roles.
 */
extern bool postgres_place_known(const char *location, const char *destination,
								 DestinationMode mode, PostgresPlace *found);

/* ---- postgres_ledger.c: the job's rows there */

extern DestinationClaim postgres_claim(Destination *to, const char *id,
									   const char		*token,
									   DestinationAccess access);
extern bool				postgres_is_claimed(const Destination *to);
extern void				postgres_release(Destination *to);
extern bool postgres_find(Destination *to, const char *key, uint64 *size,
						  Checksum *sum);
extern bool postgres_is_published(Destination *to);
/* Errors unless there is a place for the ledger, or one can be made. */
extern void postgres_check_ledger(PostgresDestination *self);
/* One process at a time makes tables, until its transaction ends: neither CREATE
 * knows of another one's. */
extern void postgres_lock_making(PostgresDestination *self);
/* In which cluster the ledger is, which has to be there. */
extern char *postgres_cluster(PostgresDestination *self);
/* A connection, with the job's lock if it was taken. */
extern void postgres_connect(PostgresDestination *self);
/* A transaction in which the job is ours; whether it was published. */
extern bool postgres_begin(PostgresDestination *self, bool to_publish);
/* The same to load rows into it, which may have been published, or its record
 * moved: errors. */
extern void postgres_begin_loading(PostgresDestination *self);
/* Errors if transactions have other numbers than those that have to be known. */
extern void postgres_check_moved(PostgresDestination *self);
/* The job's staging tables, within a transaction. */
extern void postgres_drop_staging(PostgresDestination *self);
/* The name of a ledger table, or with a number of a staging table. */
extern char *postgres_ledger(PostgresDestination *self, const char *name);
extern char *postgres_staging(PostgresDestination *self, int table);
/* The number of "folder/part-000042.bin". */
extern char *postgres_part_number(const char *key);

/* ---- postgres_target.c: what rows have to fit */

extern void postgres_set(Destination *to, List *tables,
						 const TableOptions *options);
/* Whether it is there; errors unless it may take rows. */
extern bool postgres_find_target(PostgresDestination *self,
								 PostgresTarget		 *target);
/* Looks at one target; errors unless the rows fit. */
extern void postgres_look(PostgresDestination *self, PostgresTarget *target,
						  bool *is_binary);

/* Of COPY, after its direction: how rows are written; encoding NULL: usual. */
extern char *postgres_copy_options(bool is_binary, const char *encoding);
/* Writes down which table rows of the job are in. */
extern void postgres_record_target(PostgresDestination *self, int table);
extern void postgres_make_target(PostgresDestination  *self,
								 const PostgresTarget *target);

/* Errors if a target has left out some. */
extern void postgres_check_taken(PostgresDestination *self, int table,
								 uint64 taken, uint64 sent);

/* ---- postgres_staging.c */

/* Makes the staging table of a target, in place of one for other columns. */
extern void postgres_make_staging(PostgresDestination *self, int table);
/* Errors unless what is staged is what goes to the target, just so. */
extern void postgres_check_staged(PostgresDestination *self, int table);
/* Whether two staging tables are there, and have the same columns. */
extern bool postgres_has_same_columns(PostgresDestination *self,
									  const char *one, const char *other);
extern bool postgres_is_current(Destination *to);

/* ---- postgres_fit.c: whether every value can become one there */

/* A column of a target, as the other server describes it. */
typedef struct PostgresColumn
{
	char *type;	 /* as CREATE TABLE takes it there; NULL: it is missing */
	Oid	  base;	 /* domains removed */
	char *parts; /* as TableColumn's */
	int32 typmod;
	bool  is_generated;
	bool  is_needed; /* NOT NULL, and nothing but us gives it a value */
} PostgresColumn;

typedef enum PostgresFit
{
	FIT_NOT,
	FIT_TEXT,
	FIT_BINARY
} PostgresFit;

extern PostgresFit postgres_fit(const TableColumn	 *column,
								const PostgresColumn *there);
/* What reads such a value, by the quoted name of its column, as it was sent. */
extern char *postgres_read_back(const TableColumn *column, const char *name,
								Oid to, int32 typmod, bool is_binary);
/* Whether the binary form is the same wherever the type is. */
extern bool postgres_has_one_form(const TableColumn *column);

/* ---- postgres_column.c: columns of targets */

/* A target's name, and its columns' between commas, for commands. */
extern char *postgres_target_name(PostgresDestination  *self,
								  const PostgresTarget *target);
extern char *postgres_columns(PostgresDestination  *self,
							  const PostgresTarget *target);

/* Both in the order of the source's columns: of a table that is there, and of
 * one that is to be made. */
extern PostgresColumn *postgres_target_columns(PostgresDestination	*self,
											   const PostgresTarget *target);
extern PostgresColumn *postgres_future_columns(PostgresDestination	*self,
											   const PostgresTarget *target);
/* Errors unless the values fit. */
extern PostgresFit postgres_check_column(PostgresDestination  *self,
										 const PostgresTarget *target,
										 const TableColumn	  *column,
										 const PostgresColumn *there);

/* ---- postgres_direct.c: without staging tables */

/* Errors unless all targets may be loaded so. */
extern void postgres_check_direct(PostgresDestination *self);
/* Before a part is loaded, or else for a table that has none. */
extern void postgres_begin_direct(PostgresDestination *self, int table,
								  bool to_load);
/* ---- postgres_remove.c */

/* The job's parts that a condition names, and their rows, within a transaction.
 * "%s" in it stands for a part's number. */
extern void postgres_remove_parts(PostgresDestination *self,
								  const char		  *which);
extern void postgres_discard(Destination *to);

/* ---- postgres_kept.c */

extern bool postgres_carry_rows(Destination *to, const char *key,
								const char *id, const char *from_key);

/* ---- postgres_verify.c */

extern List *postgres_verify(Destination *to, bool full);

/* ---- postgres_part.c, postgres_publish.c */

extern void postgres_begin_table(Destination *to, int table);
/* Before the first part of a table; in a transaction for a part, what an earlier
 * attempt has left of it is gone. */
extern void postgres_prepare_table(PostgresDestination *self);
extern void postgres_begin_part(PostgresDestination *self, const char *number);
extern Sink *postgres_new_part(Destination *to, const char *key);
extern void	 postgres_publish_rows(Destination *to, const List *keys);

#endif /* OUTFLOW_POSTGRES_DESTINATION_H */
