/*
 * parquet.h
 *		What the files of the Parquet writer share; else only lake tables and
 *		its fuzz target include it.  parquet_leaf.h is its lower half.
 *
 * A row's values go into leaves: one leaf for each primitive column of the
 * file, nested ones included.  A leaf collects one page, pages make a column
 * chunk, the chunks of all leaves make a row group, and row groups and a
 * footer make the file.  Nothing can be written before its row group is
 * complete, so that a row group is what the memory limit bounds.
 *
 *	parquet.c			 the format's entry points, row groups
 *	parquet_option.c	 what options say of columns and types
 *	parquet_form.c		 what a type becomes under them
 *	parquet_milvus.c	 what Milvus takes of it
 *	parquet_node.c		 types -> nodes and leaves
 *	parquet_primitive.c	 what a leaf's type becomes
 *	parquet_schema.c	 nodes -> the schema in the file
 *	parquet_lossy.c		 values that Parquet can't hold
 *	parquet_value.c		 Datums -> leaves
 *	parquet_number.c	 the same of numbers, column by column
 *	parquet_decimal.c	 numeric -> DECIMAL
 *	parquet_column.c	 leaf: levels, values, when a page is full
 *	parquet_dictionary.c distinct values of a leaf
 *	parquet_bound.c		 least and greatest values
 *	parquet_byte_bound.c the same of byte strings
 *	parquet_sorted.c	 whether rows are in the order of some columns
 *	parquet_page.c		 pages and column chunks
 *	parquet_codec.c		 compression of pages
 *	parquet_index.c		 page index
 *	parquet_footer.c	 metadata
 *	parquet_bits.h		 bits and bytes: parquet_rle.c, parquet_thrift.c and
 *						 parquet_bytes.c
 */
#ifndef OUTFLOW_PARQUET_H
#define OUTFLOW_PARQUET_H

#include "encode/encode.h"
#include "encode/parquet/parquet_leaf.h"

/* ---- parquet_node.c: types -> nodes and leaves ---- */

typedef enum LossyPolicy
{
	LOSSY_ERROR,
	LOSSY_NULL,
	LOSSY_STRING
} LossyPolicy;

/* How a Datum becomes a leaf's value, or what nests others. */
typedef enum NodeKind
{
	NODE_BOOL,
	NODE_INT2,
	NODE_INT4, /* oid as well */
	NODE_INT8,
	NODE_UINT4, /* as a signed number, which needs eight bytes */
	NODE_FLOAT4,
	NODE_FLOAT8,
	NODE_DATE,
	NODE_TIME,
	NODE_TIMETZ,
	NODE_TIMESTAMP,
	NODE_DECIMAL32,
	NODE_DECIMAL64,
	NODE_DECIMAL128,
	NODE_BYTEA,
	NODE_UUID,
	NODE_TEXT,	  /* text and json: the bytes are the text */
	NODE_TEXT_OF, /* PostgreSQL's text of the value */
	NODE_JSON_OF, /* the value as JSON */
	NODE_LIST,
	NODE_VECTOR,
	NODE_GROUP
} NodeKind;

typedef enum LogicalType
{
	LOGICAL_NONE = 0,
	LOGICAL_STRING = 1,
	LOGICAL_MAP = 2,
	LOGICAL_LIST = 3,
	LOGICAL_DECIMAL = 5,
	LOGICAL_DATE = 6,
	LOGICAL_TIME = 7,
	LOGICAL_TIMESTAMP = 8,
	LOGICAL_INTEGER = 10,
	LOGICAL_JSON = 12,
	LOGICAL_UUID = 14
} LogicalType;

typedef struct ParquetNode
{
	NodeKind	 kind;
	const char	*name;	/* in UTF-8 */
	int			 attno; /* index into the row's or composite's values */
	bool		 optional;
	int			 def; /* definition level of a value that is present */
	int			 rep; /* NODE_LIST: repetition level of its elements */
	TypeShape	*type;
	LogicalType	 logical;
	bool		 utc;			   /* TIME, TIMESTAMP */
	bool		 is_signed;		   /* INTEGER */
	int			 bits;			   /* INTEGER */
	int			 precision, scale; /* DECIMAL */
	int			 field_id;		   /* 0: none */
	int			 ndims; /* NODE_LIST: of the arrays, from here inwards */
	ParquetLeaf *leaf;	/* of a primitive node */
	int			 first_leaf, nleaves; /* below it, its own included */
	int			 nchildren;
	struct ParquetNode	 *children;
	struct ParquetColumn *column;
} ParquetNode;

/* What the user wants a column or type to become. */
typedef struct ParquetForm
{
	enum
	{
		FORM_DEFAULT,
		FORM_STRING,
		FORM_DECIMAL,
		FORM_LONG, /* of an unsigned number: a signed one of 64 bits */
		FORM_PLAIN /* of a small number: as its physical type alone has it */
	} kind;
	int precision, scale; /* FORM_DECIMAL */
} ParquetForm;

