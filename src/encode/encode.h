/*
 * encode.h
 *		Row or change -> bytes in a buffer.
 *
 * One format a file; no I/O.  Encoders know neither WAL nor destinations.
 *
 * Long, as it is the one interface of all formats: values, and rows of files.
 */
#ifndef OUTFLOW_ENCODE_H
#define OUTFLOW_ENCODE_H

#include "encode/buffer.h"
#include "row/row.h"
#include "storage/itemptr.h"

/* ---- kinds of values (kind_form.c) */

/* COPY's binary format. */
typedef enum BinaryForm
{
	BINARY_BOOL,
	BINARY_INT16,
	BINARY_INT32, /* floats too: their bits */
	BINARY_INT64,
	BINARY_NUMERIC,
	BINARY_BYTES, /* those of a varlena */
	BINARY_NAME,
	BINARY_UUID,
	BINARY_TIMETZ,
	BINARY_JSONB,
	BINARY_LABEL,
	BINARY_SEND /* by the type's own function */
} BinaryForm;

/* Whether PostgreSQL's text is letters, digits and "+-.: " only. */
typedef enum TextForm
{
	TEXT_PLAIN,
	TEXT_PLAIN_SHORTEST, /* with extra_float_digits > 0 */
	TEXT_PLAIN_ISO,		 /* with DateStyle ISO */
	TEXT_OTHER
} TextForm;

typedef struct KindForm
{
	BinaryForm binary;
	TextForm   text;
} KindForm;

extern KindForm kind_form(TypeKind kind);

/* ---- text of single values (text.c): PostgreSQL's own output, byte by byte */

#define MAX_NUMBER_TEXT	  32 /* integers and floats */
#define MAX_DATETIME_TEXT 64

extern int	text_int32(char *dst, int32 value);
extern int	text_int64(char *dst, int64 value);
extern int	text_uint32(char *dst, uint32 value);
extern int	text_float4(char *dst, float4 value); /* shortest form */
extern int	text_float8(char *dst, float8 value);
extern void text_numeric(ByteBuffer *out, Datum value);
extern void text_uuid(ByteBuffer *out, Datum value);
extern void text_hex(ByteBuffer *out, const char *data, int len); /* no \x */

/* A numeric's stored form, read in place (detoasted first if need be). */
typedef enum NumericSpecial
{
	NUMERIC_IS_FINITE,
	NUMERIC_IS_NAN,
	NUMERIC_IS_INFINITY,
	NUMERIC_IS_MINUS_INFINITY
} NumericSpecial;

typedef struct NumericView
{
	NumericSpecial special;
	bool		   negative;
	int			   scale;	/* digits shown after the point */
	int			   weight;	/* of the first digit: 10000 ^ weight */
	int			   ndigits; /* base-10000 digits stored */
	const char	  *digits;	/* int16 each, unaligned; see numeric_digit() */
} NumericView;

extern void numeric_view(NumericView *view, Datum value);
extern bool numeric_is_special(Datum value);

/* The i-th base-10000 digit from the first one on; 0 outside of what is stored */
static inline int
numeric_digit(const NumericView *view, int i)
{
	int16 digit;

	if (i < 0 || i >= view->ndigits)
		return 0;
	memcpy(&digit, view->digits + i * sizeof(int16), sizeof(int16));
	return digit;
}

/*
 * Dates and times in ISO 8601, at most MAX_DATETIME_TEXT bytes.  The separator
 * is ' ' (PostgreSQL's) or 'T'; special values are "infinity" and "-infinity",
 * years before 1 end in " BC".
 */
extern int text_date(char *dst, int32 date);
extern int text_time(char *dst, int64 time);
extern int text_timetz(char *dst, int64 time, int32 zone);
extern int text_timestamp(char *dst, int64 timestamp, char separator);
/* in UTC; zone is written after the time: "Z" or "+00" */
extern int text_timestamptz_utc(char *dst, int64 timestamp, char separator,
								const char *zone);
/* in the session's time zone, as timestamptz_out does under DateStyle ISO */
extern int text_timestamptz_session(char *dst, int64 timestamp);

