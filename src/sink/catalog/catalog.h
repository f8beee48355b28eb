/*
 * catalog.h
 *		Requests to an Iceberg REST catalog: what came of each, and which may be
 *		made once more.  What they are: "Iceberg REST Open API".
 */
#ifndef OUTFLOW_CATALOG_H
#define OUTFLOW_CATALOG_H

#include "lib/stringinfo.h"

#include "sink/catalog/catalog_config.h"
#include "sink/http/http.h"
#include "sink/sending.h"

typedef struct Catalog
{
	Oid			   server;
	char		  *name; /* of the server */
	List		  *options;
	CatalogConfig  config;
	CatalogSecrets secrets; /* as they were last read */
	char		  *token;	/* that goes with requests; NULL for none */
	HttpClient	  *http;
	HttpClient	  *login;
	MemoryContext  context;
} Catalog;

typedef enum CatalogResult
{
	CATALOG_DONE,
	CATALOG_MISSING,
	CATALOG_CONFLICT,
	CATALOG_UNAUTHORIZED,
	CATALOG_REFUSED,
	/* an answer that says nothing of what was done, or none */
	CATALOG_UNKNOWN
} CatalogResult;

typedef struct CatalogCall
{
	const char *method;
	const char *path; /* after the catalog's own; encoded */
	const char *body; /* JSON, or to get a token a form; NULL for none */
	bool		is_login;
	bool		only_once; /* whether it was done can't be seen from another */
	const Sending *sending; /* is told of each try; NULL: nobody */

	CatalogResult result;
	char		 *answer; /* with a NUL after it; "" for none */
	size_t		  answer_len;
	/* of what failed */
	int			sqlstate;
	char	   *reason;
	const char *hint; /* or NULL */
} CatalogCall;

/* Lives in the current memory context, with the user's own secrets. */
extern Catalog *catalog_open(const ForeignServer *server);
/* Reads the secrets again; whether they have been exchanged. */
extern bool catalog_refresh(Catalog *catalog);
extern void catalog_set_token(Catalog *catalog, const char *token);
/* The answer is the current memory context's. */
extern CatalogResult catalog_call(Catalog *catalog, CatalogCall *call);
/* The error of a call; what: "load table ..." */
pg_noreturn extern void catalog_throw(const Catalog		*catalog,
									  const CatalogCall *call,
									  const char		*what);
/* Waits before the nth try of something, and moves nothing on. */
extern void catalog_pause(Catalog *catalog, int tries);
/* As a part of a path, or a value of a form. */
extern void catalog_encode(StringInfo out, const char *text);

#endif /* OUTFLOW_CATALOG_H */
