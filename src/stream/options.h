/*
 * options.h
 *		The options of a stream, and how its formats want to be treated.
 */
#ifndef OUTFLOW_STREAM_OPTIONS_H
#define OUTFLOW_STREAM_OPTIONS_H

#include "encode/change.h"
#include "name_pattern.h"
#include "option.h"

#define ACTION_INSERT	(1 << CHANGE_INSERT)
#define ACTION_UPDATE	(1 << CHANGE_UPDATE)
#define ACTION_DELETE	(1 << CHANGE_DELETE)
#define ACTION_TRUNCATE (1 << 3)
#define ACTION_ALL		0x0F

typedef enum OversizePolicy
{
	OVERSIZE_OMIT,
	OVERSIZE_ERROR
} OversizePolicy;

/* PostgreSQL's messages end at 1 GB, with their headers. */
#define MAX_RECORD_BYTES (INT64CONST(1000) * 1024 * 1024)

/* How a format wants to be treated; its options may decide. */
typedef struct StreamTraits
{
	bool session_settings;	 /* values obey the session's settings */
	bool empty_transactions; /* begin and commit of those, too */
	bool needs_identity;	 /* updates and deletes without are left out */
	bool keep_unchanged;	 /* don't fill in values that the WAL lacks */
	bool one_record;		 /* a transaction's records are pieces of one */
	bool shows_defaults;	 /* shapes print names of other objects */
	bool split_key_changes;	 /* into a delete and an insert */
	bool connect_values;	 /* bytes in base64, documents as strings */
	bool all_kinds;			 /* materialized views and partitioned tables */
	bool virtual_columns;	 /* null, since the WAL doesn't hold them */
	bool root_names;		 /* partitions appear under their root's */
	bool one_name;			 /* filters look at the name that appears alone */
	bool plain_messages;	 /* captured DDL is a message as any other */
	bool no_two_phase; /* prepared transactions come at COMMIT PREPARED */
} StreamTraits;

/* A change, or all of those that share an LSN. */
typedef struct SkippedChange
{
	XLogRecPtr lsn;
	bool	   all;
	uint32	   index;
} SkippedChange;

typedef struct StreamOptions
{
	char *format;
	int	  format_version;
	List *publication_names; /* of char * */
	List *tables;			 /* of NamePattern, as the three that follow */
	List *exclude_tables;
	List *exclude_columns;
	char *mask_columns;
	List *masks;   /* of MaskRule */
	List *actions; /* of char * */
	List *origin;  /* of char * */
	bool  messages;
	List *message_prefixes; /* of char * */
	List *exclude_prefixes; /* of char * */
	List *exclude_origins;	/* of replication origins' OIDs */
	bool  include_transactions;
	bool  include_schemas;
	bool  include_old;
	int64 batch_bytes;
	int	  numbers;
	int	  nested;
	bool  streaming;
	bool  two_phase;
	List *after_snapshot; /* of JobSnapshot */
	int64 max_value_bytes;
	int64 max_record_bytes;
	int	  oversize;
	List *skip_changes; /* of char *; see skipped */
	char *topic_prefix; /* of format debezium alone */

	/* derived from the above */
	int			   action_mask;
	SkippedChange *skipped;
	int			   nskipped;
	StreamTraits   traits;
	void		  *own; /* the format's own options */
} StreamOptions;

/*
 * A format as users name it, and how its options are read: parse() fills every
 * field of target from the plugin's option list and returns what writes it.
 */
typedef struct StreamFormat
{
	const char *name;
	const ChangeFormat *(*parse)(List *elements, StreamOptions *target);
} StreamFormat;

/*
 * Reads all options into the current memory context; returns the format.
 * "plugin" is the name under which the slot knows us.
 */
extern const ChangeFormat *stream_options_parse(const char	  *plugin,
												List		  *elements,
												StreamOptions *target);

/* ---- values of options (options_value.c) */

/* What messages call an option. */
#define STREAM_OPTION "output plugin option"

extern const OptionChoice oversize_choices[];

/* The ACTION_ bits of a list of names. */
extern int action_mask(List *names);

/* Fills "skipped" from skip_changes. */
extern void skip_changes_parse(StreamOptions *options);

/* ---- how the formats read theirs (options_json.c and so on) */

extern const ChangeFormat *json_options_parse(List			*elements,
											  StreamOptions *target);
extern const ChangeFormat *wal2json_options_parse(List			*elements,
												  StreamOptions *target);
extern bool				   wal2json_options_know(const char *name);
extern const ChangeFormat *debezium_options_parse(List			*elements,
												  StreamOptions *target);

/* Reads the options of format json, and topic_prefix. */
extern void debezium_options_read(List *elements, StreamOptions *options);

#endif /* OUTFLOW_STREAM_OPTIONS_H */