/*
 * Whether the type's own output function can write a value that shall go to
 * out (output.c); if not, gives up.  Where out has no limit it is left to try.
 */
extern bool output_fits(ByteBuffer *out, TypeShape *type, Datum value);
/* Its text, which in a UTF8 database is UTF-8, whatever names are in it. */
extern const char *output_text(TypeShape *type, Datum value);
/* The same, if it fits; NULL if there is no room for it, and out gives up. */
extern const char *output_call(ByteBuffer *out, TypeShape *type, Datum value);

/*
 * The expression of a column's default, written by the format's function;
 * NULL without one, and for one that isn't shown, which is then told
 * (default.c).
 */
typedef char *(*DefaultDeparse)(const char *stored);
extern char *column_default(const RowShape *shape, const ColumnShape *column,
							DefaultDeparse deparse, bool *left_out);

/* ---- JSON (json.c, json_string.c) */

typedef struct JsonStyle
{
	bool numbers_as_string; /* numeric and int8 as strings */
	bool ascii;	  /* escape everything beyond ASCII as \u: for a database whose
				 * encoding is not UTF-8 */
	bool compact; /* no space within jsonb */
	bool base64;  /* bytea in base64, not in hexadecimal */
	bool quoted_documents; /* json, jsonb and hstore as strings */
	bool
		nested_as_text; /* arrays, composites and hstore as PostgreSQL's text */
	bool double_quotes; /* text_jsonb: each quote twice, as within CSV's; not
						 * with ascii */
	/* if given, set by a value whose JSON json_populate_record() doesn't make
	 * the same value of, or none */
	bool *untold;
} JsonStyle;

/* The style for this database's encoding, which it prepares. */
extern JsonStyle json_style_default(void);

/* "..." from text in the database's encoding. */
extern void json_string(ByteBuffer *out, const JsonStyle *style,
						const char *data, int len);

/*
 * The text itself where the server can convert it to UTF-8; in SQL_ASCII and
 * UTF8 with a character for each byte that is no UTF-8, as json_string() has them.
 */
extern const char *text_for_utf8(const char *text);
/* The same in UTF8 alone: of what may have names from shared catalogs. */
extern const char *text_of_names(const char *text);

/* Text that is JSON already, on one line. */
extern void json_text(ByteBuffer *out, const JsonStyle *style,
					  const char *data, int len);

/* jsonb; spaced as jsonb_out does unless the style is compact. */
extern void text_jsonb(ByteBuffer *out, const JsonStyle *style, Datum value);

/* The same within a string; by way of scratch, which is the caller's. */
extern void json_jsonb_string(ByteBuffer *out, const JsonStyle *style,
							  Datum value, ByteBuffer *scratch);

/* One value as native JSON; not for NULL. */
extern void json_value(ByteBuffer *out, const JsonStyle *style,
					   TypeShape *type, Datum value);

/* "..." in base64 */
extern void json_base64(ByteBuffer *out, const char *data, int len);

/*
 * Sets every label in the shape, nested ones too, to its escaped "name": and
 * pads it, so that it can be copied in steps.
 */
extern void json_prepare_shape(RowShape *shape, const JsonStyle *style);

/*
 * {"a":1,...}: values[attnum - 1] of each column of a prepared shape.  A
 * column is left out if its states, by index into shape->columns, have a bit of
 * skip; with a skip of 0 there need be no states.
 */
extern void json_row(ByteBuffer *out, const JsonStyle *style, RowShape *shape,
					 const Datum *values, const bool *nulls,
					 const uint8 *states, uint8 skip);

/* ---- PostgreSQL's text of any value (text_value.c), for csv and text */

/*
 * What the session's settings allow: the settings are captured when the plan
 * is made, and a kind whose direct form they rule out goes through its output
 * function.
 */
typedef struct TextValues
{
	bool	   iso_dates;		/* DateStyle is ISO */
	bool	   shortest_floats; /* extra_float_digits > 0 */
	bool	   hex_bytea;
	ByteBuffer scratch;
} TextValues;

extern void text_values_init(TextValues *values);

