/*
 * option.h
 *		One table-driven parser for named options: the output plugin's, the
 *		export functions' "options" argument and those of foreign servers.
 *
 * A table of OptionSpec says each option's name, type, default and the field
 * of a caller's struct that receives it.  The parser fills the struct,
 * refuses unknown and duplicate names and bad values, and hints what is
 * valid.
 */
#ifndef OUTFLOW_OPTION_H
#define OUTFLOW_OPTION_H

#include "fmgr.h"
#include "nodes/pg_list.h"

typedef enum OptionType
{
	OPTION_BOOL,   /* bool: on/off, true/false, ... as PostgreSQL reads them;
					* an option without a value is on */
	OPTION_INT,	   /* int, between min and max */
	OPTION_SIZE,   /* int64 bytes with PostgreSQL's units (kB, MB, GB) */
	OPTION_STRING, /* char *, NULL when not given */
	OPTION_LIST,   /* List of char *: a comma-separated list whose items may be
					* double-quoted; NIL when not given */
	OPTION_ENUM	   /* int, one of choices */
} OptionType;

typedef struct OptionChoice
{
	const char *name;
	int			value;
} OptionChoice;

typedef struct OptionSpec
{
	const char *name;
	OptionType	type;
	size_t		offset;	  /* of the field in the caller's struct */
	const char *boot;	  /* default, in text; NULL for NULL, NIL, 0 or off */
	int64		min, max; /* OPTION_INT and OPTION_SIZE */
	const OptionChoice *choices; /* OPTION_ENUM, ends with a NULL name */
} OptionSpec;

/* A table ends with a row whose name is NULL. */

/* Fills every field with its default. */
extern void options_set_defaults(const OptionSpec *table, void *target);

/*
 * Fills target from a List of DefElem (values are String nodes, or NULL for a
 * flag).  "what" names the kind of option in messages ("output plugin
 * option", "export option").
 */
extern void options_parse(const OptionSpec *table, const char *what,
						  List *elements, void *target);

/* Sets one option from text; value may be NULL. */
extern void option_set(const OptionSpec *spec, const char *what,
					   const char *value, void *target);

/* The row for name, or NULL. */
extern const OptionSpec *option_find(const OptionSpec *table,
									 const char		  *name);

/* The items of an OPTION_LIST; what is wrong with it as a hint, or NULL. */
extern const char *option_split_list(const char *value, List **items);

/* The value as a message may show it: cut, without a secret key or a password. */
extern char *option_shown(const char *value);

/* Where a text holds an age identity, which is a secret; NULL if nowhere. */
extern const char *option_find_secret(const char *text, size_t len);
/* Where a URL names a user, maybe with a password; NULL if it doesn't. */
extern const char *option_find_password(const char *text);
/* An ERROR if there is one, which keeps it out of the log. */
extern void option_refuse_secret(const char *argument, const char *text,
								 size_t len);
/* The same of a call's argument of a variable length; null has none. */
extern void option_refuse_secret_argument(FunctionCallInfo fcinfo, int number,
										  const char *name);
/* And of one of type name. */
extern void option_refuse_secret_name(FunctionCallInfo fcinfo, int number,
									  const char *name);

#endif /* OUTFLOW_OPTION_H */
