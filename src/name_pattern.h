/*
 * name_pattern.h
 *		Patterns for names: schema.table and schema.table.column.
 */
#ifndef OUTFLOW_NAME_PATTERN_H
#define OUTFLOW_NAME_PATTERN_H

#include "nodes/pg_list.h"

/* schema.table or schema.table.column, each with * and ? */
typedef struct NamePattern
{
	char *schema;
	char *table;
	char *column; /* NULL for patterns of tables */
} NamePattern;

/* NULL if it is none; nparts: 2 for tables, 3 for columns. */
extern NamePattern *name_pattern_read(const char *text, int nparts);
/* The same of an option's items, each of which must be one. */
extern List *name_patterns_parse(const char *option, List *items, int nparts);
extern bool	 name_matches(const char *pattern, const char *name);
extern bool	 name_patterns_match_table(List *patterns, const char *schema,
									   const char *table);

#endif /* OUTFLOW_NAME_PATTERN_H */
