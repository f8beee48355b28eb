/*
 * row.h
 *		WHAT a row is: the kinds of values, the shape of types and rows.
 *
 * Every type is mapped to one of some twenty kinds, here and nowhere else.
 * Encoders switch over kinds, never over type OIDs.  A shape holds all that
 * encoders need, so that no row and no column costs a catalog lookup.
 */
#ifndef OUTFLOW_ROW_H
#define OUTFLOW_ROW_H

#include "access/tupdesc.h"
#include "fmgr.h"
#include "nodes/pg_list.h"
#include "utils/relcache.h"

typedef enum TypeKind
{
	KIND_BOOL,
	KIND_INT2,
	KIND_INT4,
	KIND_INT8,
	KIND_OID,
	KIND_FLOAT4,
	KIND_FLOAT8,
	KIND_NUMERIC,
	KIND_TEXT, /* text, varchar, bpchar: the bytes are the text */
	KIND_NAME,
	KIND_BYTEA,
	KIND_UUID,
	KIND_DATE,
	KIND_TIME,
	KIND_TIMETZ,
	KIND_TIMESTAMP,
	KIND_TIMESTAMPTZ,
	KIND_JSON,
	KIND_JSONB,
	KIND_ENUM,
	KIND_HSTORE,
	KIND_VECTOR, /* pgvector's: see VectorHeader */
	KIND_ARRAY,
	KIND_COMPOSITE,
	KIND_OTHER /* by its output function, under pinned settings */
} TypeKind;

/* pgvector's vector: its numbers follow. */
typedef struct VectorHeader
{
	int32 vl_len_;
	int16 dimensions;
	int16 unused;
} VectorHeader;

struct RowShape;

/* A type, with the types that it is made of. */
typedef struct TypeShape
{
	TypeKind kind;
	int16	 len;
	bool	 byval;
	char	 align;
	Oid		 oid;	 /* as declared; a domain stays visible here */
	Oid		 base;	 /* domains removed */
	int32	 typmod; /* of the base type: a domain's own typmod wins over the
					  * column's -1 */
	Oid		 send;	 /* binary output function, or InvalidOid */
	char	 typtype;
	bool	 is_whole;	   /* has parts that are not followed */
	bool	 null_is_told; /* KIND_JSON, KIND_JSONB: a null is none of SQL's,
							* which the column doesn't take */
	/* KIND_OTHER without parts */
	uint8 base_growth;	/* what a stored byte becomes in text at most, but for
						  * numbers */
	bool  base_is_bits; /* it becomes that always */
	bool  has_numbers;	/* a jsonpath, which has numerics in it */
	bool  may_nest;		/* values may need any depth of stack */
	/* of any kind, by encode/value/growth.c; 0: not known yet */
	double growth;	/* the same, numbers included */
	double nesting; /* bytes of values that may nest, unpacked; or none */
	struct TypeShape *element; /* KIND_ARRAY; of a range its subtype, of a
								 * multirange its range */
	struct RowShape	 *fields;  /* KIND_COMPOSITE */
	FmgrInfo *to_json; /* KIND_HSTORE: the extension's hstore_to_json */
	FmgrInfo  output;  /* text output function; fn_extra lives as long as the
						* shape */
} TypeShape;

typedef struct ColumnShape
{
	AttrNumber attnum; /* values[attnum - 1] is this column's */
	bool	   not_null;
	bool	   is_key;	   /* part of the replica identity */
	int		   key_place;  /* where in it, from 1 on; 0: nowhere */
	bool	   is_primary; /* part of the primary key */
	bool	   in_pkindex; /* the same, where 18 also knows deferrable ones */
	bool	   is_generated; /* GENERATED ALWAYS AS: that is no default */
	TypeShape  type; /* of what is written: a mask's, where there is one */
	char	  *name;
	struct ColumnMask *mask; /* see row/mask.h; NULL: clear values */
} ColumnShape;

/* What text encoders need of a column for each row, and no more. */
typedef struct ColumnLabel
{
	const char *text; /* prepared once, such as an escaped JSON name */
	int			len;
	AttrNumber	attnum;
	uint8		kind; /* TypeKind */
} ColumnLabel;

/*
 * A relation's (or composite type's) live columns in attribute order; dropped
 * columns, and those that the caller left out, do not appear.
 */
