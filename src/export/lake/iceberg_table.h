/*
 * iceberg_table.h
 *		An Iceberg table's metadata and manifests, as they are kept.
 *
 * Iceberg Table Spec, version 2: "Snapshots", "Manifests", "Manifest Lists" and
 * "Table Metadata"; "File System Tables" says how one writer wins.
 *
 *	iceberg_metadata.c		metadata/vN.metadata.json, read
 *	iceberg_metadata_next.c	the next one, made of it
 *	iceberg_put.c			where it goes: a file, or a REST catalog
 *	iceberg_rest.c			tables of a catalog, asked for and changed
 *	iceberg_rest_change.c	a change, as a catalog takes it
 *	iceberg_evolve.c		how its schema may change
 *	iceberg_identifier.c	which columns tell rows apart
 *	iceberg_order.c			its sort orders
 *	iceberg_spec.c			which orders and partitions its columns can have
 *	iceberg_manifest.c		manifests and their lists, read and written
 *	iceberg_commit.c		a job's snapshot
 *	iceberg_refs.c			branches and tags
 *	iceberg_check.c			whether a snapshot is the one that was committed
 *	iceberg_known.c			whose the table's files are
 *	iceberg_vacuum.c		snapshots that nobody needs any more
 */
#ifndef OUTFLOW_ICEBERG_TABLE_H
#define OUTFLOW_ICEBERG_TABLE_H

#include "export/lake/lake_catalog.h"
#include "export/lake/lake_table.h"

#define ICEBERG_FOLDER "metadata"
/* Of the metadata, of manifests and their lists. */
#define ICEBERG_FILE_MAX ((size_t) 1024 * 1024 * 1024)
#define ICEBERG_NONE	 INT64CONST(-1)
/* The sort order that each table has, which is none. */
#define ICEBERG_UNSORTED INT64CONST(0)

/* A snapshot. */
typedef struct IcebergVersion
{
	LakeVersion version;
	char	   *manifest_list; /* its URI; NULL: not of an export */
	char	   *sum;	/* of that and all manifests; NULL: it is not named */
	int64		parent; /* 0: none */
	int64		sequence;
	int64		schema;		/* its id */
	int64		sort_order; /* that it has made the table's default */
	char	   *json;		/* as the metadata has it */
} IcebergVersion;

typedef struct IcebergTable
{
	LakeTable	table;
	Jsonb	   *metadata; /* NULL: there is no table */
	int64		current;  /* the snapshot that the table is, or ICEBERG_NONE */
	int64		sequence; /* the last number */
	int64		updated;  /* milliseconds since 1970 */
	int64		spec;	  /* the default one: unless it is foreign, of none */
	const char *location; /* URI of the table's folder, as it is reached now */
	bool		is_moved; /* or copied, since an export has written it there */
} IcebergTable;

/* A manifest, as a list has it. */
typedef struct IcebergManifest
{
	char *path;
	int64 length;
	int64 spec;
	int64 content;
	int64 sequence;
	int64 min_sequence;
	int64 snapshot;
	int64 files[3]; /* that are EXISTING, ADDED, DELETED in it */
	int64 rows[3];
	/* not kept: of its files that the table has, those that it loses */
	int64 lost;
	/* nor this: of the file, once that was read */
	pg_crc32c sum;
} IcebergManifest;

typedef enum IcebergStatus
{
	ICEBERG_EXISTING = 0,
	ICEBERG_ADDED = 1,
	ICEBERG_DELETED = 2
} IcebergStatus;

/* A file that the table has. */
typedef struct IcebergFile
{
	char			 name[DESTINATION_NAME_MAX + 1]; /* the key */
	IcebergManifest *manifest;
	char			*path;
	int64			 rows;
	int64			 size;
	int64			 snapshot; /* that added it */
	int64			 sequence;
	int64			 file_sequence;
	char			*entry; /* all that is said of it, in Avro */
	size_t			 entry_len;
	size_t			 bounds; /* of these bytes, where its columns' begin */
	size_t			 bounds_len;
	bool			 kept;
} IcebergFile;

/* ---- iceberg_metadata.c */

extern LakeTable *iceberg_read(Destination *root, const char *folder,
							   bool whole);