/* Takes over the settings again, where they may have changed since. */
extern void text_values_capture(TextValues *values);

/* Whether text_value_plain() writes values of this kind. */
extern bool text_kind_is_plain(const TextValues *values, TypeKind kind);

/*
 * Writes a value whose text is made of letters, digits and "+-.: " only, if
 * it is of such a kind; else returns false and writes nothing.
 */
extern bool text_value_plain(const TextValues *values, TypeShape *type,
							 Datum value, ByteBuffer *out);

static inline bool
text_is_plain_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
		   (c >= 'A' && c <= 'Z') || (c != '\0' && strchr("+-.: ", c));
}

/* Text of any value, in the database's encoding; valid until the next call or the end of the row. */
extern const char *text_value(TextValues *values, TypeShape *type, Datum value,
							  int *len);
/* The same, or NULL where the type's output function has to write it. */
extern const char *text_value_own(TextValues *values, TypeShape *type,
								  Datum value, int *len);

/* Converts what stands in out from start on from the database's encoding. */
extern void text_transcode(ByteBuffer *out, size_t start, int encoding);

/* ---- whole rows for exports */

/*
 * Where a row lies; of rows that lie nowhere, which one it is, from 1 on.  No
 * offset in a block is as large as that of a number.
 */
#define PLACE_IS_NUMBER ((OffsetNumber) 0x8000)

static inline void
place_set_number(ItemPointerData *place, uint64 number)
{
	ItemPointerSet(place, (BlockNumber) number,
				   PLACE_IS_NUMBER | ((OffsetNumber) (number >> 32)));
}

/* 0 for a place in a table. */
static inline uint64
place_number(const ItemPointerData *place)
{
	OffsetNumber offset = ItemPointerGetOffsetNumberNoCheck(place);

	if ((offset & PLACE_IS_NUMBER) == 0)
		return 0;
	return (uint64) (offset & ~PLACE_IS_NUMBER) << 32 |
		   ItemPointerGetBlockNumberNoCheck(place);
}

/* What the user asked for; a format refuses what it doesn't know. */
typedef struct RowFormatOptions
{
	bool		header;	   /* csv, text */
	char		delimiter; /* 0: the format's default */
	char		quote, escape;
	const char *null;		 /* NULL: the format's default */
	bool		force_quote; /* csv: quote every value that is not NULL */
	List	   *force_quote_columns; /* or those of these columns */
	int			encoding;			 /* of text; -1: the server's */
	const char *compression;		 /* formats that compress by themselves */
	/* parquet: what becomes of values that it can't hold: "error", "null" or
	 * "string" for all columns, or "column=policy" for one; the last counts */
	List *lossy;
	/* parquet: "column=form" or "type=form", on top of a profile's; forms are
	 * "string", "decimal(p,s)" and "default" */
	List	   *as;
	const char *profile;	/* NULL: none */
	int64		group_rows; /* parquet: rows of a row group; 0: the default */
} RowFormatOptions;

/* What whoever opens an encoder brings along; all zero for nothing. */
typedef struct RowHost
{
	int64 memory; /* bytes that the encoder may hold; 0: its own default */
	/* if given, where values that became nulls are counted */
	int64 *made_null;
	/* if given, where the row that row() is called with lies; an encoder that
	 * holds rows back remembers it for its errors */
	const ItemPointerData *place;
	/* facts for formats whose files describe themselves: name, value, ...;
	 * read in close(), so that the last may be added as late as then */
	List *metadata;
	/* if given, what a table format's log says of the file's values: set by
	 * close(), and NULL if it says nothing */
	char **statistics;
	/* if given, what the encoder of an earlier part of the same table learned
	 * of it, which saves the next one time: NULL or what close() put there, in
	 * learned_context */
	void		**learned;
	MemoryContext learned_context;
	/* if given, may be called inside of row() and close() to take bytes out of
	 * the buffer, so that more than 1 GB can pass through it */
	void (*drain)(void *arg, ByteBuffer *out);
	void *drain_arg;
} RowHost;

#define ROWS_UNKNOWN	(-1) /* of formats whose rows can't be told apart */
#define ROWS_UNREADABLE (-2) /* the bytes are none of the format */