typedef struct RowShape
{
	int ncolumns;
	int nmasks; /* columns that have one */
	/* the table has some, if only left out ones, or its filters see such columns */
	bool		 is_secret;
	char		 identity; /* relreplident; 0 for a composite type */
	bool		 has_key;  /* some column is_key, or identity is FULL */
	ColumnShape *columns;
	ColumnLabel *labels; /* of all columns, once an encoder has set them */
	/* that is being written, for messages about errors; NULL: none */
	const ColumnShape *current;
	Datum		 *values; /* workspace of desc->natts entries for deforming */
	bool		 *nulls;
	void		 *prepared; /* what a format keeps for this shape */
	TupleDesc	  desc;		/* a copy; natts counts dropped columns too */
	Oid			  relid;	/* of a composite type: its pg_class entry */
	char		 *schema;
	char		 *name;
	MemoryContext context; /* owns all of the above */
} RowShape;

/* Decides whether a column belongs to a shape; NULL takes all stored ones. */
typedef bool (*ColumnFilter)(Form_pg_attribute attr, void *arg);

/*
 * Builds a relation's shape in a new child of parent.  Reads the catalogs
 * through the active or historic snapshot.  Free with row_shape_free().
 */
extern RowShape *row_shape_build(Relation rel, ColumnFilter filter, void *arg,
								 MemoryContext parent);
extern void		 row_shape_free(RowShape *shape);
/* The same for rows that are no relation's; name is for messages. */
extern RowShape *row_shape_of_result(TupleDesc desc, const char *name,
									 MemoryContext parent);

/* The type as users write it: format_type of oid and typmod. */
extern char *type_shape_name(const TypeShape *type);

/* Whether this is its name in pg_type, or that of its base type. */
extern bool type_shape_is_named(const TypeShape *type, const char *name);
/* Whether some schema has a type of this name. */
extern bool type_name_exists(const char *name);

/*
 * The kind of the type that is declared: KIND_OTHER for domains, and for
 * types that only look like one with a kind (xid is no number to its users).
 */
extern TypeKind type_declared_kind(Oid oid);

/* All labels of an enum in their order, as a List of char *. */
extern List *enum_labels(const TypeShape *type);

/*
 * The stored form of a column's default; NULL without one, and for one that is
 * too long to be shown, or comes after too many others, which is then told.
 */
extern const char *column_default_stored(const RowShape *shape,
										 AttrNumber attnum, bool *left_out);

/* As users write it: schema and name, quoted where they must be. */
extern char *relation_full_name(Oid relid);

/*
 * The partitioned tables that a relation is a part of, the nearest first.  It
 * stays one until a DETACH ... CONCURRENTLY is done, which may be never;
 * get_partition_ancestors() ends where one has begun.
 */
extern List *relation_ancestors(Oid relid);

/*
 * Columns of the primary key and of the index that is the replica identity;
 * attribute numbers less FirstLowInvalidHeapAttributeNumber, NULL for none.
 */
extern Bitmapset *relation_primary_key(Relation rel);
extern Bitmapset *relation_identity_key(Relation rel);

/*
 * Fills a TypeShape, nested parts included, in the current context.  What is
 * nested too deep, or has too many parts, is KIND_OTHER without parts.
 */
extern void type_shape_init(TypeShape *shape, Oid oid, int32 typmod);
/*
 * The same of a type that is no relation's, which has all levels to itself, for a look
 * at a value that isn't shown.
 */
extern TypeShape *type_shape_alone(Oid oid);

/* Label of an enum value; looked up once per value, good until the next call. */
extern const char *enum_label(Oid value);

/*
 * Invalidation of shapes.  The callback is called with a relation's OID, or
 * InvalidOid when every shape may be stale: a type, enum label or schema was
 * changed.  It may be called at any time the server accepts invalidations,
 * must not read catalogs and must not throw.  One listener per process.
 */
typedef void (*ShapeInvalidation)(Oid relid);
/* A type, by its hash value: one that no shape has has changed, or is used from now
 * on.  0: values that name objects of any kind are, and with them all objects. */
typedef void (*TypeNotice)(uint32 hash, bool is_used);
extern void row_listen_invalidations(ShapeInvalidation callback,
									 TypeNotice		   notice);
/* Every shape may be stale, for a reason that is no catalog's. */
extern void row_invalidate_all(void);

/*
 * Settings that text output depends on.  "Canonical" ones make the output
 * functions of KIND_OTHER write ISO dates, UTC, hex bytea, shortest floats,
 * C money and qualified names, whatever the session says.
 *
 * They are a scope: settings_pin_canonical() opens it and settings_unpin() ends
 * it, and so does, at the latest, the end of the (sub)transaction in which it
 * was opened; outside of any transaction, the end of the memory context.
 */
typedef struct PinnedSettings PinnedSettings;
extern PinnedSettings		 *settings_pin_canonical(MemoryContext context);
extern void					  settings_unpin(PinnedSettings *pinned);
/* Whether they are in force anyway. */
extern bool settings_are_canonical(void);

#endif /* OUTFLOW_ROW_H */
