/*
 * source.h
 *		What a job may export: tables, their columns and filters.
 */
#ifndef OUTFLOW_SOURCE_H
#define OUTFLOW_SOURCE_H

#include "export/job/job.h"
#include "utils/relcache.h"

/* ---- source.c: what may be exported */

/*
 * Opens with ACCESS SHARE and checks kind and rights; an error if row security
 * hides rows and must not.  name, or NULL, is for the error when it is gone.
 */
extern Relation source_open(Oid relid, const char *name, const List *columns,
							bool may_hide);
/*
 * The same rights on all sources.  It waits for nobody who alters a table, and
 * one that is gone, as a query has none, can't be asked about.
 */
extern void sources_check_rights(const Job *job);
/* Whether the calling user may see some of the rows only. */
extern bool source_hides_rows(Relation rel);
/* The same for all its leaves, for a new job; without number and filter. */
extern JobSource *source_new(Oid relid, List *columns, bool may_hide);
/* The leaves of an opened source, itself included, all locked. */
extern List *source_leaves(Relation rel);
/* Errors unless the leaf can be read block by block. */
extern void source_check_leaf(Relation leaf, Relation root);
/* The shape of what is exported, in the caller's order of columns. */
extern RowShape *source_shape(Relation rel, const JobSource *source,
							  const Job *job, MemoryContext parent);

/* Errors if the job's format can't hold the sources, or its options don't fit. */
extern void sources_check_format(const Job *job);
/* Of lake tables: what the log says of the columns; NULL for other formats. */
extern char *source_table_schema(const Job *job, RowShape *shape);

/* ---- source_list.c: what a job of many tables exports */

/* Each of them opened and checked. */
extern List *sources_of_tables(Datum tables, bool may_hide);
extern List *sources_of_schema(Oid schema, bool may_hide);
extern List *sources_of_publication(const char *publication, bool may_hide);
/* Errors if two of them would export the same rows. */
extern void sources_check_apart(const List *sources);

/* ---- export_filter.c */

/*
 * Gives the source the filter, with every name qualified; errors unless it may
 * be used.
 */
extern void filter_begin(JobSource *source, const char *text, Relation rel,
						 const Job *job);
/*
 * The source's filter, ready for ExecInitQual(): simplified, with SQL functions
 * inlined.  rel's columns are those of range table entry 1.
 */
extern Node *filter_plan(const JobSource *source, Relation rel);
/* The settings under which such text means what it says. */
extern PinnedSettings *filter_pin_settings(void);

/* ---- filter_objects.c: whoever parses a filter asks before and after */

/* All that is not the server's own, as text. */
extern char *filter_objects(Node *filter);
/*
 * Errors unless types and collations, then all that a parsed filter names, are
 * what they were at the call.  The parser reads values by their types' functions.
 */
extern void filter_check_names(const JobSource *source, Node *raw);
extern void filter_check_objects(const JobSource *source, Node *filter);

#endif /* OUTFLOW_SOURCE_H */
