/*
 * mask.h
 *		Columns whose values leave PostgreSQL masked.
 *
 * Rules say which ones and how: "schema.table.column=method", in a comma
 * list.  The first rule that matches a column decides, and those of the
 * setting outflow.mask_columns come before all others, so that nobody can take
 * one back.  A rule for a table holds for its partitions as well, whatever name
 * they are read by, and one for a partition holds in its table.  It also holds for
 * tables that inherit from it; one for these doesn't in it, which has other rows.
 *
 * A shape is masked once, when it is built, and has the masks' types from then
 * on; encode/mask_value.h masks the values of its rows.
 *
 * Names change.  Who reads a table more than once for one purpose keeps what was
 * masked at first, by attribute number, and gives it back as kept masks.
 */
#ifndef OUTFLOW_MASK_H
#define OUTFLOW_MASK_H

#include "row/row.h"

typedef enum MaskMethod
{
	MASK_NULL,	   /* the type stays */
	MASK_REDACT,   /* the others are text, and a NULL stays one */
	MASK_HASH,	   /* HMAC-SHA-256 of the value's text, in hexadecimal */
	MASK_TRUNCATE, /* the first characters of the value's text */
} MaskMethod;

/* The secret of MASK_HASH. */
typedef struct MaskKey
{
	int			  size;
	unsigned char bytes[FLEXIBLE_ARRAY_MEMBER];
} MaskKey;

typedef struct ColumnMask
{
	MaskMethod	   method;
	int			   length; /* MASK_TRUNCATE: characters */
	TypeShape	   clear;  /* the type of the values in the table */
	const MaskKey *key;	   /* MASK_HASH; else NULL */
} ColumnMask;

/* ---- rules (mask_rule.c) */

typedef struct MaskRule
{
	struct NamePattern *column;
	AttrNumber			attnum; /* of a kept mask, which has no column */
	MaskMethod			method;
	int					length;
} MaskRule;

/* Whose masks a relation's columns get, in this order. */
typedef struct MaskRules
{
	List *setting; /* of MaskRule *, as all of them */
	List *kept;
	List *own;
} MaskRules;

/*
 * Reads a list of rules in the current context.  Returns what is wrong with
 * the text, or NULL.  Raises no error, since the server's main process reads
 * settings too.
 */
extern const char *mask_rules_read(const char *text, List **rules);
/* The same with an error; "what" and name are the option's. */
extern List *mask_rules_parse(const char *what, const char *name,
							  const char *text);
/* The method as its users write it. */
extern char *mask_method_text(MaskMethod method, int length);
/* A mask to be kept, and such texts (char *) as rules. */
extern char *mask_keep(AttrNumber attnum, const MaskRule *rule);
extern List *mask_kept_read(const List *texts);

/* ---- settings (mask_setting.c) */

extern void mask_define_settings(void);
/* outflow.mask_columns; "" for none. */
extern const char *mask_setting(void);
/* Whether it can be read in this database. */
extern bool mask_setting_is_readable(void);
/* Its rules; an error if it can't. */
extern List *mask_setting_rules(void);
/* The key, in the current context; an error if it can't be read. */
extern MaskKey *mask_key_load(void);
/* The same if rules, or the setting's, need one; else NULL. */
extern MaskKey *mask_key_for(const List *rules);
/* An error if rules, or the setting's, need a key that can't be read. */
extern void mask_check_key(const List *rules);

/* ---- shapes (mask_shape.c) */

/*
 * Masks what the setting, kept masks and these rules say of a shape.  relids
 * are the relations whose rules count, with their ancestors'.  The key is what
 * mask_key_for() had for the same purpose before, or NULL for the file's.
 */
extern void row_shape_mask(RowShape *shape, const List *relids,
						   const List *kept, const List *rules,
						   const MaskKey *key);
/* The masks (char *, to be kept) of all columns that a row has. */
extern List *mask_columns_of(TupleDesc desc, const List *relids,
							 const List *rules);

/* Whether the setting masks this column. */
extern bool mask_setting_covers(const List *relids, const char *column);

/* Whether a rule is for a column of one of these relations. */
extern bool mask_rule_covers(const MaskRule *rule, const List *relids,
							 const char *column);

/* relids and the tables that they are partitions of, or inherit from. */
extern List *mask_relations(const List *relids);

/* Whether equal masks stand for equal values. */
static inline bool
column_tells_rows_apart(const ColumnShape *column)
{
	return column->mask == NULL || column->mask->method == MASK_HASH;
}

#endif /* OUTFLOW_MASK_H */
