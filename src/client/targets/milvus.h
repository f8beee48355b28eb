/*
 * milvus.h
 *		Collections of Milvus, and what a change of a table is there: rows that
 *		are put or deleted by their primary key, by its REST API, version 2.
 */
#ifndef CLIENT_MILVUS_H
#define CLIENT_MILVUS_H

#include "client/json_scan.h"
#include "client/memory.h"
#include "client/target.h"

/* How a field wants the values that records have. */
typedef enum MilvusForm
{
	MILVUS_AS_IS,  /* numbers, booleans, arrays of them */
	MILVUS_TEXT,   /* a string, whatever it was */
	MILVUS_JSON,   /* a string that holds the JSON */
	MILVUS_VECTOR, /* an array, or pgvector's text, which looks like one */
	MILVUS_BITS,   /* bit(n) in base64 */
	MILVUS_SPARSE, /* sparsevec as an object */
} MilvusForm;

typedef struct MilvusField
{
	char	  *name;
	char	  *type;	/* as Milvus calls it */
	char	  *element; /* of an Array */
	long long  dimensions;
	MilvusForm form;
	bool	   is_nullable; /* or has a default, or is made by Milvus itself */
	bool	   is_made;		/* by Milvus itself: nothing may be sent */
	bool	   is_dynamic;	/* a column that the collection has no field for */
	bool	   has_column;
} MilvusField;

typedef struct MilvusTable
{
	struct MilvusTable *next;
	char			   *schema;
	char			   *name;
	char			   *display; /* for messages */
	char			   *collection;
	Bytes		 definition; /* its schema record; length 0: none came */
	bool		 is_described;
	bool		 takes_dynamic;
	MilvusField *fields;
	size_t		 nfields;
	size_t		 key; /* the primary key's place in fields */
} MilvusTable;

/* What Milvus is to do with a row. */
typedef enum MilvusKind
{
	MILVUS_DELETE,
	MILVUS_UPSERT,	/* the whole row */
	MILVUS_PARTIAL, /* some fields of it, the others stay */
	MILVUS_TRUNCATE,
} MilvusKind;

typedef struct MilvusOperation
{
	MilvusTable *table;
	MilvusKind	 kind;
	char		*key;	 /* its text, without quotes */
	char	   **values; /* by field, as the request has them; NULL: none */
	size_t		 nvalues;
	bool		 is_done;
	size_t next; /* of the same hash: its place in the batch, from 1; 0 */
} MilvusOperation;

/* Operations of which no two are of the same row, except after milvus_conflicts(). */
typedef struct MilvusBatch
{
	MilvusOperation *operations;
	size_t			 count;
	size_t			 allocated;
	size_t			*buckets; /* places from 1 */
} MilvusBatch;

/* ---- milvus_table.c */

/* A template of --milvus-collection may be used. */
extern bool milvus_template_is_valid(const char *text);

/* The table that a record names, found or new; NULL if it names none. */
extern MilvusTable *milvus_table(MilvusTable	**tables, const char *template,
								 const JsonValue *schema,
								 const JsonValue *name, const Target *target);

/* The field of that name in a record, or a new dynamic one, or -1. */
extern int milvus_field(MilvusTable *table, const JsonValue *name);

extern MilvusField *milvus_add_field(MilvusTable *table, char *name,
									 char *type);

/* ---- milvus_type.c */

extern MilvusForm milvus_type_form(const char *type);

/*
 * A column's type as the tables there have it: without schema and modifier, and
 * with no blank inside.  The modifier, or -1, is told as well.
 */
extern char *milvus_plain_type(const char *type, long long *modifier);

/* Every value of such a column can be kept in that field. */
extern bool milvus_type_fits(const MilvusField *field, const char *type);

/* ---- milvus_schema.c */

/* What the answer to collections/describe says; ends the program if no row of
 * the table could be kept there. */
extern void milvus_described(MilvusTable *table, const Bytes *answer,
							 bool has_partial, const Target *target);

/* ---- milvus_value.c */

/* Appends a value as the field wants it; false: it can't be one. */
extern bool milvus_append_value(Bytes *out, const MilvusField *field,
								const JsonValue *value);

/* ---- milvus_change.c */

/* The members of a record that matter here; data is NULL where it has none. */
typedef struct MilvusRecord
{
	JsonValue op;
	JsonValue schema;
	JsonValue table;
	JsonValue key;
	JsonValue row; /* "new" */
	JsonValue unchanged;
	JsonValue omitted;
} MilvusRecord;

extern void milvus_read_record(MilvusRecord *parts, const Record *record);

/*
 * The operations of a change, two at most; how many there are.  -1: it can't be
 * told to Milvus, for that reason, a new text.
 */
extern int milvus_read_change(MilvusOperation *operations, MilvusTable *table,
							  const MilvusRecord *parts, bool has_partial,
							  char **reason);

extern void milvus_free_operation(MilvusOperation *operation);

/* Could it not be one with what the batch has of its row? */
extern bool milvus_conflicts(MilvusBatch		   *batch,
							 const MilvusOperation *operation);

/* Adds it, or makes it one with the operation of the same row. */
extern void milvus_add(MilvusBatch *batch, MilvusOperation *operation);
extern void milvus_clear(MilvusBatch *batch);

/* ---- milvus_request.c */

typedef enum MilvusVerdict
{
	MILVUS_TAKEN,
	MILVUS_AGAIN,
	MILVUS_UNCLEAR,	 /* an error without a class */
	MILVUS_REJECTED, /* the data are to blame */
	MILVUS_REFUSED,	 /* nothing would be taken */
} MilvusVerdict;

/* What an answer says; an error has a reason, a new text. */
extern MilvusVerdict milvus_verdict(long status, const Bytes *answer,
									char **reason);

/* The beginning of a body, up to the name of the collection. */
extern void milvus_begin_body(Bytes *body, const char *database,
							  const char *collection);

/*
 * The body for the operation first and all others of the batch, not done yet,
 * that fit into one request with it; their places.  Returns the request's path.
 */
extern const char *milvus_build_request(Bytes *body, const char *database,
										const MilvusBatch *batch, size_t first,
										size_t *places, size_t *nplaces);

/* Asks whether the row of an operation is there, and what the answer was. */
extern void milvus_ask_row(Bytes *body, const char *database,
						   const MilvusOperation *operation);
extern bool milvus_row_is_missing(const Bytes *answer);

#define MILVUS_PATH		"/v2/vectordb/"
#define MILVUS_DESCRIBE MILVUS_PATH "collections/describe"
#define MILVUS_LIST		MILVUS_PATH "collections/list"
#define MILVUS_PUT		MILVUS_PATH "entities/upsert"
#define MILVUS_REMOVE	MILVUS_PATH "entities/delete"
#define MILVUS_QUERY	MILVUS_PATH "entities/query"

#endif
