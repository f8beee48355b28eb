/*
 * wal2json.h
 *		What the two versions of format wal2json share.
 *
 * The output is that of wal2json 2.7, byte by byte: its options, its defaults
 * and its text of values, which obeys the session's settings.  Where wal2json
 * writes something that is no JSON, these formats write the JSON that was
 * meant.
 */
#ifndef OUTFLOW_WAL2JSON_H
#define OUTFLOW_WAL2JSON_H

#include "compat.h"
#include "encode/value/json_part.h"

/* One run of decoding: the options and what is rendered ahead of rows. */
typedef struct Wal2json
{
	bool include_transaction; /* version 2: begin and commit */
	bool include_xids;
	bool include_timestamp;
	bool include_origin;
	bool include_schemas;
	bool include_types;
	bool include_type_oids;
	bool include_typmod; /* version 1 */
	bool include_domain_data_type;
	bool include_column_positions;
	bool include_not_null;
	bool include_default;
	bool include_pk;
	bool include_lsn;
	bool numbers_as_string;
	bool pretty_print;	  /* version 1 */
	bool write_in_chunks; /* version 1 */

	TextValues values;
	ByteBuffer document;	/* the text of a jsonb */
	ByteBuffer transaction; /* version 2: the transaction's members */
} Wal2json;

/* What the value of a column needs at each row. */
typedef struct Wal2jsonColumn
{
	RowShape *shape;
	int		  index;	 /* of the column in the shape */
	int		  at;		 /* index into the row's values */
	TypeKind  literal;	 /* written bare; KIND_OTHER: quoted text */
	bool	  is_key;	 /* belongs to the old row's identity */
	bool	  may_toast; /* look whether the value is in the WAL */
} Wal2jsonColumn;

/* What is printed of a column besides its value; the texts are JSON. */
typedef struct Wal2jsonLabels
{
	const char *name;
	const char *type;
	const char *default_value; /* "null" without default */
	Oid			declared;	   /* type */
	Oid			shown;		   /* the type that is named */
} Wal2jsonLabels;

static inline Wal2json *
wal2json_of(const ChangeFormatOptions *options)
{
	return (Wal2json *) options->own;
}

/*
 * The value is an unchanged TOASTed one, which the WAL doesn't hold, or too
 * large.
 */
static inline bool
wal2json_is_absent(const Wal2jsonColumn *column, const RowChange *change,
				   const Datum *values, const bool *nulls)
{
	if (!column->may_toast || nulls[column->at])
		return false;
	return VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(values[column->at])) ||
		   change_column_is(change, column->index, COLUMN_OMITTED);
}

/*
 * Whether a part of what names the row is too large, so that the rest of it
 * would name others, too: of the key, or without one of the whole old row.
 */
extern bool wal2json_identity_is_cut(const RowChange *change);

/* Fills the fields that are not options, in the current memory context. */
extern void wal2json_init(Wal2json *wal2json);

/* Takes over the settings that are in force as a transaction begins. */
extern void wal2json_refresh(Wal2json *wal2json);

/* Fills column and labels for column i of the shape; needs the catalogs. */
extern void wal2json_describe(const Wal2json *wal2json, RowShape *shape, int i,
							  Wal2jsonColumn *column, Wal2jsonLabels *labels);

/* A name or other text that is not a value. */
extern void wal2json_string(ByteBuffer *out, const char *text);

/* As this server shows it. */
static inline void
wal2json_lsn(ByteBuffer *out, XLogRecPtr lsn)
{
	json_append_lsn_digits(out, lsn, LSN_LOW_DIGITS);
}

/* Not for NULL. */
extern void wal2json_value(ByteBuffer *out, Wal2json *wal2json,
						   const Wal2jsonColumn *column, Datum value);

static inline void
wal2json_item(ByteBuffer *out, Wal2json *wal2json,
			  const Wal2jsonColumn *column, const Datum *values,
			  const bool *nulls)
{
	if (nulls[column->at])
		buffer_append_literal(out, "null");
	else
		wal2json_value(out, wal2json, column, values[column->at]);
}

/* The prefix, and content up to its first zero byte; null if left out. */
extern void wal2json_prefix(ByteBuffer *out, const MessageChange *message);
extern void wal2json_content(ByteBuffer *out, const MessageChange *message);

/* A format has no record of this sort. */
extern void wal2json_no_schema(ByteBuffer				 *out,
							   const ChangeFormatOptions *options,
							   const ChangeTransaction	 *txn,
							   const RowShape *shape, RecordForm form);

extern const ChangeFormat change_format_wal2json_v1;
extern const ChangeFormat change_format_wal2json_v2;

#endif /* OUTFLOW_WAL2JSON_H */
