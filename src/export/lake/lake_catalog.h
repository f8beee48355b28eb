/*
 * lake_catalog.h
 *		The Iceberg REST catalog that keeps the tables of a place.
 *
 * It alone says which version a table is, and decides between two writers.  The
 * files lie where they would without it.
 */
#ifndef OUTFLOW_LAKE_CATALOG_H
#define OUTFLOW_LAKE_CATALOG_H

#include "export/job/job.h"
#include "sink/catalog/catalog.h"
#include "sink/destination.h"
#include "utils/jsonb.h"

/* A folder, and what the catalog calls the table in it. */
typedef struct LakeCatalogTable
{
	char *folder;
	char *name;
} LakeCatalogTable;

typedef struct LakeCatalog
{
	char	*text; /* as written */
	Catalog *rest;
	char	*root;	 /* "/v1" and the catalog's prefix */
	List *namespace; /* of char * */
	List *tables;	 /* of LakeCatalogTable *; NIL: not known yet */
} LakeCatalog;

/* Errors unless the job's option "catalog", if any, can be right. */
extern void lake_catalog_check(const Job *job);
/* A session; NULL for a job without a catalog.  Errors unless the current user
 * may use it. */
extern LakeCatalog *lake_catalog_open(const Job *job);
/* The same, for the destination, as long as that is open. */
extern void lake_catalog_attach(Destination *root, const Job *job);
/* The same of the one table at the top, "server:namespace.table". */
extern void lake_catalog_attach_table(Destination *root, const char *text);
/* "namespace.table" in messages. */
extern char *lake_catalog_name(const LakeCatalog *catalog, const char *folder);
/* "/v1/prefix/namespaces/NAMESPACE", and a table's below it */
extern char		  *lake_catalog_namespace_path(const LakeCatalog *catalog);
extern char		  *lake_catalog_table_path(const LakeCatalog *catalog,
										   const char		 *folder);
extern const char *lake_catalog_table_name(const LakeCatalog *catalog,
										   const char		 *folder);
/* As catalog_call(), logged in. */
extern CatalogResult lake_catalog_call(LakeCatalog *catalog,
									   CatalogCall *call);

/* ---- lake_answer.c */

/* What a call has got; an ERROR if it is no JSON. */
extern Jsonb *lake_catalog_answer(const Catalog		*rest,
								  const CatalogCall *call);
extern char	 *lake_catalog_secret(const Catalog *rest, CatalogCall *call,
								  const char *name);

#endif /* OUTFLOW_LAKE_CATALOG_H */