typedef struct TypeForm
{
	const char *type;
	ParquetForm form;
} TypeForm;

/* A column of the table. */
typedef struct ParquetColumn
{
	const ColumnShape *shape;
	LossyPolicy		   lossy;
	bool			   is_named; /* in the option "lossy" */
	bool			   has_form; /* of its own, from the option "as" */
	ParquetForm		   form;
	List			  *type_forms; /* TypeForm: the first that fits counts */
	int64			   made_null;  /* values that Parquet can't hold */
	ParquetNode		   node;
} ParquetColumn;

/* Rows whose columns of numbers wait to be put. */
typedef struct RowBatch
{
	int			  ncolumns;
	ParquetNode **columns;
	int			  natts; /* values that are kept of a row */
	int			  max_rows;
	int			  nrows;
	Datum		 *values; /* natts of each row */
	bool		 *nulls;
	ItemPointer	  places;  /* for errors */
	char		 *numbers; /* workspace: of one column, without nulls */
} RowBatch;

typedef struct ParquetWriter
{
	RowShape			  *shape;
	const ItemPointerData *place;	/* of the row at hand; NULL: not known */
	MemoryContext		   context; /* the file's lifetime */
	MemoryContext		   group_context; /* reset after each row group */
	List				  *metadata;

	int			   ncolumns;
	ParquetColumn *columns;
	List		  *type_forms; /* TypeForm, those of a profile too */
	bool		   ids_within; /* what nests has field ids, too */
	int			   ndirect;	   /* columns that are put row by row */
	ParquetNode	 **direct;
	RowBatch	   batch; /* the others */
	int			   nleaves;
	ParquetLeaf	  *leaves;
	int			   nelements; /* of the schema, with its root */

	const ParquetCodec *codec;
	int					codec_level; /* 0: leaves choose theirs */
	void			   *codec_state;

	/* workspaces */
	RleEncoder indexer;
	Bytes	   page;	   /* a page's body, put together */
	Bytes	   compressed; /* the same, compressed */
	Bytes	   trial;	   /* or compressed at another level */
	Bytes	   header;
	TextValues text;
	ByteBuffer json;
	bool	   to_utf8;	   /* the server's encoding is another */
	bool	   verify;	   /* and the server doesn't know which */
	bool	   for_milvus; /* by the profile */

	/* limits */
	size_t page_bytes;
	size_t dictionary_bytes;
	size_t group_bytes;
	int64  group_max_rows;

	int64 offset;	  /* bytes of the file so far */
	int	  ngroups;	  /* of the file, with the open one */
	int64 rows;		  /* of the file, without the open row group's */
	int64 group_rows; /* of the open row group, with those that wait */
	bool  page_due;	  /* some leaf's page is full */

	struct ParquetFooter *footer;

	struct ParquetSorting *sorting; /* NULL: nobody asks for it */
} ParquetWriter;

/* ---- parquet.c ---- */

/* Which columns and leaves there are, under the options, and no more. */
extern void parquet_map_columns(ParquetWriter *writer, RowShape *shape,
								const RowFormatOptions *options);

/*
 * A file that no table has: its columns are mapped, and its rows put into the
 * leaves, by whoever writes it.  row() is not for it; close() is.
 */
typedef void (*ParquetMapTree)(ParquetWriter *writer);
typedef void (*ParquetPutTree)(ParquetWriter *writer, void *arg);
extern RowEncoder *parquet_open_tree(ParquetMapTree			 map,
									 const RowFormatOptions *options,
									 const RowHost *host, ByteBuffer *out);
extern void		   parquet_put_tree(RowEncoder *encoder, ParquetPutTree put,
									void *arg, ByteBuffer *out);

/* Before the first row: sorting_nodes() is to tell whether the rows are in the
 * order of these columns, List of ParquetNode *. */
extern void parquet_watch_order(RowEncoder *encoder, const List *nodes);

extern const RowHost *parquet_host(const RowEncoder *encoder);
/* What an encoder of this format has found; after its close(), too. */
extern const ParquetWriter *parquet_writer(const RowEncoder *encoder);

/* ---- parquet_primitive.c: what a leaf's type becomes */

/* Sets kind, logical type and the leaf of a node that nests nothing. */
extern void node_map_primitive(ParquetNode *node);
/* As a text of any kind that has one. */
extern void node_map_text(ParquetNode *node, NodeKind kind,
						  LogicalType logical);

/* Builds columns, nodes and leaves; policies are those of the columns. */
extern void schema_build(ParquetWriter *writer);

/* ---- parquet_option.c: what options say of columns and types ---- */

/* As far as it can be checked without a table. */
extern void parquet_options_check(const RowFormatOptions *options);
/* Before the schema is built; what can't be done for a column is an error. */
extern void parquet_options_apply(ParquetWriter			 *writer,
								  const RowFormatOptions *options);

/* ---- parquet_milvus.c: what Milvus's bulk import takes ---- */