/* Of a file by its name; NULL if it is not there. */
extern IcebergTable *iceberg_read_file(Destination *root, const char *folder,
									   const char *name);
/* "folder/metadata/name" */
extern char *iceberg_key(const char *folder, const char *name);
/* "folder/metadata/v12.metadata.json" */
extern char *iceberg_metadata_key(const char *folder, int64 number);
/* The number of a metadata file; -1: the name is not of one. */
extern int64 iceberg_number_of_name(const char *name);
/* The name that readers find the last number by. */
extern void iceberg_settle(Destination *root, const char *folder, int64 last);

/* ---- iceberg_metadata_next.c */

/* What becomes another in it. */
typedef struct IcebergChange
{
	const Job		*job; /* NULL: of no job */
	const JobSource *source;
	int64			 now;
	char			*schema;	  /* NULL: no other than the current one */
	int64			 schema_id;	  /* of the new snapshot */
	int64			 last_column; /* the greatest field id */
	int64			 key_order;	  /* the sort order of the source's key */
	char			*key_fields;  /* of that, "1,3"; NULL: it gives none */
	char			*new_order;	  /* as JSON, if the table did not have it */
	int64			 default_order;
	List			*lost_specs; /* of Jsonb *: partition specs that go */
	List			*kept_specs; /* the others */
	char			*snapshot;	 /* as JSON; NULL: no new one */
	int64			 snapshot_id;
	List			*expired; /* of IcebergVersion * */
	int64			 oldest;  /* metadata older than that is not named */
} IcebergChange;

/* The next metadata's text in UTF-8. */
extern char *iceberg_metadata_next(const IcebergTable  *table,
								   const IcebergChange *change);

/* ---- iceberg_put.c */

/* The change becomes the table's next metadata, whose number last is then.
 * False: another one has. */
extern bool iceberg_put_change(Destination *root, IcebergTable *table,
							   const IcebergChange *change);

/* ---- iceberg_rest.c */

/* An ERROR if a catalog has a table of the job, for which nothing is there. */
extern void iceberg_rest_check_absent(const Job *job);

/* Where the table is, without a slash at its end; "" if it is not said. */
extern char *iceberg_rest_location(Jsonb *metadata);
/* What the catalog has as the folder's table; NULL for none. */
extern Jsonb *iceberg_rest_load(LakeCatalog *catalog, const char *folder);
/* As iceberg_put_change(). */
extern bool iceberg_rest_put(Destination *root, const IcebergTable *table,
							 const IcebergChange *change);

/* ---- iceberg_rest_change.c */

/* The request's body, in UTF-8; uuid: a new table's, NULL if it is there. */
extern char *iceberg_rest_change(const LakeCatalog	 *catalog,
								 const IcebergTable	 *table,
								 const IcebergChange *change,
								 const char			 *uuid);

/* ---- iceberg_evolve.c */

/*
 * Sets the change's schema, its id and last column, from what the source has by
 * now; an ERROR where readers of older versions could not go on.
 */
extern void iceberg_evolve(const IcebergTable *table, IcebergChange *change);
/* The same for a version that is still to come, and what it would be is let go. */
extern void iceberg_check_schema(const LakeTable *table, const Job *job,
								 const JobSource *source);
/* One of the table's schemas; NULL: it has none of that id. */
extern Jsonb *iceberg_schema_of_id(const List *schemas, int64 id);
/* The current schema, in ASCII or in the server's encoding. */
extern char *iceberg_schema_with_id(const char *schema, int64 id);
/* Such a schema. */
extern Jsonb *iceberg_parse_json(const char *text);

/* ---- iceberg_identifier.c */

/* The one in which others have set them: the current one, unless that is of
 * versions of another table alone, which they have gone back from; used: those of
 * the source's versions, the present one first. */
extern Jsonb *iceberg_schema_to_follow(const IcebergTable *table,
									   const List *used, Jsonb *current);

/* The schema, which is also after, with those of the one before (NULL: none). */
extern char *iceberg_take_identifiers(Jsonb *before, const char *schema,
									  Jsonb *after);
extern bool	 iceberg_same_identifiers(Jsonb *one, Jsonb *other);

/* ---- iceberg_order.c */

/* Sets the change's sort orders; schema is the one that it will have. */
extern void iceberg_choose_order(const IcebergTable *table,
								 IcebergChange *change, const char *schema);
