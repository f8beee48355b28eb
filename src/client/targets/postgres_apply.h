/*
 * postgres_apply.h
 *		From records to statements with parameters.
 *
 * The stream must have nested values as text (-o nested=text), so that the text
 * of any value, as a parameter of its column's type, is the value.
 */
#ifndef CLIENT_POSTGRES_APPLY_H
#define CLIENT_POSTGRES_APPLY_H

#include "client/backlog.h"
#include "client/targets/postgres_table.h"

/* Columns of a row, and their values as the record has them. */
typedef struct RowImage
{
	int		   n;
	int		   allocated;
	int		  *columns;
	JsonValue *values;
} RowImage;

/* The members of a record; those that it lacks have no data. */
typedef struct ChangeMembers
{
	JsonValue op;
	JsonValue id;
	JsonValue schema;
	JsonValue table;
	JsonValue key;
	JsonValue new;
	JsonValue old;
	JsonValue omitted;
	JsonValue unchanged;
	JsonValue restart_identity;
	JsonValue columns;
} ChangeMembers;

typedef struct PostgresApply
{
	PostgresSession *session;
	PostgresTables	 tables;
	ChangeMembers	 members; /* of the record that was read last */
	RowImage new;
	RowImage	 find;
	Bytes		 values; /* of parameters, each with a zero byte */
	size_t		*offsets;
	const char **parameters;
	int			 nallocated;
	/* a TRUNCATE whose tables are not all known yet */
	Bytes	 truncate;
	char	 truncate_id[34];
	bool	 truncate_restart;
	uint64_t truncate_number;
} PostgresApply;

typedef enum ChangeKind
{
	CHANGE_NONE, /* nothing that can be applied */
	CHANGE_SCHEMA,
	CHANGE_ROW,
	CHANGE_TRUNCATE,
} ChangeKind;

/* What a record is.  It stays the current one until the next. */
extern ChangeKind postgres_read(PostgresApply *apply, const Record *record);

typedef enum ApplyOutcome
{
	APPLY_SENT,
	APPLY_WAIT,		/* the table was asked about: again when it is known */
	APPLY_REJECTED, /* see reason */
} ApplyOutcome;

/* Sends the current record, which is one of a row or a TRUNCATE. */
extern ApplyOutcome postgres_apply(PostgresApply *apply, const Record *record,
								   const char **reason);

/* Sends a TRUNCATE that waits for further tables. */
extern void postgres_apply_rest(PostgresApply *apply);

/* The current record is of a schema: its table may have changed. */
extern void postgres_apply_schema(PostgresApply *apply);

/* The session ended, or has undone what was sent. */
extern void postgres_apply_reset(PostgresApply *apply);

#endif
