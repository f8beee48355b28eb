/*
 * query_rows.h
 *		From a query's rows to files.
 */
#ifndef OUTFLOW_QUERY_ROWS_H
#define OUTFLOW_QUERY_ROWS_H

#include "export/part/part.h"

/* A part that a query's rows came to. */
typedef struct QueryPart
{
	PlannedPart plan;
	PartResult	result;
} QueryPart;

typedef struct QueryParts
{
	List *parts;	  /* of QueryPart *, at least one */
	char *definition; /* the columns, as a manifest has them */
} QueryParts;

/* Runs the context's job's query, under its snapshot, which is active. */
extern void query_export(const PartContext *context, QueryParts *parts);

#endif /* OUTFLOW_QUERY_ROWS_H */