/* The id of the order that the part's file is in. */
extern int64 iceberg_order_of_part(const IcebergTable  *table,
								   const IcebergChange *change,
								   const FinishedPart  *part);

/* ---- iceberg_spec.c */

/* Of a sort order's or partition spec's field: the type of what it is made of, ""
 * for what nothing is made of, NULL if the schema does not have it. */
extern char *iceberg_source_type(Jsonb *schema, Jsonb *field);
/* Whether it can be made of such a type. */
extern bool iceberg_transform_takes(Jsonb *field, const char *type);
/* Which partition specs the change drops, as readers would refuse the table with
 * such a schema; an ERROR if another program's version may need one. */
extern void iceberg_choose_specs(const IcebergTable *table,
								 IcebergChange *change, Jsonb *schema);

/* ---- iceberg_manifest.c */

/* The manifests of a snapshot, as its list has them: of IcebergManifest *; *sum
 * (unless that is NULL) is the list's own. */
extern List *iceberg_manifests(Destination *root, const char *folder,
							   const IcebergVersion *version, pg_crc32c *sum);
/* Of a list and its manifests, which were all read or written. */
extern char *iceberg_sum(const List *manifests, pg_crc32c list);
/* An empty set of IcebergFile, by name. */
extern HTAB *iceberg_file_set(void);
/* Adds those that the table has by the manifest. */
extern void iceberg_add_files(HTAB *files, Destination *root,
							  const char *folder, IcebergManifest *manifest);
/* The files that a snapshot has, by name, and its manifests. */
extern HTAB *iceberg_files(Destination *root, const char *folder,
						   const IcebergVersion *version, List **manifests);

/* Manifests of a snapshot that is being made. */
typedef struct IcebergWriter IcebergWriter;

/* After the one that the table is. */
extern IcebergWriter *iceberg_writer_new(Destination		*root,
										 const IcebergTable *table,
										 const char *uuid, const char *schema,
										 int64 schema_id, int64 snapshot);
/* A file that the table keeps or loses, or gets. */
extern void iceberg_put_file(IcebergWriter *writer, const IcebergFile *file,
							 IcebergStatus status);
/* A manifest that stays as it is. */
extern void iceberg_keep_manifest(IcebergWriter			*writer,
								  const IcebergManifest *manifest);
/* Writes the list; its URI, and the sum of all. */
extern char *iceberg_writer_finish(IcebergWriter *writer, char **sum);
/* What a manifest says of a part's file. */
extern char *iceberg_entry_of_part(const char *path, const FinishedPart *part,
								   int64 order, size_t *len);

/* ---- iceberg_refs.c */

/* Branches and tags, by their snapshots. */
extern HTAB *iceberg_refs(Jsonb *metadata);
/* The same, with "" for those of before that a branch is to keep. */
extern HTAB *iceberg_kept_by_refs(const IcebergTable *table);
/* The name of one of the snapshot; NULL for none. */
extern char *iceberg_ref_to(HTAB *refs, int64 snapshot);
/* Whether a catalog knows by now of one to a version that is to be expired. */
extern bool iceberg_has_new_ref(Destination *root, const IcebergTable *table,
								const List *expired);
/* An ERROR if a catalog has dropped one with a version that was. */
extern void iceberg_check_lost_refs(Destination		   *root,
									const IcebergTable *table,
									const List		   *expired);

/* ---- iceberg_check.c */

extern void iceberg_check(const LakeCheck *check);

/* ---- iceberg_known.c */

/* What the table tells of its past, as far as that is there. */
typedef struct IcebergKnown
{
	HTAB *uuids; /* of jobs whose files are ours */
	HTAB *made;	 /* when each metadata file was */
} IcebergKnown;

extern IcebergKnown *iceberg_find_known(Destination		   *root,
										const IcebergTable *table);
/* When the metadata of that number was made; none: never. */
extern int64 iceberg_known_made(const IcebergKnown *known, int64 number);

/* ---- iceberg_vacuum.c */

extern void iceberg_vacuum(Destination *root, LakeTable *table, int64 limit,
						   LakeTold tell, void *arg);

#endif /* OUTFLOW_ICEBERG_TABLE_H */
