/*
 * change.h
 *		A change as the formats of the stream see it, and what a format is.
 *
 * Formats turn one event into one record and know neither WAL nor
 * destinations: stream/ has filtered the change, deformed its tuples and
 * decided when begin and commit are due.
 */
#ifndef OUTFLOW_CHANGE_H
#define OUTFLOW_CHANGE_H

#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
#include "encode/encode.h"

typedef enum ChangeOp
{
	CHANGE_INSERT,
	CHANGE_UPDATE,
	CHANGE_DELETE
} ChangeOp;

/* What is known of the transaction that an event belongs to. */
typedef struct ChangeTransaction
{
	TransactionId xid;		  /* top-level */
	XLogRecPtr	  commit_lsn; /* first part of ids: what the transaction is
							   * delivered at; invalid while in progress */
	XLogRecPtr	  prepare_lsn;
	XLogRecPtr	  end_lsn;
	TimestampTz	  time;		   /* of commit or prepare; 0 while unknown */
	const char	 *gid;		   /* prepared transactions, else NULL */
	uint16		  origin;	   /* ReplOriginId, 0 for none */
	const char	 *origin_name; /* NULL for a local one */
	XLogRecPtr	  origin_lsn;
	uint64		  changes;	   /* change records emitted so far */
	bool		  in_progress; /* within stream_start .. stream_stop */
} ChangeTransaction;

/* Where an event stands: id = commit_lsn / lsn / index. */
typedef struct ChangePosition
{
	XLogRecPtr	  lsn;
	uint32		  index;  /* of the tuple or relation within one WAL record */
	TransactionId subxid; /* in-progress transactions: who wrote it */
	bool is_end; /* lsn is the end of a message's record, and maybe another's
				  * begin: in its id it stands for the byte before */
} ChangePosition;

/*
 * How much of a record is written: all of it, or, where that passes its bound,
 * the first of these that fits.  The last one is of a few kilobytes whatever
 * the input: what the record is, where it stands and that it is omitted.
 */
typedef enum RecordForm
{
	RECORD_WHOLE,
	RECORD_SHORT,	/* without content, command; labels, fields, defaults */
	RECORD_SHORTER, /* a command's objects are omitted, too */
	RECORD_BARE
} RecordForm;

/*
 * What is to be known of a column of a change; with none of these it is there,
 * and part of the key.
 */
typedef enum ColumnState
{
	COLUMN_UNCHANGED = 1 << 0, /* TOASTed, not in the WAL and not filled in */
	COLUMN_OMITTED = 1 << 1,   /* left out, too large */
	COLUMN_NOT_KEY = 1 << 2	   /* no part of what names the row */
} ColumnState;

/* Not in the new row. */
#define COLUMN_LEFT_OUT (COLUMN_UNCHANGED | COLUMN_OMITTED)

typedef struct RowChange
{
	ChangeOp	 op;
	bool		 bare;		 /* RECORD_BARE */
	bool		 old_is_key; /* only the identity's columns are set */
	uint8		 used;	 /* the ColumnStates that count; others are garbage */
	const uint8 *states; /* ColumnStates by column index; if any is used */
	RowShape	*shape;
	const char	*leaf_schema, *leaf_name; /* partition that changed, where the
										   * shape is its root's; else NULL */
	const Datum *new_values;			  /* NULL for DELETE */
	const bool	*new_nulls;
	const Datum *old_values; /* NULL when the WAL has no old row or key */
	const bool	*old_nulls;

	/* What names the row, as it was before the change or as it was inserted,
	 * in the columns that are not COLUMN_NOT_KEY.  NULL when nothing does. */
	const Datum *key_values;
	const bool	*key_nulls;
} RowChange;

/* Whether the column is in one of these states. */
static inline bool
change_column_is(const RowChange *change, int column, uint8 states)
{
	states &= change->used;
	return states != 0 && (change->states[column] & states) != 0;
}

/* A command that changed definitions, as a captured message tells. */
typedef struct DdlChange
{
	const char	*tag;
	const char	*command; /* NULL if its text is not known */
	int			 nobjects;
	const char **types;
	const char **identities;
} DdlChange;

typedef struct MessageChange
{
	const char		*prefix;
	const char		*content;
	Size			 size;
	bool			 transactional;
	RecordForm		 form;
	const DdlChange *ddl; /* what the content says; NULL for other messages */
} MessageChange;

typedef enum TransactionEvent
{
	EVENT_BEGIN,
	EVENT_COMMIT,
	EVENT_BEGIN_PREPARE,
	EVENT_PREPARE,
	EVENT_COMMIT_PREPARED,
	EVENT_ROLLBACK_PREPARED,
	EVENT_STREAM_START,
	EVENT_STREAM_STOP,
	EVENT_STREAM_ABORT, /* position->subxid is the aborted one */
	EVENT_STREAM_COMMIT,
	EVENT_STREAM_PREPARE
} TransactionEvent;

/* Options that formats look at; stream/ parses them. */
typedef struct ChangeFormatOptions
{
	JsonStyle style;
	bool	  include_old;
	bool	  include_transactions; /* else the begin is told, not written */
	bool	  include_schemas;
	void	 *own; /* a format's own parsed options */
} ChangeFormatOptions;

/*
 * A format of the stream.  Every member is required.  Each call appends one
 * whole record to out, or nothing where the format has no such record.  Line
 * ends are not the format's business.
 */
typedef struct ChangeFormat
{
	const char *name;

	/* Called once per shape, before its first use and after each rebuild. */
	void (*prepare_shape)(RowShape *shape, const ChangeFormatOptions *options);
	void (*transaction)(ByteBuffer *out, const ChangeFormatOptions *options,
						TransactionEvent event, const ChangeTransaction *txn,
						const ChangePosition *position, RecordForm form);
	/* a relation's definition, before its first change and when it changed */
	void (*schema)(ByteBuffer *out, const ChangeFormatOptions *options,
				   const ChangeTransaction *txn, const RowShape *shape,
				   RecordForm form);
	void (*row)(ByteBuffer *out, const ChangeFormatOptions *options,
				const ChangeTransaction *txn, const ChangePosition *position,
				const RowChange *change);
	/* one value, not NULL, as row() would write it, so that it is measured */
	void (*value)(ByteBuffer *out, const ChangeFormatOptions *options,
				  RowShape *shape, int column, Datum value);
	void (*truncate)(ByteBuffer *out, const ChangeFormatOptions *options,
					 const ChangeTransaction *txn,
					 const ChangePosition *position, const RowShape *shape,
					 bool cascade, bool restart_identity);
	/* outside of any transaction, txn's xid is invalid and its commit_lsn the
	 * message's own */
	void (*message)(ByteBuffer *out, const ChangeFormatOptions *options,
					const ChangeTransaction *txn,
					const ChangePosition	*position,
					const MessageChange		*message);
} ChangeFormat;

extern const ChangeFormat change_format_json;

/* ---- what formats render once for a shape, which then owns it */

typedef struct ShapeText
{
	const char *data;
	int			len;
} ShapeText;

/* Moves what is in scratch to the shape. */
static inline ShapeText
shape_text_take(RowShape *shape, ByteBuffer *scratch)
{
	ShapeText text;
	char *data = (char *) MemoryContextAlloc(shape->context, scratch->len + 1);

	memcpy(data, scratch->data, scratch->len);
	text.data = data;
	text.len = scratch->len;
	buffer_clear(scratch);
	return text;
}

static inline void
shape_text_append(ByteBuffer *out, const ShapeText *text)
{
	buffer_append(out, text->data, text->len);
}

#endif /* OUTFLOW_CHANGE_H */