/* Of the columns, after the schema is built; what it can't take is an error. */
extern void parquet_check_milvus(const ParquetWriter *writer);
/* Of the file so far. */
extern void parquet_check_milvus_size(const ParquetWriter *writer);

/* ---- parquet_form.c: what a type becomes under its column's options ---- */

#define DECIMAL_MAX_PRECISION 38

extern ParquetForm parquet_form_of(const ParquetColumn *column,
								   const TypeShape	   *type);
/* Whether it is numeric, or an array of that. */
extern bool parquet_has_numbers(const TypeShape *type);
/* A numeric's precision and scale, its own or those that the options give. */
extern bool parquet_decimal_of(const ParquetColumn *column,
							   const TypeShape *type, int *precision,
							   int *scale);
/* Whether a column's type, or a part of it, has values that Parquet hasn't. */
extern bool parquet_has_unholdable(const ParquetColumn *column,
								   const TypeShape	   *type);

/* ---- parquet_schema.c: nodes -> the schema in the file ---- */

/* The list of SchemaElements, as field id. */
extern void schema_write(const ParquetWriter *writer, Thrift *thrift, int id);
/* The same and how values get into it, in a text of our own. */
extern char *schema_describe(const ParquetWriter *writer);

/* ---- parquet_lossy.c: values that Parquet can't hold ---- */

/*
 * The row at that place has a value that Parquet cannot hold: what it is.
 * Returns when the column's policy makes it a null, and counts it.
 */
extern void parquet_unholdable(const ParquetNode	 *node,
							   const ItemPointerData *place, const char *what);
/* A null that can't be: the column was said to have none. */
extern void parquet_refuse_null(const ParquetNode *node);

/* ---- parquet_value.c: Datums -> leaves ---- */

/* The columns that don't wait. */
extern void parquet_put_row(ParquetWriter *writer, const Datum *values,
							const bool *nulls);
/* What a large value needed isn't kept. */
extern void parquet_shrink_texts(ParquetWriter *writer);

/* ---- parquet_number.c: numbers, column by column ---- */

/* Sorts the columns: those that wait in the batch, and the others. */
extern void batch_init(ParquetWriter *writer);
extern void batch_add(ParquetWriter *writer, const Datum *values,
					  const bool *nulls);
/* Puts what waits. */
extern void batch_put(ParquetWriter *writer);

/*
 * A value of a kind that is a number as its leaf keeps it, in the low bytes;
 * returns NULL, or what it is if Parquet can't hold it.
 */
extern const char *number_of_datum(NodeKind kind, Datum value, int64 *number);

/* ---- parquet_decimal.c: numeric -> DECIMAL ---- */

#ifndef HAVE_INT128
#error "the Parquet writer needs a compiler with 128-bit integers"
#endif

typedef enum DecimalResult
{
	DECIMAL_OK,
	DECIMAL_SPECIAL,  /* NaN or an infinity */
	DECIMAL_TOO_LARGE /* or with more digits after the point than scale */
} DecimalResult;

/* value * 10^scale, if that is an integer of at most precision digits. */
extern DecimalResult decimal_from_numeric(Datum value, int precision,
										  int scale, int128 *result);
/* Big-endian two's complement, as many bytes as precision needs. */
extern int	decimal_width(int precision);
extern void decimal_to_bytes(int128 value, int width, char *dst);

/* ---- parquet_sorted.c: whether rows are in the order of some columns ---- */

typedef struct ParquetSorting ParquetSorting;
typedef struct LeafSteps	  LeafSteps;

extern void sorting_watch(ParquetWriter *writer, const List *nodes);
/* When all leaves have just ended a page at the same row. */
extern void sorting_decide(ParquetWriter *writer);
/* What the rows so far are sorted by, ascending and without nulls, List of
 * ParquetNode *; NIL if they are not, or nobody asked. */
extern const List *sorting_nodes(const ParquetWriter *writer);

/* ---- parquet_index.c: what a chunk's pages hold, and where they lie ---- */

/* Nothing for a chunk that has no bounds. */
extern void index_put_columns(const ParquetLeaf *leaf, Bytes *out);
/* offset: the first page's in the file */
extern void index_put_offsets(const ParquetLeaf *leaf, int64 offset,
							  Bytes *out);

/* ---- parquet_footer.c: metadata ---- */

typedef struct ParquetFooter ParquetFooter;

extern ParquetFooter *footer_new(int nleaves, MemoryContext context);
/* Takes what readers need to know of a chunk that was written. */
extern void footer_add_chunk(ParquetFooter *footer, const ParquetLeaf *leaf,
							 const ParquetPage *dictionary, int64 offset);
extern void footer_end_group(ParquetFooter *footer, int64 rows);
/* Page index, metadata and trailer; the file ends with it. */
extern void footer_write(const ParquetWriter *writer, Bytes *out);

#endif /* OUTFLOW_PARQUET_H */