/*
 * Counts the rows in what a format wrote, from its plain bytes, which come in
 * any pieces.  rows() is called once, at their end.
 */
typedef struct RowCounter RowCounter;
struct RowCounter
{
	void (*count)(RowCounter *counter, const char *data, size_t len);
	int64 (*rows)(RowCounter *counter);
};

typedef struct RowEncoder RowEncoder;

/*
 * A format of whole rows.  A part's bytes are what open, row and close append
 * to out, in that order; the caller takes bytes out of the buffer at any time
 * between calls, so an encoder that needs offsets counts for itself.
 *
 * All of an encoder's memory hangs under the context that is current in
 * open(); per-row garbage goes to the current context of row(), which the
 * caller resets between rows.
 */
typedef struct RowFormat
{
	const char *name;		/* as users write it */
	const char *extension;	/* of file names, no dot */
	bool compresses_itself; /* a page codec inside; no compression around it */
	bool maps_types;		/* takes lossy, as, profile, row_group_rows */
	bool canonical_settings; /* pin the canonical ones, not the captured */

	/* Early and cheap: refuse options and types that this format can't do. */
	void (*check)(const RowFormatOptions *options);
	RowEncoder *(*open)(RowShape *shape, const RowFormatOptions *options,
						const RowHost *host, ByteBuffer *out);
	void (*row)(RowEncoder *encoder, const Datum *values, const bool *nulls,
				ByteBuffer *out);
	void (*close)(RowEncoder *encoder, ByteBuffer *out);
	/*
	 * What else than the shape's names, types and kinds a file of such rows is
	 * made by, in any text: files with another one are other files.  NULL: of
	 * nothing else.
	 */
	char *(*layout)(RowShape *shape, const RowFormatOptions *options);
	/* what reads the rows back, in the current context */
	RowCounter *(*counter)(const RowFormatOptions *options);

	/*
	 * Of the files of lake tables, which are known by their log: the table's
	 * schema as the log has it, in ASCII.  comments are those of the shape's
	 * columns, each or NULL.  NULL for other formats.
	 */
	char *(*table_schema)(RowShape *shape, const RowFormatOptions *options,
						  const char *const *comments);
} RowFormat;

extern const RowFormat row_format_csv;
extern const RowFormat row_format_text;
extern const RowFormat row_format_binary;
extern const RowFormat row_format_jsonl;
extern const RowFormat row_format_parquet;
extern const RowFormat row_format_delta;
extern const RowFormat row_format_iceberg;

/* Never NULL: an unknown name is an ERROR that hints the valid ones. */
extern const RowFormat *row_format_find(const char *name);
/* The format's check(), and that the options are not another's. */
extern void row_format_check(const RowFormat		*format,
							 const RowFormatOptions *options);
/* For formats of lines, of lines with CSV's quotes, and of neither. */
extern RowCounter *row_counter_lines(const RowFormatOptions *options);
extern RowCounter *row_counter_quoted_lines(const RowFormatOptions *options);
extern RowCounter *row_counter_none(const RowFormatOptions *options);
/* For other formats than csv and text, and for those of one encoding. */
extern void row_format_refuse_csv_options(const char			 *format,
										  const RowFormatOptions *options);
extern void row_format_require_utf8(const char			   *format,
									const RowFormatOptions *options);
/*
 * For formats of lines: refuses what COPY refuses, since rows could not be
 * told apart any more.  The arguments are the format's defaults; quote may be
 * 0.
 */
extern void row_format_check_characters(const RowFormatOptions *options,
										char delimiter, char quote,
										const char *null);

/*
 * Reading a Parquet file's end back: how much of it is needed, 0 if it is none
 * of a Parquet file; and the rows that it tells, if it is whole and sound.
 */
extern size_t parquet_tail_size(const char *tail, size_t len);
extern bool	  parquet_tail_rows(const char *tail, size_t len, int64 *rows);
extern RowCounter *parquet_counter_new(const RowFormatOptions *options);

#endif /* OUTFLOW_ENCODE_H */
